"""Reports that are no plain table, changed in their structure with a known answer: read right, or refused."""

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS

NAMES = ("b0/Conv", "conv 1", "a + b", "100% sure", "x[y]", "Gemm (last)", "µ")
WRONG = ("1,234", "nan", "inf", "-1", "1.2.3", "0x1", "1_0", "٣", "5%")


class Answer(NamedTuple):
    """What must be read."""

    whole_ms: float | None
    layers: tuple[tuple[str, float], ...]

    def times(self, factor: float) -> "Answer":
        """The same in another unit."""
        whole = None if self.whole_ms is None else self.whole_ms * factor
        return Answer(whole, tuple((name, ms * factor) for name, ms in self.layers))


Change = tuple[str, str, Answer | None]
"""What was changed, the text, and what must be read; None if it must be refused."""


def drawn(random: Random, low: int = 100, high: int = 9999) -> tuple[tuple[str, float], ...]:
    """Layers with their times in us, whole numbers."""
    return tuple((f"{random.choice(NAMES)}_{i}", float(random.randint(low, high))) for i in range(random.randint(3, 9)))


def one_cut(lines: Sequence[str], i: int) -> str:
    return "\n".join([*lines[:i], *lines[i + 1 :], ""])


def replaced(lines: Sequence[str], i: int, old: str, new: str) -> str:
    assert old in lines[i]
    return "\n".join([*lines[:i], lines[i].replace(old, new, 1), *lines[i + 1 :], ""])


def vaitrace(random: Random) -> Iterator[Change]:
    layers = drawn(random)
    titles = ["DPU", "Batch", "SubGraph", "Workload(GOP)", "RunTime(us)", "MB/s"]
    columns = random.sample(titles, len(titles))

    def text(header: Sequence[str], cores: int = 1, cut: int | None = None, end: bool = True, wrong: str = "") -> str:
        rows = []
        for core in range(cores):
            for i, (name, us) in enumerate(layers):
                value = wrong if wrong and i == 0 else f"{us:g}"
                row = dict(zip(titles, [f"DPU_{core}", "1", name, "0.5", value, "99"], strict=True))
                rows.append(" | ".join(row[title] for title in columns))
        rows = [row for i, row in enumerate(rows) if i != cut]
        rule = "=" * 60
        lines = ["DPU Summary:", rule, " | ".join(header), "-----+----", *rows]
        return "\n".join([*lines, *([rule] if end else []), ""])

    right = Answer(None, layers).times(1e-3)
    yield "columns swapped", text(columns), right
    in_ms = ["RunTime(ms)" if title == "RunTime(us)" else title for title in columns]
    yield "unit changed", text(in_ms), right.times(1e3)
    yield "two cores", text(columns, cores=2), right
    yield "row cut", text(columns, cores=2, cut=random.randrange(2 * len(layers))), None
    yield "end cut", text(columns, end=False), None
    yield "value", text(columns, wrong=random.choice(WRONG)), None
    for title in ("RunTime(us)", "SubGraph"):
        yield "renamed", text(["Something" if name == title else name for name in columns]), None
    yield "doubled", text(["RunTime(us)" if name == "MB/s" else name for name in columns]), None
    yield "unit unknown", text([name.replace("(us)", "(GOP)") for name in columns]), None
    yield "two reports", text(columns) + text(columns), None


