"""Training labels without the machine's drift, and what part of the errors on held-out networks is not the model's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latpred.dataset import LabelledNetworks, Measurements, label_noise
from latpred.errors import ConfigError
from latpred.gaussian.drift import find_drift
from latpred.gaussian.inputs import BlockFacts, count_blocks

_FAR = 100_000
"""Measurements between two sessions: nothing is remembered over so many."""


@dataclass(frozen=True, eq=False)
class CleanLabels:
    """The labels of training networks, as on a machine that does not drift."""

    estimates: pd.Series[float]
    """As `LabelledNetworks.estimates`; those of all but the training networks of one run are as they were."""
    cleaned: int
    """Number of networks whose labels were cleaned."""
    drift: float
    """Standard deviation of the drift, a fraction."""
    noise: float
    """That of a run that neither network nor drift explains, a fraction."""

    def __str__(self) -> str:
        """Return what was done, in words."""
        return (
            f"drift of {100 * self.drift:.2g} % was taken from the labels of {self.cleaned} training networks, by the "
            f"order of measuring; noise of a run {100 * self.noise:.2g} %; labels of held-out networks are as measured"
        )


def clean_labels(labelled: LabelledNetworks, ids: Tensor, facts: BlockFacts, where: str) -> CleanLabels:
    """Take slow drift from the labels of training networks that were run once each, in the order of their runs.

    Networks of several runs keep their labels: those say by themselves what drifted. No held-out network is looked at.

    Args:
        labelled: The networks of a dataset.
        ids: Encodings of its training networks, [networks, slots].
        facts: Of the vocabulary of `ids`.
        where: Path of the dataset, for errors.

    Raises:
        ConfigError: If no training network was run only once.
    """
    codes = np.array(labelled.codes["train"])
    networks = labelled.estimation.networks
    single = networks.loc[codes, "runs"].to_numpy() == 1
    if not single.any():
        raise ConfigError(
            "data.order",
            f"expected networks of one run each, found several of each of the {len(codes)} training networks of "
            f"{where}: their labels are free of drift already, because runs of one network tell it",
            "Leave data.order out",
        )
    runs = labelled.measurements.runs
    place = pd.factorize(runs["session_id"])[0] * _FAR + runs["sequence"].to_numpy()
    order = pd.Series(place, index=runs["network"].to_numpy())[codes[single]]
    latency = torch.tensor(networks.loc[codes[single], "estimate"].to_numpy(dtype=np.float64))
    counts = count_blocks(ids[torch.from_numpy(single)], len(facts.amounts))
    found = find_drift(facts, counts, latency, torch.tensor(order.to_numpy(dtype=np.float64)))
    estimates = labelled.estimates.copy()
    estimates.loc[codes[single]] = (latency / (1 + found.of_label)).numpy()
    return CleanLabels(estimates, int(single.sum()), found.deviation, found.noise)


class ErrorParts(NamedTuple):
    """Root mean squares of what an error is made of, fractions, whose squares add up."""

    error: float
    drift: float
    noise: float
    model: float

    def __str__(self) -> str:
        """Return one line, in per cent."""
        percent = [f"{100 * value:.2g} %" for value in self]
        return f"RMSPE {percent[0]}: drift {percent[1]}, noise of runs {percent[2]}, model {percent[3]}"


def parts_of_error(rmspe: float, measurements: Measurements, clean: CleanLabels | None) -> ErrorParts | None:
    """Return what an error on held-out networks is made of, or None where the labels do not tell.

    The shares of drift and noise are estimates: those of single runs by the regression that cleaned the training
    labels, those of several by what two halves of the runs differ by, where drift is taken out already.

    Args:
        rmspe: Root mean square of the relative errors.
        measurements: The runs behind the labels.
        clean: The labels that were trained on, if drift was taken from them.
    """
    if clean is not None:
        return split_error(rmspe, drift=clean.drift, noise=clean.noise)
    noise = label_noise(measurements) * math.sqrt(math.pi / 2)  # the deviation of normal errors of that mean
    return split_error(rmspe, drift=0.0, noise=noise) if math.isfinite(noise) else None


def split_error(rmspe: float, *, drift: float, noise: float) -> ErrorParts:
    """Return the parts of an error, fractions all; the model has what is left, at least 0."""
    return ErrorParts(rmspe, drift, noise, math.sqrt(max(rmspe**2 - drift**2 - noise**2, 0.0)))
