"""How much of the variance between networks each part of a covariance has: by marginal likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

_JITTER = 1e-8
_REACH = 9.0
"""How far, in logarithms, a variance may go from where its prior stands."""


class LogNormal(NamedTuple):
    """What is believed of the variances before anything is seen: their logarithms are normal."""

    mean: NDArray[np.float64]
    """[parts + 1], the last is the noise's."""
    deviation: NDArray[np.float64]
    """[parts + 1]."""


class _Task(NamedTuple):
    """What the variances are to explain."""

    grams: Tensor
    target: Tensor
    noise: Tensor
    prior: LogNormal

    def loss(self, logs: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the negative logarithm of the posterior density, but for a constant, and its gradient."""
        variances = torch.from_numpy(np.exp(logs))
        off = (logs - self.prior.mean) / self.prior.deviation
        factor, failed = torch.linalg.cholesky_ex(covariance(self.grams, variances, self.noise))
        if failed:
            return 1e12, off / self.prior.deviation
        inverse = torch.cholesky_inverse(factor)
        weights = inverse @ self.target
        value = 0.5 * self.target @ weights + factor.diagonal().log().sum()
        slope = inverse - torch.outer(weights, weights)
        gradient = 0.5 * variances[:-1] * torch.tensordot(self.grams, slope, dims=2)
        of_noise = 0.5 * variances[-1] * (slope.diagonal() * self.noise).sum()
        return (
            float(value) + 0.5 * float(off @ off),
            torch.cat([gradient, of_noise[None]]).numpy() + off / self.prior.deviation,
        )


def fit_variances(
    grams: Tensor, target: Tensor, noise: Tensor, prior: LogNormal, steps: int, start: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the logarithms of the variances that are most likely after seeing `target`.

    The covariance is the sum of the parts, each times its variance, and of independent noise. L-BFGS, with the exact
    gradient (Rasmussen and Williams 2006, equation 5.9).

    Args:
        grams: [parts, n, n].
        target: [n].
        noise: Variance of each target's noise where that of the noise is 1, [n].
        prior: Of the variances; it also bounds them.
        steps: The most iterations.
        start: Where to begin; the prior's mean if not given.

    Returns:
        [parts + 1], the last is the noise's.
    """
    found: NDArray[np.float64] = minimize(
        _Task(grams, target, noise, prior).loss,
        prior.mean if start is None else start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(mean - _REACH, mean + _REACH) for mean in prior.mean],
        options={"maxiter": steps},
    ).x
    return found


def covariance(grams: Tensor, variances: Tensor, noise: Tensor) -> Tensor:
    """Return the covariance of targets, [n, n].

    Args:
        grams: [parts, n, n].
        variances: Of the parts and of the noise, [parts + 1].
        noise: Variance of each target's noise where that of the noise is 1, [n].
    """
    total = torch.tensordot(variances[:-1], grams, dims=1)
    return total + torch.diag(variances[-1] * noise + _JITTER)


def cholesky(matrix: Tensor) -> Tensor:
    """Return the lower factor of a covariance, [n, n], with as much added to its diagonal as rounding makes needed.

    Raises:
        ValueError: If it is no covariance.
    """
    unit, added = float(matrix.diagonal().mean()), 0.0
    while added <= unit:
        factor, failed = torch.linalg.cholesky_ex(matrix + added * torch.eye(len(matrix), dtype=matrix.dtype))
        if not failed:
            return factor
        added = max(10 * added, 1e-12 * unit)
    raise ValueError(f"expected a covariance of {len(matrix)} networks, found a matrix that is not positive definite")
