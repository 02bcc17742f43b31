"""Source devices, fitted: what each of them would take for any network of the space."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latpred.gaussian import AdditiveKernel, BlockFacts, count_blocks, fit
from latpred.preprocessing.block_values import block_values
from latpred.preprocessing.features import primitive_features
from latpred.spaces import SearchSpace
from latpred.transfer.draw import encodings, some_networks
from latpred.transfer.fold import fold_device, fold_sources, with_block_sum
from latpred.transfer.measured import MeasuredDevice
from latpred.transfer.model import LEARNING_ROWS, Adapted, TransferModel
from latpred.transfer.net import Folded, TransferNet
from latpred.transfer.threads import one_thread
from latpred.transfer.view import Seen

SOURCE_ROWS = 900
"""The most networks of a source that are regressed on: time grows with the third power of their number."""
_REFERENCE_ROWS = 900
_CHUNK = 2000


@dataclass(frozen=True, eq=False)
class Adaptation:
    """A new device, and the sources that it was seen through."""

    kernel: AdditiveKernel
    sources: Folded
    adapted: Adapted

    def mean(self, ids: Tensor) -> Tensor:
        """Return the expected values of networks with encodings `ids`, [networks, slots], in the metric's unit."""
        return self.adapted.mean(_see(self.kernel, self.sources, ids))

    def net(self) -> TransferNet:
        """Return the net that gives the same numbers."""
        return TransferNet(fold_device(self.sources, self.kernel, self.adapted))


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
    features: NDArray[np.float64]
    """Of each id, [vocabulary, features]; NaN for tokens."""
    block_base: NDArray[np.float64] | None
    """What blocks take on the sources, on average, [vocabulary]; None where none of them has measured blocks."""

    def adapt(self, new: MeasuredDevice) -> Adaptation:
        """Return the new device as its measurements tell.

        Where its blocks were measured, what they add up to is one more source. The prior is then the general one: how
        sources follow each other tells little of how a device follows its own blocks.
        """
        folded, model = self.folded, self.model
        if new.blocks is not None and len(new.blocks):
            values = torch.from_numpy(block_values(new.blocks, self.features, self.block_base))
            least = float((count_blocks(new.ids, len(values)) @ values).min()) / 2
            folded = with_block_sum(folded, values, least)
            model = TransferModel(self.kernel, _see(self.kernel, folded, self.reference), ())
        adapted = model.adapt(_see(self.kernel, folded, new.ids), new.latency)
        return Adaptation(self.kernel, folded, adapted)

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
    features = primitive_features(space, space.vocabulary())
    return FittedSources(
        space=space,
        devices=tuple(devices),
        kernel=kernel,
        folded=folded,
        reference=reference,
        model=model,
        seed=seed,
        seconds=time.perf_counter() - began,
        features=features,
        block_base=_block_base(devices, features),
    )


def _block_base(devices: Sequence[MeasuredDevice], features: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the geometric mean of what blocks take on the devices that have measured some, [vocabulary]."""
    values = [block_values(d.blocks, features) for d in devices if d.blocks is not None and len(d.blocks)]
    if not values:
        return None
    real = np.isfinite(features[:, 0])
    return np.where(real, np.exp(np.mean([np.log(np.where(real, value, 1.0)) for value in values], axis=0)), 0.0)


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
