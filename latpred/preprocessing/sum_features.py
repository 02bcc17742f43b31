"""extract_sum_features: what a regression over whole networks sees."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import ClassVar

import torch
from torch import Tensor, nn

from latpred.preprocessing.block_table import BlockTable
from latpred.preprocessing.step import NetStep


class SumFeatures(nn.Module):
    """The sum of a network's blocks, and their number."""

    def __init__(self, table: BlockTable) -> None:
        super().__init__()
        self.table = table

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots] to [batch, 2]: the sum of blocks, in the metric's unit, and their count."""
        values = self.table(ids)
        count = (values != 0).sum(1).to(torch.float32)  # a token is worth 0: it is no block
        return torch.stack([values.sum(1), count], dim=1)


class ExtractSumFeatures(NetStep):
    """Give the sum of blocks and their count, from which `regression` predicts."""

    name: ClassVar[str] = "extract_sum_features"
    needs: ClassVar[frozenset[str]] = frozenset({"block_sum", "block_rows"})
    gives: ClassVar[frozenset[str]] = frozenset({"sum_features"})

    def front(self, table: BlockTable) -> SumFeatures:
        """Return the module that sums the values of `table`."""
        return SumFeatures(table)
