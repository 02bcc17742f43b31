"""The drift: what a machine does to all networks alike, from moment to moment."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.ndimage import rank_filter

from latpred.estimation.location import deviation
from latpred.estimation.runs import Floats

WINDOWS = (5, 7, 11, 15, 21, 31, 61, 121)
"""Neighbouring runs that a drift may be taken from, the run itself in the middle."""

_FEW = 31
"""Up to here, one value more or less in a window changes its median noticeably."""

_CHOICE_RUNS = 8_000
"""Runs that a window is chosen on: more tell no more."""


def running_median(values: Floats, window: int | None) -> Floats:
    """Return the median of the `window` values around each one, [n]; of all of them without a window.

    Values that are NaN tell nothing; where a whole window is NaN, the drift is interpolated.
    """
    if window is None:
        return np.full(len(values), np.nanmedian(values) if np.isfinite(values).any() else 0.0)
    series = pd.Series(values).rolling(window, center=True, min_periods=1).median()
    return series.interpolate(limit_direction="both").fillna(0.0).to_numpy()


def median_of_others(values: Floats, window: int | None) -> Floats:
    """Return `running_median` with each value itself left out, [n]: what its neighbours alone say.

    A value pulls the median around it towards itself, so that what is left of it looks smaller than the noise is.
    """
    if window is None or window > _FEW:
        return running_median(values, window)
    places = np.flatnonzero(np.isfinite(values))
    found = np.full(len(values), np.nan)
    if len(places) > window:
        found[places] = _without_middle(values[places], window)
    else:
        found[places] = running_median(values, window)[places]
    return pd.Series(found).interpolate(limit_direction="both").fillna(0.0).to_numpy()


def _without_middle(values: Floats, window: int) -> Floats:
    """Return the median of each window without its middle, [n]: that of an even number of values."""
    half = window // 2
    below, median, above = (rank_filter(values, rank, size=window, mode="mirror") for rank in range(half - 1, half + 2))
    others = np.where(values < median, median + above, np.where(values > median, below + median, below + above))
    return np.asarray(others / 2)


def choose_window(residuals: Floats) -> int | None:
    """Return the window whose drift tells a run from its neighbours, or None where no window does.

    Each run is predicted by the median of the others around it, itself left out: a short window follows fast
    changes, a long one averages more. Of those that predict within one standard error of the best, the longest is
    taken, because a window that follows noise takes it out of the networks' differences too.

    Args:
        residuals: log latency minus the network's, in the order of the runs of one session, [n]; NaN are left out.
    """
    rows = residuals[np.isfinite(residuals)][:_CHOICE_RUNS]
    losses: dict[int | None, Floats] = {None: _bounded(rows - _median(rows), rows)}
    for width in (w for w in WINDOWS if 2 * w <= len(rows)):
        losses[width] = _bounded(rows - _without_middle(rows, width), rows)
    best = min(losses.values(), key=lambda loss: float(loss.mean()) if len(loss) else 0.0)
    for window, loss in sorted(losses.items(), key=lambda item: -(item[0] or np.inf)):
        worse = loss - best
        if len(worse) == 0 or worse.mean() <= worse.std() / np.sqrt(len(worse)):
            return window
    return None


def _median(rows: Floats) -> float:
    return float(np.median(rows)) if len(rows) else 0.0


def _bounded(missed: Floats, rows: Floats) -> Floats:
    """Return absolute errors, each at most three deviations of `rows`: a burst alone is no reason for a window."""
    return np.minimum(np.abs(missed), 3 * deviation(rows - _median(rows)))
