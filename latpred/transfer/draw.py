"""Networks of a space that stand for it, or that may be measured."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch
from torch import Tensor

from latpred.network import Network
from latpred.spaces import SearchSpace

_FRUITLESS_DRAWS = 1000


def some_networks(space: SearchSpace[Any], most: int, seed: int) -> tuple[Network, ...]:
    """Draw distinct networks of `space`: `most` of them, or about all that a small space has.

    Args:
        space: Where to draw from.
        most: How many at most.
        seed: Of the draws.
    """
    rng = Random(seed)  # noqa: S311 - a sample, no secret
    networks: dict[str, Network] = {}
    fruitless = 0
    while len(networks) < most and fruitless < _FRUITLESS_DRAWS:
        network = space.network(space.sample(rng))
        fruitless = fruitless + 1 if network.network_id in networks else 0
        networks.setdefault(network.network_id, network)
    return tuple(networks.values())


def encodings(networks: Sequence[Network]) -> Tensor:
    """Return the encodings of sampled networks, [networks, slots]."""
    return torch.tensor([network.encoding for network in networks], dtype=torch.int64)
