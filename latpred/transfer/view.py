"""A new device seen through source devices, on one scale: latencies, or their logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latpred.gaussian import PARTS, AdditiveKernel, Networks
from latpred.gaussian.variances import LogNormal, cholesky, covariance, fit_variances
from latpred.transfer.basis import SourceBasis

ALL_PARTS = ("constant", "common", "apart", *PARTS[1:], "noise")
"""What a new device is explained by: its level; what the sources agree on, where it follows that more or less than
they do; in which they differ; and the parts of any Gaussian process here, for what no source knows."""

PRIOR = np.array([-4.0, -3.0, -2.0, -7.0, -5.0, -3.0, -3.0, -7.0, -5.0, -5.0])
"""Logarithms of the variances of ALL_PARTS before anything is known, that of what sources agree on being 1."""
_PRIOR_DEVIATION = 3.0
_FEWEST_DEVIATIONS = 0.5
_STRUCTURE = slice(3, -1)
_STRUCTURE_SHIFTS = (-2.0, 0.0, 2.0, 4.0)
_NOISES = (-7.0, -4.5, -2.5, -0.5)
_SLOPE_WEIGHT = 3.0
"""How many measurements the sources' usual slope counts for."""
_LEAST_SLOPE = 0.2
_OUTLIER_FREEDOM = 8.0
"""Degrees of freedom of Student's t, of which the noise is: of ten measurements, few may be thrown away lightly."""
_STEPS = 60


@dataclass(frozen=True, eq=False)
class Seen:
    """Networks, and what is predicted for the source devices."""

    networks: Networks
    said: Tensor
    """Predicted latencies, [sources, networks]."""

    def __len__(self) -> int:
        """Return the number of networks."""
        return len(self.networks)

    def take(self, rows: Tensor | slice) -> Seen:
        """Return some of the networks."""
        return Seen(self.networks.take(rows), self.said[:, rows])


@dataclass(frozen=True, eq=False)
class Explanation:
    """One view's mean of a new device: level + slope * (agreement + sum over parts of covariance times weights)."""

    level: float
    slope: float
    part_weights: Tensor
    """Of each measured network in each part, [parts, measured]; hypotheses about the variances are mixed in them."""
    evidence: float
    """Logarithm of the likelihood of the measured latencies, the hypotheses mixed."""
    noise: float
    """Standard deviation of a measurement, on the view's scale."""


