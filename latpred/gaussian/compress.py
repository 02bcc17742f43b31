"""A posterior as a net needs it: sums of look-ups, and a few networks that stand for all of training."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latpred.gaussian.inputs import LEAST_TOTAL
from latpred.gaussian.kernels import PARTS, TOTAL_LENGTHS, AdditiveKernel, Networks, mix
from latpred.gaussian.posterior import Posterior
from latpred.gaussian.variances import cholesky

_RANK = 256
"""Most columns of the factor of the covariance between blocks; what they leave counts for equal blocks only."""
_RIDGE = 1e-8


class Places(NamedTuple):
    """Standardized totals as sums over blocks, turned so that they are as few as they can be.

    A network's place has, first, the standardized logarithms of some sums, and then other sums less `shift`. Distances
    and products between places are those between the kernel's standardized totals.
    """

    sums: Tensor
    """What each block adds, [vocabulary, places]."""
    least: Tensor
    """Least sum of those of which the logarithm is taken, [logarithms]; their mean logarithm is 0."""
    gain: Tensor
    """By which those logarithms are multiplied, [logarithms]."""
    shift: Tensor
    """What is taken from the other sums, [places - logarithms]."""

    def of(self, counts: Tensor) -> Tensor:
        """Return the places of networks with `counts` [networks, vocabulary] of each block, [networks, places]."""
        sums, logarithms = counts @ self.sums, len(self.gain)
        logs = torch.maximum(sums[:, :logarithms], self.least).log() * self.gain
        return torch.cat([logs, sums[:, logarithms:] - self.shift], 1)


class SmallProcess(NamedTuple):
    """Mean and variance of a Gaussian process, in the units of its `Scale`, as sums of look-ups.

    The mean is exact but for the parts over totals, which are projected to the centers. The variance is that of the
    fully independent training conditional (Quinonero-Candela and Rasmussen 2005), whose training networks are the
    centers. Both are exact where all training networks are centers, but for the rank of `block_root`.
    """

    places: Places
    cost: Tensor
    """What each block adds to the mean, [vocabulary]."""
    slope: Tensor
    """What each coordinate of a network's place adds to it, [places]."""
    offset: Tensor
    """[]."""
    centers: Tensor
    """Places of the centers, [centers, places]."""
    center_weights: Tensor
    """What likeness to each center adds to the mean, near and far, [2, centers]."""
    rates: Tensor
    """Likeness is exp(-rate * squared distance), near and far, [2]."""
    block_covariance: Tensor
    """Of each block with the centers' blocks, [vocabulary, centers]."""
    block_root: Tensor
    """Rows whose products are the covariances of different blocks, [vocabulary, rank]."""
    block_variance: Tensor
    """What the variance of a block has beyond the square of its row, [vocabulary]."""
    variances: Tensor
    """Of constant, totals, near and far, [4]."""
    explained_root: Tensor
    """The covariance with the centers times this has the explained variance as its square, [centers, centers]."""


def compress(posterior: Posterior, most_centers: int = 256) -> SmallProcess:
    """Return the posterior by at most that many of its training networks."""
    kernel, networks = posterior.kernel, posterior.networks
    part = dict(zip(PARTS, posterior.variances / kernel.scale, strict=True))
    blocks = kernel.between(posterior.variances)
    _, root = _pivoted(blocks - part["counts"] * torch.eye(len(blocks), dtype=torch.float64), min(_RANK, len(blocks)))
    variance = (blocks.diagonal() - root.square().sum(1)).clamp(min=0)
    # For the variance, covariances of blocks are these throughout: explained and prior variance must be of one process.
    near = root @ root.T + torch.diag(variance)
    full = mix(kernel.gram(networks, networks), posterior.variances)
    full = full + networks.counts @ (near - blocks) @ networks.counts.T
    chosen = _representatives(full, most_centers)
    places = _places(kernel)
    training = places.of(networks.counts)
    rates = torch.tensor([1 / (2 * length**2) for length in TOTAL_LENGTHS.values()], dtype=torch.float64)
    rates = rates / max(networks.totals.shape[1], 1)
    return SmallProcess(
        places=places,
        cost=blocks @ (networks.counts.T @ posterior.weights),
        slope=part["totals"] * (training.T @ posterior.weights),
        offset=part["constant"] * posterior.weights.sum(),
        centers=training[chosen],
        center_weights=_center_weights(networks, chosen, rates, [part[n] * posterior.weights for n in TOTAL_LENGTHS]),
        rates=rates,
        block_covariance=near @ networks.counts[chosen].T,
        block_root=root,
        block_variance=variance,
        variances=torch.stack([part[name] for name in ("constant", "totals", *TOTAL_LENGTHS)]),
        explained_root=_explained(full, chosen, posterior),
    )