def snpe(random: Random) -> Iterator[Change]:
    layers = drawn(random)
    whole = sum(us for _, us in layers) + 10
    head = ["Log File Created: now", "Software library version: 2.9.0.4462", "Average SNPE Statistics:", "-----"]
    totals = [f"Total Inference Time: {whole:g} us", f"Forward Propagate Time: {whole - 1:g} us", ""]
    rows = [f"{i}: {name} : {us:g} us : CPU" for i, (name, us) in enumerate(layers)]
    lines = [*head, *totals, "Layer Times:", "-----", *rows]
    at = len(lines) - len(rows)
    text, right = "\n".join([*lines, ""]), Answer(whole, layers).times(1e-3)
    i = random.randrange(len(rows) - 1)
    yield "unchanged", text, right
    yield "units changed", text.replace(" us", " ms"), right.times(1e3)
    yield "unit of the whole alone", replaced(lines, len(head), " us", " ns"), None
    yield "unit unknown", replaced(lines, at + i, " us", " parsec"), None
    yield "row cut", one_cut(lines, at + i), None
    yield "row doubled", "\n".join([*lines[: at + i], lines[at + i], *lines[at + i :], ""]), None
    yield (
        "rows swapped",
        "\n".join([*lines[: at + i], lines[at + i + 1], lines[at + i], *lines[at + i + 2 :], ""]),
        None,
    )
    yield "whole cut", one_cut(lines, len(head)), None
    yield "whole renamed", replaced(lines, len(head), "Total Inference", "Some"), None
    yield "whole doubled", "\n".join([*lines[: len(head)], totals[0], *lines[len(head) :], ""]), None
    yield "value", replaced(lines, at + i, f"{layers[i][1]:g} us", f"{random.choice(WRONG)} us"), None
    yield "two logs", text + text, None
    yield "another version below", text + lines[1].replace("2.9", "2.10") + "\n", None


def qnn(random: Random) -> Iterator[Change]:
    layers, executions = drawn(random), random.randint(2, 4)
    whole = sum(us for _, us in layers) + 10
    titles = ["Msg Timestamp", "Message", "Time", "Unit of Measurement", "Timing Source", "Event Level"]
    titles.append("Event Identifier")
    events = [["0", "EXECUTE", f"{whole:g}", "US", "BACKEND", "ROOT", "QNN (execute) time"]]
    events += [["0", "NODE", f"{us:g}", "US", "BACKEND", "SUB-EVENT", name] for name, us in layers]
    rows = [row for _ in range(executions) for row in events]
    order = random.sample(range(len(titles)), len(titles))

    def text(titles: Sequence[str], rows: Sequence[Sequence[str]], order: Sequence[int] = range(7)) -> str:
        return "".join(",".join(row[i] for i in order) + "\n" for row in [titles, *rows])

    def changed(column: int, value: str, at: int, wanted: str = "") -> list[list[str]]:
        new = [list(row) for row in rows]
        assert not wanted or new[at][column] == wanted
        new[at][column] = value
        return new

    right = Answer(whole, layers).times(1e-3)
    i = random.randrange(len(rows))
    yield "columns swapped", text(titles, rows, order), right
    yield "units changed", text(titles, [[*row[:3], "MS", *row[4:]] for row in rows], order), right.times(1e3)
    yield "unit of nodes", text(titles, [[*r[:3], "MS" if r[1] == "NODE" else "US", *r[4:]] for r in rows]), None
    yield "unit of one row", text(titles, changed(3, "CYCLES", 1 + i % len(layers), "US")), None
    yield "unit unknown", text(titles, changed(3, "PARSEC", i, "US")), None
    yield "row cut", text(titles, [*rows[:i], *rows[i + 1 :]], order), None
    yield "row doubled", text(titles, [*rows[:i], rows[i], *rows[i:]], order), None
    for title in ("Message", "Time", "Unit of Measurement", "Event Level", "Event Identifier"):
        yield "renamed", text(["Something" if name == title else name for name in titles], rows, order), None
        yield "doubled", text([title if name == "Timing Source" else name for name in titles], rows, order), None
    yield "value", text(titles, changed(2, random.choice(WRONG), i)), None
    yield "rows before the header", text(titles, rows).partition("\n")[2], None


