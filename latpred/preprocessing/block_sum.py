"""block_sum: the sum of a network's blocks, of its own runs in cleaning and of the table's values in the net."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from dataclasses import replace
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from latpred.preprocessing.block_table import BlockTable
from latpred.preprocessing.step import NetStep, RowStep, TrainingRows


class BlockSumNet(nn.Module):
    """Sum the table's values over the slots."""

    def __init__(self, table: BlockTable) -> None:
        super().__init__()
        self.table = table

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to sums [batch], in the metric's unit.

        One unmeasured primitive makes its network's sum NaN, and no other's.
        """
        return self.table(ids).sum(1)


class BlockSum(RowStep, NetStep):
    """Sum the blocks of each run (row face) and of each network that is predicted (net face)."""

    name: ClassVar[str] = "block_sum"
    needs: ClassVar[frozenset[str]] = frozenset({"blocks"})
    gives: ClassVar[frozenset[str]] = frozenset({"block_sum"})

    def __call__(self, rows: TrainingRows) -> TrainingRows:
        """Add the column `block_sum`, in the metric's unit; NaN for a run in which a block was not measured."""
        counts = rows.runs["block_count"].to_numpy(np.int64)
        # Every run has a block, so no two runs begin at the same place, which `reduceat` could not sum.
        sums = np.add.reduceat(rows.block_values[rows.block_index()], np.cumsum(counts) - counts)
        return replace(rows, runs=rows.runs.assign(block_sum=sums))

    def front(self, table: BlockTable) -> BlockSumNet:
        """Return the module that sums the values of `table`."""
        return BlockSumNet(table)
