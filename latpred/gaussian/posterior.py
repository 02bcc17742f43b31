"""What is known of the latencies of networks after some were measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from latpred.gaussian.kernels import PARTS, AdditiveKernel, Networks, mix


class Scale(NamedTuple):
    """Between latencies and what the process sees: value = (latency or its logarithm - centre) / spread."""

    logarithm: bool
    centre: float
    spread: float

    def of(self, latency: Tensor) -> Tensor:
        """Return what the process sees of latencies."""
        return ((latency.log() if self.logarithm else latency) - self.centre) / self.spread

    def latency(self, value: Tensor) -> Tensor:
        """Return the latencies that the process's values stand for."""
        found = value * self.spread + self.centre
        return found.exp() if self.logarithm else found

    def times(self, factor: float) -> Scale:
        """Return the scale on which the same values stand for latencies that are larger by a factor."""
        if self.logarithm:
            return self._replace(centre=self.centre + math.log(factor))
        return self._replace(centre=self.centre * factor, spread=self.spread * factor)


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is known after seeing the training networks."""

    kernel: AdditiveKernel
    networks: Networks
    """Of training, [n]."""
    scale: Scale
    variances: Tensor
    """Of PARTS, [parts]."""
    noise: float
    """Variance of the noise of a network of latency `centre` (of any, on the logarithmic scale)."""
    weights: Tensor
    """The mean of a network is its covariance with the training networks, times these, [n]."""
    precision: Tensor
    """Inverse of the covariance of the training targets, [n, n]."""
    left_out: Tensor
    """Predicted latency of each training network from the others, [n]; what the drift of its neighbours says counts."""
    drift: Tensor
    """By which factor the machine was slower than usual at each training network, less 1, [n]; 0 if not asked for.

    Latencies are those of the machine as it usually is."""
    noise_variances: Tensor
    """Variance of the noise of each training network, [n]; more for one that was measured less surely or lies off."""
    outlying: Tensor
    """How much each training network counts, [n]: about 1, and less the further its residual."""
    drift_variance: float = 0.0
    """Of the drift at a time of which nothing is known; 0 if not asked for."""
    stretch: float = 1.0
    """By which deviations are to be multiplied, so that nine in ten of the training networks lie as near to what the
    others say of them as normal values would. `noise` does not tell: it is that of a law with far outliers."""

    def mean(self, networks: Networks) -> Tensor:
        """Return the expected latency of `networks`, [networks]."""
        return self.scale.latency(mix(self.kernel.gram(networks, self.networks), self.variances) @ self.weights)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the variance between networks that each part explains before anything is seen, and the noise."""
        values = dict(zip(PARTS[1:], self.variances.tolist()[1:], strict=True)) | {"noise": self.noise}
        total = sum(values.values())
        return {name: value / total for name, value in values.items()}

    def relative(self, variance: float) -> float:
        """Return the standard deviation that a variance stands for, as a fraction of a latency of `centre`."""
        return variance**0.5 * self.scale.spread / (1.0 if self.scale.logarithm else self.scale.centre)
