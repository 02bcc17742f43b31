"""Slow drift of the machine, told from networks that were measured once, one after the other."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from latpred.gaussian.inputs import BlockFacts
from latpred.gaussian.kernels import AdditiveKernel
from latpred.gaussian.process import fit

STRETCH = 1000
"""Most networks that are regressed at once: drift is remembered over some hundred measurements, and time grows with
the third power."""


class Drift(NamedTuple):
    """What the machine did to labels."""

    of_label: Tensor
    """By which factor it was slower than usual at each network, less 1, [n]."""
    deviation: float
    """Standard deviation of the drift at a time of which nothing is known, a fraction."""
    noise: float
    """That of what neither the network nor the drift explains, a fraction."""


def find_drift(facts: BlockFacts, counts: Tensor, latency: Tensor, order: Tensor) -> Drift:
    """Tell drift from networks by regression on both, in stretches of time.

    Args:
        facts: Of the vocabulary.
        counts: How often each block occurs, [n, vocabulary].
        latency: One run of each network, positive, [n].
        order: When each was measured, in measurements, [n].
    """
    found = torch.zeros_like(latency)
    drifts, noises = [], []
    for rows in order.argsort().tensor_split(math.ceil(len(order) / STRETCH)):
        kernel = AdditiveKernel(facts, counts[rows])
        posterior = fit(kernel, counts[rows], latency[rows], torch.ones_like(latency[rows]), order=order[rows])
        found[rows] = posterior.drift
        drifts.append(posterior.relative(posterior.drift_variance))
        # Networks far off have a larger variance: the mean over all is what errors of others will show.
        unit = (
            torch.ones_like(latency[rows])
            if posterior.scale.logarithm
            else (latency[rows] / posterior.scale.centre).square()
        )
        noises.append(posterior.relative(float((posterior.noise_variances / unit).mean())))
    return Drift(found, _typical(drifts), _typical(noises))


def _typical(deviations: list[float]) -> float:
    """Return the deviation whose square is the mean of the squares."""
    return math.sqrt(sum(value**2 for value in deviations) / len(deviations))
