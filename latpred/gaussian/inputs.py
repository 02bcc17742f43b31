"""What kernels see of a network: its blocks, how often each occurs, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latpred.preprocessing.block_table import FEATURES
from latpred.preprocessing.features import primitive_features
from latpred.primitive import Primitive
from latpred.spaces import SearchSpace
from latpred.vocabulary import Vocabulary

_TYPE_DISTANCE = 1.5
"""Of two blocks of different types, in standard deviations of the numeric features."""
_MARK_DISTANCE = 0.5
"""The same, of two values of an option that is a text, such as the edge of a cell."""
LEAST_TOTAL = 1e-9
"""Stands for a total of nothing, whose logarithm is taken."""
_COSTS = ("flops", "parameters", "bytes")


@dataclass(frozen=True, eq=False)
class BlockFacts:
    """What is known of each entry of a vocabulary; tokens have only zeros.

    Similar blocks have close `coordinates`; sums of `amounts` over the blocks of a network are its totals.
    """

    coordinates: Tensor
    """Logarithms of FEATURES, standardized, and what type and options a block has, [vocabulary, coordinates]."""
    amounts: Tensor
    """Costs of each block, and ones by which blocks of a kind are counted, [vocabulary, totals]."""
    logged: Tensor
    """Of which totals the logarithm is taken, [totals]: costs range over orders of magnitude, counts do not."""

    @classmethod
    def of(
        cls, space: SearchSpace[Any], vocabulary: Vocabulary, measured: NDArray[np.float64] | None = None
    ) -> BlockFacts:
        """Collect the facts of a vocabulary of `space`.

        Args:
            space: Knows what the primitives cost.
            vocabulary: Of the space, and of what was measured.
            measured: What each primitive takes by itself, positive, [vocabulary], in any unit: what that adds up to is
                one more total. None where that is unknown.

        Raises:
            PrimitiveError: If the space does not know a primitive's type.
        """
        features = primitive_features(space, vocabulary)
        real = np.array([isinstance(entry, Primitive) for entry in vocabulary.by_id])
        kinds, marks = _kinds(vocabulary)
        numeric = np.log(np.where(real[:, None], features, 1.0))
        coordinates = np.concatenate([_standardized(numeric, real), _TYPE_DISTANCE * kinds, _MARK_DISTANCE * marks], 1)
        columns = [features[:, FEATURES.index(name)] for name in _COSTS]
        columns.append(features[:, FEATURES.index("spatial_size")] ** 2)
        if measured is not None:
            columns.append(measured)
        counted = [real.astype(float), *_counted(features, ("kernel_size", "expansion")), *kinds.T]
        amounts = np.stack(columns + counted, 1)
        logged = torch.arange(amounts.shape[1]) < len(columns)
        kept = torch.from_numpy(real.astype(float))[:, None]
        return cls(torch.from_numpy(coordinates) * kept, torch.from_numpy(np.nan_to_num(amounts)) * kept, logged)

    def totals(self, counts: Tensor) -> Tensor:
        """Return the totals of networks with `counts` [networks, vocabulary] of each block, [networks, totals]."""
        sums = counts @ self.amounts
        return torch.where(self.logged, sums.clamp(min=LEAST_TOTAL).log(), sums)


def count_blocks(ids: Tensor, size: int) -> Tensor:
    """Return how often each of `size` vocabulary ids occurs in encodings `ids` [networks, slots], as float64.

    Returns:
        [networks, size].
    """
    counts = torch.zeros(len(ids), size + 1, dtype=torch.float64)
    counts.scatter_add_(1, ids + 1, torch.ones_like(ids, dtype=torch.float64))
    return counts[:, 1:]


def _standardized(rows: NDArray[np.float64], real: NDArray[np.bool_]) -> NDArray[np.float64]:
    mean, deviation = rows[real].mean(0), rows[real].std(0)
    return (rows - mean) / np.where(deviation > 1e-9, deviation, 1.0)


def _kinds(vocabulary: Vocabulary) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns of ones and zeros: of types and what is true or false of them, and of all other options' values.

    What is true or false also stands within each type (a dead edge costs nothing, whatever its operation).
    """
    kinds: list[set[str]] = []
    marks: list[set[str]] = []
    for entry in vocabulary.by_id:
        options = {**entry.options} if isinstance(entry, Primitive) else {}
        options.pop("expansion", None)
        switches = {f"{key}={value}" for key, value in options.items() if isinstance(value, (bool, int, float))}
        own = {entry.prim_type} if isinstance(entry, Primitive) else set()
        kinds.append(own | switches | {f"{name}.{switch}" for name in own for switch in switches})
        marks.append({f"{key}={value}" for key, value in options.items() if isinstance(value, str)})
    return _columns(kinds), _columns(marks)


def _columns(labels: list[set[str]]) -> NDArray[np.float64]:
    """Return a column for each label, [len(labels), distinct columns], without those that are all alike."""
    names = sorted(set().union(*labels))
    columns = np.array([[name in own for own in labels] for name in names], dtype=np.float64).reshape(-1, len(labels))
    kept = {column.tobytes(): column for column in columns if column.min() < column.max()}
    return np.array(list(kept.values())).reshape(-1, len(labels)).T


def _counted(features: NDArray[np.float64], names: Iterable[str]) -> list[NDArray[np.float64]]:
    """Return a column of ones and zeros for each value of some features."""
    columns = [features[:, FEATURES.index(name)] for name in names]
    return [(column == value).astype(float) for column in columns for value in np.unique(column[np.isfinite(column)])]
