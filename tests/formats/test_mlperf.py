"""LoadGen's summary; the samples are what version 6.0.17 wrote when it was run, shortened."""

from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, detect, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[3] / "shared/reference/vendor-samples"
SINGLE = (SAMPLES / "mlperf_single_6_0.txt").read_text(encoding="utf-8")


def parse(text: str) -> Profile:
    return FORMATS["mlperf"].parse(text, "summary.txt")


def test_takes_the_median_of_a_single_stream():
    assert parse_file(SAMPLES / "mlperf_single_6_0.txt") == Profile(
        tool="mlperf",
        device="PySUT",
        batch=1,
        unit="ns",
        whole_ms=pytest.approx(3.122828),
        statistic="median",
        runs=158,
    )


def test_a_query_of_a_multi_stream_is_a_batch():
    profile = parse_file(SAMPLES / "mlperf_multi_6_0.txt")
    assert (profile.whole_ms, profile.batch, profile.runs) == (pytest.approx(3.122477), 8, 700)
    assert profile.warnings == ("LoadGen says: 2 warnings encountered",)


def test_an_invalid_test_has_failed():
    profile = parse_file(SAMPLES / "mlperf_invalid.txt")
    failed = "Result is : INVALID; Early stopping satisfied : NO; Run longer than this."
    assert profile == Profile(tool="mlperf", device="PySUT", unit="ns", failed=failed)


def test_a_test_with_errors_has_failed():
    profile = parse(SINGLE.replace("No errors encountered during test.", "3 ERRORS encountered. See detailed log."))
    assert (profile.failed, profile.whole_ms) == ("3 ERRORS encountered", None)


def test_units_and_line_ends_may_differ():
    assert parse(SINGLE.replace("(ns)", "(us)")).whole_ms == pytest.approx(3122.828)
    assert parse(SINGLE.replace("\n", "\r\n")) == parse(SINGLE)


def test_waiting_in_a_queue_is_no_latency():
    problem = (
        "mlperf_offline.txt: expected the scenario SingleStream or MultiStream, found 'Offline'. Queries wait in a"
    )
    with pytest.raises(ParseError, match=problem):
        parse_file(SAMPLES / "mlperf_offline.txt")
    with pytest.raises(ParseError, match="found 'Server'"):
        parse(SINGLE.replace(": SingleStream", ": Server"))


def test_a_test_of_accuracy_is_no_measurement():
    problem = "expected 'MLPerf Results Summary' once, found it 0 times. A test in the mode AccuracyOnly writes none"
    with pytest.raises(ParseError, match=problem):
        parse_file(SAMPLES / "mlperf_accuracy_only.txt")
    with pytest.raises(ParseError, match="expected the mode PerformanceOnly or SubmissionRun, found 'AccuracyOnly'"):
        parse(SINGLE.replace("PerformanceOnly", "AccuracyOnly"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "^summary.txt: expected 'MLPerf Results Summary' once, found it 0 times"),
        (SINGLE + SINGLE, "found it 2 times. Take mlperf_log_summary.txt .*, one file for each test"),
        (SINGLE[: SINGLE.index("Mode ")], "expected the line 'Mode : ...', found none: the file may be cut off"),
        (
            SINGLE[: SINGLE.index("max_query")].replace("min_query_count : 100\n", ""),
            "the line 'min_query_count : ...'",
        ),
        (SINGLE.replace("samples_per_query", "samples"), "expected the line 'samples_per_query : ...', found none"),
        (
            SINGLE.replace("Result is : VALID", "Result is : VAL"),
            "expected 'Result is : VALID' or INVALID, found 'VAL'",
        ),
        (SINGLE.replace("Result is", "Results are"), "expected the line 'Result is : ...', found none"),
        (SINGLE.replace("50.00 percentile", "50.00 quantile"), "one line '50.00 percentile latency .ns.', found 0"),
        (SINGLE.replace(": 3122828", ": 3.122.828"), "to be a number >= 0, found '3.122.828'"),
        (SINGLE.replace(": 3122828", ": 3,122"), "found '3,122'. Run the tool with LC_ALL=C"),
        (
            SINGLE.replace(": 3122828", ": 3022828"),
            "expected Min latency .ns. <= 50.00 percentile latency .ns., found 3.08",
        ),
        (SINGLE.replace(": 3122828", ": 3222828"), "expected 50.00 percentile latency .ns. <= 90.00 percentile"),
        (
            SINGLE.replace("latency (ns)   :", "latency (us)   :"),
            "expected 99.90 percentile .* <= Max .*, found 6848.6 and",
        ),
        (SINGLE.replace("(ns)   : 3122828", "(h)   : 3122828"), "in s, ms, us or ns, found 'h'"),
        (SINGLE.replace("samples_per_query : 1", "samples_per_query : 0"), "expected samples_per_query > 0, found 0"),
        (SINGLE + "Mode : SubmissionRun\n", "line 52: expected one value of 'Mode', found 'PerformanceOnly' and 'Subm"),
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse(text)


def test_no_time_is_no_latency():
    numbers = ("3089538", "6848595", "3122828", "3160293", "3209276", "3550936", "5457891")
    text = SINGLE
    for number in numbers:
        text = text.replace(f": {number}", ": 0")
    with pytest.raises(ParseError, match="expected the 50th percentile of the latency > 0, found 0"):
        parse(text)


def test_is_told_by_its_title():
    assert all(detect(path).name == "mlperf" for path in sorted(SAMPLES.glob("mlperf_*")))
    assert FORMATS["mlperf"].recognizes("MLPerf") == 0.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the vendors' samples are not beside this checkout")
def test_reads_the_vendors_sample():
    profile = parse_file(SHARED / "mlperf_log_summary.txt")
    assert (profile.whole_ms, profile.statistic, profile.batch, profile.runs) == (2.788885, "median", 1, None)
