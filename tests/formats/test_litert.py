"""litert-benchmark's JSON; the samples have the form that version 2.3.0 wrote when it was run."""

import json
from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, detect, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[3] / "shared/reference/vendor-samples"
NPU = (SAMPLES / "litert_npu.json").read_text(encoding="utf-8")
COARSE = "litert-benchmark rounds to 0.01 ms, which is coarse for 0.31 ms"
PARTLY = "some of the model ran on another device than asked for (fully_accelerated: false)"


def parse(text: str) -> Profile:
    return FORMATS["litert"].parse(text, "net.json")


def changed(**latency: object) -> str:
    content = json.loads(NPU)
    content["latency"].update(latency)
    return json.dumps(content)


def test_takes_the_median_and_warns_of_its_rounding_and_of_fallbacks():
    assert parse_file(SAMPLES / "litert_npu.json") == Profile(
        tool="litert",
        device="NPU + CPU",
        threads=2,
        unit="ms",
        whole_ms=0.31,
        statistic="median",
        runs=40,
        warmup="excluded",
        warmup_runs=5,
        warnings=(COARSE, PARTLY),
    )


def test_one_run_without_warm_up():
    profile = parse_file(SAMPLES / "litert_one_run.json")
    assert (profile.whole_ms, profile.runs, profile.warmup, profile.warmup_runs) == (1.08, 1, "included", 0)
    assert profile.warnings == ()


def test_the_runtime_may_choose_the_threads():
    assert parse(NPU.replace('"num_threads": 2', '"num_threads": 0')).threads is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "^net.json, line 1: expected JSON, found the end of the file: it is cut off"),
        (NPU[:-40], "^net.json, line 23: expected JSON, found the end of the file: it is cut off"),
        ("[]", "^net.json: expected an object, found a list"),
        ("{}", "^net.json: expected the key 'latency', found ''"),
        (NPU.replace('"latency": {', '"latency": 3, "x": {'), "^net.json, latency: expected an object, found a int"),
        (NPU.replace("median_ms", "median_us"), "^net.json, latency: expected the key 'median_ms', found 'init_ms, "),
        (changed(median_ms="0,31"), "expected median_ms to be a number >= 0, found '0,31'. .*LC_ALL=C"),
        (changed(median_ms=float("nan")), "expected median_ms to be a number >= 0, found 'nan'"),
        (changed(median_ms=True), "expected median_ms to be a number >= 0, found 'True'"),
        (changed(median_ms=0.9), "expected median_ms <= p95_ms, found 0.9 and 0.49"),
        (changed(avg_ms=0.9), "expected avg_ms <= max_ms, found 0.9 and 0.52"),
        (changed(min_ms=0, p5_ms=0, median_ms=0), "expected median_ms > 0, found 0"),
        (changed(num_runs=0), "expected num_runs to be a whole number >= 1, found 0"),
        (changed(num_runs=1.5), "expected num_runs to be a whole number >= 1, found 1.5"),
        (NPU.replace('"fully_accelerated"', '"full"'), "expected the key 'fully_accelerated'"),
        (NPU.replace('"NPU",', "7,"), "expected accelerators to be a list of names"),
        (NPU + NPU, "^net.json, line 26: expected JSON, found Extra data"),
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse(text)


def test_is_told_by_its_keys():
    assert detect(NPU).name == "litert"
    assert FORMATS["litert"].recognizes("x " + NPU) == 0.0
    assert FORMATS["litert"].recognizes('{"name": 1}') == 0.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the vendors' samples are not beside this checkout")
def test_reads_the_vendors_sample():
    profile = parse_file(SHARED / "litert_benchmark.json")
    assert (profile.whole_ms, profile.runs, profile.device, profile.threads) == (1.43, 50, "CPU", 1)
