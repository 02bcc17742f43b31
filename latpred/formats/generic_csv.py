"""latpred's own CSV, for tools whose files no other format reads: `[network,]name,latency_ms[,op_type][,run]`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import ClassVar, NamedTuple

from latpred.errors import ParseError
from latpred.formats.base import Format, Layer, Profile
from latpred.formats.numbers import milliseconds, positive, shown, unit_ms

WHOLE = "whole"
"""The name of the row that holds the latency of the whole network."""

_TIME = re.compile(r"latency_(\w+)")
_COLUMNS = ("network", "name", "latency_ms", "op_type", "run")
_FORM = "Write the header [network,]name,latency_ms[,op_type][,run], with commas and decimal points"


class _Row(NamedTuple):
    network: str
    name: str
    latency_ms: float
    kind: str
    run: str
    where: str


class GenericCsv(Format):
    """Reads layers' latencies of one network or, with a column `network`, of several.

    The row named `whole` is the whole network's. Several runs need a column `run`; the latency of a layer and of the
    whole is the median over the runs. Names that hold commas stand in double quotes.
    """

    name: ClassVar[str] = "csv"

    def recognizes(self, head: str) -> float:
        """Return 0.9 for a header with a name and a latency; another tool's own signature would be surer."""
        titles = [title.strip().strip('"') for title in head.lstrip("\r\n").partition("\n")[0].split(",")]
        return 0.9 if "name" in titles and any(_TIME.fullmatch(title) for title in titles) else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read a whole file of one network."""
        profiles = self.parse_networks(text, where)
        if len(profiles) > 1:
            names = ", ".join(str(profile.network) for profile in profiles[:3])
            problem = f"expected one network, found {len(profiles)}: {shown(names)}"
            raise ParseError(where, problem, "Parse it together with its PROF_DIR, or give each a file of its own")
        return profiles[0]

    def parse_networks(self, text: str, where: str) -> tuple[Profile, ...]:
        """Read a whole file."""
        unit, rows = _read(text, where)
        by_network: dict[str, list[_Row]] = {}
        for row in rows:
            by_network.setdefault(row.network, []).append(row)
        if not by_network:
            raise ParseError(where, "expected rows below the header, found none", "Take the whole file from the device")
        return tuple(_profile(network, of_it, unit) for network, of_it in by_network.items())


def _read(text: str, where: str) -> tuple[str, Iterator[_Row]]:
    """Return the unit and the rows."""
    reader = csv.reader((line.rstrip("\r") for line in text.split("\n")), strict=True)
    rows = _numbered(reader, where)
    number, titles = next(rows, (1, [""]))
    here = f"{where}, line {number}"
    titles = [title.strip() for title in titles]
    times = [match for title in titles if (match := _TIME.fullmatch(title))]
    known = [title for title in titles if title in _COLUMNS or _TIME.fullmatch(title)]
    if len(times) != 1 or titles.count("name") != 1 or len(set(known)) != len(titles):
        problem = "expected the columns name and latency_ms, and of network, op_type, run each at most once, found "
        raise ParseError(here, problem + shown(",".join(titles)), _FORM)
    unit = times[0][1]
    unit_ms(unit, here, "latency")
    return unit, (_row(titles, cells, unit, f"{where}, line {number}") for number, cells in rows)


def _numbered(reader: Iterator[list[str]], where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of its last line."""
    number = 1
    try:
        for cells in reader:
            number = getattr(reader, "line_num", number)
            if cells and cells != [""]:
                yield number, cells
    except csv.Error as error:
        raise ParseError(f"{where}, line {number + 1}", f"expected CSV, found {error}", _FORM) from None


def _row(titles: Sequence[str], cells: Sequence[str], unit: str, where: str) -> _Row:
    if len(cells) != len(titles):
        raise ParseError(where, f"expected {len(titles)} cells ({', '.join(titles)}), found {len(cells)}", _FORM)
    row: Mapping[str, str] = dict(zip(titles, cells, strict=True))
    title = f"latency_{unit}"
    latency_ms = milliseconds(row[title].strip(), unit, where, title)
    if not row["name"].strip() or not row.get("network", "-").strip():
        raise ParseError(where, "expected a name, found none", f"Call the whole network's row '{WHOLE}'")
    return _Row(row.get("network", ""), row["name"], latency_ms, row.get("op_type", ""), row.get("run", ""), where)


def _profile(network: str, rows: Sequence[_Row], unit: str) -> Profile:
    by_name: dict[str, dict[str, _Row]] = {}
    runs = list(dict.fromkeys(row.run for row in rows))
    for row in rows:
        of_it = by_name.setdefault(row.name, {})
        if row.run in of_it:
            problem = f"expected {shown(row.name)} once in each run, found it twice"
            raise ParseError(row.where, problem, "Tell the runs apart in a column 'run', and the layers by their names")
        of_it[row.run] = row
    for name, of_it in by_name.items():
        if absent := [run for run in runs if run not in of_it]:
            problem = f"expected {shown(name)} in each run, found none in run {shown(absent[0])}"
            raise ParseError(rows[-1].where, problem, "Add what is missing, or leave the run out")
    whole = by_name.pop(WHOLE, {})
    runs_ms = tuple(positive(row.latency_ms, row.where, "the whole's latency") for row in whole.values())
    layers = tuple(_layer(name, list(of_it.values())) for name, of_it in by_name.items())
    return Profile(
        tool=GenericCsv.name,
        network=network or None,
        unit=unit,
        whole_ms=median(runs_ms) if runs_ms else None,
        statistic="median" if runs_ms else None,
        runs_ms=runs_ms,
        runs=len(runs),
        layers=layers,
        layer_statistic="median" if layers else None,
    )


def _layer(name: str, rows: Sequence[_Row]) -> Layer:
    if len(kinds := {row.kind for row in rows}) > 1:
        problem = f"expected one op_type of {shown(name)}, found {', '.join(sorted(kinds))}"
        raise ParseError(rows[-1].where, problem, "Give layers of different types different names")
    return Layer(name, median(row.latency_ms for row in rows), rows[0].kind, nodes=(name,))
