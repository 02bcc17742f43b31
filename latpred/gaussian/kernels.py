"""The parts of the covariance between the latencies of two networks, each with a name that says what it stands for.

All are sums over blocks, or depend on such sums: then a prediction costs one look-up for each block of a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from latpred.gaussian.inputs import BlockFacts

BLOCK_LENGTHS: Mapping[str, float] = MappingProxyType({"blocks_near": 1.0, "blocks_far": 3.0})
"""Distance in the coordinates of blocks over which their costs are alike: unseen blocks borrow from similar ones."""
TOTAL_LENGTHS: Mapping[str, float] = MappingProxyType({"totals_near": 1.0, "totals_far": 3.0})
"""Distance in the standardized totals of networks, per square root of their number, over which they are alike."""
PARTS = ("constant", "counts", *BLOCK_LENGTHS, "totals", *TOTAL_LENGTHS)
"""`constant`: the level. `counts`: each block costs its own. `blocks_*`: similar blocks cost alike, at two distances.
`totals`: linear in the FLOPs, bytes and counts of the network. `totals_*`: whatever else is smooth in those."""


@dataclass(frozen=True, eq=False)
class Networks:
    """Networks as kernels see them."""

    counts: Tensor
    """How often each block occurs, [networks, vocabulary]."""
    totals: Tensor
    """Standardized totals, [networks, totals]."""

    def __len__(self) -> int:
        """Return the number of networks."""
        return len(self.counts)

    def take(self, rows: Tensor | slice) -> Networks:
        """Return some of the networks."""
        return Networks(self.counts[rows], self.totals[rows])


class AdditiveKernel:
    """The parts of the covariance, each scaled to a variance of 1 among the networks that it was made from.

    Args:
        facts: Of the vocabulary.
        counts: Of the networks that standardize the totals and scale the parts, [networks, vocabulary].
        scaling_rows: The most networks that scale the parts.
    """

    def __init__(self, facts: BlockFacts, counts: Tensor, scaling_rows: int = 400) -> None:
        self.facts = facts
        totals = facts.totals(counts)
        self.totals_mean = totals.mean(0)
        deviation = totals.std(0, correction=0)
        self.totals_kept = deviation > 1e-9 * (1 + self.totals_mean.abs())
        self.totals_deviation = torch.where(self.totals_kept, deviation, 1.0)
        squared = torch.cdist(facts.coordinates, facts.coordinates).square()
        real = facts.amounts.any(1).double()
        both = real[:, None] * real[None]
        self.between_blocks = {
            name: torch.exp(-squared / (2 * length**2)) * both for name, length in BLOCK_LENGTHS.items()
        }
        self.scale = torch.ones(len(PARTS), dtype=torch.float64)
        step = max(1, len(counts) // scaling_rows)
        self.scale = _spread(self.gram(self.networks(counts[::step]), self.networks(counts[::step])))

    def networks(self, counts: Tensor) -> Networks:
        """Return networks of which each block occurs `counts` [networks, vocabulary] times."""
        totals = (self.facts.totals(counts) - self.totals_mean) / self.totals_deviation
        return Networks(counts, totals[:, self.totals_kept])

    def gram(self, a: Networks, b: Networks) -> Tensor:
        """Return the covariance of each part, in the order of PARTS, [parts, len(a), len(b)]."""
        width = max(a.totals.shape[1], 1)
        apart = torch.cdist(a.totals, b.totals).square() / width
        parts = {
            "constant": torch.ones(len(a), len(b), dtype=torch.float64),
            "counts": a.counts @ b.counts.T,
            "totals": a.totals @ b.totals.T,
        }
        parts |= {name: a.counts @ kernel @ b.counts.T for name, kernel in self.between_blocks.items()}
        parts |= {name: torch.exp(-apart / (2 * length**2)) for name, length in TOTAL_LENGTHS.items()}
        return torch.stack([parts[name] for name in PARTS]) / self.scale[:, None, None]

    def between(self, variances: Tensor) -> Tensor:
        """Return the covariance of what blocks cost by the parts that are additive, [vocabulary, vocabulary].

        Args:
            variances: Of PARTS, [parts].
        """
        part = dict(zip(PARTS, variances / self.scale, strict=True))
        found = part["counts"] * torch.eye(len(self.facts.amounts), dtype=torch.float64)
        for name, alike in self.between_blocks.items():
            found = found + part[name] * alike
        return found


def _spread(grams: Tensor) -> Tensor:
    """Return the variance among networks that each part of `grams` [parts, n, n] gives; its level where it gives none.

    A draw from a covariance K has the expected variance mean(diagonal) - mean(all).
    """
    level = grams.diagonal(dim1=1, dim2=2).mean(1)
    spread = level - grams.mean((1, 2))
    return torch.where(spread > 1e-9 * level, spread, level.clamp(min=1e-12))


def mix(grams: Tensor, variances: Tensor | Sequence[float]) -> Tensor:
    """Return the sum of `grams` [parts, n, m], each times its variance, [n, m]."""
    weights = torch.as_tensor(variances, dtype=torch.float64)
    return torch.tensordot(weights, grams, dims=1)
