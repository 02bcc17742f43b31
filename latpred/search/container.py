"""The objective that is made of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latpred.card import SpaceCard
from latpred.errors import CardError, UsageError
from latpred.search.objective import Column, Objective, batch_size, require_finite


class ContainerObjective(Objective):
    """The performances of all sub-objectives, and the weighted sums of their rewards and of their losses.

    Args:
        sub_objectives: What it is made of; each may read the performances of the others.
        losses_coef: Weight of the loss of each.
        rewards_coef: Weight of the reward of each.

    Raises:
        UsageError: If there are more or fewer weights than sub-objectives, a performance occurs twice, or one is read
            that nobody gives.
        CardError: If two sub-objectives are of different spaces.
    """

    def __init__(
        self, sub_objectives: Sequence[Objective], losses_coef: Sequence[float], rewards_coef: Sequence[float]
    ) -> None:
        if not sub_objectives:
            raise UsageError("sub_objectives", "expected at least one objective, found none", "Give some")
        for name, coefficients in (("losses_coef", losses_coef), ("rewards_coef", rewards_coef)):
            _check_coefficients(name, coefficients, len(sub_objectives))
        self.sub_objectives = tuple(sub_objectives)
        self.losses_coef, self.rewards_coef = tuple(losses_coef), tuple(rewards_coef)
        self.perf_names = tuple(name for objective in self.sub_objectives for name in objective.perf_names)
        if twice := sorted({name for name in self.perf_names if self.perf_names.count(name) > 1}):
            problem = f"expected each performance once, found {', '.join(twice)} in more than one"
            raise UsageError("sub_objectives", problem, "Rename one of them")
        for objective in self.sub_objectives:
            if missing := [name for name in objective.reads if name not in self.perf_names]:
                problem = f"{type(objective).__name__} reads {', '.join(missing)}, found {', '.join(self.perf_names)}"
                raise UsageError("sub_objectives", problem, "Add the objective that gives it, or mend the name")
        self.space = _common_space(self.sub_objectives)

    def perfs(self, architectures: Sequence[Any]) -> dict[str, Column]:
        """Return the performances of all sub-objectives."""
        found: dict[str, Column] = {}
        for objective in self.sub_objectives:
            found |= objective.perfs(architectures)
        return found

    def reward(self, perfs: Mapping[str, Column]) -> Column:
        """Return the sum of rewards_coef * reward, [batch]."""
        total = np.zeros(batch_size(perfs))
        for coefficient, objective in zip(self.rewards_coef, self.sub_objectives, strict=True):
            total = total + coefficient * objective.reward(perfs)
        return total

    def loss(self, perfs: Mapping[str, Column]) -> Column:
        """Return the sum of losses_coef * loss, [batch]."""
        total = np.zeros(batch_size(perfs))
        for coefficient, objective in zip(self.losses_coef, self.sub_objectives, strict=True):
            total = total + coefficient * objective.loss(perfs)
        return total


def _check_coefficients(name: str, coefficients: Sequence[float], expected: int) -> None:
    if isinstance(coefficients, str) or not isinstance(coefficients, Sequence | np.ndarray):
        raise UsageError(name, f"expected a list of numbers, found {coefficients!r}", "Give one for each sub-objective")
    if len(coefficients) != expected:
        problem = f"expected {expected} coefficients, one for each sub-objective, found {len(coefficients)}"
        raise UsageError(name, problem, "Add 0 for what shall not count")
    for i, coefficient in enumerate(coefficients):
        require_finite(f"{name}[{i}]", coefficient)


def _common_space(objectives: Sequence[Objective]) -> SpaceCard | None:
    """Return the one space that all objectives take."""
    common: SpaceCard | None = None
    for objective in objectives:
        if objective.space is None:
            continue
        common = common or objective.space
        if difference := common.describe_difference(objective.space):
            problem = f"expected objectives of one space, found two: {difference}"
            raise CardError("sub_objectives", problem, "Search each space by itself")
    return common
