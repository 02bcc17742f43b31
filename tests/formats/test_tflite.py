"""The benchmark_model of TFLite: regular runs, never the warm-up; ops in the text and CSV of old and new builds."""

from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Layer, Profile, combine, detect, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[3] / "shared/reference/vendor-samples"
NEW = (SAMPLES / "tflite_new.txt").read_text(encoding="utf-8")
PLAIN = NEW[: NEW.index("INFO: Profiling Info")].replace("INFO: Enable op profiling: [1]\n", "")
OPS_OLD = (SAMPLES / "tflite_ops_old.csv").read_text(encoding="utf-8")
OPS_NEW = (SAMPLES / "tflite_ops_new.csv").read_text(encoding="utf-8")
DELEGATE = (SAMPLES / "tflite_delegate.txt").read_text(encoding="utf-8")
AVERAGE_LAST = (
    "============================== Run Order ==============================\n"
    "node type,times called,avg_ms,name\nCONV_2D, 1, 1,234, a\n\nNumber of nodes executed: 1\n"
)
SLOWED = "the whole was measured while its ops were profiled, which slows it down"


def parse(text: str) -> Profile:
    return FORMATS["tflite"].parse(text, "net.txt")


def test_the_regular_runs_are_read_and_not_the_warm_up():
    profile = parse(PLAIN)
    assert (profile.tool, profile.part, profile.unit, profile.device, profile.threads) == (
        "tflite",
        "log",
        "us",
        "CPU (XNNPACK)",
        4,
    )
    assert (profile.whole_ms, profile.statistic, profile.runs) == (1.0, "median", 900)
    assert (profile.warmup, profile.warmup_runs) == ("excluded", 380)
    assert (profile.layers, profile.layer_statistic, profile.warnings) == ((), None, ())


def test_an_op_profile_beside_it_is_read_once_without_that_of_the_initialisation():
    profile = parse_file(SAMPLES / "tflite_new.txt")
    assert profile.whole_ms == 1.0
    dwconv = "Convolution (NHWC, QC8) DWConv"
    assert profile.layers == (
        Layer("[tfl.quantize]:0", 0.021, "QUANTIZE", ("tfl.quantize",)),
        Layer("Delegate/Convolution (NHWC, QC8) IGEMM:0", 0.3, "Convolution (NHWC, QC8) IGEMM"),
        Layer(f"Delegate/{dwconv}:1", pytest.approx(0.65), dwconv),  # 13 calls of 0.050 ms
        Layer("[out:1, out:0]:7", 0.03, "CUSTOM", ("out:1", "out:0")),
    )
    assert (profile.layer_statistic, profile.warnings) == ("mean", (SLOWED,))


@pytest.mark.parametrize(("line", "threads"), [("Num threads: [0]", None), ("Num threads: [-1]", None)])
def test_a_default_number_of_threads_is_unknown(line, threads):
    assert parse(PLAIN.replace("Num threads: [4]", line)).threads is threads
    assert parse(PLAIN.replace("Num threads: [4]", "#threads used for CPU inference: [2]")).threads == 2


def test_a_log_says_that_ops_were_profiled_into_another_file():
    assert parse("Enable op profiling: [1]\n" + PLAIN).warnings == (SLOWED,)
    assert parse("Enable op profiling: [0]\n" + PLAIN).warnings == ()


def test_old_builds_have_no_median_and_no_prefix():
    profile = parse_file(SAMPLES / "tflite_old.txt")
    assert (profile.whole_ms, profile.statistic, profile.runs) == (pytest.approx(11.5062), "mean", 50)
    assert (profile.warmup_runs, profile.threads, profile.device) == (1, 1, None)
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == [
        ("[net/Conv/Relu6]", 7.237),  # this build prints 0 calls for every node
        ("[net/dw/Relu6]", 3.726),
    ]


def test_androids_log_and_runs_that_are_all_the_same():
    profile = parse_file(SAMPLES / "tflite_logcat.txt")
    assert (profile.whole_ms, profile.statistic, profile.runs, profile.device) == (145.528, "median", 5, "GPU")
    brief = "".join(f"I/tflite  (22838): {line.split(' I tflite  : ')[1]}\n" for line in _lines("tflite_logcat.txt"))
    assert parse(brief) == profile


