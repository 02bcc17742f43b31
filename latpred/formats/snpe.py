"""Qualcomm SNPE's `snpe-diagview` on its text output, 1.x to 2.37 (facts from public logs of 2.9 and 2.37).

    Average SNPE Statistics:                       SNPE Execute Statistics (Averaged):
    Total Inference Time: 26458 us                   Total Inference Time: 1328 us
    Accelerator Time: 603 us                         Accelerator Time: 59 us
    Layer Times:                                     Per-Layer Execution Times:
    0: 1419 us : CPU                                   0: b0/conv:OpId_18 (cycles) : 1252 cycles : DSP

Older versions name no layers: their numbers count the layers of `snpe-dlc-info`. On DSP and HTP layers have cycles, for
which Qualcomm gives no conversion: their times are derived, as shares of the accelerator's. A value that was not
measured has no unit, or NONE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from latpred.errors import ParseError
from latpred.formats.base import Format, Layer, Profile
from latpred.formats.numbers import number, positive, shown, unit_ms
from latpred.formats.tables import Line, lines

_AGAIN = "Run snpe-diagview again and keep all that it prints"
_STATISTICS = re.compile(r"\s*(?:Average SNPE Statistics|SNPE Execute Statistics \(Averaged\)):\s*$")
_LAYERS = re.compile(r"\s*(?:Layer Times|Per-Layer Execution Times):\s*$")
_SUBNET = re.compile(r"\s*Subnet \d+ \((?P<runtime>[^()]*)\) :", re.ASCII)
_TOTAL = re.compile(r"\s*(?P<name>[A-Z][\w .()/-]*): (?P<value>\S+)(?: (?P<unit>\S+))?\s*$")
_ROW = re.compile(
    r"\s*(?P<index>[0-9]{1,6}): (?:(?P<name>.*\S) : )?(?P<value>\S+)(?: (?P<unit>\S+))? : (?P<runtime>\w+)\s*$"
)
_RULE = re.compile(r"\s*-{3,}\s*$")
_VERSION = re.compile(r"Software library version: (?P<version>\S+)")
_ERROR = re.compile(r"\s*(?:\[?(?:ERROR|FATAL)\]?\b|[Ee]rror[:_ ]|Unable to |Failed to |Cannot ).*")
_WHOLE = "Total Inference Time"
_ACCELERATOR = ("Accelerator Time", "Snpe Accelerator Time")
_OP_ID = re.compile(r":OpId_[0-9]+")
_TRANSFER = re.compile(r"(?:Input|Output) OpId_[0-9]+")
_CYCLES = " (cycles)"
_TOO_LARGE = 2.0  # times the whole: layers run one after another, so that units must be mixed
_NONE = ("", "NONE")
_REPEATED = 5  # error lines


def model_node(name: str) -> str:
    """Return the node of the model that an operation of QNN or SNPE came from: its name without number and unit."""
    return _OP_ID.sub("", name.removesuffix(_CYCLES))


def is_transfer(name: str) -> bool:
    """Return whether an operation of QNN or SNPE copies the network's inputs or outputs."""
    return _TRANSFER.match(name) is not None


def shares_ms(cycles: Sequence[float], total_ms: float | None) -> list[float | None]:
    """Return the time of each operation, ms, that took `cycles` of the accelerator's time; None if nothing tells."""
    total = sum(cycles)
    if not total_ms or not total:
        return [None] * len(cycles)
    return [value / total * total_ms for value in cycles]


def check_unit(name: str, unit: str, where: str) -> None:
    """Refuse an operation that says that it is in cycles, and has another unit."""
    if name.endswith(_CYCLES) and unit.lower() != "cycles":
        raise ParseError(where, f"expected {shown(name)} in cycles, found {shown(unit)}", _AGAIN)


def check_sum(layers: Sequence[Layer], whole_ms: float | None, where: str) -> None:
    """Refuse layers that take far more time than the whole."""
    total = sum(layer.latency_ms or 0.0 for layer in layers)
    if whole_ms is not None and total > _TOO_LARGE * whole_ms:
        problem = f"expected layers that take no more than the whole, {whole_ms:g} ms, found {total:g} ms"
        raise ParseError(where, problem, "Units may be mixed: look at the file, and profile again")


class _Row(NamedTuple):
    """One row of the layers."""

    line: int
    name: str
    value: float
    unit: str
    runtime: str


