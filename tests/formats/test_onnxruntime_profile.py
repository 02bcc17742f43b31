import json
from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Profile, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
TEXT = (SAMPLES / "onnxruntime_profile.json").read_text(encoding="utf-8")


def parse(events: object) -> Profile:
    return FORMATS["onnxruntime"].parse(events if isinstance(events, str) else json.dumps(events), "net.json")


def event(cat: str, name: str, ts: float, dur: float, **args: object) -> dict[str, object]:
    return {"cat": cat, "pid": 1, "tid": 1, "dur": dur, "ts": ts, "ph": "X", "name": name, "args": args}


def node(name: str, ts: float, dur: float, op: str = "Conv", index: int = 0) -> dict[str, object]:
    return event("Node", f"{name}_kernel_time", ts, dur, op_name=op, node_index=str(index))


def test_cuts_the_runs_and_leaves_the_first_out():
    profile = parse_file(SAMPLES / "onnxruntime_profile.json")
    assert (profile.tool, profile.unit, profile.runs) == ("onnxruntime", "us", 3)
    assert (profile.warmup, profile.warmup_runs) == ("excluded", 1)
    assert (profile.runs_ms, profile.whole_ms, profile.statistic) == ((0.542, 0.559, 0.531), 0.542, "median")
    assert [(layer.name, layer.kind, layer.latency_ms, layer.overhead) for layer in profile.layers] == [
        ("ReorderInput", "ReorderInput", 0.022, True),
        ("/stem/Relu_output_0_nchwc", "Conv", 0.4, False),
        ("", "Add", 0.004, False),
        ("/fc, last/Gemm", "Gemm", 0.1, False),
    ]
    assert [layer.nodes for layer in profile.layers] == [(), ("/stem/Relu_output_0_nchwc",), (), ("/fc, last/Gemm",)]
    assert profile.warnings == ("the whole was measured with the profiler on",)


def test_the_order_of_events_does_not_matter():
    assert parse(json.loads(TEXT)[::-1]).runs_ms == parse(TEXT).runs_ms


def test_one_run_is_kept_and_said_to_be_cold():
    profile = parse([node("a", 1, 5), event("Session", "model_run", 0, 10)])
    assert (profile.runs_ms, profile.warmup, profile.warmup_runs) == ((0.01,), "included", 0)


def test_nodes_without_names_are_told_apart_by_index_and_loops_add_up():
    nodes = [node("", 1, 2, index=1), node("", 4, 3, index=2), node("", 8, 2, index=1)]
    profile = parse([*nodes, event("Session", "model_run", 0, 20)])
    assert [layer.latency_ms for layer in profile.layers] == pytest.approx([0.004, 0.003])


def test_what_is_no_part_of_a_completed_run_is_left_out_and_told():
    run = [node("a", 101, 5), event("Session", "model_run", 100, 10)]
    late = [node("a", 201, 5), node("b", 207, 5)]
    early = [node("c", 1, 5)]
    profile = parse([*early, *run, *late])
    assert [layer.name for layer in profile.layers] == ["a"]
    assert profile.warnings[0] == "3 kernels belong to no run that was completed"


def test_nodes_of_some_runs_and_of_bodies_are_told():
    runs = [event("Session", "model_run", 100 * i, 50) for i in range(3)]
    nodes = [node("a", 1, 5), node("a", 101, 5), node("a", 201, 7), node("l", 210, 5, "Loop")]
    profile = parse([*runs, *nodes])
    assert [(layer.name, layer.latency_ms) for layer in profile.layers] == [("a", 0.006), ("l", 0.005)]
    assert profile.warnings[:2] == (
        "1 nodes are not part of every run",
        "the time of Loop holds that of the nodes inside, which are listed as well",
    )


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([], "expected an event model_run, found none: no run was completed"),
        ([node("a", 1, 2)], "expected an event model_run, found none"),
        (
            [event("Session", "model_run", 0, 10), event("Session", "model_run", 5, 10)],
            "expected one run after the other, found one that begins at 5 us in another",
        ),
        (
            [event("Session", "session_initialization", i, 1) for i in range(2)],
            "expected the profile of one session, found 2 sessions of 1 processes",
        ),
        (
            [event("Session", "model_run", 0, 10), {**node("a", 1, 2), "pid": 2}],
            "expected the profile of one session, found 0 sessions of 2 processes",
        ),
        (
            [event("Session", "model_run", 0, 10), node("a", 1, 2), node("a", 4, 2, "Add")],
            "node 'a_kernel_time': expected one operation of that name and index, found Conv and Add",
        ),
        ([event("Session", "model_run", 0, 0)], "expected the duration of model_run > 0, found 0"),
        ([event("Session", "model_run", 0, -1)], "expected dur to be a number >= 0, found '-1'"),
        ([event("Session", "model_run", 0, float("nan"))], "expected dur to be a number >= 0, found 'nan'"),
        ([{"name": "model_run", "ts": 1}], "expected the key 'dur', found 'name, ts'"),
        (
            [{"cat": "Node", "pid": 1, "ts": 1}, event("Session", "model_run", 0, 9)],
            "expected text under the key 'name'",
        ),
        (
            [event("Node", "a_kernel_time", 1, 1), event("Session", "model_run", 0, 9)],
            "node 'a_kernel_time': expected text under the key 'op_name'",
        ),
        ({"traceEvents": []}, "expected the events to be a list, found a dict"),
        ([5], "expected the events to be a list of objects, found a int as number 0"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(events, problem):
    with pytest.raises(ParseError, match=problem):
        parse(events)


def test_a_file_that_is_cut_anywhere_is_refused():
    for end in range(5, len(TEXT.rstrip()) - 1, 37):
        with pytest.raises(ParseError, match="found the end of the file: it is cut off"):
            parse(TEXT[:end])