def _lines(name: str) -> list[str]:
    return (SAMPLES / name).read_text(encoding="utf-8").splitlines()


def test_one_run_is_enough():
    one = PLAIN.replace(PLAIN[PLAIN.index("count=900") : PLAIN.index("\n\nINFO: Inference")], "count=1 curr=1004")
    profile = parse(one.replace("(avg): 1004.6", "(avg): 1004"))
    assert (profile.whole_ms, profile.runs) == (1.004, 1)


@pytest.mark.parametrize(
    ("line", "whole_ms"),
    [
        ("Average inference timings in us: Warmup: 91471, Init: 4108, Inference: 80660.1", 80.6601),
        ("Average inference timings in us: Warmup: 91471, Init: 4108, no stats: 80660.1", 80.6601),
        ("Inference timings in us: Init: 5, First inference: 7, Warmup (avg): 8, Inference (avg): 1.5e+06", 1500.0),
    ],
)
def test_the_line_that_sums_up_is_enough_if_it_ends(line, whole_ms):
    profile = parse(line + "\n")
    assert (profile.whole_ms, profile.statistic, profile.runs) == (pytest.approx(whole_ms), "mean", None)
    with pytest.raises(ParseError, match=r"^net.txt, line 1: expected the line to end, found the file's end: it may"):
        parse(line)


def test_csv_of_old_builds_has_commas_in_names():
    profile = parse(OPS_OLD)
    assert (profile.part, profile.unit, profile.runs, profile.whole_ms) == ("profile", "ms", 25, None)
    assert profile.layers == (
        Layer("[seq/conv,1/Conv2D]:0", 0.0930388, "CONV_2D", ("seq/conv,1/Conv2D",)),
        Layer("[seq/a, seq/b;seq/c]:1", 1.5e-05, "SPLIT", ("seq/a", "seq/b", "seq/c")),
    )


def test_csv_of_new_builds_has_tabs_in_names_and_commas_in_kinds():
    profile = parse(OPS_NEW)
    assert profile.layers == (
        Layer("Delegate/Convolution (NHWC\t F32) IGEMM:0", 0.1999, "Convolution (NHWC, F32) IGEMM"),
        Layer("Delegate/Convolution (NHWC\t F32) DWConv:1", pytest.approx(0.1224), "Convolution (NHWC, F32) DWConv"),
        Layer("[seq/conv\t1/add]:3", 0.0148, "ADD", ("seq/conv,1/add",)),
    )
    assert profile.runs == 60
    assert parse(OPS_NEW + "Timings (microseconds): count=7 curr=3\n") == profile
    assert parse(OPS_NEW.replace("\n", "\r\n")) == profile
    assert parse(OPS_NEW.replace(", ", ",")).layers[2] == profile.layers[2]


def test_columns_are_told_by_their_names():
    swapped = OPS_NEW.replace("first, avg_ms", "avg_ms, first").replace("0.16, 0.1999", "0.1999, 0.16")
    swapped = swapped.replace("0.013, 0.0408", "0.0408, 0.013").replace("0.016, 0.0148", "0.0148, 0.016")
    assert parse(swapped) == parse(OPS_NEW)


def test_log_and_csv_of_one_run_go_together():
    profile = combine([parse(PLAIN), parse(OPS_NEW)], "net")
    assert (profile.whole_ms, len(profile.layers), profile.threads) == (1.0, 3, 4)


def test_nodes_inside_a_delegate_take_its_place():
    profile = parse(DELEGATE)
    assert [(layer.name, layer.overhead) for layer in profile.layers] == [
        ("[stem]:0", False),
        ("Delegate/Convolution (NHWC, F32) GEMM:0", False),
        ("Delegate/Add (ND, F32):1", False),
        ("[b0/out]:9", True),
    ]
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.3, 0.7, 0.4, 0.1])
    assert profile.warnings == ("TfLiteXNNPackDelegate was replaced by the 2 nodes inside, and its rest",)


