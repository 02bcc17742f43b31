"""What an estimator answers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from latpred.primitive import Primitive


class Answer(NamedTuple):
    """A prediction, and what it stands on."""

    value: float
    """In the card's unit; NaN where a primitive was not measured and none was estimated."""
    unmeasured: tuple[Primitive, ...]
    """Primitives without a measurement."""
    estimated: bool
    """Whether the value uses estimates of unmeasured primitives."""
    distance: float | None = None
    """From the training networks, as a share of the farthest network that the predictor was trained or calibrated on;
    None for a file of before there were distances."""

    @property
    def far(self) -> bool:
        """Whether the architecture lies beyond all networks that the predictor was trained or calibrated on."""
        return self.distance is not None and self.distance > 1

    @property
    def out_of_distribution(self) -> bool:
        """Whether no interval can be relied on: the architecture is far, or has an unmeasured primitive."""
        return self.far or bool(self.unmeasured)


class Interval(NamedTuple):
    """Where a measurement of one architecture will lie."""

    lower: float
    """In the card's unit, at least 0."""
    upper: float
    """In the card's unit."""
    value: float
    """The prediction."""
    coverage: float
    """Share of architectures like the validation networks whose measurement lies inside, at least."""


class Intervals(NamedTuple):
    """Where measurements of many architectures will lie."""

    lower: NDArray[np.float32]
    """[batch], in the card's unit, at least 0."""
    upper: NDArray[np.float32]
    """[batch], in the card's unit."""
    value: NDArray[np.float32]
    """The predictions, [batch]."""
    coverage: float
    """Share of architectures like the validation networks whose measurement lies inside, at least."""
