from dataclasses import replace
from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import Layer, Profile, combine, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"


def of(*names: str) -> Profile:
    return combine([parse_file(SAMPLES / name) for name in names], "net")


def test_one_file_stays_what_it_is():
    assert of("trtexec_10.log") == parse_file(SAMPLES / "trtexec_10.log")


def test_the_log_tells_how_long_the_warm_up_was():
    profile = of("trtexec_8_2.log", "trtexec_times_8_2.json")
    assert (profile.runs_ms, profile.runs, profile.warmup_runs) == ((2.4, 2.4, 2.6, 2.8), 4, 3)
    assert (profile.whole_ms, profile.warmup, profile.tool_version) == (2.5, "excluded", "8.2.1")
    assert profile.warnings == ("the whole was measured with the profiler on: use --separateProfileRun",)
    assert len(profile.layers) == 4
    assert (
        combine([parse_file(SAMPLES / name) for name in ("trtexec_times_8_2.json", "trtexec_8_2.log")], "x") == profile
    )


def test_times_of_another_engine_are_refused():
    log, times = (parse_file(SAMPLES / name) for name in ("trtexec_8_2.log", "trtexec_times_8_2.json"))
    with pytest.raises(ParseError, match=r"net: expected times of 4 queries, or 7 with the warm-up, .*, found 6"):
        combine([log, replace(times, runs_ms=times.runs_ms[1:])], "net")
    with pytest.raises(ParseError, match=r"net: expected times with the log's median, 2.5 ms, found 2.6 ms"):
        combine([log, replace(times, runs_ms=(*times.runs_ms[:3], 2.4, 2.5, 2.7, 2.8))], "net")


def test_the_exported_profile_and_the_metadata_win():
    profile = of("trtexec_10.log", "trtexec_layers_8_6.json", "trtexec_profile_8_6.json")
    assert (profile.whole_ms, profile.part, profile.layer_statistic) == (1.91, "", "median")
    assert [(layer.latency_ms, layer.kind, layer.nodes, layer.overhead) for layer in profile.layers] == [
        (0.0199, "Reformat", (), True),
        (0.0409, "CaskConvolution", ("/stem/Conv", "/stem/Relu"), False),
        (0.0598, "kgen", ("/b0/Conv", "/b0/Add [x]"), False),
        (1e-05, "CaskConvolution", ("/b1/Conv, b", "/b1/Mul"), False),
    ]
    assert profile.warnings == ()


def test_layers_with_other_names_are_joined_in_their_order_if_there_are_as_many():
    timed = Profile(tool="trtexec", part="profile", unit="ms", layers=(Layer("p", 1.0), Layer("q", 2.0)))
    known = (Layer("a", None, "Conv", ("n",)), Layer("c", None, "Constant"), Layer("b", None, "Reformat", (), True))
    described = Profile(tool="trtexec", part="layer_info", unit="ms", layers=known)
    joined = combine([described, timed], "net")
    assert joined.layers == (Layer("p", 1.0, "Conv", ("n",)), Layer("q", 2.0, "Reformat", (), True))
    apart = combine([replace(described, layers=known[:2]), timed], "net")
    assert apart.layers == timed.layers
    assert apart.warnings == ("2 layers are not in the layer information, such as 'p'",)


def test_layer_information_alone_is_no_time():
    assert of("trtexec_10.log", "trtexec_layers_8_6.json").layers == ()
    assert of("trtexec_profile_8_6.json", "trtexec_layers_8_6.json").whole_ms is None


def test_openvinos_whole_and_counters_are_joined():
    profile = of("openvino_detailed.csv", "openvino.log")
    assert (profile.whole_ms, profile.precision, len(profile.layers)) == (pytest.approx(0.6405), "bf16", 3)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("openvino_detailed.csv", "openvino_report.csv"), "net: expected one precision, found .*f32"),
        (("trtexec_10.log", "trtexec_8_6.log"), "net: expected one file of each kind, found two of 'log'"),
        (("trtexec_10.log", "openvino.log"), "net: expected files of one tool, found openvino, trtexec"),
        ((), "net: expected at least one profile, found none"),
    ],
)
def test_files_of_several_runs_are_refused(names, problem):
    with pytest.raises(ParseError, match=problem):
        of(*names)


def test_a_failure_in_one_file_is_the_runs():
    profile = of("trtexec_failed.log", "trtexec_layers_8_6.json")
    assert profile.failed == parse_file(SAMPLES / "trtexec_failed.log").failed
    assert (profile.whole_ms, profile.layers) == (None, ())
