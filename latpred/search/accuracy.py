"""The objective that asks the user's own function for an accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from latpred.errors import SearchError, UsageError
from latpred.search.objective import Column, Objective, as_column, shown


class AccuracyObjective(Objective):
    """The accuracy of architectures, by a function of the user's; the reward is the accuracy, the loss is 1 minus it.

    Args:
        function: Takes one architecture and returns its accuracy, a fraction from 0 to 1: a supernet's, a trained
            network's, or a proxy for them.
        name: What the performance is called.
    """

    def __init__(self, function: Callable[[Any], float], name: str = "accuracy") -> None:
        if not callable(function):
            found = type(function).__name__
            raise UsageError("function", f"expected a function of one architecture, found {found}", "Give a function")
        self.perf_names = (name,)
        self.function = function

    def perfs(self, architectures: Sequence[Any]) -> dict[str, Column]:
        """Call the function for each architecture.

        Raises:
            SearchError: If it raises (the cause is kept), or gives anything but a number from 0 to 1; naming the
                architecture.
        """
        name = self.perf_names[0]
        return {name: as_column([self._ask(name, architecture) for architecture in architectures], architectures, name)}

    def _ask(self, name: str, architecture: Any) -> float:  # noqa: ANN401 - each space has its own type
        try:
            value = self.function(architecture)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
            problem = f"expected an accuracy of {shown(architecture)}, the function raised {reason}"
            remedy = "Mend the function, or let it return 0 for what cannot be trained"
            raise SearchError(name, problem, remedy) from error
        if 0 <= (accuracy := _number(value)) <= 1:
            return accuracy
        problem = f"expected an accuracy from 0 to 1 of {shown(architecture)}, found {shown(value)}"
        raise SearchError(name, problem, "Return a fraction, not per cent")

    def reward(self, perfs: Mapping[str, Column]) -> Column:
        """Return the accuracy, [batch]."""
        return perfs[self.perf_names[0]]

    def loss(self, perfs: Mapping[str, Column]) -> Column:
        """Return the share of wrong answers, [batch]."""
        return 1 - perfs[self.perf_names[0]]


def _number(value: Any) -> float:  # noqa: ANN401 - whatever the user's function returns
    """Return a number, or a tensor or array of one, as a float; NaN for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
