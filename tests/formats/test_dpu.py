from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
N2CUBE = (SAMPLES / "dpu_n2cube.txt").read_text(encoding="utf-8")
ONE = N2CUBE[: N2CUBE.index("[DNNDK]", 1)]
LEFT = (SAMPLES / "dpu_left.txt").read_text(encoding="utf-8")


def parse(text: str) -> Profile:
    return FORMATS["dpu"].parse(text, "net.txt")


def test_takes_the_median_of_each_node_over_the_tasks():
    profile = parse_file(SAMPLES / "dpu_n2cube.txt")
    assert (profile.tool, profile.unit, profile.runs, profile.warmup) == ("dpu", "ms", 3, "included")
    assert (profile.whole_ms, profile.statistic, profile.runs_ms) == (0.43, "median", (0.432, 0.422, 0.43))
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == [
        ("net_conv_1", 0.132),
        ("net_conv_3_with_a_name_that_is_longer_than_30", 0.063),
        ("net_fc_1", 0.233),
    ]
    assert (profile.layer_statistic, profile.warnings) == ("median", ())


def test_reads_the_references_variant_with_names_first_and_blanks_before_percent():
    profile = parse_file(SAMPLES / "dpu_left.txt")
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == [("conv1_*", 0.13), ("fc,1", 0.24)]
    assert (profile.whole_ms, profile.runs) == (0.37, 1)
    assert profile.warnings == ("the tool cut 1 long names short, such as 'conv1_*'",)


def test_kernels_of_one_network_add_up():
    second = ONE.replace("net_0", "net_1").replace("net_conv", "later_conv").replace("net_fc", "later_fc")
    profile = parse(ONE + second)
    assert profile.whole_ms == pytest.approx(2 * 0.432)
    assert (len(profile.layers), profile.runs, profile.runs_ms) == (6, 1, ())


def test_a_table_without_kernel_or_rules_is_read():
    rows = [line for line in ONE.split("\n") if not line.startswith(("=", "[DNNDK]"))]
    assert parse("\r\n".join(rows)).whole_ms == 0.432


def test_other_units_are_converted():
    assert parse(ONE.replace("RunTime(ms)", "RunTime(us)")).whole_ms == pytest.approx(0.000432)
    assert parse(ONE.replace("RunTime(ms)", "RunTime(us)")).unit == "us"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("RunTime(ms)", "RunTime(cycles)", "expected RunTime in s, ms, us or ns, found 'cycles'"),
        ("RunTime(ms)", "Walltime(ms)", r"line 3: expected a column that is known, found 'Walltime\(ms\)'"),
        ("Perf(GOPS)", "RunTime(ms)", r"expected each column once, found two of 'RunTime\(ms\)'"),
        ("RunTime(ms) Perf(GOPS)", "Perf(GOPS)", r"expected the column RunTime\(ms\), found id, name"),
        ("NodeName", "", "expected a table's header with the column of names"),
        ("0.134", "0,134", "line 4: expected RunTime to be a number >= 0, found '0,134'. Run the tool with LC_ALL=C"),
        ("0.134", "-0.134", "found '-0.134'"),
        ("0.134", "nan", "found 'nan'"),
        ("0.432", "0.000", "expected the run time of all nodes > 0, found 0"),
        ("   2 ", "   3 ", "line 5: expected the node with the ID 2, found 3"),
        ("   1 ", "   0 ", "line 5: expected the node with the ID 1, found 2"),
        ("20.222", "20.232", "expected nodes of 20.232 MOP together, as the row All says, found 20.222"),
        ("    0.063 ", "", r"line 5: expected 8 cells \(id, name, workload, .*\), found '2 net_conv_3"),
    ],
)
def test_a_table_that_cannot_be_is_refused(old, new, problem):
    assert old in ONE
    with pytest.raises(ParseError, match=problem):
        parse(ONE.replace(old, new, 1))


def test_missing_rows_are_missed():
    rows = LEFT.split("\n")
    with pytest.raises(
        ParseError, match=r"line 7: expected nodes of 17.01 MOP together, as the row All says, found 14.45"
    ):
        parse("\n".join([*rows[:4], *rows[5:]]))


def test_two_networks_in_a_file_are_named():
    with pytest.raises(ParseError, match=r"net.txt: expected the kernels of one network, found those of net, other"):
        parse(ONE + ONE.replace("net_0", "other_0"))
    with pytest.raises(ParseError, match="expected the same nodes in each task of kernel 'net_0', found others"):
        parse(ONE + ONE.replace("net_fc_1", "net_fc_2"))
    with pytest.raises(ParseError, match="expected one unit of run times, found ms, us"):
        parse(ONE + ONE.replace("RunTime(ms)", "RunTime(us)"))


@pytest.mark.parametrize("text", [ONE, LEFT])
def test_a_table_that_is_cut_anywhere_is_refused_or_right(text):
    whole = parse(text)
    for end in range(len(text)):
        try:
            profile = parse(text[:end])
        except ParseError:
            continue
        assert end > text.index("All ")
        assert (profile.whole_ms, profile.layers) == (whole.whole_ms, whole.layers)


def test_a_table_that_ends_early_is_told_from_none():
    with pytest.raises(ParseError, match="line 6: expected the table's row All under 'Total Nodes In Avg', found none"):
        parse(ONE[: ONE.index("\n\n")])
    with pytest.raises(ParseError, match=r"expected the table's row All"):
        parse(ONE[: ONE.index("\n\n")] + "\n" + ONE)
    with pytest.raises(ParseError, match=r"net.txt: expected a table with the column RunTime\(ms\), found none"):
        parse(ONE[:80])