def test_hexagon_counts_cycles():
    profile = parse(DELEGATE.replace("TfLiteXNNPackDelegate", "TfLiteHexagonDelegate"))
    assert [layer.derived for layer in profile.layers] == [False, True, True]
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.3, 1.2 * 7 / 11, 1.2 * 4 / 11])
    assert profile.warnings == ("times inside TfLiteHexagonDelegate were derived: its 1.2 ms by shares of cycles",)


def test_what_cannot_be_inside_a_delegate_is_left_out():
    profile = parse(DELEGATE.replace("    1.200\t    1.200", "    0.500\t    0.500"))
    assert [layer.latency_ms for layer in profile.layers] == [0.3, 0.5]
    after = DELEGATE.replace("[b0/out]:9\n\n", "[b0/out]:9\n\tADD\t0.1\t0.1\t1%\t1%\t0\t1\t[end]:10\n\n", 1)
    assert [layer.name for layer in parse(after.replace("executed: 2", "executed: 3", 1)).layers][3:] == [
        "[b0/out]:9",
        "[end]:10",
    ]
    nothing = parse(
        DELEGATE.replace("0.700\t    0.700", "0.000\t    0.000").replace("0.400\t    0.400", "0.000\t    0.000")
    )
    assert [layer.latency_ms for layer in nothing.layers] == [0.3, 1.2]
    left_out = "left out 2 nodes inside TfLiteXNNPackDelegate: they add up to 1.1 ms, it took 0.5"
    assert profile.warnings == (left_out,)
    profile = parse(DELEGATE.replace("                 CONV_2D", " SomeOtherDelegate"))
    assert len(profile.layers) == 2
    assert profile.warnings == ("left out 2 nodes inside of 2 delegates: nothing says which is whose",)


def test_subgraphs_are_left_out_because_their_caller_has_their_time():
    inside = DELEGATE[DELEGATE.index("Delegate internal") :].replace("Delegate internal: ", "{}")
    first = DELEGATE[: DELEGATE.index("Delegate internal")].replace(
        "Runs:\n", "Runs:\nPrimary graph (name: a) profile:\n"
    )
    profile = parse(first + inside.format("Subgraph (index: 1, name: cond) profile:"))
    assert [layer.latency_ms for layer in profile.layers] == [0.3, 1.2]
    assert "left out a subgraph's 2 nodes (line " in profile.warnings[0]


def test_setting_up_is_no_layer():
    profile = parse(OPS_NEW.replace("ADD,", "AllocateTensors,"))
    assert [layer.overhead for layer in profile.layers] == [False, False, True]


def test_a_failed_run_says_why_in_the_tools_words():
    profile = parse_file(SAMPLES / "tflite_failed.txt")
    assert profile.failed == (
        "tensorflow/lite/kernels/batch_matmul.cc:353 lhs_data->type == rhs_data->type was not true.; "
        "Node number 57 (BATCH_MATMUL) failed to prepare.; Failed to allocate tensors!"
    )
    assert (profile.whole_ms, profile.layers) == (None, ())
    assert parse("Loaded model x\nFailed to mmap model /x\n").failed == "Failed to mmap model /x"
    assert parse("INFO: x\nERROR: Benchmarking failed.\n").failed == "Benchmarking failed."


