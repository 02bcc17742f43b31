"""The contract of an objective: what a search asks for, for a list of architectures at once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latpred.card import SpaceCard
from latpred.errors import SearchError, UsageError

Column = NDArray[np.float64]
"""One number for each architecture, [batch]."""

_SHOWN = 200


class Objective(ABC):
    """Performances of architectures, and the reward and loss that follow from them.

    A search calls `perfs` once for each list of architectures, and `reward` or `loss` with what it returned, so that
    nothing is evaluated twice. Reward and loss are 0 unless a subclass overrides them.
    """

    perf_names: tuple[str, ...]
    """Names of the performances that this objective gives."""
    reads: tuple[str, ...] = ()
    """Names of the performances of others that its reward or loss needs."""
    space: SpaceCard | None = None
    """The space whose architectures it takes; None if it takes any."""

    @abstractmethod
    def perfs(self, architectures: Sequence[Any]) -> dict[str, Column]:
        """Return the performances of `architectures` by name, each [batch]."""

    def reward(self, perfs: Mapping[str, Column]) -> Column:
        """Return what a search maximizes, [batch], from performances that hold `perf_names` and `reads`."""
        return np.zeros(batch_size(perfs))

    def loss(self, perfs: Mapping[str, Column]) -> Column:
        """Return what training minimizes, [batch], from performances that hold `perf_names` and `reads`."""
        return np.zeros(batch_size(perfs))

    def fitness(self, architectures: Sequence[Any]) -> Column:
        """Return the reward of `architectures`, [batch]: the function that `RegularizedEvolution` asks for."""
        return self.reward(self.perfs(architectures))


def batch_size(perfs: Mapping[str, Column]) -> int:
    """Return the number of architectures behind `perfs`; 0 if there are no performances."""
    return len(next(iter(perfs.values()), ()))


def as_column(values: ArrayLike, architectures: Sequence[Any], where: str) -> Column:
    """Return `values` as float64, one for each architecture.

    Raises:
        SearchError: If they are no numbers, or more or fewer than `architectures`.
    """
    expected = f"{len(architectures)} number{'' if len(architectures) == 1 else 's'}, one for each architecture"
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = type(values).__name__
        raise SearchError(where, f"expected {expected}, found {found} {shown(values)}", "Mend it") from None
    if column.shape != (len(architectures),):
        raise SearchError(where, f"expected {expected}, found the shape {list(column.shape)}", "Mend it")
    return column


def shown(value: object) -> str:
    """Return `value` for an error, on one line and not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def require_finite(name: str, value: object) -> None:
    """Refuse anything but a finite number.

    Raises:
        UsageError: Naming the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        raise UsageError(name, f"expected a finite number, found {value!r}", "Mend it")
