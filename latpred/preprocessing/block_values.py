"""Measured blocks of a few networks, and what they tell of every primitive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latpred.dataset import Estimation, Measurements
from latpred.preprocessing.flatten import Flatten
from latpred.preprocessing.quiet_rows import quiet_rows
from latpred.vocabulary import Vocabulary

_RIDGE = 0.01
_LEAST_VARIANCE = 1e-8
_ROUNDS = 3
"""Of finding how far primitives deviate, and weighing them by how well each is known."""
_OFF = float(np.log(2.0))
"""A network whose blocks are so far off what others say of blocks of their features was disturbed."""
_FEWEST_JUDGED = 3


@dataclass(frozen=True, eq=False)
class MeasuredBlocks:
    """One row for each block of each network: the median of its runs."""

    network: Tensor
    """Place of its network among those of the device, int64 [blocks]."""
    primitive: Tensor
    """Id in the vocabulary, int64 [blocks]."""
    value: Tensor
    """Positive, in the metric's unit, float64 [blocks]."""

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.value)

    def take(self, rows: Tensor) -> MeasuredBlocks:
        """Return the blocks of the networks at the places `rows`, which are numbered anew."""
        place = torch.full((int(torch.cat([self.network, rows]).max()) + 1,), -1)
        place[rows] = torch.arange(len(rows))
        kept = place[self.network] >= 0
        return MeasuredBlocks(place[self.network[kept]], self.primitive[kept], self.value[kept])


def measured_blocks(
    measurements: Measurements, estimation: Estimation, vocabulary: Vocabulary, codes: Sequence[int]
) -> MeasuredBlocks | None:
    """Return the blocks of some networks; None where none has a value.

    Args:
        measurements: What was read.
        estimation: What it says of the machine's drift.
        vocabulary: Of the primitives that are asked for.
        codes: The networks.
    """
    everything = [primitive for network in measurements.networks for primitive in network.primitives]
    rows = Flatten()(quiet_rows(measurements, estimation, vocabulary.with_extra(everything).ids, codes)).blocks
    if rows is None:
        return None
    found = rows.groupby(["network", "position", "primitive"], as_index=False)["value"].median()
    found = found[found["primitive"] < len(vocabulary)]
    if found.empty:
        return None
    place = {code: i for i, code in enumerate(codes)}
    return MeasuredBlocks(
        torch.tensor(found["network"].map(place).to_numpy(np.int64)),
        torch.tensor(found["primitive"].to_numpy(np.int64)),
        torch.tensor(found["value"].to_numpy(np.float64)),
    )


def block_values(
    blocks: MeasuredBlocks, features: NDArray[np.float64], base: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return what each primitive takes by itself, [vocabulary]; 0 for tokens.

    The logarithm is that of `base`, plus a linear function of the logarithms of the features, plus a deviation of the
    primitive's own. A primitive that was measured often enough is worth the mean of its logarithms; of others, the
    deviation is shrunk (to 0, where it was never measured) by how far blocks of one primitive differ and how far
    primitives deviate.

    Args:
        blocks: At least one.
        features: Positive features of each id, [vocabulary, features]; NaN for tokens.
        base: What other devices say, positive, [vocabulary]; any value for tokens.
    """
    real = np.isfinite(features[:, 0])
    level = np.log(np.where(real, 1.0 if base is None else base, 1.0))
    logs = np.log(np.where(real[:, None], features, 1.0))
    deviation = logs[real].std(0)
    design = (logs - logs[real].mean(0)) / np.where(deviation > 0, deviation, 1.0)
    primitive = blocks.primitive.numpy()
    target = np.log(blocks.value.numpy()) - level[primitive]
    apart = target - _explain(primitive, target, design).smooth[primitive]
    kept = _undisturbed(blocks.network.numpy(), apart)
    found = _explain(primitive[kept], target[kept], design)
    return np.where(real, np.exp(level + found.smooth + found.own), 0.0)


class _Explained(NamedTuple):
    """Logarithms, [vocabulary] each."""

    smooth: NDArray[np.float64]
    """What the features say."""
    own: NDArray[np.float64]
    """How far each primitive deviates from that; 0 for one that was not measured."""


def _explain(primitive: NDArray[np.int64], target: NDArray[np.float64], design: NDArray[np.float64]) -> _Explained:
    """Return what logarithms `target` of some primitives, [blocks], say of all by a `design` [vocabulary, features]."""
    count = np.bincount(primitive, minlength=len(design)).astype(np.float64)
    mean = np.bincount(primitive, target, minlength=len(design)) / np.maximum(count, 1)
    within = max(((target - mean[primitive]) ** 2).sum() / max(len(target) - (count > 0).sum(), 1), _LEAST_VARIANCE)
    known, weight = count > 0, count
    for _ in range(_ROUNDS):
        share = weight[known] / weight[known].sum()
        center = share @ mean[known]
        gram = design[known].T @ (share[:, None] * design[known]) + _RIDGE * np.eye(design.shape[1])
        slopes = np.linalg.solve(gram, design[known].T @ (share * (mean[known] - center)))
        smooth = center + design @ slopes
        left = mean[known] - smooth[known]
        between = max((left**2).mean() - (within / count[known]).mean(), _LEAST_VARIANCE)
        weight = np.where(known, 1 / (between + within / np.maximum(count, 1)), 0.0)
    return _Explained(smooth, np.where(known, (mean - smooth) * between * weight, 0.0))


def _undisturbed(network: NDArray[np.int64], apart: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which blocks are of networks that no disturbance moved as a whole, [blocks].

    Args:
        network: Of each block.
        apart: By how much each lies off what blocks of its features take, a logarithm.
    """
    places = np.unique(network)
    if len(places) < _FEWEST_JUDGED:
        return np.ones(len(network), dtype=np.bool_)
    off = np.array([np.median(apart[network == place]) for place in places])
    return np.isin(network, places[np.abs(off - np.median(off)) < _OFF])
