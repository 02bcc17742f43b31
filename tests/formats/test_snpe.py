"""snpe-diagview of SNPE 1.x, 2.9 and 2.37: the mean of the whole, layers in us, and layers in cycles."""

from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Layer, Profile, detect, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[3] / "shared/reference/vendor-samples"
CPU = (SAMPLES / "snpe_1_x_cpu.txt").read_text(encoding="utf-8")
DSP = (SAMPLES / "snpe_2_9_dsp.txt").read_text(encoding="utf-8")
NEW = (SAMPLES / "snpe_2_37_dsp.txt").read_text(encoding="utf-8")
NUMBERED = "this version numbers its layers: their names are in `snpe-dlc-info`, in the same order"
TIMELESS = "layers without a time: {}, not measured, or in cycles with no time of the accelerator to share"


def parse(text: str) -> Profile:
    return FORMATS["snpe"].parse(text, "diag.txt")


def test_old_versions_number_their_layers():
    assert parse_file(SAMPLES / "snpe_1_x_cpu.txt") == Profile(
        tool="snpe",
        tool_version="1.40.0.2130",
        device="CPU",
        unit="us",
        whole_ms=pytest.approx(26.458),
        statistic="mean",
        layers=(Layer("0", 1.419), Layer("1", None)),
        layer_statistic="mean",
        warnings=(TIMELESS.format(1), NUMBERED),
    )


def test_cycles_share_the_accelerators_time():
    profile = parse_file(SAMPLES / "snpe_2_9_dsp.txt")
    assert (profile.tool_version, profile.device, profile.unit) == ("2.9.0.4462", "DSP + CPU", "us, cycles")
    assert profile.whole_ms == 3.318
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.0, 0.45, 0.15, 0.09])
    assert [layer.derived for layer in profile.layers] == [True, True, True, False]
    assert profile.warnings == (
        "times of 3 layers were derived: 'Accelerator Time' by shares of their cycles",
        NUMBERED,
    )


def test_without_a_time_of_the_accelerator_cycles_are_no_time():
    profile = parse(DSP.replace("Accelerator Time: 600 us", "Accelerator Time: 0 NONE").replace("1735 us", "0 us"))
    assert [(layer.latency_ms, layer.derived) for layer in profile.layers] == [(None, False)] * 3 + [(0.09, False)]
    assert profile.warnings == (TIMELESS.format(3), NUMBERED)


def test_the_other_time_of_the_accelerator_is_second_best():
    profile = parse(DSP.replace("\nAccelerator Time: 600 us", "\nAccelerator Time: 0 us"))
    assert profile.layers[2].latency_ms == pytest.approx(1.735 / 4)
    assert profile.warnings[0] == "times of 3 layers were derived: 'Snpe Accelerator Time' by shares of their cycles"


def test_new_versions_name_their_layers():
    profile = parse_file(SAMPLES / "snpe_2_37_dsp.txt")
    assert (profile.tool_version, profile.device) == ("2.37.0.250724175447_124859", "DSP")
    assert (profile.whole_ms, profile.statistic) == (1.328, "mean")
    assert [(layer.name, layer.nodes, layer.overhead) for layer in profile.layers] == [
        ("Input OpId_2 (cycles)", ("Input OpId_2",), True),
        ("b0 : 1/MatMul:OpId_18 (cycles)", ("b0 : 1/MatMul",), False),
        ("b0/Relu:OpId_20 (cycles)", ("b0/Relu",), False),
        ("Output OpId_3 (cycles)", ("Output OpId_3",), True),
    ]
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.01, 0.0, 0.02, 0.03])
    assert len(profile.warnings) == 1
    assert parse(NEW.replace("\n", "\r\n")) == profile


def test_a_profile_without_layers_names_the_device_of_its_subnets():
    profile = parse(NEW[: NEW.index("  Per-Layer")])
    assert (profile.layers, profile.layer_statistic, profile.device) == ((), None, "DSP")
    assert profile.warnings == ("no times of layers: run snpe-net-run with --profiling_level detailed",)


