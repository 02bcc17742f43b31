"""The reward that weighs accuracy against latency (MnasNet, https://arxiv.org/abs/1807.11626, equations 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from latpred.errors import UsageError
from latpred.search.objective import Column, Objective, require_finite


class Exponents(NamedTuple):
    """How much latency counts: `mnasnet_reward(accuracy, latency_ms, target_ms, *SOFT)`."""

    alpha: float
    """Exponent at or below the target."""
    beta: float
    """Exponent above the target."""


HARD = Exponents(alpha=0.0, beta=-1.0)
"""The accuracy alone counts at or below the target, and slower architectures lose as they are slower."""
SOFT = Exponents(alpha=-0.07, beta=-0.07)
"""Twice the latency is worth 5 % more accuracy, on both sides of the target."""


@overload
def mnasnet_reward(accuracy: float, latency_ms: float, target_ms: float, alpha: float, beta: float) -> float: ...


@overload
def mnasnet_reward(
    accuracy: NDArray[Any], latency_ms: NDArray[Any], target_ms: float, alpha: float, beta: float
) -> Column: ...


def mnasnet_reward(
    accuracy: float | NDArray[Any], latency_ms: float | NDArray[Any], target_ms: float, alpha: float, beta: float
) -> float | Column:
    """Return accuracy * (latency / target)^w, where w is alpha at or below the target and beta above.

    Args:
        accuracy: Fractions from 0 to 1: a number, or [batch].
        latency_ms: The latencies, ms, above 0: a number, or [batch].
        target_ms: The latency to aim at, ms, above 0.
        alpha: See `Exponents`, `HARD` and `SOFT`.
        beta: Likewise.

    Raises:
        UsageError: Naming the argument, its range and the value.
    """
    _check_target(target_ms, alpha, beta)
    accuracies, latencies = np.asarray(accuracy, dtype=np.float64), np.asarray(latency_ms, dtype=np.float64)
    if accuracies.shape != latencies.shape:
        problem = f"expected the shape of accuracy, {list(accuracies.shape)}, found {list(latencies.shape)}"
        raise UsageError("latency_ms", problem, "Give one latency for each accuracy")
    inside = (accuracies >= 0) & (accuracies <= 1)
    if not inside.all():
        problem = f"expected fractions from 0 to 1, found {accuracies[~inside][0]}"
        raise UsageError("accuracy", problem, "Give fractions, not per cent")
    positive = (latencies > 0) & np.isfinite(latencies)
    if not positive.all():
        problem = f"expected finite numbers > 0, found {latencies[~positive][0]}"
        raise UsageError("latency_ms", problem, "Give latencies in ms")
    reward = accuracies * (latencies / target_ms) ** np.where(latencies <= target_ms, alpha, beta)
    return reward if accuracies.ndim else float(reward)


class MnasnetObjective(Objective):
    """The reward of `mnasnet_reward`, from performances that others in its container give; the loss is 0.

    Args:
        target_ms: The latency to aim at, ms.
        alpha: Exponent at or below the target.
        beta: Exponent above the target.
        accuracy: Name of the performance that is the accuracy.
        latency: Name of the performance that is the latency, in ms.

    Raises:
        UsageError: If the target is not above 0, or an exponent is no finite number.
    """

    perf_names = ()

    def __init__(
        self,
        target_ms: float,
        alpha: float = SOFT.alpha,
        beta: float = SOFT.beta,
        accuracy: str = "accuracy",
        latency: str = "latency_ms",
    ) -> None:
        _check_target(target_ms, alpha, beta)
        if not latency.endswith("_ms"):
            raise UsageError("latency", f"expected a performance in ms, found '{latency}'", "Name one that ends in _ms")
        self.target_ms, self.exponents = target_ms, Exponents(alpha, beta)
        self.reads = (accuracy, latency)

    def perfs(self, architectures: Sequence[Any]) -> dict[str, Column]:
        """Return nothing: it reads the performances of others."""
        return {}

    def reward(self, perfs: Mapping[str, Column]) -> Column:
        """Return the reward, [batch]."""
        accuracy, latency_ms = (perfs[name] for name in self.reads)
        return mnasnet_reward(accuracy, latency_ms, self.target_ms, *self.exponents)


def _check_target(target_ms: float, alpha: float, beta: float) -> None:
    for name, value in (("target_ms", target_ms), ("alpha", alpha), ("beta", beta)):
        require_finite(name, value)
    if target_ms <= 0:
        raise UsageError("target_ms", f"expected a latency > 0 ms, found {target_ms}", "Mend it")
