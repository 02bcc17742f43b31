"""The block table of a dataset in which no block has a value: learned from whole networks alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from latpred.dataset import MeasuredNetwork, label_weights
from latpred.preprocessing.additive_fit import fit_additive
from latpred.preprocessing.block_table import GEOMETRY
from latpred.spaces import SearchSpace
from latpred.vocabulary import Vocabulary

_WITNESSES = 1000
"""Random architectures that are asked whether primitives always occur together."""


class LearnedValues(NamedTuple):
    """What whole networks say about primitives."""

    value: NDArray[np.float64]
    """Of each id, [vocabulary], in the metric's unit; NaN where the networks do not tell it."""
    share: NDArray[np.float64]
    """Of each id that some network has, but always together with another: its likely part of what both cost; else
    NaN, [vocabulary]."""
    networks: int
    """How many it was learned from."""

    def __str__(self) -> str:
        """Return what was learned, for the line that tells of it."""
        known, together = int(np.isfinite(self.value).sum()), int(np.isfinite(self.share).sum())
        text = f"{known} primitives, from {self.networks} whole networks"
        if together:
            text += f"; {together} more cannot be told apart, because they only ever occur together"
        return text


def learn_from_wholes(
    space: SearchSpace[Any],
    vocabulary: Vocabulary,
    networks: Sequence[MeasuredNetwork],
    labels: DataFrame,
    features: NDArray[np.float64],
) -> LearnedValues:
    """Learn the value of each primitive from networks of which only the whole was measured.

    A value belongs to a primitive wherever it stands: on the public measurements, one for each position as well was
    no better in NAS-Bench-201 and worse in FBNet's space.

    Primitives that occur together in all `networks`, so often one for so often the other, have values only if they do
    so in the whole space, as its stem and head may: all that is asked for is the sum. Otherwise nobody knows how much
    each of them costs, and they count as unmeasured.

    Args:
        space: Of the networks.
        vocabulary: The space's and what else is in `networks`.
        networks: To learn from, sampled and assembled ones.
        labels: One row for each, with `estimate` and `half_width`.
        features: Of each id, [vocabulary, FEATURES], the last ones its costs.
    """
    size, ids = len(vocabulary), vocabulary.ids
    counts = _occurrences(([ids[primitive] for primitive in network.primitives] for network in networks), size)
    seen = np.flatnonzero(counts.any(0))
    fitted = fit_additive(
        counts[:, seen],
        np.array(labels["estimate"], dtype=np.float64),
        np.array(label_weights(labels["half_width"]), dtype=np.float64),
        features[seen, GEOMETRY:],
    )
    rng = Random(0)  # noqa: S311 - no secret
    drawn = (space.slot_ids(space.sample(rng)) for _ in range(_WITNESSES))
    witnesses = _occurrences(([i for i in row if i >= 0] for row in drawn), size)
    unclear = _unclear(counts[:, seen], witnesses[:, seen])
    value, share = np.full(size, np.nan), np.full(size, np.nan)
    value[seen[~unclear]] = fitted[~unclear]
    share[seen[unclear]] = fitted[unclear]
    return LearnedValues(value, share, len(networks))


def _occurrences(rows: Iterable[list[int]], size: int) -> NDArray[np.float64]:
    """Return how often each id occurs in each row, [rows, size]."""
    return np.array([np.bincount(np.array(row, dtype=np.int64), minlength=size) for row in rows], dtype=np.float64)


def _unclear(counts: NDArray[np.float64], witnesses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which primitives occur only together with others here, and without them elsewhere, [primitives].

    Args:
        counts: How often each primitive occurs in each network, [networks, primitives]; each does somewhere.
        witnesses: The same for other networks of the space, [witnesses, primitives].
    """
    first = counts[(counts > 0).argmax(0), np.arange(counts.shape[1])]
    groups, alike = _alike(counts / first), _alike(np.concatenate([counts, witnesses]) / first)
    # A group of columns that are alike here is clear if they are alike everywhere: then it is one group there, too.
    lowest, highest = np.full(groups.max() + 1, alike.max() + 1), np.full(groups.max() + 1, -1)
    np.minimum.at(lowest, groups, alike)
    np.maximum.at(highest, groups, alike)
    return (lowest != highest)[groups]


def _alike(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a number for each column of `rows`, the same for equal columns."""
    numbers: dict[bytes, int] = {}  # ten times as quick as NumPy's `unique`, which sorts the columns
    return np.array([numbers.setdefault(column.tobytes(), len(numbers)) for column in rows.T], dtype=np.int64)