def test_units_are_those_that_stand_there():
    assert parse(CPU.replace(" us", " ms")).whole_ms == 26458
    assert parse(CPU.replace(" us", " ms")).layers[0].latency_ms == 1419


def test_a_failed_run_says_why_in_the_tools_words():
    profile = parse_file(SAMPLES / "snpe_failed.txt")
    assert profile.failed == "[ERROR] error_code=1002; error_message=Layer parameter value is invalid in GPU"
    assert (profile.whole_ms, profile.tool, profile.unit) == (None, "snpe", "us")
    six = "".join(f"Error: {i}\n" for i in range(6))
    assert parse(six).failed == "Error: 0; Error: 1; Error: 2; Error: 3; Error: 4"


def test_errors_beside_statistics_are_warnings():
    profile = parse("[ERROR] error_code=7\n" + NEW)
    assert (profile.whole_ms, profile.failed) == (1.328, None)
    assert profile.warnings[1] == "the log also says: [ERROR] error_code=7"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"^diag.txt: expected the statistics of one log .*, found 0, of versions unknown"),
        (DSP[: DSP.index("Average")], "found 0, of versions 2.9.0.4462"),
        (DSP + "Software library version: 2.37\n", "found 1, of versions 2.9.0.4462, 2.37"),
        (DSP + NEW, "found 2, of versions 2.9.0.4462, 2.37.0"),
        (
            DSP.replace("Total Inference Time: 3318 us\n", ""),
            "expected the line 'Total Inference Time: ... us', found none",
        ),
        (DSP.replace("3318 us", "3318"), "expected Total Inference Time in s, ms, us or ns, found ''"),
        (DSP.replace("3318 us", "3,318 us"), "line 18: expected Total Inference Time to be .*, found '3,318'"),
        (DSP.replace("3318 us", "0 us"), "expected Total Inference Time > 0, found 0"),
        (DSP.replace("Misc Acc", "Acc"), "line 23: expected 'Accelerator Time' once, found it again"),
        (DSP.replace("1: 1500", "2: 1500"), "line 28: expected the row of layer 1, .*, found '2: 1500 cycles : DSP'"),
        (DSP.replace("2: 500 cycles : DSP\n", ""), "expected the row of layer 2, .*, found '3: 90 us : CPU'"),
        (DSP[:-8], "line 30: expected the row of layer 3, .*, found '3: 90 u'"),
        (DSP.replace("90 us", "90 parsecs"), "expected the time of layer 3 in s, ms, us or ns, found 'parsecs'"),
        (DSP.replace("90 us", "nan us"), "line 30: expected the time of layer 3 to be a number >= 0, found 'nan'"),
        (DSP.replace("90 us", "90 ms"), "expected layers that take no more than the whole, 3.318 ms, found 90.6 ms"),
        (NEW.replace("2000 cycles", "2000 us"), r"expected 'Input OpId_2 \(cycles\)' in cycles, found 'us'"),
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse(text)


def test_is_told_by_its_titles():
    assert all(detect(path).name == "snpe" for path in sorted(SAMPLES.glob("snpe_*")))
    recognizes = FORMATS["snpe"].recognizes
    assert recognizes("Average SNPE Statistics:\n") == recognizes("  SNPE Execute Statistics (Averaged):\n") == 1.0
    version = "Software library version: 2.9\n"
    assert recognizes(version + "Time Scale: 1") == recognizes(version + "error_code=1") == 0.9
    assert (recognizes(version), recognizes("snpe-diagview: not found")) == (0.5, 0.6)
    assert recognizes("Layer Times:\n0: 3 us : CPU\n") == 0.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the vendors' samples are not beside this checkout")
def test_reads_the_vendors_samples():
    profile = parse_file(SHARED / "snpe_diagview_237.txt")
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == [
        ("_stem/conv", 0.023),
        ("_stem/relu", 0.001),
    ]
    profile = parse_file(SHARED / "snpe_diagview_2x.txt")
    assert (profile.whole_ms, profile.tool_version) == (pytest.approx(26.458), "2.9.0.4462")
    assert [layer.latency_ms for layer in profile.layers] == [1.419, 0.021]
