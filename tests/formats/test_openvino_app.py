import json
from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"


def text(name: str) -> str:
    return (SAMPLES / name).read_bytes().decode()


def parse(content: str) -> Profile:
    return FORMATS["openvino"].parse(content, "net.csv")


def test_reads_the_report():
    profile = parse_file(SAMPLES / "openvino_report.csv")
    assert (profile.part, profile.device, profile.precision) == ("report", "CPU", "f32")
    assert (profile.batch, profile.threads, profile.runs) == (1, 2, 50)
    assert (profile.whole_ms, profile.statistic, profile.warmup) == (0.79, "median", "excluded")
    assert profile.warnings == ()


def test_reads_the_report_of_the_c_tool():
    profile = parse_file(SAMPLES / "openvino_report_cpp.json")
    assert (profile.device, profile.precision, profile.batch, profile.runs) == ("GPU", None, 4, 40)
    assert (profile.whole_ms, profile.statistic, profile.warmup_runs) == (1.75, "median", 1)
    assert "the report does not tell the precision, which is bf16 where a CPU has it" in profile.warnings[0]


def test_another_percentile_is_no_median():
    report = text("openvino_report_cpp.json").replace('"percentile_boundary": 50', '"percentile_boundary": 95')
    assert (parse(report).whole_ms, parse(report).statistic) == (1.8, "mean")
    report = text("openvino_report.csv").replace("latency (ms);0.79", "latency (95 percentile) (ms);2.79")
    assert (parse(report).whole_ms, parse(report).statistic) == (1.59, "mean")


def test_a_run_without_warm_up_or_with_counters_says_so():
    report = text("openvino_report.csv").replace("first inference time (ms);20.90\n", "").replace("-m;", "-pc;\n-m;")
    assert (parse(report).warmup, parse(report).warmup_runs) == ("included", 0)
    assert parse(report).warnings == ("the whole was measured with the performance counters on",)


def test_latencies_of_groups_of_shapes_are_not_the_wholes():
    group = "group;x:[1,3]\navg latency;9.99\nmin latency;9.99\nmax latency;9.99\nthroughput;597.53\n"
    report = text("openvino_report.csv").replace("throughput;597.53\n", "throughput;597.53\n" + group)
    assert parse(report) == parse(text("openvino_report.csv"))
    names = "Group Latencies\nData shape;Median;Average;Min;Max\nx[1];9.9;9.9;9.9;9.9\n\n"
    assert parse(text("openvino_report.csv") + names) == parse(text("openvino_report.csv"))


@pytest.mark.parametrize("sample", ["openvino_report_failed.json", "openvino_failed.log"])
def test_a_failed_run_is_told_in_the_tools_words(sample):
    profile = parse_file(SAMPLES / sample)
    assert profile.failed in ("Check 'false' failed: no such device", "Model file net.onnx cannot be opened!")
    assert profile.whole_ms is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("latency (ms);0.79", "latency (us);790", r"expected latencies in ms, found 'latency \(us\)'"),
        ("latency (ms);0.79", "latency (ms);0,79", "found '0,79'. Run the tool with LC_ALL=C"),
        ("latency (ms);0.79", "latency (ms);nan", r"expected latency \(ms\) to be a number >= 0, found 'nan'"),
        ("latency (ms);0.79", "latency (ms);7.9", "expected median <= max, found 7.9 and 5.94"),
        ("min latency;0.65", "min latency;1.79", "expected min <= mean, found 1.79 and 1.59"),
        ("avg latency;1.59", "latency (ms);1.59", r"line \d+: expected 'latency \(ms\)' once, found it twice"),
        ("throughput;597.53\n", "", "expected the results to end with the throughput, found 'read model time"),
        ("Execution results", "Results", "expected the section 'Execution results', found none"),
        ("latency (ms);0.79\navg latency;1.59\n", "", r"expected a median or average latency \(ms\)"),
        ("Execution results", "Configuration setup", "expected one report, found 'Configuration setup' twice"),
    ],
)
def test_a_report_that_cannot_be_is_refused(old, new, problem):
    assert old in text("openvino_report.csv")
    with pytest.raises(ParseError, match=problem):
        parse(text("openvino_report.csv").replace(old, new))


def test_a_json_report_without_results_is_refused():
    with pytest.raises(ParseError, match="expected a report with execution_results, detailed_performance or avg_perf"):
        parse('{"cmd_options": {}, "configuration_setup": {}}')


