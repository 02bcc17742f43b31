"""QNN's profile as CSV: of ONNX Runtime's provider, of qnn-profile-viewer, in cycles and in us."""

from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Layer, Profile, detect, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[3] / "shared/reference/vendor-samples"
ORT = (SAMPLES / "qnn_ort.csv").read_text(encoding="utf-8")
VIEWER = (SAMPLES / "qnn_viewer.csv").read_text(encoding="utf-8")
CPU = (SAMPLES / "qnn_cpu.csv").read_text(encoding="utf-8")
DERIVED = "times of 2 nodes were derived: '{}' by shares of their cycles"


def parse(text: str) -> Profile:
    return FORMATS["qnn"].parse(text, "qnn.csv")


def test_every_execution_is_a_run_and_cycles_share_the_accelerators_time():
    assert parse_file(SAMPLES / "qnn_ort.csv") == Profile(
        tool="qnn",
        unit="us, cycles",
        whole_ms=3.2,
        statistic="median",
        runs_ms=(5.0, 3.2, 3.1),
        runs=3,
        warmup="included",
        layers=(
            # 3000 us x .6, 1000 us x .7, 2000 us x .5: the median is 1000 us; likewise 1200, 300, 1000 us
            Layer("b0/conv,1:OpId_1 (cycles)", 1.0, nodes=("/b0/Conv", "/b0/Relu"), derived=True),
            Layer("Output OpId_3 (cycles)", 1.0, nodes=("Output OpId_3",), overhead=True, derived=True),
        ),
        layer_statistic="median",
        warnings=(DERIVED.format("Accelerator (execute) time"),),
    )


def test_the_viewer_says_execute_for_nodes_and_tells_its_version_first():
    profile = parse_file(SAMPLES / "qnn_viewer.csv")
    assert (profile.tool_version, profile.whole_ms, profile.runs) == ("2.31.0.250130", 3.278, 1)
    assert [layer.nodes for layer in profile.layers] == [("_Transpose_3",), ("_MatMul_3",)]
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([1.85 * 13807 / 21299, 1.85 * 7492 / 21299])
    assert profile.warnings == (DERIVED.format("QNN accelerator (execute) time"),)


def test_nodes_in_us_are_not_derived():
    profile = parse_file(SAMPLES / "qnn_cpu.csv")
    assert (profile.whole_ms, profile.unit, profile.warnings) == (0.9, "us", ())
    assert profile.layers == (Layer("conv", 0.5, nodes=("conv",)), Layer("add", 0.3, nodes=("add",)))


def test_other_parts_of_an_execution_are_no_nodes():
    part = "20,EXECUTE,40,US,BACKEND,SUB-EVENT,Time for HVX power on\n"
    assert parse(VIEWER + part) == parse(VIEWER)


def test_without_a_time_of_the_accelerator_cycles_are_no_time():
    lines = [line for line in ORT.split("\n") if not line.endswith("Accelerator (execute) time,")]
    profile = parse("\n".join(lines))
    assert [(layer.latency_ms, layer.derived) for layer in profile.layers] == [(None, False)] * 2
    assert profile.warnings == ("2 nodes have cycles and no time, and there is no time of the accelerator to share",)


def test_no_cycles_at_all_are_no_time():
    text = ORT
    for cycles in ("6000", "4000", "7000", "3000,CYCLES", "5000,CYCLES"):
        text = text.replace(f"NODE,{cycles}", "NODE,0" + ",CYCLES" * cycles.endswith("S"))
    assert [layer.latency_ms for layer in parse(text).layers] == [None, None]


def test_cycles_of_nodes_may_be_few_of_the_accelerators():
    profile = parse(VIEWER.replace("21299", "42598"))
    assert profile.warnings[1] == "the nodes' cycles are 50% of the accelerator's: what is missing was shared out"


@pytest.mark.parametrize(
    ("gone", "whole_ms", "warnings"),
    [
        ("EXECUTE,3278,US,BACKEND,ROOT,QNN (execute) time", 3.301, 1),  # by qnn-net-run, input and output included
        ("US,BACKEND,ROOT,QNN (execute) time|US,NETRUN,ROOT,Graph 0: tiny_block", 1.85, 2),
    ],
)
def test_what_the_host_saw_is_the_whole_before_the_accelerators_time(gone, whole_ms, warnings):
    lines = [line for line in VIEWER.split("\n") if not line.endswith(tuple(gone.split("|")))]
    profile = parse("\n".join(lines))
    assert (profile.whole_ms, len(profile.warnings)) == (whole_ms, warnings)
    if warnings == 2:
        assert profile.warnings[1].endswith("is 'QNN accelerator (execute) time', without what the host adds")


def test_a_profile_without_nodes_is_of_the_whole():
    profile = parse("\n".join(line for line in ORT.split("\n") if ",NODE," not in line))
    assert (profile.whole_ms, profile.layers, profile.layer_statistic) == (3.2, (), None)
    assert profile.warnings == ("no times of nodes: profile at the level 'detailed'",)


