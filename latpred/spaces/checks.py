"""Checks of a space's parameters: each refusal names the parameter, the allowed values and the value got."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def check_integer(name: str, value: object, *, low: int = 1, odd: bool = False) -> None:
    """Refuse everything but an integer >= `low`, and an even one if `odd`.

    Raises:
        ValueError: Naming the parameter, its range and the value.
    """
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= low and (value % 2 == 1 or not odd)
    if not fits:
        raise ValueError(f"{name} must be an {'odd ' if odd else ''}integer >= {low}, got {value!r}")


def check_integers(name: str, values: Sequence[object], *, odd: bool = False) -> None:
    """Refuse an empty sequence, or one with something else than integers >= 1.

    Raises:
        ValueError: Naming the parameter or its entry, the range and the value.
    """
    if not values:
        raise ValueError(f"{name} must have at least one entry, got none")
    for i, value in enumerate(values):
        check_integer(f"{name}[{i}]", value, odd=odd)


def check_choices(name: str, values: Sequence[object], *, odd: bool = False) -> None:
    """Refuse what `check_integers` refuses, and an entry that stands there twice.

    Raises:
        ValueError: Naming the parameter or its entry, the range and the value.
    """
    check_integers(name, values, odd=odd)
    if len(set(values)) != len(values):
        raise ValueError(f"{name} must have distinct entries, got {list(values)}")


def check_ratios(name: str, values: Sequence[object]) -> None:
    """Refuse an empty sequence, or one with something else than distinct numbers above 0.

    Raises:
        ValueError: Naming the parameter or its entry, the range and the value.
    """
    if not values:
        raise ValueError(f"{name} must have at least one entry, got none")
    for i, value in enumerate(values):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise ValueError(f"{name}[{i}] must be a number above 0, got {value!r}")
    if len(set(values)) != len(values):
        raise ValueError(f"{name} must have distinct entries, got {list(values)}")


def check_name(name: str, value: str, allowed: Collection[str]) -> None:
    """Refuse a value that is not among `allowed`.

    Raises:
        ValueError: Naming the parameter, the allowed names and the one found.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(sorted(allowed))}, got {value!r}")


def check_names(name: str, values: Sequence[str], allowed: Collection[str]) -> None:
    """Refuse an entry that is not among `allowed`.

    Raises:
        ValueError: Naming the entry, the allowed names and the one found.
    """
    for i, value in enumerate(values):
        check_name(f"{name}[{i}]", value, allowed)


def check_length(name: str, values: Sequence[object], length: int, reason: str, *, at_least: bool = False) -> None:
    """Refuse a sequence of another length, so that nothing is cut off where sequences are read side by side.

    Raises:
        ValueError: Naming the parameter, the length with its reason, and the values.
    """
    if len(values) < length or (len(values) > length and not at_least):
        bound = "at least " if at_least else ""
        raise ValueError(f"{name} must have {bound}{length} entries, {reason}, got {len(values)}: {list(values)}")
