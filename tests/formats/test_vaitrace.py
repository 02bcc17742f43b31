"""vaitrace's text in its three sets of columns, with `~0`, cut names, several cores and the tables of the CPU."""

from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Layer, Profile, detect, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[3] / "shared/reference/vendor-samples"
EDGE = (SAMPLES / "vaitrace_edge.txt").read_text(encoding="utf-8")
CLOUD = (SAMPLES / "vaitrace_cloud.txt").read_text(encoding="utf-8")
OLD = (SAMPLES / "vaitrace_1_3.txt").read_text(encoding="utf-8")
CUT = "...work__stage_3_block_11_a_very_long_name_that_had_to_be_cut__fix"
NO_WHOLE = "vaitrace gives no latency of the whole, only of its subgraphs"


def parse(text: str) -> Profile:
    return FORMATS["vaitrace"].parse(text, "net.txt")


def test_the_hardwares_counter_is_read_and_cores_are_averaged():
    assert parse_file(SAMPLES / "vaitrace_edge.txt") == Profile(
        tool="vaitrace",
        device="DPUCZDX8G_1 + DPUCZDX8G_2",
        batch=1,
        unit="ms",
        layers=(
            Layer("net__b0_conv", pytest.approx(0.05), "DPU"),  # 0.048 and 0.052
            Layer(CUT, pytest.approx(0.26), "DPU"),  # 0.25 and 0.27
            Layer("net__relu", pytest.approx(0.001), "DPU"),  # ~0 and 0.002
            Layer("net__softmax", 0.012, "softmax"),
        ),
        layer_statistic="mean",
        warnings=(
            "ran on 2 cores (DPUCZDX8G_1, DPUCZDX8G_2): took the mean of each subgraph over them",
            "took 0 for HW_RT of ~0, which is under 0.001",
            "vaitrace has cut names of subgraphs",
            "left out functions on the CPU that are not in the graph: 2",
            NO_WHOLE,
        ),
    )


def test_one_subgraph_is_the_whole():
    profile = parse_file(SAMPLES / "vaitrace_cloud.txt")
    assert (profile.whole_ms, profile.statistic, profile.batch) == (11.461, "mean", 4)
    assert (profile.layers, profile.warnings) == ((Layer("net__conv1", 11.461, "DPU"),), ())
    assert parse(CLOUD.replace("| RT ", "| SW_RT ").replace("\n", "\r\n")) == profile


def test_old_versions_cut_names_at_their_end():
    profile = parse_file(SAMPLES / "vaitrace_1_3.txt")
    assert (profile.device, profile.batch, profile.whole_ms) == ("DPUCZDX8G_1", 1, None)
    assert [layer.latency_ms for layer in profile.layers] == [11.461, 1.5]
    assert profile.layers[1].name.endswith("xxx...")


def test_cut_names_may_be_equal():
    lines = OLD.replace("subgraph_conv1 ", "a... ").replace("subgraph_fc" + "x" * 54, "a").split("\n")
    lines.insert(6, lines[5].replace("1.5 ", "2.5 "))
    profile = parse("\n".join(lines))
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == [
        ("a...", 11.461),
        ("a...", 1.5),
        ("a...", 2.5),
    ]


def test_the_hosts_clock_stands_in_for_a_counter_that_is_not_there():
    text = EDGE
    for time in ("| 0.048", "| 0.25 ", "| 0.052", "| 0.27 ", "| 0.002"):
        text = text.replace(time, "| ~0   ")
    profile = parse(text)
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.107, 0.33, 0.02, 0.012])
    assert profile.warnings[0] == "HW_RT was not measured: took SW_RT"


def test_columns_are_told_by_their_names():
    lines = CLOUD.split("\n")
    for i in (2, 4):
        cells = lines[i].split("|")
        lines[i] = "|".join(cells[k].strip() for k in (4, 2, 3, 9, 0, 5, 6, 7, 8, 1))
    assert parse("\n".join(lines)) == parse(CLOUD)


