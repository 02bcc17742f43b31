"""Gaussian process regression on whole networks: relative noise, outliers, and a machine that drifts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latpred.gaussian.kernels import PARTS, AdditiveKernel, Networks, mix
from latpred.gaussian.posterior import Posterior, Scale
from latpred.gaussian.variances import LogNormal, cholesky, covariance, fit_variances

DRIFT_LENGTHS = (5.0, 30.0, 200.0)
"""Over how many measurements, one after the other, a machine's drift is remembered."""
_OUTLIER_FREEDOM = 2.0
"""Degrees of freedom of Student's t, of which the noise is: the fewer, the less an outlier counts."""
_TELLING = 10
"""Networks that tell how far off predictions are."""
_WITHIN, _REACH = 0.9, 1.645
"""Share of normal values, and how many deviations it reaches: errors have farther tails, and intervals want this."""
_LEAST_STRETCH = 0.1
_ROUNDS = 4
"""Of finding variances and weighing the networks by their residuals."""

PRIOR: Mapping[str, float] = MappingProxyType(
    {
        "constant": -3.0,
        "counts": -7.0,
        "blocks_near": -6.0,
        "blocks_far": -1.5,
        "totals": -0.7,
        "totals_near": -8.0,
        "totals_far": -6.0,
        "drift": -7.0,
        "noise": -5.0,
    }
)
"""Logarithms of the share of the variance that each part has, about as found on public measurements of GPUs, CPUs and
phones in three spaces (docs/results/accuracy.md): costs of blocks that are smooth in their size explain most."""
_PRIOR_DEVIATION = 2.0


class _Seen(NamedTuple):
    """The training networks as both scales see them."""

    kernel: AdditiveKernel
    networks: Networks
    grams: Tensor
    """Of PARTS, then of DRIFT_LENGTHS if the order is known, [parts, n, n]."""
    latency: Tensor
    weight: Tensor
    rows: Tensor
    """Those that find the variances."""

    @property
    def drift_parts(self) -> int:
        """How many of the grams are of the drift."""
        return len(self.grams) - len(PARTS)

    @property
    def least(self) -> float:
        """Half of the smallest latency: no network takes less."""
        return float(self.latency.min()) / 2

    def own(self, scale: Scale, solved: _Solved) -> Tensor:
        """Return what the networks take without drift and noise, [n]."""
        value = mix(self.grams[: len(PARTS)], solved.variances[: len(PARTS)]) @ solved.weights
        return scale.latency(value).clamp(min=self.least)


class _Solved(NamedTuple):
    """A regression with given variances."""

    variances: Tensor
    """Of all grams, then of the noise, [parts + 1]."""
    noise: Tensor
    """Variance of each target's noise where that of the noise is 1, [n]."""
    precision: Tensor
    weights: Tensor

    @property
    def residual(self) -> Tensor:
        """Targets less what the others say of them, [n] (Rasmussen and Williams 2006, equation 5.12)."""
        return self.weights / self.precision.diagonal()


def fit(
    kernel: AdditiveKernel,
    counts: Tensor,
    latency: Tensor,
    weight: Tensor,
    *,
    order: Tensor | None = None,
    likelihood_rows: int = 400,
    seed: int = 0,
) -> Posterior:
    """Fit the process on the scale, raw or logarithmic, on which it predicts left-out training networks better.

    Args:
        kernel: Of the space.
        counts: How often each block occurs, [n, vocabulary], n at least 1.
        latency: Positive, [n].
        weight: How sure each latency is, [n], 1 on average.
        order: When each was measured, in measurements, [n]: then slow drift is told apart from the networks.
        likelihood_rows: The most networks that find the variances; all of them are then regressed on.
        seed: Of drawing those.
    """
    networks = kernel.networks(counts)
    grams = kernel.gram(networks, networks)
    if order is not None:
        grams = torch.cat([grams, drift_grams(order)])
    seen = _Seen(kernel, networks, grams, latency, weight, _some(len(latency), likelihood_rows, seed))
    found = [_fit_scale(seen, logarithm=logarithm) for logarithm in (False, True)]
    errors = [float((posterior.left_out / latency - 1).abs().mean()) for posterior in found]
    return found[errors.index(min(errors))]


def _fit_scale(seen: _Seen, *, logarithm: bool) -> Posterior:
    """Fit the variances, how much each network counts, and what drift does to it, by turns."""
    latency, scale = seen.latency, _scale(seen.latency, logarithm=logarithm)
    target = scale.of(latency)
    relative = torch.ones_like(latency) if logarithm else (latency / latency.median()).square()
    grams, prior = seen.grams, _prior(seen.drift_parts)
    logs, sure = prior.mean, seen.weight
    for round_ in range(_ROUNDS):
        noise = relative / sure
        few = grams[:, seen.rows][:, :, seen.rows]
        logs = fit_variances(few, target[seen.rows], noise[seen.rows], prior, 80 if round_ == 0 else 25, logs)
        solved = _solve(grams, target, noise, torch.from_numpy(np.exp(logs)))
        if round_ + 1 < _ROUNDS:
            sure = seen.weight * student_weights(solved.residual.square() * solved.precision.diagonal())
            grams = grams if logarithm else _in_proportion(seen, seen.own(scale, solved))
    return _posterior(seen._replace(grams=grams), scale, target, sure, solved)


