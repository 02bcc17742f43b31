"""lstm_features: a network as the sequence of its blocks, each with the seven features of the reference document."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import ClassVar

import torch
from torch import Tensor, nn

from latpred.preprocessing.block_table import GEOMETRY, BlockTable
from latpred.preprocessing.standardize import Standardize
from latpred.preprocessing.step import NetStep


class BlockFeatures(nn.Module):
    """C, C_out, expansion, kernel size, spatial size, stride and latency of each block: logarithms, standardized."""

    def __init__(self, table: BlockTable) -> None:
        super().__init__()
        self.table = table
        self.width = GEOMETRY + 1
        self.standardize = Standardize(self.width)

    def fit(self, ids: Tensor) -> None:
        """Take the statistics of the blocks of networks `ids`, [networks, slots]."""
        self.standardize.fit(self._logs()[ids[ids >= 0] + 1])

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots] to features [batch, slots, 7], 0 where nothing is."""
        features = self.standardize(self._logs())
        # Worked out once per primitive, not per block: the vocabulary is shorter than a batch.
        nothing = torch.zeros_like(features[:1])
        return torch.cat([nothing, features[1:]])[ids + 1]

    def _logs(self) -> Tensor:
        """Return the features of each primitive, [1 + vocabulary, 7]; row 0, nothing, means nothing."""
        value = self.table.value
        value_log = torch.where(value == 0, torch.zeros_like(value), value.log())  # tokens are worth 0
        return torch.cat([self.table.features[:, : self.width - 1].log(), value_log[:, None]], dim=1)


class LSTMFeatures(NetStep):
    """Give the features of each block, which `lstm` reads one after the other."""

    name: ClassVar[str] = "lstm_features"
    needs: ClassVar[frozenset[str]] = frozenset({"block_rows"})
    gives: ClassVar[frozenset[str]] = frozenset({"lstm_features"})

    def front(self, table: BlockTable) -> BlockFeatures:
        """Return the module that describes the blocks in `table`."""
        return BlockFeatures(table)
