import json
from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"


def parse(content: object) -> Profile:
    text = content if isinstance(content, str) else json.dumps(content)
    return FORMATS["trtexec"].parse(text, "net.json")


def load(name: str):
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"), strict=False)


def test_times_are_those_of_the_gpu():
    profile = parse_file(SAMPLES / "trtexec_times_10.json")
    assert (profile.part, profile.runs_ms, profile.whole_ms) == ("times", (1.9, 1.91, 1.89), 1.9)
    assert (profile.statistic, profile.runs, profile.warmup, profile.warnings) == ("median", 3, "excluded", ())


def test_old_times_begin_with_the_warm_up_and_say_so():
    profile = parse_file(SAMPLES / "trtexec_times_8_2.json")
    assert (profile.runs_ms, profile.warmup) == ((9, 4, 3, 2.4, 2.4, 2.6, 2.8), "included")
    assert profile.warnings == ("warm-up queries may be among these: put trtexec's log beside the file",)
    early = [{**query, "startComputeMs": 1} for query in load("trtexec_times_10.json")]
    assert (parse(early).warmup, parse(early).warnings) == ("unknown", profile.warnings)


@pytest.mark.parametrize(("start", "warmup"), [(50, "excluded"), (49.9, "unknown")])
def test_the_first_query_tells_whether_something_ran_before(start, warmup):
    assert parse([{**load("trtexec_times_10.json")[0], "startComputeMs": start}]).warmup == warmup


def test_one_query_and_equal_queries_will_do():
    query = load("trtexec_times_10.json")[0]
    assert parse([query]).whole_ms == parse([query] * 5).whole_ms == 1.9


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"computeMs": -1}, "expected computeMs of query 0 to be a number >= 0, found '-1'"),
        ({"computeMs": "1,9"}, "found '1,9'. Run the tool with LC_ALL=C"),
        ({"computeMs": None}, "found a NoneType"),
        ({"computeMs": True}, "found 'True'"),
        ({"computeMs": float("nan")}, "found 'nan'"),
        ({"computeMs": 10**400}, "found '1000"),
        ({"startComputeMs": []}, "expected startComputeMs of query 0 to be a number"),
        ({"computeUs": 1}, "expected query 1 to have the keys of query 0, found a different set"),
    ],
)
def test_times_that_cannot_be_are_refused(change, problem):
    queries = load("trtexec_times_10.json")
    with pytest.raises(ParseError, match=problem):
        parse([{**queries[0], **change}, *queries[1:]])


def test_files_of_two_versions_are_refused():
    joined = load("trtexec_times_10.json") + load("trtexec_times_8_2.json")
    with pytest.raises(ParseError, match="expected query 3 to have the keys of query 0"):
        parse(joined)


def test_a_profile_has_medians_where_there_are_any():
    profile = parse_file(SAMPLES / "trtexec_profile_8_6.json")
    assert (profile.part, profile.runs, profile.layer_statistic, profile.whole_ms) == ("profile", 100, "median", None)
    assert [layer.latency_ms for layer in profile.layers] == [0.0199, 0.0409, 0.0598, 1e-05]
    assert [layer.overhead for layer in profile.layers] == [True, False, False, False]
    assert [layer.nodes for layer in profile.layers] == [
        (),
        ("/stem/Conv", "/stem/Relu"),
        ("__myl_ConvAdd_myl0_1\x1f",),
        ("/b1/Conv, b", "/b1/Mul"),
    ]
    old = parse_file(SAMPLES / "trtexec_profile_7.json")
    assert (old.layers[0].latency_ms, old.layer_statistic) == (pytest.approx(2 / 3), "mean")


