"""Source devices, fitted: what each of them would take for any network of the space."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latpred.gaussian import AdditiveKernel, BlockFacts, count_blocks, fit
from latpred.spaces import SearchSpace
from latpred.transfer.draw import encodings, some_networks
from latpred.transfer.fold import fold_sources
from latpred.transfer.measured import MeasuredDevice
from latpred.transfer.model import LEARNING_ROWS, TransferModel
from latpred.transfer.net import Folded, TransferNet
from latpred.transfer.threads import one_thread
from latpred.transfer.view import Seen

SOURCE_ROWS = 900
"""The most networks of a source that are regressed on: time grows with the third power of their number."""
_REFERENCE_ROWS = 900
_CHUNK = 2000


@dataclass(frozen=True, eq=False)
class FittedSources:
    """Devices that were measured before, and how a new one is expected to follow them."""

    space: SearchSpace[Any]
    devices: tuple[MeasuredDevice, ...]
    kernel: AdditiveKernel
    folded: Folded
    reference: Tensor
    """Encodings of networks that stand for the space, [networks, slots]."""
    model: TransferModel
    """What they tell of a new device."""
    seed: int
    seconds: float
    """Time of the fit, s."""

    def see(self, ids: Tensor) -> Seen:
        """Return networks with encodings `ids`, [networks, slots], and what the sources say of them.

        They say it as the sources in the exported net do, to the last digit that counts.
        """
        return _see(self.kernel, self.folded, ids)


@one_thread()
def fit_sources(
    space: SearchSpace[Any], devices: Sequence[MeasuredDevice], *, rows: int = SOURCE_ROWS, seed: int = 0
) -> FittedSources:
    """Fit a Gaussian process to each source, all with one kernel, and find how they follow each other.

    Args:
        space: Of all of them.
        devices: The sources; may be none.
        rows: The most networks of each that are regressed on; of more, so many are drawn.
        seed: Of the draws; without sources, of the networks that stand for the space, too.
    """
    began = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    taken = [torch.randperm(len(device), generator=generator)[:rows].sort().values for device in devices]
    reference = _reference(space, [device.ids[some] for device, some in zip(devices, taken, strict=True)], seed)
    facts = BlockFacts.of(space, space.vocabulary())
    kernel = AdditiveKernel(facts, count_blocks(reference, len(facts.amounts)))
    posteriors = [
        fit(kernel, count_blocks(d.ids[some], len(facts.amounts)), d.latency[some], d.weight[some], seed=seed)
        for d, some in zip(devices, taken, strict=True)
    ]
    folded = fold_sources(kernel, posteriors, [float(device.latency.min()) / 2 for device in devices])
    measured = [
        (_see(kernel, folded, device.ids[some]), device.latency[some]) for device, some in _learning(devices, seed)
    ]
    model = TransferModel(kernel, _see(kernel, folded, reference), measured)
    seconds = time.perf_counter() - began
    return FittedSources(space, tuple(devices), kernel, folded, reference, model, seed, seconds)


def _learning(devices: Sequence[MeasuredDevice], seed: int) -> Iterator[tuple[MeasuredDevice, Tensor]]:
    """Yield each source with the networks that say how it follows the others."""
    generator = torch.Generator().manual_seed(seed)
    for device in devices:
        yield device, torch.randperm(len(device), generator=generator)[:LEARNING_ROWS]


def _see(kernel: AdditiveKernel, folded: Folded, ids: Tensor) -> Seen:
    net, counts = TransferNet(folded), count_blocks(ids, len(kernel.facts.amounts))
    said = torch.cat([net.said(chunk) for chunk in torch.split(ids, _CHUNK)])
    return Seen(kernel.networks(counts), said.T.contiguous())


def _reference(space: SearchSpace[Any], measured: Sequence[Tensor], seed: int) -> Tensor:
    """Return networks that stand for the space, [networks, slots]: of the sources, or drawn if there are none."""
    if not measured:
        return encodings(some_networks(space, _REFERENCE_ROWS, seed))
    distinct = torch.unique(torch.cat(list(measured)), dim=0)
    generator = torch.Generator().manual_seed(seed)
    return distinct[torch.randperm(len(distinct), generator=generator)[:_REFERENCE_ROWS].sort().values]
