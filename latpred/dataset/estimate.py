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


def label_noise(measurements: Measurements) -> float:
    """Return the mean noise of the networks that have one, a fraction; NaN if none has."""
    return float(estimates(measurements)["noise"].mean())