@pytest.mark.parametrize(
    ("i", "change", "problem"),
    [
        (1, {"averageMs": 20}, "expected averageMs x 100 iterations to be timeMs, found 20 and 2"),
        (1, {"timeMs": "x"}, "expected timeMs to be a number >= 0, found 'x'"),
        (1, {"name": 5}, "expected text under the key 'name', found a int"),
        (1, {"percentage": 90}, "expected layers of 100 % of the time, found 180.0 %"),
        (0, {"count": 0}, "expected a count of iterations, found 0"),
        (0, {"count": 1.5}, "expected a count of iterations, found 1.5"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(i, change, problem):
    rows = load("trtexec_profile_8_6.json")
    rows[i] = {**rows[i], **change}
    with pytest.raises(ParseError, match=problem):
        parse(rows)


def test_a_profile_of_missing_or_mixed_records_is_refused_or_says_so():
    rows = load("trtexec_profile_8_6.json")
    assert parse(rows[:3]).warnings == (
        "the file's layers are 30.5 % of the time that trtexec found: some are missing",
    )
    with pytest.raises(ParseError, match="expected one record with the count of iterations, found 0"):
        parse(rows[1:])
    with pytest.raises(ParseError, match="expected one record with the count of iterations, found 2"):
        parse(rows + rows)
    with pytest.raises(ParseError, match="expected medianMs in all layers or in none, found it in some"):
        parse([*rows[:1], {key: value for key, value in rows[1].items() if key != "medianMs"}, *rows[2:]])
    with pytest.raises(ParseError, match="expected the key 'timeMs', found 'name, timeUs"):
        parse(json.dumps(rows).replace("timeMs", "timeUs"))


def test_layer_information_maps_layers_to_nodes():
    profile = parse_file(SAMPLES / "trtexec_layers_8_6.json")
    assert (profile.part, profile.whole_ms, profile.warnings) == ("layer_info", None, ())
    assert [(layer.kind, layer.nodes, layer.overhead, layer.latency_ms) for layer in profile.layers] == [
        ("Reformat", (), True, None),
        ("CaskConvolution", ("/stem/Conv", "/stem/Relu"), False, None),
        ("kgen", ("/b0/Conv", "/b0/Add [x]"), False, None),
        ("CaskConvolution", ("/b1/Conv, b", "/b1/Mul"), False, None),
        ("Constant", ("c",), False, None),
    ]


def test_a_reformat_that_came_from_a_node_is_no_overhead():
    layer = {"Name": "/b0/Cast", "LayerType": "Reformat", "Metadata": "[ONNX Layer: /b0/Cast]"}
    assert [(row.nodes, row.overhead) for row in parse({"Layers": [layer]}).layers] == [(("/b0/Cast",), False)]
    assert parse({"Layers": [{**layer, "Metadata": ""}]}).layers[0].overhead


def test_layer_information_without_details_asks_for_them():
    profile = parse_file(SAMPLES / "trtexec_layers_names.json")
    assert profile.warnings == ("the layers have no metadata: export them with --profilingVerbosity=detailed",)
    assert [layer.nodes for layer in profile.layers] == [("/stem/Conv", "/stem/Relu"), ("y",)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"Layers": []}, "expected an object with a list of Layers, found none"),
        ({"Layers": [{"Name": "a"}, "b"]}, "expected Layers to be a list of objects, found a str as number 1"),
        ({"Layers": [{"Name": "a", "LayerType": 5}]}, "expected LayerType and Metadata of layer 'a' to be text"),
        ([{"a": 1}], "expected records with computeMs .* or averageMs .*, found neither"),
        ('{"Layers": [{"Name": "a", "Name": "b"}]}', "expected one value of the key 'Name', found two that differ"),
        ('{"Layers": [{"Name": ' + "[" * 100000, "nested too deep"),
        ('[{"computeMs": ' + "9" * 5000 + "}]", "expected JSON, found Exceeds the limit"),
        ('[{"computeMs": 1} {}]', "net.json, line 1: expected JSON, found Expecting ',' delimiter"),
    ],
)
def test_json_that_cannot_be_is_refused(content, problem):
    with pytest.raises(ParseError, match=problem):
        parse(content)


@pytest.mark.parametrize("name", ["trtexec_times_10", "trtexec_profile_8_6", "trtexec_layers_8_6"])
def test_json_that_is_cut_anywhere_is_refused(name):
    text = (SAMPLES / f"{name}.json").read_text(encoding="utf-8").rstrip()
    for end in range(15, len(text) - 1, 11):
        with pytest.raises(ParseError, match="found the end of the file: it is cut off"):
            parse(text[:end])


def test_half_a_character_in_a_name_becomes_a_question_mark():
    assert parse('{"Layers": [{"Name": "a\\ud800b"}]}').layers[0].name == "a?b"