class Snpe(Format):
    """Reads the text of `snpe-diagview`."""

    name = "snpe"

    def recognizes(self, head: str) -> float:
        """Return how sure it is that `head` is of `snpe-diagview`."""
        if "SNPE" in head and ("Average SNPE Statistics:" in head or "SNPE Execute Statistics" in head):
            return 1.0
        if "Software library version: " in head:
            return 0.9 if any(word in head for word in ("Time Scale: ", "SNPE", "error_code=")) else 0.5
        return 0.6 if "snpe-diagview" in head or "SNPEDiag" in head else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read the mean latency, and the mean time of each layer."""
        all_lines = lines(text)
        sections = [line.number for line in all_lines if _STATISTICS.match(line.text)]
        errors = [line.text.strip() for line in all_lines if _ERROR.match(line.text)]
        if not sections and errors:
            return Profile(tool=self.name, unit="us", failed="; ".join(errors[:_REPEATED]))
        versions = [match["version"] for line in all_lines if (match := _VERSION.match(line.text.strip()))]
        if len(sections) != 1 or len(versions) > 1:
            found = f"{len(sections)}, of versions {', '.join(versions) or 'unknown'}"
            problem = f"expected the statistics of one log ('Average SNPE Statistics'), found {found}"
            raise ParseError(where, problem, "Keep one file for each call of snpe-diagview, all of it")
        body = all_lines[sections[0] :]
        totals = _totals(body, where)
        rows = list(_rows(body, where))
        layers, warnings = _layers(rows, totals)
        whole_ms = positive(totals[_WHOLE], where, _WHOLE)
        check_sum(layers, whole_ms, where)
        if errors:
            warnings.append(f"the log also says: {'; '.join(errors[:_REPEATED])}")
        runtimes = [row.runtime for row in rows]
        runtimes += [match["runtime"] for line in body if (match := _SUBNET.match(line.text))]
        return Profile(
            tool=self.name,
            tool_version=versions[0] if versions else None,
            device=" + ".join(dict.fromkeys(runtimes)) or None,
            unit="us, cycles" if any(row.unit == "cycles" for row in rows) else "us",
            whole_ms=whole_ms,
            statistic="mean",
            layers=tuple(layers),
            layer_statistic="mean" if layers else None,
            warnings=tuple(warnings),
        )


def _totals(body: Sequence[Line], where: str) -> dict[str, float]:
    """Return the times of the whole, ms, that have a unit of time, by their names."""
    totals: dict[str, float] = {}
    for line, text in body:
        match = _TOTAL.match(text)
        if match is None or match["name"] not in (_WHOLE, *_ACCELERATOR):
            continue
        place, unit = f"{where}, line {line}", match["unit"] or ""
        if match["name"] in totals:
            problem = f"expected '{match['name']}' once, found it again"
            raise ParseError(place, problem, "Keep one file for each call of snpe-diagview")
        value = number(match["value"], place, match["name"])
        if match["name"] == _WHOLE or unit not in (*_NONE, "cycles"):
            totals[match["name"]] = value * unit_ms(unit, place, match["name"])
    if _WHOLE not in totals:
        problem = f"expected the line '{_WHOLE}: ... us', found none: it is cut off"
        raise ParseError(where, problem, _AGAIN)
    return totals


def _rows(body: Sequence[Line], where: str) -> Iterator[_Row]:
    """Yield the rows of the layers, which are numbered from 0, up to a blank line."""
    inside, index = False, 0
    for line, text in body:
        if not inside or not text.strip():
            inside = _LAYERS.match(text) is not None
            continue
        if _RULE.match(text):
            continue
        place = f"{where}, line {line}"
        match = _ROW.match(text)
        if match is None or int(match["index"]) != index:
            problem = (
                f"expected the row of layer {index}, such as '{index}: conv : 23 us : CPU', found {shown(text.strip())}"
            )
            raise ParseError(place, problem, _AGAIN)
        value, unit = number(match["value"], place, f"the time of layer {index}"), match["unit"] or ""
        if unit not in (*_NONE, "cycles"):
            check_unit(match["name"] or "", unit, place)
            value, unit = value * unit_ms(unit, place, f"the time of layer {index}"), "ms"
        yield _Row(line, match["name"] or "", value, unit, match["runtime"])
        index += 1


def _layers(rows: Sequence[_Row], totals: dict[str, float]) -> tuple[list[Layer], list[str]]:
    """Return a layer for each row, and what a reader should know."""
    accelerator = next((name for name in _ACCELERATOR if totals.get(name)), None)
    counted = [i for i, row in enumerate(rows) if row.unit == "cycles"]
    times: dict[int, float | None] = {i: row.value if row.unit == "ms" else None for i, row in enumerate(rows)}
    total_ms = totals[accelerator] if accelerator else None
    times.update(zip(counted, shares_ms([rows[i].value for i in counted], total_ms), strict=True))
    layers = [
        Layer(
            row.name or str(i),
            times[i],
            nodes=(model_node(row.name),) if row.name else (),
            overhead=is_transfer(row.name),
            derived=row.unit == "cycles" and times[i] is not None,
        )
        for i, row in enumerate(rows)
    ]
    return layers, list(_remarks(layers, rows, accelerator))


def _remarks(layers: Sequence[Layer], rows: Sequence[_Row], accelerator: str | None) -> Iterator[str]:
    derived = sum(layer.derived for layer in layers)
    unknown = sum(layer.latency_ms is None for layer in layers)
    if derived:
        yield f"times of {derived} layers were derived: '{accelerator}' by shares of their cycles"
    if unknown:
        yield f"layers without a time: {unknown}, not measured, or in cycles with no time of the accelerator to share"
    if any(not row.name for row in rows):
        yield "this version numbers its layers: their names are in `snpe-dlc-info`, in the same order"
    if not rows:
        yield "no times of layers: run snpe-net-run with --profiling_level detailed"
