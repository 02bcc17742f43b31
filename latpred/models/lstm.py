"""lstm: a recurrent net that reads a network block by block."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from latpred.models.correction import Correction
from latpred.models.gradient import GradientPredictor
from latpred.preprocessing import Batch, BlockTable
from latpred.preprocessing.lstm_features import BlockFeatures


class LSTMNet(nn.Module):
    """Read a network block by block; the state after its last block gives a factor on the sum of blocks.

    Args:
        blocks: Maps ids to the features of each block, [batch, slots, features].
        hidden: Width of the state.
    """

    def __init__(self, blocks: BlockFeatures, hidden: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.lstm = nn.LSTM(blocks.width, hidden, batch_first=True)
        self.correction = Correction(hidden)

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to predictions [batch], in the metric's unit."""
        # Blocks to the front, in their order, so that no step of the sequence is empty before the last block.
        slots = ids.shape[1]
        places = torch.arange(slots, device=ids.device) + slots * (ids < 0).to(torch.int64)
        dense = ids.gather(1, places.argsort(dim=1))
        count = (ids >= 0).sum(1)
        if torch.jit.is_scripting():
            # No need to read on behind the longest network; .pt2 and ONNX have a fixed length.
            dense = dense[:, : max(1, int(count.max()))]
        states, _ = self.lstm(self.blocks(dense))  # [batch, slots, hidden]
        # An LSTM does not look ahead, so the empty slots behind a network cannot change this.
        state = states[torch.arange(ids.shape[0], device=ids.device), (count - 1).clamp(min=0)]
        return self.blocks.table(ids).sum(1) * self.correction(state).exp()


class LSTMPredictor(GradientPredictor):
    """The LSTM of the reference document: seven features for each block, the state after the last one gives the answer.

    It learns the logarithm of latency / sum of blocks, as `mlp` does.

    Args:
        hidden: Width of the state.
        lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
        weight_decay: Of AdamW.
        huber: Relative error from which on the loss grows linearly.
    """

    name: ClassVar[str] = "lstm"
    batch_chunk: ClassVar[int | None] = 256  # its states then fit into the cache: 1.6 times as quick as 4096 at once
    needs: ClassVar[frozenset[str]] = frozenset({"lstm_features"})
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("block_sum", "remove_anomaly", "flatten", "lstm_features"),
        ("remove_anomaly", "flatten", "lstm_features"),
        ("flatten", "lstm_features"),
    )

    net: LSTMNet

    def __init__(self, hidden: int = 100, lr: float = 1e-3, weight_decay: float = 0.1, huber: float = 0.05) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, huber=huber)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        self.hidden = hidden

    @property
    def parameters_json(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().parameters_json | {"hidden": self.hidden}

    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> LSTMNet:
        """Return an untrained net."""
        if not isinstance(front, BlockFeatures):
            raise TypeError(f"expected the front of lstm_features, got {type(front).__name__}")
        return LSTMNet(front, self.hidden)

    def prepare(self, batch: Batch) -> None:
        """Standardize the blocks' features, and begin at the mean correction of the sum of blocks."""
        self.net.blocks.fit(batch.ids)
        self.net.correction.fit((batch.target / self.net.blocks.table(batch.ids).sum(1)).log())
