"""table: the latency of a network is the sum of its blocks' mean latencies."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from latpred.models.closed_form import ClosedFormPredictor
from latpred.preprocessing import BlockTable


class TablePredictor(ClosedFormPredictor):
    """The lookup table of the reference document: mean value per primitive, summed over a network's blocks.

    It assumes that blocks add up, which holds where nothing is fused across them.
    """

    name: ClassVar[str] = "table"
    needs: ClassVar[frozenset[str]] = frozenset({"block_sum", "block_rows"})
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("block_sum", "remove_anomaly", "flatten"),
        ("block_sum", "flatten"),
    )

    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> nn.Module:
        """Return the sum over the table, which the data module has fitted."""
        return front

    def solve(self) -> None:
        """Do nothing: the block table is all there is."""
