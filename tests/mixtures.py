"""Devices whose latencies are mixtures of two ways in which blocks cost: tiny, known, and without noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from measured import block_latency_ms, tiny_space
from synthetic import DEVICE
from torch import Tensor

from latpred.card import DatasetCard
from latpred.network import Network
from latpred.preprocessing.block_values import MeasuredBlocks
from latpred.primitive import Primitive
from latpred.transfer import MeasuredDevice, some_networks

SPACE = tiny_space()
EVERYTHING = some_networks(SPACE, 390, seed=0)
"""Nearly all of the 400 networks of the space."""


def mixture_ms(network: Network, share: float) -> float:
    """Latency where `share` of a block's cost is by its area, and the rest as in `block_latency_ms`."""
    return sum(block_ms(block, share) for block in network.primitives)


def block_ms(block: Primitive, share: float) -> float:
    """Latency of a block in such a network."""
    return share * 0.004 * block.spatial_size * block.C_out / block.stride + (1 - share) * block_latency_ms(block)


def latency_ms(networks: Sequence[Network], share: float) -> Tensor:
    """Latencies of a mixture, [networks]."""
    return torch.tensor([mixture_ms(network, share) for network in networks], dtype=torch.float64)


def device(networks: Sequence[Network], latency: Tensor, name: str = "new") -> MeasuredDevice:
    """A device on which `networks` took `latency`, [networks]."""
    card = DatasetCard(
        space=SPACE.card(), device=replace(DEVICE, hardware=name), created_at="2026-01-01", latpred_version="1"
    )
    return MeasuredDevice(
        path=Path(name),
        version=1,
        card=card,
        metric="latency_ms",
        network_ids=tuple(network.network_id for network in networks),
        ids=encoded(networks),
        latency=latency,
        weight=torch.ones(len(networks), dtype=torch.float64),
        failed=0,
    )


def with_blocks(device: MeasuredDevice, networks: Sequence[Network], share: float, factor: float) -> MeasuredDevice:
    """The same device, its blocks measured: `factor` times what a mixture says, so that they do not add up."""
    found = [
        (place, SPACE.vocabulary().ids[block], factor * block_ms(block, share))
        for place, network in enumerate(networks)
        for block in network.primitives
    ]
    network, primitive, value = zip(*found, strict=True)
    blocks = MeasuredBlocks(torch.tensor(network), torch.tensor(primitive), torch.tensor(value, dtype=torch.float64))
    return replace(device, blocks=blocks)


def encoded(networks: Sequence[Network]) -> Tensor:
    """Encodings, [networks, slots]."""
    return torch.tensor([network.encoding for network in networks])


def mixture(share: float, count: int, first: int = 0, factor: float = 1.0) -> MeasuredDevice:
    """A mixture on which `count` networks were measured, `factor` times as slow."""
    networks = EVERYTHING[first : first + count]
    return device(networks, factor * latency_ms(networks, share), f"mixture of {share}")
