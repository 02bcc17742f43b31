"""What trtexec says about the whole network: averages while it runs, and a summary when it is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from latpred.errors import ParseError
from latpred.formats.numbers import in_order, milliseconds, number, positive, shown

_AVERAGE = re.compile(r"Average on (\d+) runs - GPU latency: (\S+)(?: (\w+))?")
_AVERAGE_6 = re.compile(r"GPU compute time average over (\d+) runs is (\S+)(?: (\w+))?")
_LINE = "GPU Compute Time: "
"""TensorRT 8 and later have all statistics on this line."""
_TITLE = "GPU Compute"
"""TensorRT 6 and 7 have this title, and one statistic on each line below; so do other times before it."""
_ON_LINE = re.compile(r"(min|max|mean|median|percentile\([\d.]+%\)) = ([^ ,]+)(?: (\w+))?(?:, |$)")
_BELOW = re.compile(r"(min|max|mean|median|percentile): (\S+)(?: (\w+))?(?: .*)?")


class _Line(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def text(self) -> str: ...


def read_averages(lines: Sequence[_Line], where: str) -> list[tuple[int, float]]:
    """Return the averages, ms, each with the number of runs it is over.

    Raises:
        ParseError: If they are not all over as many runs, or not all as one version prints them.
    """
    found: list[tuple[int, float]] = []
    kinds: set[tuple[str, bool]] = set()
    for line in lines:
        if not line.text.startswith(("Average on ", "GPU compute time average over ")):
            continue
        here = f"{where}, line {line.number}"
        match = _AVERAGE.match(line.text) or _AVERAGE_6.match(line.text)
        if match is None or not match[3] or len(match[1]) > 9 or int(match[1]) == 0:
            problem = f"expected 'Average on N runs - GPU latency: X ms', found {shown(line.text)}"
            raise ParseError(here, problem, "The line may be cut off; take the whole log from the device")
        kinds.add((match[1], match.re is _AVERAGE))
        if len(kinds) > 1:
            problem = f"expected averages as in the lines before, found {shown(line.text)}"
            raise ParseError(here, problem, "Give each run of trtexec a file of its own")
        found.append((int(match[1]), positive(milliseconds(match[2], match[3], here, "GPU latency"), here, "latency")))
    return found


def read_summary(lines: Sequence[_Line], where: str) -> float | None:
    """Return the summary's median GPU compute time, ms; None if the log has no summary.

    Raises:
        ParseError: If there are several, or one contradicts itself.
    """
    found = []
    for i, line in enumerate(lines):
        here = f"{where}, line {line.number}"
        if line.text.startswith(_LINE) and " = " in line.text:
            found.append((here, _on_line(line.text.removeprefix(_LINE), here)))
        elif line.text == _TITLE:
            found.append((here, _below(lines[i + 1 :], where)))
    if len(found) > 1:
        problem = f"expected one summary of GPU compute time, found another after {found[0][0]}"
        raise ParseError(found[1][0], problem, "Give each run of trtexec a file of its own")
    return _median(found[0][1], found[0][0]) if found else None


def _on_line(text: str, where: str) -> dict[str, float]:
    statistics: dict[str, float] = {}
    end = 0
    for match in _ON_LINE.finditer(text):
        if match.start() != end:
            break
        _add(statistics, match, where)
        end = match.end()
    if end != len(text):
        problem = f"expected 'min = X ms, ..., median = X ms, ...', found {shown(text[end:])}"
        raise ParseError(where, problem, "The line may be cut off; take the whole log from the device")
    return statistics


def _below(lines: Sequence[_Line], where: str) -> dict[str, float]:
    statistics: dict[str, float] = {}
    for line in lines:
        match = _BELOW.fullmatch(line.text)
        if match is None:
            break
        _add(statistics, match, f"{where}, line {line.number}")
    return statistics


def _add(statistics: dict[str, float], match: re.Match[str], where: str) -> None:
    name, value, unit = match.groups()
    if name in statistics:
        raise ParseError(where, f"expected {name} once, found it twice", "Give each run of trtexec a file of its own")
    if not unit:
        number(value, where, f"GPU compute {name}")
        problem = f"expected a unit behind {name}, found none"
        raise ParseError(where, problem, "The line may be cut off; take the whole log from the device")
    statistics[name] = milliseconds(value, unit, where, f"GPU compute {name}")


def _median(statistics: dict[str, float], where: str) -> float:
    if "median" not in statistics:
        problem = f"expected a median of GPU compute time, found {', '.join(statistics) or 'nothing'}"
        raise ParseError(where, problem, "The log may be cut off; take all of it from the device")
    for name in ("mean", "median"):
        in_order([(key, statistics[key]) for key in ("min", name, "max") if key in statistics], where)
    return positive(statistics["median"], where, "GPU compute median")
