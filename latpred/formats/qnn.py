"""Qualcomm QNN's profile as CSV, from ONNX Runtime's QNN provider or from `qnn-profile-viewer --output`.

    Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier
    0,EXECUTE,3100,US,BACKEND,ROOT,QNN (execute) time
    0,NODE,6000,CYCLES,BACKEND,SUB-EVENT,Conv2d:OpId_1 (cycles)

Facts from the provider's source and from public logs: each execution adds a group of rows to the file; identifiers are
not quoted and may hold commas; the viewer puts lines about itself before the header and says EXECUTE where ONNX Runtime
says NODE; newer providers add `ONNX Source Ops`, joined by `;`. On HTP the values of nodes are cycles, for which
Qualcomm gives no conversion: their times are derived, as shares of the accelerator's.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from latpred.errors import ParseError
from latpred.formats.base import Format, Layer, Profile
from latpred.formats.numbers import number, positive, shown, unit_ms
from latpred.formats.snpe import check_sum, check_unit, is_transfer, model_node, shares_ms
from latpred.formats.tables import Line, lines

_AGAIN = "Profile one graph again into a new file, because a run adds to the file that is there"
_IDENTIFIER = "event identifier"
_NEEDED = ("message", "time", "unit of measurement", "event level", _IDENTIFIER)
_SOURCES = "onnx source ops"
_ONLY_PART = ("QNN accelerator (execute) time", "Accelerator (execute) time")
_WHOLE = ("QNN (execute) time", "NULL", "Graph", *_ONLY_PART)
"""What the time of one execution is called, best first; `Graph` is with input and output."""
_ACCELERATOR = _ONLY_PART[::-1]
_CYCLES = "Accelerator (execute) time (cycles)"
_NO_TIME = ("COUNT", "BYTES", "OBJECT", "BACKEND")  # units
_FAR = 0.1  # relative
_VERSION = re.compile(r"version\b\D{0,20}(?P<version>\d+(?:\.\d+)+)", re.ASCII | re.IGNORECASE)


class _Event(NamedTuple):
    """A row of the file."""

    line: int
    message: str
    value: str
    unit: str
    level: str
    identifier: str
    sources: tuple[str, ...]

    @property
    def is_node(self) -> bool:
        """Whether it is of a node of the graph."""
        inside = self.message == "EXECUTE" and self.level == "SUB-EVENT" and "OpId_" in self.identifier
        return (self.message == "NODE" or inside) and self.unit not in _NO_TIME

    @property
    def total(self) -> str:
        """What it is called in `_WHOLE`, if it is there."""
        if self.identifier != "NULL" and not self.identifier.startswith("Graph "):
            return self.identifier
        return self.identifier.split(" ")[0] if (self.message, self.level) == ("EXECUTE", "ROOT") else ""


class Qnn(Format):
    """Reads the CSV of QNN's profile."""

    name = "qnn"

    def recognizes(self, head: str) -> float:
        """Return how sure it is that `head` is a profile of QNN."""
        return 1.0 if "Event Identifier" in head and "Unit of Measurement" in head else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read every execution of the graph, and the nodes in it."""
        all_lines = lines(text)
        events = _events(all_lines, where)
        totals, nodes = _totals(events, where), _nodes(events)
        name = next((name for name in _WHOLE if name in totals), None)
        if name is None and not nodes:
            problem = f"expected events of executions, found {len(events)} others"
            raise ParseError(where, problem, "Run the network while it is profiled, not only its compilation")
        runs_ms = totals[name] if name else ()
        layers, warnings = _layers(nodes, totals, len(runs_ms), where)
        whole_ms = positive(median(runs_ms), where, str(name)) if runs_ms else None
        check_sum(layers, whole_ms, where)
        if name in _ONLY_PART:
            warnings.append(f"the latency of the whole is '{name}', without what the host adds")
        if not nodes:
            warnings.append("no times of nodes: profile at the level 'detailed'")
        if not text.endswith("\n"):
            warnings.append("the file's last line has no end: rows may be missing")
        versions = [match["version"] for line in all_lines[:20] if (match := _VERSION.search(line.text))]
        return Profile(
            tool=self.name,
            tool_version=versions[0] if versions else None,
            unit="us, cycles" if any(event.unit == "CYCLES" for event in events) else "us",
            whole_ms=whole_ms,
            statistic="median" if runs_ms else None,
            runs_ms=runs_ms,
            runs=len(runs_ms) or None,
            warmup="included",
            layers=tuple(layers),
            layer_statistic="median" if layers else None,
            warnings=tuple(warnings),
        )


def _events(all_lines: Sequence[Line], where: str) -> list[_Event]:
    """Read the rows below each header; what stands before the first one is of the viewer about itself."""
    columns: list[str] | None = None
    events = []
    for line, text in all_lines:
        place = f"{where}, line {line}"
        cells = _cells(text, place)
        names = [cell.lower() for cell in cells]
        if _IDENTIFIER in names:
            if any(names.count(name) != 1 for name in _NEEDED):
                problem = f"expected the columns {', '.join(_NEEDED)}, each once, found {shown(text)}"
                raise ParseError(place, problem, _AGAIN)
            columns = names
        elif columns is None and len(cells) > len(_NEEDED):
            raise ParseError(place, f"expected the header before the rows, found {shown(text)}", _AGAIN)
        elif columns is not None and text.strip():
            events.append(_event(cells, columns, line, place))
    if columns is None:
        raise ParseError(where, "expected a header with 'Event Identifier', found none", _AGAIN)
    return events


def _cells(text: str, where: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True), [])]
    except csv.Error as error:
        raise ParseError(where, f"expected a row of a CSV file, found {error}", _AGAIN) from None


def _event(cells: list[str], columns: list[str], line: int, where: str) -> _Event:
    at, extra = columns.index(_IDENTIFIER), len(cells) - len(columns)
    if extra > 0:  # commas in the identifier
        cells = [*cells[:at], ",".join(cells[at : at + extra + 1]), *cells[at + extra + 1 :]]
    values = dict(zip(columns, cells, strict=False))
    if extra < 0 or not re.fullmatch("[A-Za-z/]+", values["unit of measurement"]) or not values[_IDENTIFIER]:
        problem = f"expected {len(columns)} cells with a unit such as US and a name, found {shown(','.join(cells))}"
        raise ParseError(where, problem, _AGAIN)
    sources = tuple(source for source in values.get(_SOURCES, "").split(";") if source)
    message, value, unit, level, identifier = (values[name] for name in _NEEDED)
    return _Event(line, message, value, unit.upper(), level, identifier, sources)


def _totals(events: Sequence[_Event], where: str) -> dict[str, tuple[float, ...]]:
    """Return what each execution took, ms, and its cycles, by what they are called in `_WHOLE` and `_CYCLES`."""
    totals: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if not event.is_node and event.total in (*_WHOLE, _CYCLES):
            totals[event.total].append(_value(event, where))
            if event.total != _CYCLES:
                unit_ms(event.unit.lower(), f"{where}, line {event.line}", event.identifier)
    if len({len(values) for values in totals.values()}) > 1:
        found = ", ".join(f"{len(values)} of '{name}'" for name, values in totals.items())
        problem = f"expected each time of the whole once in every execution, found {found}"
        raise ParseError(where, problem, f"The file may be cut off. {_AGAIN}")
    return {name: tuple(values) for name, values in totals.items()}


def _value(event: _Event, where: str) -> float:
    """Return a number of cycles, or a time in ms."""
    where = f"{where}, line {event.line}"
    value = number(event.value, where, event.identifier)
    check_unit(event.identifier, event.unit, where)
    return value if event.unit == "CYCLES" else value * unit_ms(event.unit.lower(), where, event.identifier)


def _nodes(events: Sequence[_Event]) -> dict[str, list[_Event]]:
    nodes: dict[str, list[_Event]] = defaultdict(list)
    for event in events:
        if event.is_node:
            nodes[event.identifier].append(event)
    return nodes


def _layers(
    nodes: Mapping[str, Sequence[_Event]], totals: Mapping[str, Sequence[float]], runs: int, where: str
) -> tuple[list[Layer], list[str]]:
    """Return a layer for each node, with the median of its times, and what a reader should know."""
    runs = runs or max(map(len, nodes.values()), default=0)
    for name, events in nodes.items():
        if len(events) != runs or len({event.unit for event in events}) > 1:
            found = f"found {len(events)} rows in {', '.join(sorted({event.unit for event in events}))}"
            problem = f"expected {shown(name)} once in each of {runs} executions, in one unit, {found}"
            raise ParseError(f"{where}, line {events[-1].line}", problem, f"The file may be cut off. {_AGAIN}")
    times = {name: [_value(event, where) for event in events] for name, events in nodes.items()}
    counted = [name for name, events in nodes.items() if events[0].unit == "CYCLES"]
    accelerator = next((name for name in _ACCELERATOR if name in totals), None)
    derived: dict[str, list[float | None]] = defaultdict(list)
    for run in range(runs):
        total_ms = totals[accelerator][run] if accelerator else None
        for name, share in zip(counted, shares_ms([times[n][run] for n in counted], total_ms), strict=True):
            derived[name].append(share)
    layers = []
    for name, events in nodes.items():
        values = derived[name] if name in derived else times[name]
        known = [value for value in values if value is not None]
        sources = events[0].sources or (model_node(name),)
        layers.append(
            Layer(
                name,
                median(known) if len(known) == runs else None,
                nodes=sources,
                overhead=is_transfer(name),
                derived=name in derived and len(known) == runs,
            )
        )
    return layers, _remarks(counted, times, totals, accelerator)


def _remarks(
    counted: Sequence[str],
    times: Mapping[str, Sequence[float]],
    totals: Mapping[str, Sequence[float]],
    accelerator: str | None,
) -> list[str]:
    """Say how times of nodes that have cycles were found."""
    if not counted:
        return []
    if accelerator is None:
        return [f"{len(counted)} nodes have cycles and no time, and there is no time of the accelerator to share"]
    remarks = [f"times of {len(counted)} nodes were derived: '{accelerator}' by shares of their cycles"]
    total, inside = sum(totals.get(_CYCLES, ())), sum(sum(times[name]) for name in counted)
    if total and abs(inside - total) > _FAR * total:
        remarks.append(
            f"the nodes' cycles are {inside / total:.0%} of the accelerator's: what is missing was shared out"
        )
    return remarks
