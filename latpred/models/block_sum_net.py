"""block_sum_net: a perceptron that says from a block's features what the block costs; a network is their sum."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

import json
import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from latpred.card import PredictorCard
from latpred.models.gradient import GradientPredictor
from latpred.models.mlp import check_widths
from latpred.preprocessing import Batch, BlockSumNet, BlockTable
from latpred.preprocessing.block_table import FEATURES
from latpred.preprocessing.features import primitive_features
from latpred.preprocessing.standardize import Standardize
from latpred.primitive import Primitive
from latpred.vocabulary import Vocabulary


class PerceptronSumNet(nn.Module):
    """Sum over the slots what a perceptron says of each primitive.

    The perceptron is asked once per primitive, when training has come to a state to be scored: `forward` only looks
    the answers up.

    Args:
        table: Gets the answers; `measured` says which primitives a training network has.
        facts: How many facts tell the primitives apart (`facts_of`).
        hidden: Widths of the hidden layers.
    """

    described: Tensor
    costs: Tensor
    center: Tensor

    def __init__(self, table: BlockTable, facts: int, hidden: list[int]) -> None:
        super().__init__()
        self.table = table
        size, width = len(table.value), len(FEATURES) + facts
        self.standardize = Standardize(width)
        self.register_buffer("described", torch.zeros(size, width))
        self.register_buffer("costs", torch.zeros(size, dtype=torch.bool))  # nothing and tokens cost nothing
        self.register_buffer("center", torch.tensor(torch.nan))
        layers: list[nn.Module] = []
        for width_in, width_out in zip([width, *hidden[:-1]], hidden, strict=True):
            layers += [nn.Linear(width_in, width_out), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(hidden[-1], 1)
        # What the features do not tell of a primitive: 0 for one that no training network has.
        self.deviation = nn.Parameter(torch.zeros(size))

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to sums [batch], in the metric's unit."""
        return self.table(ids).sum(1)

    def learned(self) -> Tensor:
        """Return what each primitive costs by the present weights, [1 + vocabulary]; row 0 is nothing."""
        hidden = self.layers(self.standardize(self.described))
        logarithms = self.center + self.last(hidden).squeeze(1) + self.deviation
        return torch.where(self.costs, logarithms, 0.0).exp() * self.costs

    @torch.no_grad()
    def settle(self) -> None:
        """Put what was learned into the table."""
        value = self.learned()
        self.table.value.copy_(value)
        self.table.estimate.copy_(torch.where(self.table.measured, torch.nan, value))

    @torch.no_grad()
    def begin(self, batch: Batch, vocabulary: Vocabulary, features: NDArray[np.float64]) -> None:
        """Take the primitives' features, and begin at the mean cost of a block.

        Args:
            batch: All training networks.
            vocabulary: What their ids stand for.
            features: Positive features of each id, [vocabulary, FEATURES]; NaN for tokens.
        """
        tokens = list(vocabulary.token_ids.values())
        self.table.fill(np.full(len(vocabulary), np.nan), features, tokens)
        costs = np.concatenate([[False], np.isfinite(features[:, 0])])
        self.costs.copy_(torch.from_numpy(costs))
        self.described.copy_(torch.cat([self.table.features.log(), _told(vocabulary)], dim=1))
        self.table.measured[batch.ids + 1] = True
        self.standardize.fit(self.described[self.table.measured & self.costs])
        blocks = self.costs[batch.ids + 1].sum(1)
        self.center.copy_((batch.target / blocks).log().mean())
        self.last.weight.mul_(0.1)
        self.last.bias.zero_()
        self.settle()


