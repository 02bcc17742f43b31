"""Energies and memories, which no tool's profile has: latpred's CSV with another column, `energy_mj`, `memory_mb`."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from latpred.errors import ParseError
from latpred.formats import Layer, Profile

_WHOLE = "whole"
_UNITS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "energy_mj": MappingProxyType({"energy_j": 1e3, "energy_mj": 1.0, "energy_uj": 1e-3}),
        "memory_mb": MappingProxyType({"memory_mb": 1.0, "memory_kb": 1e-3, "memory_bytes": 1e-6}),
    }
)
"""For each metric, the columns it can stand in, and how much one of their units is; kB and MB are powers of ten."""
_COLUMNS = ("network", "name", "run")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def read_values(path: Path, metric: str) -> tuple[Profile, ...]:
    """Read the values of a metric: one profile for each network and run, in their order.

    Args:
        path: A CSV with the header `[network,]name,energy_mj[,run]`, or `memory_mb`; the row `whole` is the network's.
        metric: `energy_mj` or `memory_mb`; values are in its unit, in the fields that hold ms otherwise.

    Raises:
        ParseError: If it is no such file.
    """
    rows = _rows(path)
    number, titles = rows[0] if rows else (1, [])
    here, units = f"{path}, line {number}", _UNITS[metric]
    columns = [title for title in titles if title in units]
    others = [title for title in titles if title not in units]
    if len(columns) != 1 or "name" not in others or len(set(titles)) != len(titles) or set(others) - set(_COLUMNS):
        problem = f"expected the columns [network,]name,{metric}[,run], found {','.join(titles)[:80]!r}"
        raise ParseError(here, problem, f"Write a CSV with that header, with a unit of {', '.join(units)}")
    found: dict[tuple[str, str], dict[str, float]] = {}
    for number, cells in rows[1:]:
        here = f"{path}, line {number}"
        if len(cells) != len(titles):
            raise ParseError(here, f"expected {len(titles)} cells, found {len(cells)}", "Mend the line")
        row = dict(zip(titles, cells, strict=True))
        value = _value(row[columns[0]].strip(), here, columns[0]) * units[columns[0]]
        of_run = found.setdefault((row.get("network", ""), row.get("run", "")), {})
        if row["name"] in of_run or not row["name"].strip():
            raise ParseError(here, f"expected a new name in its run, found {row['name']!r}", "Tell runs apart by `run`")
        of_run[row["name"]] = value
    if not found:
        raise ParseError(str(path), "expected rows below the header, found none", "Take the whole file")
    return tuple(_profile(network, values, metric, path) for (network, _), values in found.items())


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the number of its line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        return [(number, cells) for number, cells in enumerate(csv.reader(lines, strict=True), 1) if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ParseError(str(path), f"expected CSV, got: {error}", "Check the file") from None


def _value(text: str, where: str, what: str) -> float:
    if len(text) > 40 or not _NUMBER.fullmatch(text) or not 0 < float(text) < 1e300:
        raise ParseError(where, f"expected {what} to be a number > 0, found {text[:40]!r}", "Mend the line")
    return float(text)


def _profile(network: str, values: Mapping[str, float], metric: str, path: Path) -> Profile:
    layers = tuple(Layer(name, value) for name, value in values.items() if name != _WHOLE)
    if layers and metric == "memory_mb":
        problem = f"expected memory of the whole alone, found that of {layers[0].name!r}"
        raise ParseError(str(path), problem, "Leave the blocks out: a peak is no sum")
    return Profile(tool="csv", network=network or None, unit=metric, whole_ms=values.get(_WHOLE), layers=layers, runs=1)