def test_nodes_without_the_whole_are_layers():
    profile = parse(CPU.replace("EXECUTE,900,US,BACKEND,ROOT,NULL", "FINALIZE,900,US,BACKEND,ROOT,NULL"))
    assert (profile.whole_ms, profile.statistic, profile.runs, len(profile.layers)) == (None, None, None, 2)


def test_columns_are_told_by_their_names():
    cells = [line.split(",") for line in CPU.rstrip("\n").split("\n")]
    order = [6, 3, 0, 2, 5, 1, 4]
    assert parse("".join(",".join(row[i] for i in order) + "\n" for row in cells)) == parse(CPU)


def test_quotes_line_ends_and_units_may_differ():
    assert parse(CPU.replace("conv", '"conv"').replace("\n", "\r\n")) == parse(CPU)
    assert parse(CPU.replace(",US,", ",ns,")).whole_ms == pytest.approx(0.0009)


def test_runs_of_two_versions_may_follow_each_other():
    header, rows = CPU.split("\n", 1)
    newer = header + ",ONNX Source Ops\n" + rows.replace("\n", ",\n")
    assert parse(CPU + newer).runs_ms == (0.9, 0.9)


def test_a_file_without_its_last_line_end_is_warned_of():
    assert parse(CPU.rstrip("\n")).warnings == ("the file's last line has no end: rows may be missing",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "^qnn.csv: expected a header with 'Event Identifier', found none"),
        (CPU.split("\n", 1)[1], "line 1: expected the header before the rows, found 'UNKNOWN,EXECUTE,900"),
        (CPU.split("\n")[0], "^qnn.csv: expected events of executions, found 0 others"),
        (
            CPU.replace("EXECUTE", "INIT").replace("NODE", "INIT"),
            "found 3 others. Run the network while it is profiled",
        ),
        (CPU.replace("Message", "Time"), "line 1: expected the columns message, time, .*, each once, found 'Msg"),
        (CPU.replace(",Time,", ",Zeit,"), "line 1: expected the columns message, time, "),
        (
            CPU.replace("900,US", "9,00,US"),
            "line 2: expected 7 cells with a unit such as US and a name, found 'UNKNOWN",
        ),
        (CPU.replace("900,US", "nan,US"), "line 2: expected NULL to be a number >= 0, found 'nan'"),
        (CPU.replace("900,US", "0,US"), "expected NULL > 0, found 0"),
        (CPU.replace("900,US", "900,PARSEC"), "line 2: expected NULL in s, ms, us or ns, found 'parsec'"),
        (CPU.replace("900,US", "900,CYCLES"), "line 2: expected NULL in s, ms, us or ns, found 'cycles'"),
        (CPU.replace("500,US", "500,S"), "expected layers that take no more than the whole, 0.9 ms, found 500000 ms"),
        (CPU[:-9], "line 4: expected 7 cells with a unit"),
        (CPU[:-4], "line 4: expected 7 cells with a unit"),
        (
            VIEWER.replace("13807,CYCLES", "13807,US"),
            r"expected '_Transpose_3:OpId_119 \(cycles\)' in cycles, found 'US'",
        ),
        (
            ORT[: ORT.index("3,NODE,5000")],
            r"found 3 of 'Accelerator \(execute\) time', .*, 2 of 'QNN \(execute\) time'. The",
        ),
        (
            ORT.replace("3,NODE,5000,CYCLES,BACKEND,SUB-EVENT,O", "3,NODE,5000,COUNT,BACKEND,SUB-EVENT,O"),
            "in each of 3 exec",
        ),
        (
            ORT.replace("3,NODE,5000,CYCLES", "3,NODE,5000,US", 1),
            r"expected 'b0/conv,1:OpId_1 \(cycles\)' once in each",
        ),
        (
            CPU + "\n" + CPU.replace("conv", "other"),
            "expected 'conv' once in each of 2 executions, in one unit, found 1",
        ),
        (CPU + '"' + "x" * 200_000, "line 5: expected a row of a CSV file, found field larger than field limit"),
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse(text)


def test_is_told_by_its_header():
    assert all(detect(path).name == "qnn" for path in sorted(SAMPLES.glob("qnn_*")))
    recognizes = FORMATS["qnn"].recognizes
    assert recognizes("Event Identifier\n") == recognizes("Unit of Measurement\n") == 0.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the vendors' samples are not beside this checkout")
def test_reads_the_vendors_sample():
    profile = parse_file(SHARED / "qnn_profile.csv")
    assert (profile.whole_ms, profile.runs) == (3.1, 1)
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([2.8 * 2 / 3, 2.8 / 3])
    assert "the nodes' cycles are 38% of the accelerator's" in profile.warnings[1]
