"""The estimate: the one value of a network that everything is fitted to and scored on."""

from __future__ import annotations

import pandas as pd

from latpred.dataset.read import Measurements


def estimates(measurements: Measurements) -> pd.DataFrame:
    """Return one row per network: `network_id, assembled, estimate, runs, noise`.

    The estimate is the median of the network's runs, in the metric's unit. The noise is half of the relative
    difference between the medians of its odd and its even rounds, a fraction; NaN where there is no such pair.
    The index is the network's place in `measurements.networks`.
    """
    overall = measurements.runs.groupby("network")["overall"]
    halves = measurements.runs.groupby(["network", measurements.runs["round"] % 2])["overall"].median().unstack()
    halves = halves.reindex(columns=[0, 1])
    difference = (halves[1] - halves[0]).abs() / halves.mean(axis=1)
    index = pd.RangeIndex(len(measurements.networks), name="network")
    return pd.DataFrame(
        {
            "network_id": [network.network_id for network in measurements.networks],
            "assembled": [network.assembled for network in measurements.networks],
            "estimate": overall.median().reindex(index),
            "runs": overall.size().reindex(index, fill_value=0),
            "noise": (difference / 2).reindex(index),
        },
        index=index,
    )


def labels(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network of `runs`: `estimate`, its median run, and `relative_error`, that estimate's own.

    The error is the standard error of a median, 1.2533 deviations over the root of the number of runs, as a fraction
    of the estimate; the deviation comes from the median absolute deviation. NaN for a single run.

    Args:
        runs: With the columns `network` and `overall`.
    """
    overall = runs.groupby("network")["overall"]
    median = overall.median()
    deviation = 1.4826 * (runs["overall"] - runs["network"].map(median)).abs().groupby(runs["network"]).median()
    count = overall.size()
    error = (1.2533 * deviation / count**0.5 / median).where(count > 1)
    return pd.DataFrame({"estimate": median, "relative_error": error})


def label_weights(relative_error: pd.Series[float]) -> pd.Series[float]:
    """Return how much each label counts in training, 1 on average.

    The weight is the inverse variance, with the typical error of all labels added, because no model is exact and an
    error from a few runs is itself uncertain; where no error is known, all count alike.
    """
    typical = relative_error.median()
    if not typical > 0:
        return pd.Series(1.0, index=relative_error.index)
    weight = 1 / (relative_error.fillna(typical) ** 2 + typical**2)
    return weight / weight.mean()


def label_noise(measurements: Measurements) -> float:
    """Return the mean noise of the networks that have one, a fraction; NaN if none has."""
    return float(estimates(measurements)["noise"].mean())
