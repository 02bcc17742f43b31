"""One number from several noisy ones: robust weighted means, and how sure they are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from latpred.estimation.runs import Floats, Ints

_FREEDOM = 4.0
"""Degrees of freedom of Student's t, the noise's law: 4 lets a run in a burst count little and never nothing."""

LAW_COUNTS = 2
"""Values of its own that a group's scatter must have to say as much about its error as all groups' scatter does."""

_LEAST_FOLLOWS = 1 / 3
"""Of the pull. By simulation: intervals of groups that scatter 4 times as much as the others hold 9 times in 10."""

_ITERATIONS = 5


def medians(groups: Ints, values: Floats, count: int) -> Floats:
    """Return the median of the values of each group, [count]; NaN for a group without one."""
    found = pd.Series(values).groupby(groups).median().reindex(range(count))
    return np.asarray(found, dtype=np.float64)


def robust_means(groups: Ints, values: Floats, scales: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return the most likely location of each group under Student's t noise, and the weight of each value.

    Args:
        groups: The group of each value, [n].
        values: [n], finite.
        scales: Scale of the noise of each value, > 0, [n].
        start: Where to begin, [groups]; NaN for a group without values, as in the result.

    Returns:
        The locations, [groups], and weights from 0 to 1, [n]: how much a value counts beside one of the same scale in
        the middle.
    """
    location, count = start, len(start)
    weights = np.ones(len(values))
    for _ in range(_ITERATIONS):
        weights = _FREEDOM / (_FREEDOM + ((values - location[groups]) / scales) ** 2)
        total = np.bincount(groups, weights / scales**2, count)
        with np.errstate(invalid="ignore", divide="ignore"):
            location = np.bincount(groups, weights * values / scales**2, count) / total
    return location, weights


def noise(groups: Ints, missed: Floats) -> Floats:
    """Return the noise of each value, [n]; NaN for the only value of a group.

    Locations follow their values: each of two is missed by 1 / sqrt(2) of its noise only.

    Args:
        groups: The group of each value, [n].
        missed: Value minus location, [n].
    """
    number = np.bincount(groups)[groups] if len(groups) else groups
    return np.where(number > 1, missed * np.sqrt(number / np.maximum(number - 1, 1)), np.nan)


def deviation(residuals: Floats) -> float:
    """Return the deviation of residuals from 0, from their median size, so that bursts do not count.

    NaN are left out; it is NaN where nothing is left.
    """
    known = residuals[np.isfinite(residuals)]
    return 1.4826 * float(np.median(np.abs(known))) if len(known) else np.nan


def standard_errors(groups: Ints, missed: Floats, scales: Floats, weights: Floats, count: int) -> Floats:
    """Return the standard error of each group's location, [count]; NaN for a group of fewer than two values.

    It is the mean of two variances: that of the law of the noise, which knows all groups' noise, and that of the
    group's own values (the sandwich of M-estimation), which knows a group that scatters more than the others and is
    itself unsure while the group is small. So it counts as often as there are values, the law `LAW_COUNTS` times.

    Args:
        groups: The group of each value, [n].
        missed: Value minus location, [n].
        scales: As in `robust_means`, [n].
        weights: From `robust_means`, [n].
        count: Number of groups.
    """
    number = np.bincount(groups, minlength=count).astype(np.float64)
    information = np.bincount(groups, (_FREEDOM + 1) / (_FREEDOM + 3) / scales**2, count)
    pull = weights / scales**2
    # How much a location follows its values: what is far out pulls less the farther it is, so it follows less than it
    # is pulled. The bound keeps a small group finite of which half the values are far out.
    follows = np.maximum(
        np.bincount(groups, pull * (2 * weights - 1), count), _LEAST_FOLLOWS * np.bincount(groups, pull, count)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        by_law = 1 / information
        own = np.bincount(groups, (pull * missed) ** 2, count) / follows**2 * number / (number - 1)
        variance = (LAW_COUNTS * by_law + number * own) / (LAW_COUNTS + number)
    return np.where(number > 1, np.sqrt(variance), np.nan)