def _places(kernel: AdditiveKernel) -> Places:
    """Return the totals of a kernel as sums that are independent of each other."""
    logged = kernel.facts.logged & kernel.totals_kept
    others = ~kernel.facts.logged & kernel.totals_kept
    unit = kernel.totals_mean[logged].exp()  # sums of about 1 have exact logarithms
    plain = kernel.facts.amounts[:, others] / kernel.totals_deviation[others]
    _, sizes, axes = torch.linalg.svd(plain, full_matrices=False)
    axes = axes[sizes > 1e-10 * sizes.max()] if len(sizes) else axes
    mean = kernel.totals_mean[others] / kernel.totals_deviation[others]
    return Places(
        sums=torch.cat([kernel.facts.amounts[:, logged] / unit, plain @ axes.T], 1),
        least=LEAST_TOTAL / unit,
        gain=1 / kernel.totals_deviation[logged],
        shift=axes @ mean,
    )


def _representatives(covariance: Tensor, most: int) -> Tensor:
    """Return the places of the networks that the others tell least about; all if they are no more than `most`."""
    count = len(covariance)
    return torch.arange(count) if count <= most else _pivoted(covariance, most)[0]


def _pivoted(covariance: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return the pivots and the columns of a pivoted Cholesky decomposition of `covariance`, [n, n].

    Each pivot is the row that those before it tell least about; the columns C, [n, most], have C C^T <= covariance.
    """
    left = covariance.diagonal().clone()
    columns = torch.zeros(len(covariance), most, dtype=torch.float64)
    chosen: list[int] = []
    for step in range(most):
        pivot = int(left.argmax())
        chosen.append(pivot)
        if left[pivot] > 0:
            column = covariance[:, pivot] - columns[:, :step] @ columns[pivot, :step]
            columns[:, step] = column / left[pivot].sqrt()
        left = (left - columns[:, step].square()).clamp(min=0)
        left[chosen] = -1.0  # never again, even if nothing is left of the others
    return torch.tensor(chosen), columns


def _center_weights(networks: Networks, chosen: Tensor, rates: Tensor, weights: list[Tensor]) -> Tensor:
    """Return the weights of the centers whose sums are closest to those of all networks, [2, centers].

    Args:
        networks: Of training.
        chosen: Places of the centers among them.
        rates: As in `SmallProcess`.
        weights: Of the networks, near and far, [n] each.
    """
    apart = torch.cdist(networks.totals[chosen], networks.totals).square()
    found = []
    for rate, weight in zip(rates, weights, strict=True):
        likeness = torch.exp(-rate * apart)
        between = likeness[:, chosen] + _RIDGE * torch.eye(len(chosen), dtype=torch.float64)
        found.append(torch.cholesky_solve((likeness @ weight)[:, None], cholesky(between))[:, 0])
    return torch.stack(found)


def _explained(full: Tensor, chosen: Tensor, posterior: Posterior) -> Tensor:
    """Return L such that |L^T k|^2 is the variance that the training networks explain at covariance k with the centers.

    That is k^T (K^-1 - (K + A)^-1) k, where K is the centers' covariance and A their evidence about the networks.
    """
    between = full[chosen][:, chosen] + _RIDGE * full.diagonal().mean() * torch.eye(len(chosen), dtype=torch.float64)
    factor = cholesky(between)
    # In coordinates in which the centers' covariance is 1: k = factor u, evidence E = U U^T / noise, and the variance
    # explained is u^T (1 - (1 + E)^-1) u.
    whitened = torch.linalg.solve_triangular(factor, full[chosen], upper=False)
    evidence = (whitened / posterior.noise_variances) @ whitened.T
    values, vectors = torch.linalg.eigh(evidence)
    shares = (values.clamp(min=0) / (1 + values.clamp(min=0))).sqrt()
    return torch.linalg.solve_triangular(factor.T, vectors * shares, upper=True)
