from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
SUMMARY = "GPU Compute Time: min = 1.9 ms, max = 1.97 ms, mean = 1.916 ms, median = 1.91 ms, percentile(99%) = 1.96 ms"
AVERAGE = (
    "[07/15/2020-14:26:21] [I] Average on 10 runs - GPU latency: {} ms - Host latency: 1.40123 ms (end to end 1.41 ms)"
)


def text(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def parse(log: str) -> Profile:
    return FORMATS["trtexec"].parse(log, "net.log")


@pytest.mark.parametrize(
    ("sample", "version", "device", "precision", "whole_ms", "runs", "warmup_runs"),
    [
        ("trtexec_6.log", None, None, None, 1.525, 20, None),
        ("trtexec_7.log", None, "Xavier", "FP16", 1.24, 20, 10),  # 40 and 20 queries of a batch of 2
        ("trtexec_8_2.log", "8.2.1", "Orin", "FP32+FP16", 2.5, 4, 3),
        ("trtexec_8_6.log", "8.6.1", "Orin", None, 1.91, 5, 90),
        ("trtexec_10.log", "10.3.0", "Orin", "FP32+FP16", 1.91, 1500, 90),
    ],
)
def test_reads_the_median_gpu_compute_time_of_every_version(
    sample, version, device, precision, whole_ms, runs, warmup_runs
):
    profile = parse_file(SAMPLES / sample)
    assert (profile.tool, profile.part, profile.unit) == ("trtexec", "log", "ms")
    assert (profile.tool_version, profile.device, profile.precision) == (version, device, precision)
    assert (profile.whole_ms, profile.statistic, profile.runs) == (whole_ms, "median", runs)
    assert (profile.warmup, profile.warmup_runs, profile.failed) == ("excluded", warmup_runs, None)


@pytest.mark.parametrize(
    ("word", "version"),
    [
        ("7103", "7.1.3"),
        ("8601", "8.6.1"),
        ("100300", "10.3.0"),
        ("101301", "10.13.1"),
        ("110000", "11.0.0"),
        ("110100", "11.1.0"),
    ],
)
def test_versions_up_to_11_are_written_with_points(word, version):
    log = text("trtexec_10.log").replace("10.3.0", version)
    assert parse(log.replace("[TensorRT v100300]", f"[TensorRT v{word}]")).tool_version == version


def test_names_stand_first_up_to_8_5():
    profile = parse_file(SAMPLES / "trtexec_8_2.log")
    assert [layer.name for layer in profile.layers] == [
        "Reformatting CopyNode for Input Tensor 0 to /stem/Conv",
        "/stem/Conv + /stem/Relu",
        "PWN(PWN(/b0/act/Sigmoid), /b0/act/Mul)",
        "{ForeignNode[/b1/Conv.../b1/Reshape]}",
    ]
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.1, 1, 0.3, 1])
    assert [layer.overhead for layer in profile.layers] == [True, False, False, False]
    assert profile.layer_statistic == "mean"
    assert profile.warnings == ("the whole was measured with the profiler on: use --separateProfileRun",)


def test_names_stand_last_from_8_6_and_medians_are_taken():
    profile = parse_file(SAMPLES / "trtexec_8_6.log")
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == [
        ("Reformatting CopyNode for Input Tensor 0 to /stem/Conv + /stem/Relu", 0.049),
        ("/stem/Conv + /stem/Relu", 0.098),
        ("/b0/Conv, a + 100% sure\x1e[b]", 1.76),
    ]
    assert profile.layer_statistic == "median"


def test_layers_of_7_are_finer_than_the_printed_average():
    # 1234.6 ms over 2000 iterations; the table says 0.62.
    layers = parse_file(SAMPLES / "trtexec_7.log").layers
    assert [layer.latency_ms for layer in layers] == pytest.approx([0.07, 0.6173, 0.5001])
    assert [layer.overhead for layer in layers] == [True, False, False]
    assert layers[2].name == "Gemm, last (fc)"


def test_warns_of_what_trtexec_warns_of_and_of_a_precision_that_nobody_knows():
    assert parse_file(SAMPLES / "trtexec_8_6.log").warnings == (
        "GPU compute time is unstable, with coefficient of variance = 4.1%.",
        "the precision of a loaded engine is not in the log, which says 'FP32+FP16'",
    )
    assert parse_file(SAMPLES / "trtexec_10.log").warnings == ()
    several = parse(text("trtexec_10.log").replace("Streams: 1", "Streams: 4"))
    assert several.warnings == ("4 streams ran side by side: the latency is not that of one run alone",)