class BlockSumNetPredictor(GradientPredictor):
    """A perceptron for blocks, trained on whole networks alone: no block needs a value of its own.

    A block's cost is exp(perceptron(features) + deviation), the features being those of `BlockTable`, the primitive's
    type and what its further arguments say. The deviation is the primitive's own; it is pulled to 0 by as much as a
    normal prior of standard deviation `deviation` says beside the present error. So a primitive that no training
    network has is answered from those that are like it, and the card names it among the unmeasured.

    Args:
        hidden: Widths of the hidden layers.
        deviation: By how much primitives of equal features may differ, a fraction.
        lr: Learning rate of AdamW at the start; it falls to 0 along a cosine.
        weight_decay: Of AdamW.
        huber: Relative error from which on the loss grows linearly.
    """

    name: ClassVar[str] = "block_sum_net"
    needs: ClassVar[frozenset[str]] = frozenset({"block_sum"})
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]] = (("block_sum",),)

    net: PerceptronSumNet

    def __init__(
        self,
        hidden: tuple[int, ...] = (64, 64),
        deviation: float = 0.05,
        lr: float = 5e-3,
        weight_decay: float = 0.01,
        huber: float = 0.02,
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, huber=huber)
        if not (math.isfinite(deviation) and deviation > 0):
            raise ValueError(f"deviation must be a finite number above 0, got {deviation}")
        self.hidden, self.deviation = check_widths("hidden", hidden), deviation
        self._facts = 0

    @property
    def parameters_json(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().parameters_json | {"hidden": self.hidden, "deviation": self.deviation}

    def setup(self, stage: str) -> None:
        """Count the facts that tell the primitives apart, and build the net."""
        if stage == "fit":
            self._facts = len(facts_of(self.data.vocabulary))
        super().setup(stage)

    def restore(self, card: PredictorCard) -> None:
        """Build an unfitted net from a card."""
        self._facts = len(facts_of(card.vocabulary))
        super().restore(card)

    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> PerceptronSumNet:
        """Return an untrained net."""
        if not isinstance(front, BlockSumNet):
            raise TypeError(f"expected the front of block_sum, got {type(front).__name__}")
        return PerceptronSumNet(table, self._facts, self.hidden)

    def prepare(self, batch: Batch) -> None:
        """Describe the primitives, and begin at the mean cost of a block."""
        vocabulary = self.data.vocabulary
        self.net.begin(batch, vocabulary, primitive_features(self.data.space, vocabulary))

    def covered(self, ids: Tensor) -> Tensor:
        """Return which networks of `ids`, [batch, slots], it can answer for, [batch]: those of any known types."""
        return self.net(ids).isfinite()

    def losses(self, batch: Batch) -> Tensor:
        """Return the weighted loss of each network by the present weights, [batch]."""
        predicted = self.net.learned()[batch.ids + 1].sum(1).log()
        return batch.weight * huber_loss(predicted, batch.target.log(), reduction="none", delta=self.huber)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Return the mean loss of a batch, with what the deviations cost.

        Of errors e and deviations d, both normal, the likeliest minimise mean(e^2) + (s / deviation)^2 sum(d^2) / n,
        where s^2 is the errors' variance and n their number; the loss itself stands for the variance.
        """
        loss = super().training_step(batch, index)
        count = len(self.data.network_ids("train"))
        return loss + loss.detach() * self.net.deviation.square().sum() / (self.deviation**2 * count)

    def on_validation_start(self) -> None:
        """Put what was learned so far into the table, which is what is scored and saved."""
        super().on_validation_start()
        if self.fitting:
            self.net.settle()


def facts_of(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Return what is said of some primitives and not of others: their types, and each further argument's values."""
    told = [_said_of(entry) for entry in vocabulary.by_id if isinstance(entry, Primitive)]
    return sorted(frozenset().union(*told) - frozenset.intersection(*told)) if told else []


def _said_of(primitive: Primitive) -> frozenset[tuple[str, str]]:
    """Return the type and the further arguments of a primitive, as names and JSON texts."""
    options = {name: json.dumps(value, sort_keys=True) for name, value in primitive.options.items()}
    return frozenset({("prim_type", primitive.prim_type), *options.items()})


def _told(vocabulary: Vocabulary) -> Tensor:
    """Return which of `facts_of` hold for each id, 0 or 1, [1 + vocabulary, facts]; row 0 is nothing."""
    facts = facts_of(vocabulary)
    rows: list[list[float]] = [[0.0] * len(facts)]
    for entry in vocabulary.by_id:
        said = _said_of(entry) if isinstance(entry, Primitive) else frozenset()
        rows.append([float(fact in said) for fact in facts])
    return torch.tensor(rows, dtype=torch.float32).reshape(len(rows), len(facts))