def mlperf(random: Random) -> Iterator[Change]:
    values = sorted(random.sample(range(10**6, 10**7), 4))
    keys = ("Min latency", "50.00 percentile latency", "90.00 percentile latency", "Max latency")
    head = ["=====", "MLPerf Results Summary", "====="]
    facts = ["SUT name : PySUT", "Scenario : SingleStream", "Mode     : PerformanceOnly", "Result is : VALID"]
    facts += [f"{key} (ns)   : {value}" for key, value in zip(keys, values, strict=True)]
    facts += ["samples_per_query : 1", "min_query_count : 64"]
    lines, right = [*head, *facts], Answer(values[1] / 1e6, ())
    mixed = random.sample(facts, len(facts))
    yield "lines swapped", "\n".join([*head, *mixed, ""]), right
    yield "units changed", "\n".join([*head, *mixed, ""]).replace("(ns)", "(us)"), right.times(1e3)
    for i, unit in ((7, "ms"), (8, "us"), (9, "ms"), (10, "parsec")):
        yield "unit of one line", replaced(lines, i, "(ns)", f"({unit})"), None
    for i in (4, 5, 6, 8, 11, 12):  # scenario, mode, result, median, samples, end
        yield "line cut", one_cut(lines, i), None
        yield "line renamed", replaced(lines, i, lines[i].split(" :")[0], "Something"), None
    i = random.randrange(3, len(lines))
    yield "line doubled", "\n".join([*lines, lines[i], ""]), right
    yield "two values of a line", "\n".join([*lines, f"{lines[i]}0", ""]), None
    yield "value", replaced(lines, 8, str(values[1]), random.choice(WRONG)), None
    low, high = (lines[i].rpartition(" ")[2] for i in (8, 9))
    swapped = [lines[8].replace(low, high), lines[9].replace(high, low)]
    yield "two percentiles swapped", "\n".join([*lines[:8], *swapped, *lines[10:], ""]), None
    yield "two reports", "\n".join([*lines, *lines, ""]), None


def litert(random: Random) -> Iterator[Change]:
    values = sorted(random.sample(range(1, 1000), 5))
    names = ("min_ms", "p5_ms", "median_ms", "p95_ms", "max_ms")
    latency = dict(zip(names, (value / 100 for value in values), strict=True))
    latency |= {"avg_ms": values[2] / 100, "num_runs": 40, "num_warmup_runs": 5}
    record = {"accelerators": ["CPU"], "fully_accelerated": True, "num_threads": 1}

    def text(latency: dict[str, object]) -> str:
        items = list({**record, "latency": dict(random.sample(list(latency.items()), len(latency)))}.items())
        return json.dumps(dict(random.sample(items, len(items))))

    yield "keys swapped", text(latency), Answer(values[2] / 100, ())
    for name in latency:
        yield "key cut", text({key: value for key, value in latency.items() if key != name}), None
        unit = name.replace("_ms", "_us").replace("num", "sum")
        yield "key renamed", text({unit if key == name else key: value for key, value in latency.items()}), None
        yield "value", text(latency | {name: random.choice(WRONG)}), None
    yield "unit of one key", text(latency | {"median_ms": values[2] * 10}), None
    low, high = sorted(random.sample(range(5), 2))
    swapped = {names[low]: latency[names[high]], names[high]: latency[names[low]]}
    yield "values swapped", text(latency | swapped), None
    yield "two values of a key", text(latency).replace('"median_ms"', '"median_ms": 0.5, "median_ms"'), None


def onnxruntime(random: Random) -> Iterator[Change]:
    layers, runs = drawn(random), random.randint(2, 4)
    gap, events = 5, [{"cat": "Session", "pid": 1, "name": "session_initialization", "ph": "X", "ts": 0, "dur": 9}]
    start = 10.0
    for _ in range(runs):
        at = start
        for i, (name, us) in enumerate(layers):
            args = {"op_name": "Conv", "node_index": str(i)}
            events.append(
                {"cat": "Node", "pid": 1, "name": f"{name}_kernel_time", "ph": "X", "ts": at, "dur": us, "args": args}
            )
            at += us + gap
        events.append({"cat": "Session", "pid": 1, "name": "model_run", "ph": "X", "ts": start, "dur": at - start})
        start = at + gap
    right = Answer((at - events[-1]["ts"]) / 1e3, Answer(None, layers).times(1e-3).layers)
    nodes = [i for i, event in enumerate(events) if event["cat"] == "Node"]
    i = random.choice(nodes)

    def changed(key: str, value: object, at: int = i, drop: str = "") -> str:
        one = {name: found for name, found in events[at].items() if name != drop} | ({key: value} if key else {})
        return json.dumps([*events[:at], one, *events[at + 1 :]])

    yield "events swapped", json.dumps(random.sample(events, len(events))), right
    for key in ("ts", "dur", "name"):
        yield "key renamed", changed("something", events[i][key], drop=key), None
        yield "value", changed(key, random.choice(WRONG[1:]) if key != "name" else 3), None
    yield "another operation", changed("args", events[i]["args"] | {"op_name": "Add"}), None
    yield "no operation", changed("args", {}), None
    yield "runs cut", json.dumps([event for event in events if event["name"] != "model_run"]), None
    yield "two sessions", json.dumps([*events, *events[:1]]), None
    yield "two processes", changed("pid", 2), None
    yield "a run in a run", json.dumps([*events, events[-1]]), None