def test_a_failed_build_is_told_in_the_tools_words():
    profile = parse_file(SAMPLES / "trtexec_failed.log")
    assert profile.failed == (
        "[TRT] ModelImporter.cpp:779: ERROR: builtin_op_importers.cpp:1 In function importPad:; "
        "[8] Assertion failed: mode is not supported; Failed to parse onnx file"
    )
    assert (profile.whole_ms, profile.layers, profile.tool_version) == (None, (), "8.4.1")


def test_a_build_that_was_killed_after_an_error_has_failed_as_well():
    log = text("trtexec_failed.log").partition("&&&& FAILED")[0]
    assert parse(log).failed == parse_file(SAMPLES / "trtexec_failed.log").failed
    assert parse("&&&& FAILED TensorRT.trtexec # trtexec\n").failed == "trtexec says FAILED and names no error"


def test_a_failure_after_the_measurement_counts():
    log = text("trtexec_10.log").replace("&&&& PASSED", "[E] Output does not match\n&&&& FAILED")
    assert (parse(log).failed, parse(log).whole_ms) == ("Output does not match", None)


@pytest.mark.parametrize(
    ("values", "whole_ms"), [(["1.5"], 1.5), (["1.5", "1.5", "1.5"], 1.5), (["1e-05", "3e-05", "1"], 3e-05)]
)
def test_an_excerpt_of_averages_will_do(values, whole_ms):
    # One sample and equal samples made the reference's parser divide by zero, and 1e-05 was no number to it.
    profile = parse("\n".join(AVERAGE.format(value) for value in values))
    assert (profile.whole_ms, profile.statistic) == (whole_ms, "median of means of 10 runs")
    assert (profile.runs_ms, profile.warnings) == ((), ("the log has no summary",))


def test_a_log_without_time_stamps_is_read():
    profile = parse("\n".join(AVERAGE.format(value).partition("] ")[2] for value in ("1.5", "1.7")))
    assert profile.whole_ms == pytest.approx(1.6)


def test_averages_over_one_run_are_runs():
    log = "\n".join(AVERAGE.format(value) for value in ("1.5", "1.25", "1.75")).replace("on 10 runs", "on 1 runs")
    assert (parse(log).runs_ms, parse(log).whole_ms, parse(log).statistic) == ((1.5, 1.25, 1.75), 1.5, "median")


def test_the_order_of_the_statistics_does_not_matter():
    swapped = "median = 1.91 ms, max = 1.97 ms, percentile(99%) = 1.96 ms, min = 1.9 ms, mean = 1.916 ms"
    assert parse(f"[I] GPU Compute Time: {swapped}").whole_ms == 1.91
    assert parse(f"[I] {SUMMARY}".replace(" ms", " us")).whole_ms == pytest.approx(0.00191)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("median = 1.91", "median = 1,91", r"line 1: expected .*, found 'median = 1,91 ms"),
        ("median = 1.91", "median = nan", "expected GPU compute median to be a number >= 0, found 'nan'"),
        ("median = 1.91", "median = -1.91", "expected GPU compute median to be a number >= 0, found '-1.91'"),
        ("median = 1.91", "median = inf", "found 'inf'"),
        ("median = 1.91", "median = 2.91", "expected median <= max, found 2.91 and 1.97"),
        ("mean = 1.916", "mean = 1.8", "expected min <= mean, found 1.9 and 1.8"),
        ("min = 1.9 ms", "median = 1.9 ms", "expected median once, found it twice"),
        (
            "median = 1.91 ms",
            "median = 1.91 parsecs",
            "expected GPU compute median in s, ms, us or ns, found 'parsecs'",
        ),
        ("median = 1.91 ms", "median = 1.91", "expected a unit behind median, found none"),
        ("median = ", "middle = ", "expected 'min = X ms, ..., median = X ms, ...', found 'middle = "),
        ("median = 1.91 ms, ", "", "expected a median of GPU compute time, found min, max, mean, percentile"),
    ],
)
def test_a_summary_that_cannot_be_is_refused(old, new, problem):
    assert old in SUMMARY
    with pytest.raises(ParseError, match=problem) as caught:
        parse(f"[I] {SUMMARY}".replace(old, new))
    assert str(caught.value).startswith("net.log, line 1: ")


