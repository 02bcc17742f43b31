"""What a predictor learns about its own errors on held-out networks, and where its training networks lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from latpred.errors import CardError

SCALES = ("root", "spread")
"""What an error is divided by to give a score: the square root of the prediction, or the net's own spread."""


@dataclass(frozen=True)
class Calibration:
    """The errors of a predictor on networks that it was not trained on, in its own measure of difficulty."""

    scale: str
    """One of `SCALES`."""
    scores: tuple[float, ...]
    """|measured - predicted| / unit of each network, sorted; `unit` is what `scale` says, in the metric's unit or, for
    `root`, in its square root."""

    def __post_init__(self) -> None:
        """Refuse what gives no interval."""
        if self.scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {self.scale!r}")
        if not all(math.isfinite(score) and score >= 0 for score in self.scores):
            raise ValueError("scores must be finite and at least 0")
        if list(self.scores) != sorted(self.scores):
            raise ValueError("scores must be sorted")


@dataclass(frozen=True)
class Domain:
    """Where the networks lie that a predictor knows: distances in the space of their summed features."""

    center: tuple[float, ...]
    """Of the training networks, along each direction."""
    directions: tuple[tuple[float, ...], ...]
    """[directions, features]: each of about one standard deviation of the training networks per unit."""
    reach: float
    """Distance from the center of the farthest training or validation network."""

    def __post_init__(self) -> None:
        """Refuse what measures no distance."""
        if len(self.center) != len(self.directions) or len({len(row) for row in self.directions}) > 1:
            raise ValueError(f"a center of {len(self.center)} needs as many directions, all of one length")
        numbers = [*self.center, *(number for row in self.directions for number in row)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("center and directions must be finite")
        if not (math.isfinite(self.reach) and self.reach > 0):
            raise ValueError(f"reach must be a finite number above 0, got {self.reach}")


def to_json(value: Calibration | Domain | None) -> dict[str, Any] | None:
    """Return the JSON form; None stays None."""
    return None if value is None else asdict(value)


def calibration_from_json(values: Mapping[str, Any] | None, where: str) -> Calibration | None:
    """Read the JSON form; None, and so a card of before there were intervals, stays None.

    Raises:
        CardError: If it is malformed.
    """
    if values is None:
        return None
    try:
        return Calibration(values["scale"], tuple(map(float, values["scores"])))
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(where, f"expected a calibration, got: {error!r}", "Export or fit again") from None


def domain_from_json(values: Mapping[str, Any] | None, where: str) -> Domain | None:
    """Read the JSON form; None, and so a card of before there were domains, stays None.

    Raises:
        CardError: If it is malformed.
    """
    if values is None:
        return None
    try:
        directions = tuple(tuple(map(float, row)) for row in values["directions"])
        return Domain(tuple(map(float, values["center"])), directions, float(values["reach"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CardError(where, f"expected a domain, got: {error!r}", "Export or fit again") from None
