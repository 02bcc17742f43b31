"""Vitis AI's `vaitrace --txt`: one row for each subgraph of the compiled model, in ms.

The columns changed twice (facts from its source, `vaitrace/writer`, of three versions):

    DPU | Batch | SubGraph | Workload(GOP) | RunTime(ms) | Perf(GOP/s) | Mem(MB) | MB/s                    1.3, 1.4
    DPU Id | Bat | DPU SubGraph | WL | RT or SW_RT | Perf | LdWB | LdFM | StFM | AvgBw                     2.0, cloud
    DPU Id | Bat | DPU SubGraph | WL | SW_RT | HW_RT | Effic | LdWB | LdFM | StFM | AvgBw                  2.5 to 3.5

HW_RT is of the device's own counter, SW_RT of the host's clock. A cell `~0` lies between 0 and 0.001. Long names are
cut, in older versions at their end, in newer ones at their beginning.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from latpred.errors import ParseError
from latpred.formats.base import Format, Layer, Profile
from latpred.formats.numbers import number, positive, shown, unit_ms
from latpred.formats.tables import Line, lines

_AGAIN = "Run vaitrace --txt again and keep all that it prints"
_HEADER = re.compile(r"^DPU(?: Id)? *\| *Bat(?:ch)? *\|", re.MULTILINE)
_INNER_RULE = re.compile(r"-+(?:\+-+)+$")
_OUTER_RULE = re.compile(r"={5,}$")
_TITLE = re.compile(r"(?P<name>[^()]+)(?:\((?P<unit>[^()]+)\))?$")
_NOTE = re.compile(r"(?P<column>SW_RT|HW_RT|RT) *\(.*unit is (?P<unit>\w+)")
_TIMES = ("hw_rt", "sw_rt", "rt")
"""The columns that may hold a subgraph's time, best first."""
_OLD_NAMES = {"dpu": "dpu id", "batch": "bat", "subgraph": "dpu subgraph", "runtime": "rt"}
_CUT = "..."
_NEAR_0 = "~0"
_ERROR = re.compile(r"(?:(?:ERROR|CRITICAL):\w+:|\w*(?:Error|Exception): )(?P<words>.*\S)")
_REPEATED = 5  # error lines


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: Mapping[str, str]
    """By the column's name, in lower case and without its unit."""


@dataclass(frozen=True, slots=True)
class _Table:
    line: int
    """Of its header."""
    columns: tuple[str, ...]
    units: Mapping[str, str]
    """Of the columns whose titles tell one."""
    rows: tuple[_Row, ...]