def test_reads_the_counters_of_all_requests():
    profile = parse_file(SAMPLES / "openvino_detailed.csv")
    assert (profile.part, profile.precision, profile.whole_ms) == ("counters", "bf16", None)
    assert [(layer.name, layer.kind, layer.overhead) for layer in profile.layers] == [
        ("Convert_1_abcd_acdb_/stem/Conv/WithoutBiases", "Reorder", True),
        ("/stem/Conv;a, b/WithoutBiases", "Convolution", False),
        ("y", "FullyConnected", False),
    ]
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.015, 0.065, 0.011])
    assert profile.warnings == ("the counters are those of the last run of each infer request",)


@pytest.mark.parametrize(
    ("sample", "precision", "layers"),
    [
        ("openvino_sorted.csv", "f32", [("/b0/Conv, c", 0.131), ("y", 0.02)]),
        ("openvino_detailed.json", "f32", [("/stem/Conv", 0.099), ("y", 0.023)]),
        ("openvino_average_cpp.json", "f16", [("/stem/Conv", 0.099)]),
    ],
)
def test_reads_the_counters_in_their_other_forms(sample, precision, layers):
    profile = parse_file(SAMPLES / sample)
    assert (profile.part, profile.precision) == ("counters", precision)
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == layers


def test_columns_are_told_by_their_titles():
    rows = [row.split(";") for row in text("openvino_detailed.csv").replace("Conv;a", "Conv a").split("\n")]
    swapped = "\n".join(";".join(reversed(row)) for row in rows)
    plain = parse("\n".join(";".join(row) for row in rows))
    assert parse(swapped) == plain
    assert len(plain.layers) == 3


def test_the_broken_file_of_averages_is_refused_with_what_to_do():
    with pytest.raises(
        ParseError, match=r"expected the averages of all nodes, found 1 node. Use -report_type detailed"
    ):
        parse_file(SAMPLES / "openvino_average_broken.json")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "0.060;0.060",
            "0.070;0.070",
            "line 7: expected nodes of 0.084 ms together, as the total says, found 0.094 ms",
        ),
        ("0.060;0.060", "0,060;0,060", "line 4: expected realTime .* to be a number >= 0, found '0,060'"),
        ("0.060;0.060", "0.060", "line 4: expected a status of EXECUTED, .*, found 'a, b/WithoutBiases'"),
        ("Status.EXECUTED;Reorder", "Status.LATER;Reorder", "line 3: expected a status of EXECUTED, NOT_RUN"),
        ("realTime (ms)", "cpuTime (ms)", r"line 1: expected the column realTime \(ms\) once"),
        ("cpuTime (ms)", "realTime (us)", r"line 1: expected the column realTime \(ms\) once"),
        ("realTime (ms)", "realTime (MB)", r"expected realTime \(MB\) in s, ms, us or ns, found 'MB'"),
        ("layerName", "name", "line 1: expected the column layerName once, found 'name;execStatus"),
        ("\nTotal", "\nSum", "line 7: expected a status"),
        ("y;Status.EXECUTED;FullyConnected;gemm_mlas_f32;0.010;0.010\n", "", "expected nodes of 0.084 ms together"),
    ],
)
def test_counters_that_cannot_be_are_refused(old, new, problem):
    report = text("openvino_detailed.csv")
    assert old in report
    with pytest.raises(ParseError, match=problem):
        FORMATS["openvino"].parse(report.replace(old, new, 1), "net.csv") if old != "layerName" else _counters(
            report.replace(old, new, 1)
        )


def _counters(report: str) -> Profile:
    from latpred.formats.openvino_counters import parse_counters_csv

    return parse_counters_csv(report, "net.csv")


def test_a_sorted_table_that_lacks_a_row_is_refused():
    report = text("openvino_sorted.csv")
    assert len(parse(report.replace("0.020,0.020", "0.025,0.025")).layers) == 2  # 0.156 ms are printed as 0.16 or 0.15
    lacking = "\n".join(line for line in report.split("\n") if not line.startswith("y,"))
    with pytest.raises(ParseError, match=r"expected nodes of 0.15 ms together, as the total says, found 0.131 ms"):
        parse(lacking)