def test_no_network_takes_no_time():
    with pytest.raises(ParseError, match="expected latency > 0, found 0"):
        parse(AVERAGE.format("0"))


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (
            AVERAGE.format("1,5"),
            "line 1: expected GPU latency to be a number >= 0, found '1,5'. Run the tool with LC_ALL=C",
        ),
        (
            AVERAGE.format("1.5")[:63],
            "expected 'Average on N runs - GPU latency: X ms', found 'Average on 10 runs - GPU",
        ),
        (
            AVERAGE.format("1.5") + "\n" + AVERAGE.format("1.5").replace("10 runs", "20 runs"),
            "line 2: expected averages as in the lines before, found 'Average on 20 runs",
        ),
        (
            "[I] === Model Options ===\n[I] GPU latency is good",
            "line 2: expected trtexec's GPU latency .*, found neither",
        ),
    ],
)
def test_a_line_that_cannot_be_is_refused(log, problem):
    with pytest.raises(ParseError, match=problem):
        parse(log)


def test_versions_in_one_file_are_named():
    with pytest.raises(
        ParseError, match=r"net.log: expected the log of one run of trtexec, found 2 runs of 10.3.0, 8.6.1"
    ):
        parse(text("trtexec_8_6.log") + text("trtexec_10.log"))
    with pytest.raises(ParseError, match=r"expected the log of one run of trtexec, found 1 runs of 10.3.0, 8.6.1"):
        parse(text("trtexec_10.log").replace("TensorRT version: 10.3.0", "TensorRT version: 8.6.1"))
    with pytest.raises(ParseError, match="expected averages as in the lines before, found 'GPU compute time average"):
        parse(AVERAGE.format("1.5") + "\nGPU compute time average over 10 runs is 1.52 ms (latency average 1.71 ms)")
    with pytest.raises(
        ParseError, match=r"expected one summary of GPU compute time, found another after net.log, line 1"
    ):
        parse(f"[I] {SUMMARY}\n[I] {SUMMARY}")


@pytest.mark.parametrize("sample", ["trtexec_6.log", "trtexec_7.log", "trtexec_8_2.log", "trtexec_8_6.log"])
def test_a_log_that_is_cut_anywhere_is_refused_or_right(sample):
    log = text(sample)
    whole = parse(log)
    read = 0
    for end in range(0, len(log) - 1, 7):
        try:
            profile = parse(log[:end])
        except ParseError:
            continue
        read += 1
        assert profile.whole_ms == whole.whole_ms
        assert profile.layers in ((), whole.layers)
        assert "the log does not end with PASSED: it may be cut off" in profile.warnings or "PASSED" in log[:end]
    assert read > 0


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "/stem/Conv + /stem/Relu        7.00",
            "/stem/Conv + /stem/Relu        8.00",
            "expected rows of 16.8 ms together",
        ),
        ("     Total       16.80", "     Tutal       16.80", "expected the table's last row, Total, found none"),
        ("Avg. Time (ms)", "Mode (ms)", r"expected a column that is known, found 'Mode \(ms\)'"),
        ("Avg. Time (ms)", "Time (ms)", r"expected each column once, found two of 'Time \(ms\)'"),
        ("   Layer   ", "           ", "expected a table's header with the column of names"),
        ("/stem/Conv + /stem/Relu        7.00", "7.00", "expected 4 cells .*, found '7.00           1.0000     41.7'"),
        ("   7.00 ", "   7,00 ", "expected Time to be a number >= 0, found '7,00'"),
        ("Time (ms)   Avg. Time", "Time (MB)   Avg. Time", "expected Time in s, ms, us or ns, found 'MB'"),
        ("=== Profile (7 iterations ) ===", "=== Profile (0 iterations ) ===", "expected '=== Profile"),
    ],
)
def test_a_table_that_cannot_be_is_refused(old, new, problem):
    log = text("trtexec_8_2.log")
    assert old in log
    with pytest.raises(ParseError, match=problem):
        parse(log.replace(old, new))


def test_two_profiles_are_refused():
    log = text("trtexec_8_2.log")
    table = log[log.index("[05/18/2023-21:52:15] [I] === Profile") :]
    with pytest.raises(ParseError, match="expected one profile, found another in line"):
        parse(log.replace("&&&& PASSED", table.replace("&&&&", "") + "\n&&&& PASSED"))