def test_units_are_those_that_the_title_or_the_notes_tell():
    assert parse(OLD.replace("RunTime(ms)", "RunTime(us)")).layers[0].latency_ms == pytest.approx(0.011461)
    noted = EDGE.replace("from hardware counter in milliseconds, unit is ms", "unit is us")
    assert parse(noted).layers[0].latency_ms == pytest.approx(0.00005)
    with pytest.raises(ParseError, match=r"^net.txt, line 6: expected HW_RT in s, ms, us or ns, found 'ticks'"):
        parse(noted.replace("unit is us", "unit is ticks"))
    assert parse(EDGE.replace("AverageRunTime(ms)", "AverageRunTime(us)")).layers[3].latency_ms == pytest.approx(1.2e-5)


def test_batches_that_differ_are_none():
    assert parse(EDGE.replace("DPUCZDX8G_2 | 1 ", "DPUCZDX8G_2 | 2 ")).batch is None
    assert parse(CLOUD.replace("| 4 ", "| x ")).batch is None


def test_a_failed_run_says_why_in_the_tools_words():
    profile = parse_file(SAMPLES / "vaitrace_failed.txt")
    failed = "Fail opening: net.xmodel; cannot open DPU device"
    assert profile == Profile(tool="vaitrace", unit="ms", failed=failed)
    with pytest.raises(ParseError, match="expected one table 'DPU Summary', found 0"):
        parse("ERROR:root:\n")
    assert parse("ERROR:root:no device\n" + CLOUD).whole_ms == 11.461


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "^net.txt: expected one table 'DPU Summary', found 0. Keep one file for each run"),
        (CLOUD + CLOUD, "expected one table 'DPU Summary', found 2"),
        (CLOUD[: CLOUD.rindex("\n=")], "line 3: expected a rule '=====' that closes the table, .*: it is cut off"),
        (CLOUD[: CLOUD.index("| 673") + 1], "line 5: expected 10 cells .*, found 'DPUCADF8H_1 "),
        (
            CLOUD.replace("| RT ", "| Time "),
            "line 3: expected rows with 'DPU SubGraph' and one of HW_RT, SW_RT, RT, found 1",
        ),
        (CLOUD.replace("DPU SubGraph", "Graph"), "line 3: expected rows with 'DPU SubGraph'"),
        (CLOUD.replace("Perf   ", "       "), "line 3: expected the titles of columns, each once, found 'DPU Id"),
        (CLOUD.replace("Perf", "RT"), "line 3: expected the titles of columns, each once, found 'DPU Id"),
        (CLOUD.replace("| 11.461", "| 11,461"), "line 5: expected RT to be a number >= 0, found '11,461'. .*LC_ALL=C"),
        (CLOUD.replace("| 11.461", "| -1"), "line 5: expected RT to be a number >= 0, found '-1'"),
        (CLOUD.replace("| 11.461", "| ~0"), "line 3: expected the sum of RT > 0, found 0"),
        (
            OLD.replace("subgraph_fc" + "x" * 54 + "...", "subgraph_conv1"),
            "line 6: expected each .* 'subgraph_conv1' again",
        ),
        (EDGE.replace("net__b0_conv", "net__b1_conv", 1), "expected 'net__b1_conv' on each of 2 cores, found it on 1"),
        (
            EDGE.replace("AverageRunTime(ms)", "Average"),
            r"line \d+: expected the column AverageRunTime, found cpu subgraph",
        ),
    ],
)
def test_what_is_cut_off_or_contradicts_itself_is_refused(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse(text)


def test_is_told_by_its_header():
    assert all(detect(path).name == "vaitrace" for path in sorted(SAMPLES.glob("vaitrace_*")))
    recognizes = FORMATS["vaitrace"].recognizes
    assert recognizes("DPU Summary:\n====\nBat | DPU Id\n") == 0.9
    assert recognizes("INFO:root:vaitrace exec") == 0.6
    assert recognizes("vaitrace") == recognizes("INFO:root:other") == recognizes("DPU Summary:") == 0.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the vendors' samples are not beside this checkout")
def test_reads_the_vendors_sample():
    profile = parse_file(SHARED / "vaitrace_txt.txt")
    assert (profile.whole_ms, profile.batch, profile.device) == (0.048, 1, "DPUCZDX8G_1")