class View:
    """What is believed of a new device before it is measured, on one scale.

    The variances of the parts are learned by taking each source for a new device, seen through the others.

    Args:
        kernel: Of the space.
        logarithm: Whether the scale is that of the logarithms.
        reference: Networks that stand for the space.
        sources: The measured networks and latencies of each source, [measured] each; none if how sources follow each
            other is not to be learned.
    """

    def __init__(
        self, kernel: AdditiveKernel, logarithm: bool, reference: Seen, sources: Sequence[tuple[Seen, Tensor]]
    ) -> None:
        self.kernel, self.logarithm = kernel, logarithm
        self.levels = reference.said.mean(1) if len(reference.said) else reference.said.new_zeros(0)
        self.basis = self._basis(reference.said, range(len(reference.said)))
        self.learned = [
            self._learn(index, reference, *measured) for index, measured in enumerate(sources) if len(sources) > 1
        ]
        stacked = np.array([*self.learned, PRIOR])
        mean = stacked.mean(0)
        if self.learned:
            away = ((np.array(self.learned) - mean) ** 2).mean(0)
            self.prior = LogNormal(mean, np.sqrt(away + _FEWEST_DEVIATIONS**2))
        else:
            self.prior = LogNormal(PRIOR, np.full(len(PRIOR), _PRIOR_DEVIATION / 2))
        self.hypotheses = [mean, PRIOR, *_grid()]

    def _basis(self, said: Tensor, sources: Sequence[int]) -> SourceBasis | None:
        return SourceBasis.of(self._values(said)[list(sources)]) if len(sources) else None

    def _values(self, said: Tensor) -> Tensor:
        return said.log() if self.logarithm else said / self.levels[:, None]

    def _learn(self, index: int, reference: Seen, seen: Seen, latency: Tensor) -> NDArray[np.float64]:
        """Return the variances by which one source is explained through the others."""
        others = [other for other in range(len(self.levels)) if other != index]
        basis = self._basis(reference.said, others)
        coordinates = _coordinates(basis, self._values(seen.said)[others], len(seen))
        value, _ = self._value(latency)
        level, slope = _line(basis, coordinates, value)
        grams = self._grams(coordinates, seen.networks, coordinates, seen.networks)
        target = (value - level) / slope - coordinates[:, 0]
        prior = LogNormal(PRIOR, np.full(len(PRIOR), _PRIOR_DEVIATION))
        return fit_variances(grams, target, 1 / _sureness(grams, target, PRIOR), prior, _STEPS)

    def _value(self, latency: Tensor) -> tuple[Tensor, float]:
        """Return latencies on the scale, and the logarithm of by how much that stretches their density."""
        if self.logarithm:
            return latency.log(), -float(latency.log().sum())
        level = latency.median()
        return latency / level, -float(level.log()) * len(latency)

    def _grams(self, left: Tensor, a: Networks, right: Tensor, b: Networks) -> Tensor:
        """Return the covariance of each of ALL_PARTS but the noise, [parts, len(a), len(b)]."""
        parts = self.kernel.gram(a, b)
        apart = left[:, 1:] @ right[:, 1:].T
        return torch.cat([parts[:1], torch.outer(left[:, 0], right[:, 0])[None], apart[None], parts[1:]])

    def coordinates(self, seen: Seen) -> Tensor:
        """Return what the sources agree on and how they differ, [networks, 1 + directions]."""
        return _coordinates(self.basis, self._values(seen.said), len(seen))

    def explain(self, seen: Seen, latency: Tensor) -> Explanation:
        """Return the mean of a device of which `seen` were measured, in `latency` [measured]."""
        coordinates = self.coordinates(seen)
        value, density = self._value(latency)
        level, slope = _line(self.basis, coordinates, value)
        grams = self._grams(coordinates, seen.networks, coordinates, seen.networks)
        target = (value - level) / slope - coordinates[:, 0]
        noise = 1 / _sureness(grams, target, self.hypotheses[0])
        fitted = fit_variances(grams, target, noise, self.prior, _STEPS)
        weights, logs = [], []
        for hypothesis in (*self.hypotheses, fitted):
            variances = torch.from_numpy(np.exp(hypothesis))
            factor = cholesky(covariance(grams, variances, noise))
            solved = torch.cholesky_solve(target[:, None], factor)[:, 0]
            weights.append(torch.outer(variances[:-1], solved))
            logs.append(float(-0.5 * target @ solved - factor.diagonal().log().sum()))
        share = torch.softmax(torch.tensor(logs, dtype=torch.float64), 0)
        noises = np.exp(np.array([*self.hypotheses, fitted])[:, -1])
        scale = 1.0 if self.logarithm else float(latency.median())
        return Explanation(
            level=level * scale,
            slope=slope * scale,
            part_weights=torch.tensordot(share, torch.stack(weights), dims=1),
            evidence=float(torch.logsumexp(torch.tensor(logs, dtype=torch.float64), 0))
            - len(latency) * float(np.log(slope))
            + density,
            noise=float(np.sqrt(share.numpy() @ noises)) * slope * scale,
        )

    def mean(self, explanation: Explanation, seen: Seen, measured: Seen) -> Tensor:
        """Return the expected latency of `seen` by an explanation of `measured`, [networks]."""
        coordinates = self.coordinates(seen)
        grams = self._grams(coordinates, seen.networks, self.coordinates(measured), measured.networks)
        value = coordinates[:, 0] + torch.einsum("pnm,pm->n", grams, explanation.part_weights)
        value = explanation.level + explanation.slope * value
        return value.exp() if self.logarithm else value

    def prior_covariance(self, seen: Seen) -> tuple[Tensor, float]:
        """Return the covariance of networks before any is measured, [networks, networks], and the noise's variance."""
        coordinates = self.coordinates(seen)
        grams = self._grams(coordinates, seen.networks, coordinates, seen.networks)
        variances = torch.from_numpy(np.exp(self.prior.mean))
        return torch.tensordot(variances[:-1], grams, dims=1), float(variances[-1])


def _coordinates(basis: SourceBasis | None, values: Tensor, count: int) -> Tensor:
    """Return the coordinates of `count` networks; without sources, all agree on nothing."""
    return torch.zeros(count, 1, dtype=torch.float64) if basis is None else basis.coordinates(values)


def _line(basis: SourceBasis | None, coordinates: Tensor, value: Tensor) -> tuple[float, float]:
    """Return level and slope of measured values over what sources agree on; the slope leans to what is usual."""
    if basis is None:
        spread = float(value.std(correction=0))
        return float(value.median()), max(spread, 1e-3 * abs(float(value.median())), 1e-9)
    usual = float(basis.deviation.log().mean().exp())
    agreed = coordinates[:, 0]
    centered = agreed - agreed.mean()
    slope = float((value - value.mean()) @ centered + _SLOPE_WEIGHT * usual) / float(
        centered @ centered + _SLOPE_WEIGHT
    )
    slope = max(slope, _LEAST_SLOPE * usual)
    return float((value - slope * agreed).median()), slope


def _sureness(grams: Tensor, target: Tensor, hypothesis: NDArray[np.float64]) -> Tensor:
    """Return how much each measured network counts, [measured]: less, the further it lies off what the others say."""
    variances = torch.from_numpy(np.exp(hypothesis))
    inverse = torch.linalg.inv(covariance(grams, variances, torch.ones_like(target)))
    residual = inverse @ target / inverse.diagonal()
    return (_OUTLIER_FREEDOM + 1) / (_OUTLIER_FREEDOM + residual.square() * inverse.diagonal())


def _grid() -> list[NDArray[np.float64]]:
    """Return hypotheses for devices that no source is like: more or less structure of their own, more or less noise."""
    found = []
    for shift in _STRUCTURE_SHIFTS:
        for noise in _NOISES:
            logs = PRIOR.copy()
            logs[_STRUCTURE] += shift
            logs[1:3] += max(shift, 0) * np.array([1.0, 1.0]) / 2
            logs[-1] = noise
            found.append(logs)
    return found
