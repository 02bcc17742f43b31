"""A new device from few measurements and from source devices, or from its measurements alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latpred.gaussian import AdditiveKernel, Networks, Posterior
from latpred.transfer.view import Explanation, Seen, View

LEARNING_ROWS = 150
"""The most networks of a source that say how a source is explained through the others."""


@dataclass(frozen=True, eq=False)
class Source:
    """A device that many networks were measured on."""

    counts: Tensor
    """How often each block occurs in each of its networks, [measured, vocabulary]."""
    latency: Tensor
    """[measured], in any unit."""
    posterior: Posterior
    """What they say of all networks."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A new device, after a few measurements."""

    views: tuple[View, ...]
    explanations: tuple[Explanation, ...]
    shares: Tensor
    """How much each view counts, [views]."""
    measured: Seen
    floor: float
    """Predictions are not below this."""

    def mean(self, seen: Seen) -> Tensor:
        """Return the expected latency of networks, [networks], in the unit of the measurements."""
        means = [
            view.mean(explanation, seen, self.measured)
            for view, explanation in zip(self.views, self.explanations, strict=True)
        ]
        return (self.shares @ torch.stack(means)).clamp(min=self.floor)


class Sources:
    """Devices measured before, which say what they would take for any network.

    Args:
        kernel: Of the space, made from networks of all sources.
        sources: May be none.
    """

    def __init__(self, kernel: AdditiveKernel, sources: Sequence[Source]) -> None:
        self.kernel, self.sources = kernel, tuple(sources)

    def see(self, counts: Tensor) -> Seen:
        """Return networks of which each block occurs `counts` [networks, vocabulary] times, with what sources say."""
        networks = self.kernel.networks(counts)
        said = [source.posterior.mean(networks).clamp(min=float(source.latency.min()) / 2) for source in self.sources]
        return Seen(networks, torch.stack(said) if said else torch.zeros(0, len(counts), dtype=torch.float64))

    def measured(self, seed: int = 0) -> list[tuple[Seen, Tensor]]:
        """Return networks of each source with their latencies: enough to learn how sources differ."""
        generator, found = torch.Generator().manual_seed(seed), []
        for source in self.sources:
            rows = torch.randperm(len(source.latency), generator=generator)[:LEARNING_ROWS]
            found.append((self.see(source.counts[rows]), source.latency[rows]))
        return found


class TransferModel:
    """What source devices tell of a new one.

    Args:
        kernel: Of the space, made from networks of all sources.
        reference: Networks that stand for the space.
        measured: Networks of each source with their latencies, [measured]; none if how sources follow each other is
            not to be learned.
    """

    def __init__(self, kernel: AdditiveKernel, reference: Seen, measured: Sequence[tuple[Seen, Tensor]]) -> None:
        self.views = tuple(View(kernel, logarithm, reference, measured) for logarithm in (True, False))

    def adapt(self, measured: Seen, latency: Tensor) -> Adapted:
        """Return the device of which `measured` networks were measured.

        Args:
            measured: At least one network.
            latency: Positive, [measured], in any unit.
        """
        explanations = tuple(view.explain(measured, latency) for view in self.views)
        evidence = torch.tensor([explanation.evidence for explanation in explanations], dtype=torch.float64)
        return Adapted(self.views, explanations, torch.softmax(evidence, 0), measured, float(latency.min()) / 2)

    def choose(self, count: int, candidates: Seen, reference: Seen) -> list[int]:
        """Return which candidates to measure, greedily: each is the one that leaves the least variance elsewhere.

        Known as integrated variance reduction, or active learning Cohn (Cohn, Ghahramani and Jordan 1996).

        Args:
            count: How many.
            candidates: At least as many.
            reference: Networks whose variances are to become small.
        """
        both = Seen(
            Networks(
                torch.cat([candidates.networks.counts, reference.networks.counts]),
                torch.cat([candidates.networks.totals, reference.networks.totals]),
            ),
            torch.cat([candidates.said, reference.said], 1),
        )
        number, states = len(candidates), []
        for view in self.views:
            matrix, noise = view.prior_covariance(both)
            level = float(matrix.diagonal()[number:].mean())
            states.append((matrix / level, noise / level))
        chosen: list[int] = []
        for _ in range(count):
            gain = sum(
                (m[:number, number:].square().sum(1) / (m.diagonal()[:number] + noise) for m, noise in states),
                torch.zeros(number, dtype=torch.float64),
            )
            gain[chosen] = -np.inf
            best = int(gain.argmax())
            chosen.append(best)
            states = [(m - torch.outer(m[:, best], m[best]) / (m[best, best] + noise), noise) for m, noise in states]
        return chosen
