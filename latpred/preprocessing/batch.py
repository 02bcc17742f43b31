"""A batch: networks as predictors see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from pandas import DataFrame
from torch import Tensor

from latpred.dataset import MeasuredNetwork, label_weights
from latpred.spaces import SearchSpace


class Batch(NamedTuple):
    """Networks with their labels."""

    ids: Tensor
    """Vocabulary ids, [batch, slots], -1 = nothing there."""
    target: Tensor
    """Estimates of the metric, [batch], in its unit."""
    weight: Tensor
    """How much the estimates count in training, [batch], 1 on average: the surer, the more."""
    row: Tensor
    """Place of each network in its split, [batch]."""


def make_batch(space: SearchSpace[Any], networks: Sequence[MeasuredNetwork], labels: DataFrame) -> Batch:
    """Return sampled networks of `space` as one batch.

    Args:
        space: Encodes them.
        networks: Each with its architecture.
        labels: One row for each, with `estimate` and `half_width`.
    """
    ids = [space.slot_ids(space.from_json(network.architecture)) for network in networks]
    return Batch(
        torch.tensor(ids, dtype=torch.int64).reshape(len(ids), space.slots),
        torch.tensor(labels["estimate"].to_numpy(), dtype=torch.float32),
        torch.tensor(label_weights(labels["half_width"]).to_numpy(), dtype=torch.float32),
        torch.arange(len(networks)),
    )
