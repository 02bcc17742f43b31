"""Real outputs of the tools, and some written after their sources; they lie beside a development checkout."""

from pathlib import Path

import pytest

from latpred.formats import parse_file

SHARED = Path(__file__).parents[3] / "shared/reference/vendor-samples"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the vendors' samples are not beside this checkout"),
]


@pytest.mark.parametrize(
    ("name", "part", "unit", "whole_ms", "layers", "precision"),
    [
        ("trtexec_10.log", "log", "ms", 1.914, 0, None),
        ("trtexec_7.log", "log", "ms", 1.2345, 0, None),
        ("trtexec_times.json", "times", "ms", 1.9, 0, None),
        ("trtexec_profile.json", "profile", "ms", None, 3, None),
        ("trtexec_layerinfo.json", "layer_info", "ms", None, 1, None),
        ("dnndk_profile.txt", "", "ms", 0.432, 3, None),
        ("onnxruntime_profile.json", "", "us", 2.205, 14, None),
        ("openvino_benchmark_app.log", "log", "ms", 1.35, 0, "f32"),
        ("openvino_benchmark_report.csv", "report", "ms", 0.79, 0, None),
        ("openvino_benchmark_report.json", "report", "ms", 1.35, 0, "f32"),
        ("openvino_detailed_counters.csv", "counters", "ms", None, 15, "bf16"),
        ("openvino_detailed_counters.json", "counters", "ms", None, 14, "f32"),
        ("openvino_sorted.csv", "counters", "ms", None, 15, "bf16"),
    ],
)
def test_is_read(name, part, unit, whole_ms, layers, precision):
    profile = parse_file(SHARED / name)
    assert (profile.part, profile.unit, profile.precision) == (part, unit, precision)
    assert (profile.whole_ms, len(profile.layers)) == (whole_ms, layers)
    assert profile.failed is None


def test_onnxruntimes_reorders_are_overhead():
    overhead = [layer for layer in parse_file(SHARED / "onnxruntime_profile.json").layers if layer.overhead]
    assert {layer.kind for layer in overhead} == {"ReorderOutput"}
