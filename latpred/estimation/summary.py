"""What a fit says in words: value, interval and quality of each network, noise and drift of each session."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from latpred.estimation.joint import JointFit
from latpred.estimation.location import LAW_COUNTS, deviation, medians, noise
from latpred.estimation.runs import Flags, Ints, RunColumns

Quality = Literal["good", "fair", "poor"]

COVERAGE = 0.95
"""Of the intervals: how often they should hold the value that endless runs of the same process would give."""

GOOD, FAIR = 0.02, 0.05
"""Half-widths of the interval, as fractions of the value, up to which an estimate is good, and fair."""

_USED = 0.3
"""Weight from which a run counts as used; below, as outlying: three deviations from what network and drift explain."""


def summarize_networks(fit: JointFit, runs: RunColumns) -> pd.DataFrame:
    """Return one row per network, in the order of their numbers.

    Columns: `estimate`, in the unit of the values; `low` and `high`, the interval; `half_width`, that of the interval
    as a fraction of the estimate, inf where one run alone tells none; `runs`; `used` and `outlying`, how
    many of them agree with the others, and how many count little because they do not; `preempted`, how many lost the
    CPU meanwhile, so that their CPU time stands for them where it is known; `quality`.
    """
    count = len(fit.level)
    number = _count(np.ones(len(runs.value), dtype=bool), runs, count)
    with np.errstate(invalid="ignore"):
        quantile = stdtrit(number - 1 + LAW_COUNTS, (1 + COVERAGE) / 2)
        spread = np.where(np.isnan(fit.error), np.inf, quantile * fit.error)
    spread[number == 0] = np.nan
    half_width = np.expm1(spread)
    return pd.DataFrame(
        {
            "estimate": np.exp(fit.level),
            "low": np.exp(fit.level - spread),
            "high": np.exp(fit.level + spread),
            "half_width": half_width,
            "runs": number,
            "used": _count(fit.weight >= _USED, runs, count),
            "preempted": _count(runs.preempted, runs, count),
            "outlying": _count(fit.weight < _USED, runs, count),
            "quality": [quality_of(width) for width in half_width],
        }
    )


def quality_of(half_width: float) -> Quality:
    """Return the quality of an estimate whose interval is that wide, a fraction; NaN and inf are poor."""
    if half_width <= GOOD:
        return "good"
    return "fair" if half_width <= FAIR else "poor"


def summarize_sessions(fit: JointFit, runs: RunColumns) -> pd.DataFrame:
    """Return one row per session, in the order of their numbers.

    Columns: `runs`; `preempted`, a fraction; `noise_before`, the deviation of its runs from their networks' medians;
    `noise_after`, that from the fit, fractions both, NaN where no network has a second run; `window`, the neighbouring
    runs that its drift is taken from, 0 for none; `level`, how much slower than the quiet machine it was in the
    median, a fraction; `swing`, the range of its drift without the highest and lowest twentieth, a fraction; `group`,
    as in the fit.
    """
    rows, after = [], noise(runs.network, fit.missed)
    for session, window in enumerate(fit.windows):
        own = runs.session == session
        codes, network = np.unique(runs.network[own], return_inverse=True)
        logs = np.log(runs.value[own])
        drift = fit.drift[own]
        low, middle, high = np.quantile(drift, [0.05, 0.5, 0.95])
        rows.append(
            {
                "runs": int(own.sum()),
                "preempted": float(runs.preempted[own].mean()),
                "noise_before": deviation(noise(network, logs - medians(network, logs, len(codes))[network])),
                "noise_after": deviation(after[own]),
                "window": window or 0,
                "level": float(np.expm1(middle)),
                "swing": float(np.expm1(high - low)),
                "group": int(fit.group[session]),
            }
        )
    return pd.DataFrame(rows)


def _count(chosen: Flags, runs: RunColumns, count: int) -> Ints:
    """Return how many of the chosen runs each network has, [networks]."""
    return np.bincount(runs.network[chosen], minlength=count)