def test_errors_that_the_tool_got_over_are_warnings():
    profile = parse("ERROR: Following operations are not supported by GPU delegate:\n" + PLAIN)
    assert profile.whole_ms == 1.0
    said = "benchmark_model went on after: Following operations are not supported by GPU delegate:"
    assert profile.warnings == (said,)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"^net.txt: expected the line 'Inference timings in us: ...', found no such line. Run benchmark_model"),
        (PLAIN[: PLAIN.index("INFO: Inference")], "found only 'count=' lines, of which the first is the warm-up"),
        (PLAIN[: PLAIN.index(", Inference (avg)")], r"expected 'Inference \(avg\): ...' among the timings, found Init"),
        (PLAIN[: PLAIN.index("04.6\nINFO: Mem")], r"with the mean of line 16, 10 us, found 2, the last with 1004.6 us"),
        (
            PLAIN.replace("avg=1004.6", "avg=1014.6"),
            r"line 14: .* line 16, 1004.6 us, found 2, the last with 1014.6 us",
        ),
        (PLAIN.replace("avg=1004.6", ""), "found 2, the last with none"),
        (
            PLAIN.replace("first=1010 curr=1001 min=980 max=1900 avg=1004.6", "curr=1004.6"),
            "found 2, the last with none",
        ),
        (PLAIN.replace("median=1000", "median=970"), "line 14: expected p5 <= median, found 985 and 970"),
        (
            PLAIN.replace("(avg): 1004.6", "(avg): 1004,6"),
            r"expected Inference \(avg\) to be .*, found '1004,6'. .*LC_ALL",
        ),
        (PLAIN.replace("(avg): 1004.6", "(avg): nan"), "found 'nan'"),
        (PLAIN + PLAIN, "line 33: expected the output of one call of benchmark_model, found 2"),
        (PLAIN.replace("INFO: count=380", "INFO: count=3 curr=5\nINFO: count=380"), "found 3, the last with 1004.6 us"),
        (OPS_NEW + OPS_NEW, "expected one table 'Run Order' of the regular runs, found 2"),
        (OPS_OLD[: OPS_OLD.index("Operator-wise")], "expected one table 'Run Order' of the regular runs, found 0"),
        (OPS_NEW[: OPS_NEW.index("Number of")], "line 2: .*'Number of nodes executed: N' after .*: it is cut off"),
        (OPS_NEW + "Number of nodes executed: 3\n", r"line \d+: expected a table 'Run Order' before 'Number of"),
        (OPS_NEW.replace("ADD,", "A" * 100_001 + ","), "line 6: expected a row of node type"),
        (OPS_NEW.replace("executed: 3", "executed: 4"), "line 2: expected the 4 nodes that were executed .* found 3"),
        (OPS_NEW.replace(" Run Order ", " Walk Order "), r"line \d+: expected a table 'Run Order' before 'Number of"),
        (
            OPS_NEW.replace("avg_ms", "avg_us"),
            "line 3: expected columns from 'node type' over 'avg_ms' to 'name', each",
        ),
        (OPS_NEW.replace("first", "avg_ms"), "line 3: expected columns from 'node type' over 'avg_ms' to 'name', each"),
        (OPS_NEW.replace("0.16, 0.1999, 40%, 40%", "0,16, 0,1999, 40%, 40%"), "line 4: expected a row of node type"),
        (AVERAGE_LAST, "line 3: expected a row of node type, times called, avg ms, name, found 'CONV_2D, 1, 1,234, a'"),
        (OPS_NEW.replace("0.1999, 40%", "nan, 40%"), "line 4: expected a row of node type, first, avg ms"),
        (OPS_NEW.replace("0.1999, 40%", "0.1999, 40"), "line 4: expected a row of node type, first, avg ms"),
        (OPS_NEW.replace("0.1999", "1e999"), "line 4: expected avg_ms to be a number >= 0, found '1e999'"),
        (NEW.replace("0.300\t 30.000%", "0,300\t 30.000%"), r"line \d+: expected a row of node type"),
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse(text)


def test_is_told_by_its_signature():
    assert all(detect(SAMPLES / name).name == "tflite" for name in ("tflite_new.txt", "tflite_failed.txt"))
    assert detect("noise before\n" + OPS_OLD).name == "tflite"
    recognizes = FORMATS["tflite"].recognizes
    assert recognizes("I tensorflow/tools/benchmark/benchmark_model.cc:538] Average inference timings in us: W") == 0.0
    assert recognizes("node type, first, avg_ms, name\n") == recognizes("[node type] [avg ms] [Name]\n") == 0.95
    assert recognizes("node type, count, avg_ms\n") == recognizes("kind, name\n") == 0.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the vendors' samples are not beside this checkout")
def test_reads_the_vendors_samples():
    profile = parse_file(SHARED / "tflite_benchmark_model.txt")
    assert (profile.whole_ms, profile.statistic, profile.runs, profile.threads) == (1.21, "median", 800, 1)
    profile = parse_file(SHARED / "tflite_ops.csv")
    assert [(layer.kind, layer.latency_ms) for layer in profile.layers] == [
        ("CONV_2D", 0.0602),
        ("DEPTHWISE_CONV_2D", 0.277),
        ("ADD", 0.0551),
    ]
    assert (profile.layers[1].nodes, profile.runs) == (("b0/dw,relu6",), 50)
