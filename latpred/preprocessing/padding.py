"""padding: a network as the list of its blocks' values, one for each slot."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import ClassVar

from torch import Tensor, nn

from latpred.preprocessing.block_table import BlockTable
from latpred.preprocessing.step import NetStep


class PaddedBlocks(nn.Module):
    """The table's value in every slot. The number of slots is the space's, never that of the present batch."""

    def __init__(self, table: BlockTable) -> None:
        super().__init__()
        self.table = table

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots] to values [batch, slots], in the metric's unit, 0 where nothing is."""
        return self.table(ids)


class Padding(NetStep):
    """Give the value of each slot, from which `mlp` predicts."""

    name: ClassVar[str] = "padding"
    needs: ClassVar[frozenset[str]] = frozenset({"block_rows"})
    gives: ClassVar[frozenset[str]] = frozenset({"padded_blocks"})

    def front(self, table: BlockTable) -> PaddedBlocks:
        """Return the module that looks the slots up in `table`."""
        return PaddedBlocks(table)
