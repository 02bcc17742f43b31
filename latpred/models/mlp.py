"""mlp: a multilayer perceptron over the padded list of block values."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import Any, ClassVar

from torch import Tensor, nn

from latpred.models.correction import Correction
from latpred.models.gradient import GradientPredictor
from latpred.preprocessing import Batch, BlockTable
from latpred.preprocessing.standardize import Standardize


class MLPNet(nn.Module):
    """Correct the sum of blocks by a factor that depends on all of them.

    Args:
        front: Maps ids to the values of the slots, [batch, slots].
        slots: Length of an encoding.
        hidden: Widths of the hidden layers.
    """

    def __init__(self, front: nn.Module, slots: int, hidden: list[int]) -> None:
        super().__init__()
        self.front = front
        self.standardize = Standardize(slots)
        layers: list[nn.Module] = []
        for width_in, width_out in zip([slots, *hidden[:-1]], hidden, strict=True):
            layers += [nn.Linear(width_in, width_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.correction = Correction(hidden[-1])

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to predictions [batch], in the metric's unit."""
        blocks = self.front(ids)
        return blocks.sum(1) * self.correction(self.layers(self.standardize(blocks))).exp()


class MLPPredictor(GradientPredictor):
    """The MLP of the reference document: padded block values in, latency out, three hidden layers of 100.

    It learns the logarithm of latency / sum of blocks, so that it starts as the table and is as exact in a slow
    network as in a quick one.

    Args:
        hidden: Widths of the hidden layers.
        lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
        weight_decay: Of AdamW.
        huber: Relative error from which on the loss grows linearly.
    """

    name: ClassVar[str] = "mlp"
    batch_chunk: ClassVar[int | None] = 256  # its layers then fit into the cache: 1.7 times as quick as 4096 at once
    needs: ClassVar[frozenset[str]] = frozenset({"padded_blocks"})
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("block_sum", "remove_anomaly", "flatten", "padding"),
        ("remove_anomaly", "flatten", "padding"),
        ("flatten", "padding"),
    )

    net: MLPNet

    def __init__(
        self,
        hidden: tuple[int, ...] = (100, 100, 100),
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        huber: float = 0.05,
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, huber=huber)
        self.hidden = check_widths("hidden", hidden)

    @property
    def parameters_json(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().parameters_json | {"hidden": self.hidden}

    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> MLPNet:
        """Return an untrained net."""
        return MLPNet(front, slots, self.hidden)

    def prepare(self, batch: Batch) -> None:
        """Standardize the slots, and begin at the mean correction of the sum of blocks."""
        blocks = self.net.front(batch.ids)
        self.net.standardize.fit(blocks)
        self.net.correction.fit((batch.target / blocks.sum(1)).log())


def check_widths(name: str, widths: tuple[int, ...] | list[int]) -> list[int]:
    """Return `widths` as a list.

    Raises:
        ValueError: If there is none, or one is below 1.
    """
    if not widths or any(width < 1 for width in widths):
        raise ValueError(f"{name} must be widths of at least 1, got {list(widths)}")
    return list(widths)