def _in_proportion(seen: _Seen, own: Tensor) -> Tensor:
    """Return the grams with a drift that adds in proportion to `own`, [n], what networks take without it.

    A slow machine takes longer by a factor. That of the measured latencies would not do: those have the drift in them,
    which then explains whatever there is.
    """
    factor = own / own.median()
    return torch.cat([seen.grams[: len(PARTS)], seen.grams[len(PARTS) :] * torch.outer(factor, factor)])


def _scale(latency: Tensor, *, logarithm: bool) -> Scale:
    """Return the scale on which latencies lie around 0, about 1 apart."""
    value = latency.log() if logarithm else latency
    centre = float(value.median())
    # Where all latencies are equal, any small spread will do.
    return Scale(logarithm, centre, max(float(value.std(correction=0)), 1e-6 * abs(centre) + 1e-12))


def _solve(grams: Tensor, target: Tensor, noise: Tensor, variances: Tensor) -> _Solved:
    precision = torch.cholesky_inverse(cholesky(covariance(grams, variances, noise)))
    return _Solved(variances, noise, precision, precision @ target)


def _posterior(seen: _Seen, scale: Scale, target: Tensor, sure: Tensor, solved: _Solved) -> Posterior:
    parts = len(PARTS)
    of_drift, noise = solved.variances[parts:-1], solved.variances[-1]
    drift, usual = torch.ones_like(target), 1.0
    if seen.drift_parts:
        without = scale.latency(target - mix(seen.grams[parts:], of_drift) @ solved.weights)
        drift = seen.latency / without.clamp(min=seen.least)
        usual = _usual(drift, seen.latency / seen.own(scale, solved))
    return Posterior(
        kernel=seen.kernel,
        networks=seen.networks,
        scale=scale.times(usual),
        variances=solved.variances[:parts],
        noise=float(noise),
        weights=solved.weights,
        precision=solved.precision,
        left_out=scale.latency(target - solved.residual).clamp(min=seen.least),
        drift=drift / usual - 1,
        noise_variances=noise * solved.noise,
        outlying=sure / seen.weight,
        drift_variance=float(of_drift.sum()),
        stretch=_stretch(noise * solved.noise * sure, solved, noise * solved.noise),
    )


def _stretch(noise: Tensor, solved: _Solved, given: Tensor) -> float:
    """Return how much farther off left-out networks are than they should be; 1 where there are too few to tell.

    Args:
        noise: Variance of the noise that another run would have, [n].
        solved: The regression.
        given: Variance that each network's noise had in it, [n].
    """
    if len(given) < _TELLING:
        return 1.0
    squared = solved.residual.square() / (1 / solved.precision.diagonal() - given + noise)
    return max(float(squared.quantile(_WITHIN)) ** 0.5 / _REACH, _LEAST_STRETCH)


def _usual(drift: Tensor, missed: Tensor) -> float:
    """Return by which factor the machine is slower than its mean when it is as it usually is.

    A busy machine is slow now and then, and on average slower than usual: its drift has mean 1, not median 1. It is
    moved as far as both the drift and all that the networks' own latencies miss say, factors, [n] each.
    """
    logs = missed.log()
    medians = float(drift.log().median()), float(logs.median())
    # Two standard errors of the median of normal values, whose deviation is 1.48 of their median distance from it.
    unsure = 2 * 1.25 * 1.48 * float((logs - medians[1]).abs().median()) / len(logs) ** 0.5
    moved = min(medians, key=abs)
    return math.exp(moved) if medians[0] * medians[1] > 0 and abs(moved) > unsure else 1.0


def drift_grams(order: Tensor) -> Tensor:
    """Return the covariance of a machine's drift between measurements, one for each of DRIFT_LENGTHS, [3, n, n]."""
    apart = (order[:, None] - order[None]).abs().double()
    return torch.stack([torch.exp(-apart / length) for length in DRIFT_LENGTHS])


def student_weights(squared: Tensor) -> Tensor:
    """Return how much residuals count whose squares, in units of their variance, are `squared`.

    Those of Student's t by expectation and maximization (Lange, Little and Taylor 1989), at most 1.5.
    """
    return (_OUTLIER_FREEDOM + 1) / (_OUTLIER_FREEDOM + squared)


def _prior(drift_parts: int) -> LogNormal:
    mean = [PRIOR[name] for name in PARTS] + [PRIOR["drift"]] * drift_parts + [PRIOR["noise"]]
    return LogNormal(np.array(mean), np.full(len(mean), _PRIOR_DEVIATION))


def _some(count: int, most: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=generator)[:most].sort().values
