"""Numbers as tools print them: a point for the decimals, no sign, and a unit that is known."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

from latpred.errors import ParseError

UNITS_MS: Mapping[str, float] = MappingProxyType({"s": 1e3, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6})
"""How many ms one of each unit is."""

_PLAIN = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LOCALIZED = re.compile(r"[\d.]*,[\d.,]*", re.ASCII)
_SHOWN = 60
"""Characters of a tool's text that an error repeats."""


def shown(text: str) -> str:
    """Return `text` as an error shows it: in quotes, on one line, not too long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def number(text: str, where: str, what: str) -> float:
    """Read a number >= 0, such as `1.5` or `1e-05`.

    Args:
        text: What stands there, without blanks around it.
        where: The file and line, for the error.
        what: What it should be, for the error.

    Raises:
        ParseError: If it is none: NaN, infinite, negative, or with a comma, whose meaning nobody can know.
    """
    if len(text) < 1000 and _PLAIN.fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value
    remedy = "Look at what the tool printed, and measure again if it is no measurement"
    if _LOCALIZED.fullmatch(text):
        remedy = "Run the tool with LC_ALL=C, so that it writes a decimal point"
    raise ParseError(where, f"expected {what} to be a number >= 0, found {shown(text)}", remedy)


def json_number(value: object, where: str, what: str) -> float:
    """Read a number >= 0 that a JSON file gives as a number or as text.

    Raises:
        ParseError: As `number`, and for values that are no number at all.
    """
    if isinstance(value, str):
        return number(value, where, what)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e300:
        return float(value)
    found = shown(str(value)) if isinstance(value, int | float) else f"a {type(value).__name__}"
    problem = f"expected {what} to be a number >= 0, found {found}"
    raise ParseError(where, problem, "Look at what the tool wrote, and measure again if it is no measurement")


def milliseconds(text: str, unit: str, where: str, what: str) -> float:
    """Read a latency that stands beside its unit, and return it in ms.

    Raises:
        ParseError: As `number`, and for a unit that is none of `UNITS_MS`.
    """
    return number(text, where, what) * unit_ms(unit, where, what)


def unit_ms(unit: str, where: str, what: str) -> float:
    """Return how many ms one `unit` is.

    Raises:
        ParseError: If the unit is unknown.
    """
    if unit not in UNITS_MS:
        problem = f"expected {what} in s, ms, us or ns, found {shown(unit)}"
        raise ParseError(where, problem, "Let the tool print times, not counts")
    return UNITS_MS[unit]


def positive(value: float, where: str, what: str) -> float:
    """Return `value` if it is > 0: no network takes no time.

    Raises:
        ParseError: If it is 0.
    """
    if value > 0:
        return value
    raise ParseError(where, f"expected {what} > 0, found {value:g}", "Measure again, with more runs or a finer clock")


def in_order(values: Sequence[tuple[str, float]], where: str) -> None:
    """Check that statistics of the same runs, named, are each as large as the one before.

    Raises:
        ParseError: Naming the two that are not.
    """
    for (low, below), (high, above) in pairwise(values):
        if below > above * (1 + 1e-6):
            problem = f"expected {low} <= {high}, found {below:g} and {above:g}"
            raise ParseError(where, problem, "The file contradicts itself; take it from the device again")
