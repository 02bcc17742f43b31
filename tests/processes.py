"""Small processes for tests: networks of `tiny_space`, with made-up latencies."""

from __future__ import annotations

import numpy as np
import torch
from measured import network_latency_ms, tiny_space
from torch import Tensor

from latpred.gaussian import AdditiveKernel, BlockFacts, Networks, Posterior, SmallProcess, count_blocks, fit, mix
from latpred.genprof import sampled

SPACE = tiny_space()
FACTS = BlockFacts.of(SPACE, SPACE.vocabulary())


def some_networks(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids [count, slots], counts [count, vocabulary] and latencies without noise, ms, [count]."""
    networks = sampled(SPACE, count, seed)
    ids = torch.tensor([network.encoding for network in networks])
    latency = torch.tensor([network_latency_ms(network) for network in networks], dtype=torch.float64)
    return ids, count_blocks(ids, len(SPACE.vocabulary())), latency


def noisy(latency: Tensor, deviation: float, seed: int = 0) -> Tensor:
    """Return latencies with relative normal noise."""
    draws = np.random.default_rng(seed).normal(size=len(latency))
    return latency * torch.from_numpy(1 + deviation * draws)


def fitted(counts: Tensor, latency: Tensor, **options: object) -> Posterior:
    """Return the posterior of networks, all of weight 1."""
    return fit(AdditiveKernel(FACTS, counts), counts, latency, torch.ones_like(latency), **options)


def exact(posterior: Posterior, networks: Networks) -> tuple[Tensor, Tensor]:
    """Return mean and variance of networks on the process's scale, by the textbook's formula, [networks] each."""
    shared = mix(posterior.kernel.gram(networks, posterior.networks), posterior.variances)
    own = mix(posterior.kernel.gram(networks, networks), posterior.variances).diagonal()
    return shared @ posterior.weights, own - torch.einsum("ij,jk,ik->i", shared, posterior.precision, shared)


def by_small(small: SmallProcess, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same by a small process."""
    place = small.places.of(counts)
    near, far = (torch.exp(-rate * torch.cdist(place, small.centers).square()) for rate in small.rates)
    mean = counts @ small.cost + place @ small.slope + small.offset
    mean = mean + near @ small.center_weights[0] + far @ small.center_weights[1]
    constant, totals, of_near, of_far = small.variances
    shared = counts @ small.block_covariance + constant + totals * place @ small.centers.T
    shared = shared + of_near * near + of_far * far
    own = (counts @ small.block_root).square().sum(1) + counts.square() @ small.block_variance
    own = own + constant + totals * place.square().sum(1) + of_near + of_far
    return mean, own - (shared @ small.explained_root).square().sum(1)
