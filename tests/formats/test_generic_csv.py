from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, parse_file, parse_networks

SAMPLES = Path(__file__).parents[1] / "samples"


def parse(text: str) -> Profile:
    return FORMATS["csv"].parse(text, "net.csv")


def test_takes_the_medians_over_the_runs():
    profile = parse_file(SAMPLES / "csv_one.csv")
    assert (profile.tool, profile.network, profile.unit, profile.runs) == ("csv", None, "ms", 2)
    assert (profile.whole_ms, profile.runs_ms, profile.warmup) == (pytest.approx(1.6), (1.5, 1.7), "unknown")
    assert [(layer.name, layer.kind, layer.nodes) for layer in profile.layers] == [
        ("conv, 1", "Conv", ("conv, 1",)),
        ("fc + 100%", "Gemm", ("fc + 100%",)),
    ]
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.6, 2e-05])


def test_several_networks_are_several_profiles():
    profiles = parse_networks(SAMPLES / "csv_networks.csv")
    assert [(profile.network, profile.whole_ms, len(profile.layers)) for profile in profiles] == [
        ("n1", 1.5, 1),
        ("n2", 2.0, 0),
    ]
    with pytest.raises(ParseError, match=r"csv_networks.csv: expected one network, found 2: 'n1, n2'"):
        parse_file(SAMPLES / "csv_networks.csv")


@pytest.mark.parametrize(
    ("text", "whole_ms"),
    [
        ("name,latency_ms\nwhole,2\n", 2),
        ("latency_us,name\n2,whole\n", 0.002),
        ("name,latency_s\r\n\r\nwhole,2e-3\r\n", 2),
        ("run,latency_ns,op_type,name\n1,1000000,,whole\n", 1),
        ('"name","latency_ms"\n"whole", 2 \n', 2),
        ("name,latency_ms\na,1\n", None),
    ],
)
def test_columns_are_told_by_their_titles_and_units_converted(text, whole_ms):
    assert parse(text).whole_ms == (None if whole_ms is None else pytest.approx(whole_ms))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name,latency_ms\n", "net.csv: expected rows below the header, found none"),
        ("name,latency_ms\na,1,5\n", r"line 2: expected 2 cells \(name, latency_ms\), found 3"),
        ("name,latency_ms\na\n", r"line 2: expected 2 cells \(name, latency_ms\), found 1"),
        ("name,latency_ms\na,nan\n", "line 2: expected latency_ms to be a number >= 0, found 'nan'"),
        ('name,latency_ms\na,"1,5"\n', "line 2: expected latency_ms .*, found '1,5'. Run the tool with LC_ALL=C"),
        ("name,latency_ms\na,-1\n", "found '-1'"),
        ("name,latency_ms\na,1e999\n", "found '1e999'"),
        ("name,latency_ms\na,\n", "found ''"),
        ("name,latency_ms\n,1\n", "line 2: expected a name, found none. Call the whole network's row 'whole'"),
        ("network,name,latency_ms\n,a,1\n", "line 2: expected a name, found none"),
        ("name,latency_ms\nwhole,0\n", "line 2: expected the whole's latency > 0, found 0"),
        ("name,latency_ms\na,1\na,2\n", "line 3: expected 'a' once in each run, found it twice"),
        ("name,latency_ms,run\na,1,1\nb,2,1\na,3,2\n", "expected 'b' in each run, found none in run '2'"),
        ("name,latency_ms,run,op_type\na,1,1,x\na,1,2,y\n", "line 3: expected one op_type of 'a', found x, y"),
        ("name,latency_parsec\na,1\n", "line 1: expected latency in s, ms, us or ns, found 'parsec'"),
        ("name,latency_ms,latency_us\na,1,1\n", "line 1: expected the columns name and latency_ms"),
        ("name,name,latency_ms\na,a,1\n", "line 1: expected the columns name and latency_ms"),
        ("name,latency_ms,memory\na,1,1\n", "line 1: expected the columns .*, found 'name,latency_ms,memory'"),
        ("layer,latency_ms\na,1\n", "line 1: expected the columns .*, found 'layer,latency_ms'"),
        ('name,latency_ms\n"a,1\n', "expected CSV, found unexpected end of data"),
        ("", "line 1: expected the columns name and latency_ms"),
    ],
)
def test_a_file_that_cannot_be_is_refused(text, problem):
    with pytest.raises(ParseError, match=problem):
        parse(text)
