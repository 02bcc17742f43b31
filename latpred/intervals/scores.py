"""From errors on held-out networks to a calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latpred.calibration import Calibration
from latpred.intervals.conformal import rank

LEAST = 1e-12
"""What predictions and spreads count as, at least, where units are made of them: a line may predict less than 0."""

_COVERAGES = (0.7, 0.8, 0.85, 0.9, 0.95)
_WORSE = 1.05


def calibrate(
    predicted: NDArray[np.float64], target: NDArray[np.float64], spread: NDArray[np.float64] | None = None
) -> Calibration:
    """Return the sorted scores of a predictor on networks that it was not trained on.

    A score is |target - predicted| / unit. Without a spread, the unit is the square root of the prediction: between an
    error that is the same for all networks and one in proportion to them. It needs no choice by these networks, which
    would cost coverage (choosing the best of three units by 180 networks: 0.5 %), and over the devices of HELP it was
    never more than 10 % wider than the better of the two.

    A net's own spread is taken unless `root` is clearly narrower: choices that stand on noise cost coverage.

    Args:
        predicted: [networks], in the unit of `target`.
        target: Measured values, [networks].
        spread: The net's own standard deviations, [networks], positive, if it has them.

    Raises:
        ValueError: If a prediction is no finite number, or a spread none above 0.
    """
    units = {"root": np.sqrt(np.maximum(predicted, LEAST))} | ({} if spread is None else {"spread": spread})
    for name, unit in units.items():
        if not (np.isfinite(unit).all() and (unit > 0).all()):
            raise ValueError(f"the units of '{name}' must be finite and above 0, the least is {unit.min():g}")
    error = np.abs(target - predicted)
    scores = {name: np.sort(error / unit) for name, unit in units.items()}
    widths = {name: _log_width(scores[name], unit) for name, unit in units.items()}
    scale = "spread" if "spread" in widths and widths["spread"] <= widths["root"] + np.log(_WORSE) else "root"
    return Calibration(scale, tuple(scores[scale].tolist()))


def _log_width(scores: NDArray[np.float64], unit: NDArray[np.float64]) -> float:
    """Return the mean logarithm of the mean width at several coverages: less noisy than at one."""
    places = [rank(len(scores), coverage) for coverage in _COVERAGES]
    bounds = scores[[min(place, len(scores)) - 1 for place in places]]
    return float(np.log(np.maximum(bounds * unit.mean(), np.finfo(np.float64).tiny)).mean())
