"""The table of layers that trtexec prints with `--dumpProfile`; up to TensorRT 8.5 the names come first, then last."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from latpred.errors import ParseError
from latpred.formats.base import Layer
from latpred.formats.numbers import milliseconds, number, shown
from latpred.formats.tables import Header, missing, read_header
from latpred.formats.trtexec_names import is_overhead, name_nodes

_TITLE = re.compile(r"=== Profile \((\d+) iterations ?\) ===")
_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "mean": r"Avg\. ?(?:Time )?\((?P<mean_unit>\w+)\)",
        "median": r"Median ?(?:Time )?\((?P<median_unit>\w+)\)",
        "total": r"Time ?\((?P<total_unit>\w+)\)",
        "share": r"Time ?(?:%|\(%\))",
        "name": r"Layer\b",
    }
)
_AGAIN = "Take the whole log from the device"


class _Line(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def text(self) -> str: ...


def find_table(lines: Sequence[_Line], where: str) -> int | None:
    """Return at which of the lines the table's title is, None if there is none.

    Raises:
        ParseError: If there are several.
    """
    found = [i for i, line in enumerate(lines) if line.text.startswith("=== Profile (")]
    if len(found) > 1:
        problem = f"expected one profile, found another in line {lines[found[1]].number}"
        raise ParseError(where, problem, "Give each run of trtexec a file of its own")
    return found[0] if found else None


def read_table(lines: Sequence[_Line], where: str) -> tuple[tuple[Layer, ...], str]:
    """Read the table whose title is the first of the lines.

    Returns:
        The layers, and the statistic that their latencies are.

    Raises:
        ParseError: If it is cut off, or its rows do not add up to its total.
    """
    title = _TITLE.fullmatch(lines[0].text)
    here = f"{where}, line {lines[0].number}"
    count = number(title[1], here, "iterations") if title else 0
    if count == 0:
        raise ParseError(here, f"expected '=== Profile (N iterations ) ===', found {shown(lines[0].text)}", _AGAIN)
    header = _header(lines[1:2], here)
    layers: list[Layer] = []
    times: list[float] = []
    for line in lines[2:]:
        here = f"{where}, line {line.number}"
        if not line.text.strip(" \t") or line.text.startswith("&&&&"):
            break
        cells = header.cells(line.text, here)
        for column in ("mean", "share"):  # a cell that is missing would move the others
            number(cells.get(column, "0"), here, f"the {column}")
        total = milliseconds(cells["total"], header.units["total"], here, "Time")
        if cells["name"] == "Total":
            _check_total(times, total, here)
            return tuple(layers), "median" if "median" in header.columns else "mean"
        # Over the iterations rather than the average as printed: TensorRT 7 rounds that to 0.01 ms.
        latency = total / count
        if "median" in header.columns:
            latency = milliseconds(cells["median"], header.units["median"], here, "Median")
        name = cells["name"]
        layers.append(Layer(name, latency, nodes=name_nodes(name), overhead=is_overhead(name)))
        times.append(total)
    raise ParseError(here, "expected the table's last row, Total, found none: the log is cut off", _AGAIN)


def _header(lines: Sequence[_Line], where: str) -> Header:
    """Read the header, the line below the title at `where`."""
    if not lines:
        raise ParseError(where, "expected the table's header, found the end of the log: it is cut off", _AGAIN)
    header = read_header(lines[0].text, _COLUMNS, f"{where}, header")
    if "total" not in header.columns:
        raise missing(header, "Time (ms)", f"{where}, header")
    return header


def _check_total(times: Sequence[float], total: float, where: str) -> None:
    """Refuse a table that lacks rows, or has some twice; each time is rounded to 0.01 ms."""
    if abs(math.fsum(times) - total) > 0.005 * (len(times) + 1) + 1e-5 * total:
        problem = f"expected rows of {total:g} ms together, as the row Total says, found {math.fsum(times):g} ms"
        raise ParseError(where, problem, "Rows are missing or doubled; take the whole log from the device")
