"""What blocks cost, and how sure that is, by a process that has seen whole networks only."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latpred.gaussian.inputs import count_blocks
from latpred.gaussian.kernels import PARTS, TOTAL_LENGTHS, mix
from latpred.gaussian.posterior import Posterior


class BlockCosts(NamedTuple):
    """Cost of each entry of the vocabulary, in the unit of the latencies; tokens cost 0."""

    mean: Tensor
    """[vocabulary]."""
    deviation: Tensor
    """Standard deviation of what a block costs more than what it is compared with; NaN if with nothing, [vocabulary].
    """


def block_costs(posterior: Posterior, ids: Tensor) -> BlockCosts:
    """Return what each block costs in the average training network.

    Whole networks tell exchanges only. In a place that some networks leave empty, a block is compared with nothing; in
    one that is always taken, with the average block that stands there, and these average blocks share equally what is
    left of the latency: so the costs of the average network's blocks add up to its latency. A block that no network
    has is compared with the average of all places.

    Args:
        posterior: Of the training networks.
        ids: Their encodings, [n, slots].
    """
    kernel, average = posterior.kernel, posterior.networks.counts.mean(0)
    real = kernel.facts.amounts.any(1)
    shares = _slots(ids, len(average)) * real
    taken = shares.sum(1)
    always = taken > 1 - 1e-9
    where = torch.where(average > 0, shares / average.clamp(min=1e-12), (taken / taken.sum())[:, None]).T
    step = torch.eye(len(average), dtype=torch.float64) - where @ (shares * always[:, None])
    before, after = kernel.networks(average[None]), kernel.networks(average + step)
    usual, changed = posterior.mean(before), posterior.mean(after)
    more = (changed - usual) * real
    rest = (usual - average @ more) / always.sum().clamp(min=1)
    prior = ((step @ kernel.between(posterior.variances)) * step).sum(1) + _of_totals(posterior, step, average)
    covered = mix(kernel.gram(after, posterior.networks) - kernel.gram(before, posterior.networks), posterior.variances)
    variance = (prior - ((covered @ posterior.precision) * covered).sum(1)).clamp(min=0)
    unit = posterior.scale.spread * (changed if posterior.scale.logarithm else torch.ones_like(changed))
    compared = step.abs().amax(1) > 1e-9
    deviation = torch.where(compared, unit * variance.sqrt(), torch.nan)
    return BlockCosts(more + rest * (where @ always.double()) * real, torch.where(real, deviation, 0.0))


def _slots(ids: Tensor, size: int) -> Tensor:
    """Return in which share of the networks each slot has each entry of the vocabulary, [slots, vocabulary]."""
    return count_blocks(ids.T, size) / len(ids)


def _of_totals(posterior: Posterior, step: Tensor, average: Tensor) -> Tensor:
    """Return the prior variance that totals give to steps from the average network, [steps].

    Args:
        posterior: Has the variances.
        step: Changes of how often each block occurs, [steps, vocabulary].
        average: How often each does, [vocabulary].
    """
    kernel = posterior.kernel
    part = dict(zip(PARTS, posterior.variances / kernel.scale, strict=True))
    moved = kernel.networks(average + step).totals - kernel.networks(average[None]).totals
    apart = moved.square().sum(1)
    found = part["totals"] * apart
    for name, length in TOTAL_LENGTHS.items():
        found = found - 2 * part[name] * torch.expm1(-apart / (2 * length**2 * max(moved.shape[1], 1)))
    return found