def tflite(random: Random) -> Iterator[Change]:
    layers, tool = drawn(random), random.choice(("csv", "text"))
    numeric = random.sample(["first", "avg_ms", "%", "cdf%", "mem KB", "times called"], 6)
    titles = ["node type", *numeric, "name"]

    def text(titles: Sequence[str], rows: Sequence[tuple[str, float]], wrong: str = "", executed: int = 0) -> str:
        lines = ["============================== Run Order =============================="]
        lines.append(",".join(titles) if tool == "csv" else "\t".join(f"[{title}]" for title in titles))
        for i, (name, us) in enumerate(rows):
            value = wrong if wrong and i == 0 else f"{us / 1000:g}"
            cells = {"first": "1.5", "avg_ms": value, "%": "3%", "cdf%": "9%", "mem KB": "0.0", "times called": "1"}
            row = ["CONV_2D", *(cells[title] for title in numeric), name]
            lines.append(", ".join(row) if tool == "csv" else "\t".join(row))
        return "\n".join([*lines, "", f"Number of nodes executed: {executed or len(layers)}", ""])

    i = random.randrange(len(layers))
    yield "columns swapped", text(titles, layers), Answer(None, layers).times(1e-3)
    yield "row cut", text(titles, [*layers[:i], *layers[i + 1 :]]), None
    yield "row doubled", text(titles, [*layers[:i], layers[i], *layers[i:]]), None
    yield "count changed", text(titles, layers, executed=len(layers) + 1), None
    yield "end cut", text(titles, layers).partition("\nNumber")[0], None
    for title in ("node type", "avg_ms", "name"):
        yield "renamed", text(["Something" if name == title else name for name in titles], layers), None
    yield "unit changed", text([name.replace("avg_ms", "avg_us") for name in titles], layers), None
    yield "doubled", text([name.replace("first", "avg_ms") for name in titles], layers), None
    yield "value", text(titles, layers, wrong=random.choice([word for word in WRONG if word != "5%"])), None
    yield "two reports", text(titles, layers) * 2, None


REPORTS = (litert, mlperf, onnxruntime, qnn, snpe, tflite, vaitrace)


def read(name: str, text: str) -> Answer | None:
    """Return what a format reads; None if it refuses."""
    try:
        profile = FORMATS[name].parse(text, "net")
    except ParseError:
        return None
    return Answer(profile.whole_ms, tuple((layer.name, layer.latency_ms) for layer in profile.layers))


def check(report, seed: int) -> int:
    """Check one report in all its changed forms; return how many there were."""
    count = 0
    for what, text, expected in report(Random(seed)):
        found = read(report.__name__, text)
        told = f"{report.__name__}, seed {seed}, {what}:\n{text}\nread as {found}, expected {expected}"
        assert (found is None) == (expected is None), told
        if found is not None and expected is not None:
            assert found.whole_ms == pytest.approx(expected.whole_ms), told
            assert [name for name, _ in found.layers] == [name for name, _ in expected.layers], told
            assert [ms for _, ms in found.layers] == pytest.approx([ms for _, ms in expected.layers]), told
        count += 1
    return count


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.__name__)
def test_a_changed_report_is_read_right_or_refused(report):
    for seed in range(40):
        check(report, seed)


@pytest.mark.slow
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.__name__)
def test_ten_thousand_changed_reports(report):
    count, seed = 0, 40
    while count < 10_000:
        count += check(report, seed)
        seed += 1