def test_counters_of_two_networks_are_refused():
    report = text("openvino_detailed.csv")
    with pytest.raises(ParseError, match="expected the same nodes in each infer request, found others"):
        parse(report + report.replace("/stem/Clip", "/stem/Relu"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"real_time": "0.2"}, "expected nodes of 0.122 ms together, as the total says, found 0.223 ms"),
        ({"real_time": -1}, "node '/stem/Conv': expected real_time to be a number >= 0, found '-1'"),
        ({"status": "GONE"}, "node '/stem/Conv': expected a status of EXECUTED, NOT_RUN, OPTIMIZED_OUT, found 'GONE'"),
        ({"name": 3}, "expected text under the key 'name', found a int"),
    ],
)
def test_json_counters_that_cannot_be_are_refused(change, problem):
    report = json.loads(text("openvino_detailed.json"))
    report["detailed_performance"][0]["nodes"][1].update(change)
    with pytest.raises(ParseError, match=problem):
        parse(json.dumps(report))


@pytest.mark.parametrize(
    "sample", ["openvino_detailed.csv", "openvino_sorted.csv", "openvino_report.csv", "openvino.log"]
)
def test_a_file_that_is_cut_anywhere_is_refused_or_right(sample):
    whole, full = parse(text(sample)), text(sample)
    ends = {"openvino_detailed.csv": "Total;", "openvino_sorted.csv": "Total time: 0.15 m", "openvino.log": "Max:"}
    for end in range(len(full)):
        try:
            profile = parse(full[:end])
        except ParseError:
            continue
        assert end >= full.index(ends.get(sample, "throughput;"))
        assert profile.whole_ms == whole.whole_ms
        assert [layer.name for layer in profile.layers] == [layer.name for layer in whole.layers]


def test_reads_the_log_in_the_unit_that_it_has():
    profile = parse_file(SAMPLES / "openvino.log")
    assert (profile.part, profile.tool_version, profile.device, profile.unit) == ("log", "2026.4.1", "CPU", "us")
    assert (profile.precision, profile.batch, profile.threads, profile.runs) == ("bf16", 1, 1, 50)
    assert (profile.whole_ms, profile.statistic) == (pytest.approx(0.6405), "median")
    assert (profile.warmup, profile.warmup_runs, profile.warnings) == ("excluded", 1, ())


@pytest.mark.parametrize(
    ("old", "new", "attribute", "expected"),
    [
        (" us", " ms", "whole_ms", 640.5),
        ("<Type: 'bfloat16'>", "f32", "precision", "f32"),
        ("<Type: 'bfloat16'>", "<Type: 'float32'>", "precision", "f32"),
        ("<Type: 'bfloat16'>", "dynamic", "precision", None),
        ("Execution Devices:['CPU']", "Execution Devices:['GPU.0', 'CPU']", "device", "GPU.0, CPU"),
        ("First inference took 11.98 ms", "Skipping warmup inference due to -no_warmup flag", "warmup", "included"),
        ("   Median:        640.50 us", "   95 percentile:     700.00 us", "whole_ms", 0.655),
        ("PERF_COUNT: NO", "PERF_COUNT: YES", "warnings", ("the whole was measured with the performance counters on",)),
    ],
)
def test_reads_what_logs_differ_in(old, new, attribute, expected):
    log = text("openvino.log")
    assert old in log
    value = getattr(parse(log.replace(old, new)), attribute)
    assert value == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("640.50 us", "640,50 us", "line 19: expected Median to be a number >= 0, found '640,50'"),
        ("910.00 us", "0.91 ms", "line 22: expected Max in us as the others, found ms"),
        ("640.50 us", "0.00 us", "expected min <= median, found 0.62 and 0"),
        ("640.50 us", "640.50 ticks", "expected Median in s, ms, us or ns, found 'ticks'"),
        ("Average:", "Median:", "line 20: expected Median once, found it twice"),
        ("[Step 5/11]", "[Step 1/11]", "line 6: expected the log of one run of benchmark_app, found a second"),
        ("Max:", "Most:", "expected the latencies Median, Average, Min, Max, found median, mean, min"),
    ],
)
def test_a_log_that_cannot_be_is_refused(old, new, problem):
    log = text("openvino.log")
    assert old in log
    with pytest.raises(ParseError, match=problem):
        parse(log.replace(old, new))


def test_latencies_of_groups_in_a_log_are_left_out():
    log = text("openvino.log").replace(
        "[ INFO ] Throughput",
        "[ INFO ] Latency for each data shape group:\n[ INFO ]    Median:     9.00 us\n[ INFO ] T",
    )
    assert parse(log).whole_ms == pytest.approx(0.6405)