class Vaitrace(Format):
    """Reads the text summary of `vaitrace`."""

    name = "vaitrace"

    def recognizes(self, head: str) -> float:
        """Return how sure it is that `head` is of `vaitrace`."""
        if _HEADER.search(head):
            return 1.0
        if "DPU Summary:" in head and "|" in head:
            return 0.9
        return 0.6 if "vaitrace" in head and ":root:" in head else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read the time of each subgraph, on the DPU and on the CPU."""
        all_lines = lines(text)
        tables = list(_tables(all_lines, where))
        dpu = [table for table in tables if "dpu id" in table.columns]
        errors = [match["words"].strip() for line in all_lines if (match := _ERROR.match(line.text))]
        if not dpu and errors:
            return Profile(tool=self.name, unit="ms", failed="; ".join(errors[:_REPEATED]))
        if len(dpu) != 1:
            problem = f"expected one table 'DPU Summary', found {len(dpu)}"
            raise ParseError(where, problem, "Keep one file for each run of vaitrace --txt, all of it")
        noted = {note["column"].lower(): note["unit"] for line in all_lines if (note := _NOTE.match(line.text))}
        layers, warnings = _dpu_layers(dpu[0], noted, where)
        for table in tables:
            if "cpu subgraph" in table.columns:
                layers += _cpu_layers(table, where)
            elif "function" in table.columns:
                warnings.append(f"left out functions on the CPU that are not in the graph: {len(table.rows)}")
        single = len(layers) == 1
        if not single:
            warnings.append("vaitrace gives no latency of the whole, only of its subgraphs")
        return Profile(
            tool=self.name,
            device=" + ".join(sorted({row.cells["dpu id"] for row in dpu[0].rows})),
            batch=_batch(dpu[0]),
            unit="ms",
            whole_ms=layers[0].latency_ms if single else None,
            statistic="mean" if single else None,
            layers=tuple(layers),
            layer_statistic="mean",
            warnings=tuple(warnings),
        )


def _tables(all_lines: Sequence[Line], where: str) -> Iterator[_Table]:
    """Yield every table: a header, a rule of dashes, rows, and a rule of equals signs that closes it."""
    before: Line | None = None
    rest = iter(all_lines)
    for line in rest:
        if _INNER_RULE.match(line.text.strip()) and before is not None:
            yield _read_table(before, rest, where)
        before = line


def _read_table(header: Line, rest: Iterator[Line], where: str) -> _Table:
    titles = [_TITLE.match(cell) for cell in _cells(header.text)]
    names = [title["name"].strip().lower() if title else "" for title in titles]
    columns = tuple(_OLD_NAMES.get(name, name) for name in names)
    if "" in columns or len(set(columns)) < len(columns):
        problem = f"expected the titles of columns, each once, found {shown(header.text)}"
        raise ParseError(f"{where}, line {header.number}", problem, _AGAIN)
    units = {name: title["unit"] for name, title in zip(columns, titles, strict=True) if title and title["unit"]}
    rows: list[_Row] = []
    for line in rest:
        if _OUTER_RULE.match(line.text.strip()):
            return _Table(header.number, columns, units, tuple(rows))
        cells = _cells(line.text)
        if len(cells) != len(columns):
            problem = f"expected {len(columns)} cells ({', '.join(columns)}), found {shown(line.text.strip())}"
            raise ParseError(f"{where}, line {line.number}", problem, _AGAIN)
        rows.append(_Row(line.number, dict(zip(columns, cells, strict=True))))
    problem = "expected a rule '=====' that closes the table, found the end of the file: it is cut off"
    raise ParseError(f"{where}, line {header.number}", problem, _AGAIN)


def _cells(text: str) -> list[str]:
    return [cell.strip() for cell in text.split("|")]


def _dpu_layers(table: _Table, noted: Mapping[str, str], where: str) -> tuple[list[Layer], list[str]]:
    """Return a layer for each subgraph, with its mean over the cores of the DPU, and what a reader should know.

    Args:
        table: The table `DPU Summary`.
        noted: Units of columns by the notes below it.
        where: The file's name.
    """
    candidates = [column for column in _TIMES if column in table.columns]
    if not candidates or "dpu subgraph" not in table.columns or not table.rows:
        found = f"{len(table.rows)} rows of {', '.join(table.columns)}"
        problem = f"expected rows with 'DPU SubGraph' and one of {', '.join(_TIMES).upper()}, found {found}"
        raise ParseError(f"{where}, line {table.line}", problem, _AGAIN)
    column = _best_column(table, candidates)
    unit = table.units.get(column) or noted.get(column, "ms")
    factor = unit_ms(unit, f"{where}, line {table.line}", column.upper())
    warnings = [] if column == candidates[0] else [f"{candidates[0].upper()} was not measured: took {column.upper()}"]
    values = _by_subgraph(table, column, where)
    positive(sum(map(sum, values.values())), f"{where}, line {table.line}", f"the sum of {column.upper()}")
    warnings += _remarks(table, column)
    return [Layer(name, fmean(times) * factor, "DPU") for (name, _), times in values.items()], warnings


def _by_subgraph(table: _Table, column: str, where: str) -> dict[tuple[str, int], list[float]]:
    """Return the times of each subgraph, one for each core of the DPU, by its name and a number.

    A cut name may stand for several subgraphs, so that the same one again on the same core is another.
    """
    seen: dict[tuple[str, str], int] = defaultdict(int)
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in table.rows:
        core, name = row.cells["dpu id"], row.cells["dpu subgraph"]
        place = f"{where}, line {row.line}"
        if not name or (seen[core, name] and _CUT not in name):
            problem = f"expected each subgraph once for {core}, found {shown(name)} again"
            raise ParseError(place, problem, "Keep one file for each run of vaitrace --txt")
        values[name, seen[core, name]].append(_time(row.cells[column], place, column))
        seen[core, name] += 1
    cores = {row.cells["dpu id"] for row in table.rows}
    for (name, _), times in values.items():
        if len(times) != len(cores):
            problem = f"expected {shown(name)} on each of {len(cores)} cores, found it on {len(times)}"
            raise ParseError(f"{where}, line {table.line}", problem, "Rows may be missing; run vaitrace on one network")
    return values


def _best_column(table: _Table, candidates: Sequence[str]) -> str:
    """Return the first of `candidates` that says something: the hardware's counter is absent on some boards."""
    for column in candidates:
        if any(re.search("[1-9]", row.cells[column]) for row in table.rows):
            return column
    return candidates[0]


def _time(cell: str, where: str, what: str) -> float:
    return 0.0 if cell == _NEAR_0 else number(cell, where, what.upper())


def _remarks(table: _Table, column: str) -> Iterator[str]:
    cores = sorted({row.cells["dpu id"] for row in table.rows})
    if len(cores) > 1:
        yield f"ran on {len(cores)} cores ({', '.join(cores)}): took the mean of each subgraph over them"
    if any(row.cells[column] == _NEAR_0 for row in table.rows):
        yield f"took 0 for {column.upper()} of ~0, which is under 0.001"
    if any(_CUT in row.cells["dpu subgraph"] for row in table.rows):
        yield "vaitrace has cut names of subgraphs"


def _cpu_layers(table: _Table, where: str) -> list[Layer]:
    if "averageruntime" not in table.columns:
        problem = f"expected the column AverageRunTime, found {', '.join(table.columns)}"
        raise ParseError(f"{where}, line {table.line}", problem, _AGAIN)
    factor = unit_ms(table.units.get("averageruntime", "ms"), f"{where}, line {table.line}", "AverageRunTime")
    return [
        Layer(
            row.cells["cpu subgraph"],
            _time(row.cells["averageruntime"], f"{where}, line {row.line}", "AverageRunTime") * factor,
            row.cells.get("ops", ""),
        )
        for row in table.rows
    ]


def _batch(table: _Table) -> int | None:
    batches = {row.cells.get("bat", "") for row in table.rows}
    batch = batches.pop()
    return int(batch) if not batches and re.fullmatch("[1-9][0-9]{0,5}", batch) else None
