"""The performance counters of OpenVINO's benchmark_app: the time of each node, as CSV or JSON."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from latpred.errors import ParseError
from latpred.formats.base import Layer, Profile
from latpred.formats.json_text import Record, records, required, text_of
from latpred.formats.numbers import json_number, milliseconds, number, shown
from latpred.formats.tables import lines

_TIME = re.compile(r"realTime \((\w+)\)")
_TITLES = ("layerName", "execStatus", "layerType", "execType")
_STATES = ("EXECUTED", "NOT_RUN", "OPTIMIZED_OUT")
_OVERHEAD = frozenset({"Reorder"})
"""Nodes that OpenVINO puts in by itself, to change the layout or precision of a tensor."""
_AGAIN = "Copy the report from the device again"
_BUGGY = (
    "Use -report_type detailed_counters, or leave out -json_stats: the Python tool of OpenVINO 2026.4 writes only the "
    "first node of the averages into JSON"
)


class _Node(NamedTuple):
    name: str
    status: str
    kind: str
    execution: str
    """The implementation, which ends in its precision: `brgconv_avx512_bf16`."""
    latency_ms: float


def parse_counters_csv(text: str, where: str) -> Profile:
    """Read `benchmark_detailed_counters_report.csv`, the one of averages, or `benchmark_sorted_report.csv`.

    Raises:
        ParseError: If a table is cut off, or its rows do not add up to its total.
    """
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    tables = _semicolon_tables(text, where) if delimiter == ";" else [_sorted_table(text, where)]
    if not tables:
        raise ParseError(where, "expected a table with the column realTime (ms), found none", _AGAIN)
    return _profile(tables, where)


def _semicolon_tables(text: str, where: str) -> list[list[_Node]]:
    """Return one table for each infer request; each ends with a row `Total`."""
    tables: list[list[_Node]] = []
    titles: list[str] = []
    nodes: list[_Node] = []
    here = where
    for number_, line in lines(text):
        here = f"{where}, line {number_}"
        if not line.strip(" \t"):
            continue
        if not titles:
            titles, nodes = _titles(line.split(";"), here), []
            continue
        # Names may hold the delimiter, and come first.
        after = len(titles) - titles.index("layerName") - 1
        cells = line.rsplit(";", after)
        cells = [*cells[0].split(";", titles.index("layerName")), *cells[1:]]
        row = _row(titles, cells, here)
        if row["layerName"] == "Total" and not row["execStatus"]:
            _check_total(nodes, _latency(row, here), 3, here)
            tables.append(nodes)
            titles = []
        else:
            nodes.append(_node(row, here))
    if titles:
        raise ParseError(here, "expected the table's last row, Total, found none: the report is cut off", _AGAIN)
    return tables


def _sorted_table(text: str, where: str) -> list[_Node]:
    """Return the table of `-pcsort`, whose header has a line feed in its last title."""
    nodes: list[_Node] = []
    try:
        rows = [row for row in csv.reader(text.replace("\r\n", "\n").split("\n"), strict=True) if row]
    except csv.Error as error:
        raise ParseError(where, f"expected CSV, found {error}", _AGAIN) from None
    titles = _titles([title.strip() for title in rows[0]], where)
    for row in rows[1:]:
        if len(row) == 1 and (total := re.fullmatch(r"Total time: (\S+) milliseconds", row[0])):
            _check_total(nodes, number(total[1], where, "Total time"), 2, where)
            return nodes
        nodes.append(_node(_row(titles, row, where), where))
    raise ParseError(where, "expected 'Total time: X milliseconds' below the table, found none: it is cut off", _AGAIN)


def _titles(titles: list[str], where: str) -> list[str]:
    titles = [title.strip(" \t") for title in titles]
    counts = {title: titles.count(title) for title in _TITLES}
    counts["realTime (ms)"] = sum(_TIME.fullmatch(title) is not None for title in titles)
    for title, count in counts.items():
        if count != 1:
            problem = f"expected the column {title} once, found {shown(';'.join(titles))}"
            raise ParseError(where, problem, "Let benchmark_app write the report, and leave it as it is")
    return titles


def _row(titles: Sequence[str], cells: Sequence[str], where: str) -> dict[str, str]:
    if len(cells) != len(titles):
        raise ParseError(where, f"expected {len(titles)} cells, found {len(cells)}", _AGAIN)
    return dict(zip(titles, cells, strict=True))


def _latency(row: Mapping[str, str], where: str) -> float:
    title = next(title for title in row if _TIME.fullmatch(title))
    unit = _TIME.fullmatch(title)
    return milliseconds(row[title].strip(" \t"), unit[1] if unit else "ms", where, title)


def _node(row: Mapping[str, str], where: str) -> _Node:
    status = _status(row["execStatus"], where)
    return _Node(row["layerName"], status, row["layerType"], row["execType"], _latency(row, where))


def _status(text: str, where: str) -> str:
    """Return the status as the C++ tool writes it; the Python tool writes `Status.` before it."""
    status = text.strip(" \t").removeprefix("Status.")
    if status not in _STATES:
        raise ParseError(where, f"expected a status of {', '.join(_STATES)}, found {shown(text)}", _AGAIN)
    return status


def _check_total(nodes: Sequence[_Node], total_ms: float, decimals: int, where: str) -> None:
    """Refuse a table that lacks rows, or has some twice; times are rounded to 0.001 ms, the total to `decimals`."""
    together = math.fsum(node.latency_ms for node in nodes)
    if abs(together - total_ms) > 0.5 * 10**-decimals + 0.0005 * (len(nodes) + 1):
        problem = f"expected nodes of {total_ms:g} ms together, as the total says, found {together:g} ms"
        raise ParseError(where, problem, f"Rows are missing or doubled. {_AGAIN}")


def parse_counters_json(content: Record, where: str) -> Profile:
    """Read `benchmark_detailed_counters_report.json`, the sorted one, or the averages that the C++ tool writes.

    Raises:
        ParseError: If the nodes do not add up to their total, or the file is the broken one of averages.
    """
    if "detailed_performance" in content:
        requests = records(content["detailed_performance"], where, "detailed_performance")
    else:
        requests = records([content["avg_performance"]], where, "avg_performance")
    tables = []
    for request in requests:
        nodes = [_json_node(node, where) for node in records(required(request, "nodes", where), where, "nodes")]
        total = json_number(required(request, "total_real_time", where), where, "total_real_time")
        if content.get("report_type") == "average" and len(nodes) < 2:
            raise ParseError(where, f"expected the averages of all nodes, found {len(nodes)} node", _BUGGY)
        _check_total(nodes, total, 3, where)
        tables.append(nodes)
    if not tables:
        raise ParseError(where, "expected the counters of at least one infer request, found none", _AGAIN)
    return _profile(tables, where)


def _json_node(node: Record, where: str) -> _Node:
    name = text_of(node, "name", where)
    here = f"{where}, node {name!r}"
    status = _status(text_of(node, "status", here), here)
    latency = json_number(required(node, "real_time", here), here, "real_time")
    return _Node(name, status, text_of(node, "node_type", here), text_of(node, "exec_type", here), latency)


def _profile(tables: Sequence[Sequence[_Node]], where: str) -> Profile:
    """Return the nodes that ran, each with its median over the infer requests."""
    names = [node.name for node in tables[0]]
    for table in tables:
        if [node.name for node in table] != names:
            problem = "expected the same nodes in each infer request, found others"
            raise ParseError(where, problem, "Give each network a file of its own")
    layers = []
    for nodes in zip(*tables, strict=True):
        first = nodes[0]
        if any(node.status == "EXECUTED" for node in nodes):
            overhead = first.kind in _OVERHEAD
            latency = median(node.latency_ms for node in nodes)
            layers.append(Layer(first.name, latency, first.kind, () if overhead else (first.name,), overhead))
    return Profile(
        tool="openvino",
        part="counters",
        unit="ms",
        precision=_precision(tables[0]),
        layers=tuple(layers),
        layer_statistic="median",
        warmup="excluded",
        warnings=("the counters are those of the last run of each infer request",),
    )


def _precision(nodes: Sequence[_Node]) -> str | None:
    """Return the precision in which most of the time was spent: a CPU with bf16 uses it unless told otherwise."""
    times: dict[str, float] = {}
    for node in nodes:
        precision = node.execution.rpartition("_")[2]
        if node.status == "EXECUTED" and re.fullmatch(r"(?:bf|f|i|u)\d+", precision, re.IGNORECASE):
            times[precision.lower()] = times.get(precision.lower(), 0.0) + node.latency_ms
    return max(times, key=lambda precision: times[precision]) if times else None
