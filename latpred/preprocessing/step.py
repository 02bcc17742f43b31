"""What a preprocessor is: a row step, a net step, or both faces of one thing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from torch import nn

from latpred.preprocessing.block_table import BlockTable


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The runs of the training networks on their way through the row steps."""

    runs: DataFrame
    """One row per run: `network` (a code), `overall` (in the metric's unit), `first_block`, `block_count`, and what
    steps add."""
    block_values: NDArray[np.float64]
    """Values of all blocks of all runs, NaN where not measured; a run has `block_count` from its `first_block` on."""
    block_ids: NDArray[np.int64]
    """The vocabulary id of the primitive behind each of `block_values`."""
    blocks: DataFrame | None = None
    """One row per measured block of a run: `run`, `network`, `position`, `primitive` (id), `value`; None before
    `flatten`."""

    def block_positions(self) -> NDArray[np.int64]:
        """Return the place of each block in its run, for all blocks of all kept runs."""
        counts = self.runs["block_count"].to_numpy(np.int64)
        return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)

    def block_index(self) -> NDArray[np.int64]:
        """Return where in `block_values` the blocks of all kept runs stand, run after run."""
        counts = self.runs["block_count"].to_numpy(np.int64)
        return np.repeat(self.runs["first_block"].to_numpy(np.int64), counts) + self.block_positions()


class Step(ABC):
    """One preprocessor of a chain.

    `needs` and `gives` name what must stand before it and what stands behind it: `runs` and `blocks` (values of
    blocks) come from the dataset, all else from a step. What it `ends` is of no use to the steps behind it.
    """

    name: ClassVar[str]
    """The name in the YAML."""
    needs: ClassVar[frozenset[str]]
    gives: ClassVar[frozenset[str]]
    ends: ClassVar[frozenset[str]] = frozenset()


class RowStep(Step):
    """Cleans or unfolds training runs; never runs at prediction time, so it needs no `is_training`."""

    @abstractmethod
    def __call__(self, rows: TrainingRows) -> TrainingRows:
        """Return new rows; the argument is left as it is."""


class NetStep(Step):
    """Becomes a part of the net, with fitted buffers, and is exported with it."""

    @abstractmethod
    def front(self, table: BlockTable) -> nn.Module:
        """Return the module that maps ids [batch, slots] to this step's features."""
