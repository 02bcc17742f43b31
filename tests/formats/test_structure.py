"""Tables whose structure was changed, with a known answer: read right, or refused."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS

NAMES = ("/b0/Conv", "conv, 1", "a + b", "100% sure", "/x\x1e[y]", "Gemm (last)", "b;c", "µ")
Row = dict[str, str]


class Kind(NamedTuple):
    """A way to write a table."""

    format: str
    titles: tuple[str, ...]
    time: str
    name: str
    closes: bool
    """Whether it has a total that tells of missing rows."""
    render: Callable[[Sequence[str], Sequence[Row]], str]


def trtexec(titles: Sequence[str], rows: Sequence[Row]) -> str:
    return "[I] === Profile (1 iterations ) ===\n" + "".join(
        "[I] " + "   ".join(row[title] for title in titles) + "\n" for row in rows
    )


def dpu(titles: Sequence[str], rows: Sequence[Row]) -> str:
    lines = ["   ".join(row[title] for title in titles) for row in rows[:-1]]
    closing = "   ".join(rows[-1][title] for title in titles if title != "ID")
    return "\n".join([*lines, "", "    Total Nodes In Avg:", closing, "====", ""])


def openvino(titles: Sequence[str], rows: Sequence[Row]) -> str:
    return "".join(";".join(row[title] for title in titles) + "\n" for row in rows) + "\n"


def generic(titles: Sequence[str], rows: Sequence[Row]) -> str:
    return "".join(",".join(f'"{row[title]}"' for title in titles) + "\n" for row in rows[:-1])


def exported(titles: Sequence[str], rows: Sequence[Row]) -> str:
    keys = [rows[0][title] for title in titles]
    records = []
    for row in rows[1:-1]:
        values = [json.dumps(row[t]) if t == "name" else row[t] for t in titles]
        records.append("{ " + ", ".join(f'"{k}" : {v}' for k, v in zip(keys, values, strict=True)) + " }")
    return '[\n  { "count" : 1 }\n, ' + "\n, ".join(records) + "\n]\n"


KINDS = {
    "trtexec": Kind("trtexec", ("Time(ms)", "Avg.(ms)", "Time(%)", "Layer"), "Time(ms)", "Layer", True, trtexec),
    "dpu": Kind(
        "dpu", ("ID", "NodeName", "Workload(MOP)", "RunTime(ms)", "Perf(GOPS)"), "RunTime(ms)", "NodeName", True, dpu
    ),
    "openvino": Kind(
        "openvino",
        ("layerName", "execStatus", "layerType", "execType", "realTime (ms)", "cpuTime (ms)"),
        "realTime (ms)",
        "layerName",
        True,
        openvino,
    ),
    "csv": Kind("csv", ("name", "latency_ms", "op_type"), "latency_ms", "name", False, generic),
    "exported": Kind("trtexec", ("name", "timeMs", "averageMs", "percentage"), "timeMs", "name", False, exported),
}


def table(kind: Kind, random: Random) -> tuple[list[Row], list[tuple[str, float]]]:
    """Return the header, rows and last row of a table, and the layers that they tell of."""
    count = random.randint(2, 12)
    layers = [(f"{random.choice(NAMES)}_{i}", random.randint(100, 9999) / 100) for i in range(count)]
    if kind.format == "openvino":
        layers = [(name.replace(";", "."), ms) for name, ms in layers]  # shuffled, a delimiter in a name is a cell
    work = [random.randint(1, 99) for _ in layers]
    fixed = {"execStatus": "EXECUTED", "layerType": "Convolution", "execType": "jit_f32", "op_type": "Conv"}
    rows = [{title: title for title in kind.titles}]
    for i, ((name, ms), mop) in enumerate(zip(layers, work, strict=True), start=1):
        row = {**fixed, kind.name: name, "ID": str(i), "Workload(MOP)": f"{mop}.000", "percentage": "1"}
        rows.append({title: row.get(title, f"{ms:.2f}") for title in kind.titles})
    total = sum(ms for _, ms in layers)
    end = {**dict.fromkeys(fixed, ""), kind.name: "All" if kind.format == "dpu" else "Total", "ID": ""}
    end["Workload(MOP)"] = f"{sum(work)}.000"
    rows.append({title: end.get(title, f"{total:.2f}") for title in kind.titles})
    return rows, layers


def read(kind: Kind, text: str) -> list[tuple[str, float]]:
    profile = FORMATS[kind.format].parse(text, "net")
    return [(layer.name, layer.latency_ms or 0.0) for layer in profile.layers]


def refused(kind: Kind, text: str) -> bool:
    try:
        read(kind, text)
    except ParseError:
        return True
    return False


def close(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    names = [name for name, _ in found] == [name for name, _ in expected]
    return names and [ms for _, ms in found] == pytest.approx([ms for _, ms in expected])


def one_round(kind: Kind, random: Random) -> None:
    """Check one table in all its changed forms."""
    rows, layers = table(kind, random)
    assert close(read(kind, kind.render(kind.titles, rows)), layers)
    swapped = random.sample(kind.titles, len(kind.titles))
    assert close(read(kind, kind.render(swapped, rows)), layers)

    for title in (kind.time, kind.name):
        renamed = [{**rows[0], title: "Something"}, *rows[1:]]
        assert refused(kind, kind.render(swapped, renamed))
        without = [other for other in swapped if other != title]
        assert refused(kind, kind.render(without, rows))
    doubled = random.choice([title for title in kind.titles if title not in (kind.time, kind.name)])
    assert refused(kind, kind.render(swapped, [{**rows[0], doubled: kind.time.replace("timeMs", "name")}, *rows[1:]]))

    in_us = [{**rows[0], kind.time: rows[0][kind.time].replace("ms", "us").replace("Ms", "Us")}, *rows[1:]]
    if kind is KINDS["exported"]:
        assert refused(kind, kind.render(swapped, in_us))  # its keys tell no unit that could be converted
    else:
        assert close(read(kind, kind.render(swapped, in_us)), [(name, ms / 1000) for name, ms in layers])

    i = random.randrange(len(layers))
    cut = [*rows[: i + 1], *rows[i + 2 :]]
    if kind.closes:
        assert refused(kind, kind.render(swapped, cut))
    else:
        assert close(read(kind, kind.render(swapped, cut)), [*layers[:i], *layers[i + 1 :]])
    value = random.choice(["1,234", "nan", "inf", "-1", "", "1.2.3", "0x1", "1_0", "٣"])
    wrong = [*rows[: i + 1], {**rows[i + 1], kind.time: value}, *rows[i + 2 :]]
    assert refused(kind, kind.render(swapped, wrong))


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_table_is_read_right_or_refused(kind):
    for seed in range(40):
        one_round(KINDS[kind], Random(seed))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_changed_tables(kind):
    for seed in range(40, 1040):  # ten tables and more in each round
        one_round(KINDS[kind], Random(seed))


@pytest.mark.parametrize("kind", ["trtexec", "csv", "exported"])
def test_two_tables_in_a_file_are_refused(kind):
    kind = KINDS[kind]
    rows, _ = table(kind, Random(0))
    text = kind.render(kind.titles, rows)
    assert refused(kind, text + text)
