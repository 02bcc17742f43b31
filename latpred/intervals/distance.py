"""How far a network lies from those that were trained on."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the buffers.

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latpred.calibration import Domain
from latpred.primitive import Primitive
from latpred.vocabulary import Vocabulary

_LEAST_SHARE = 1e-4
"""Directions in which training networks hardly vary count as if they varied by this share of the widest variance."""
_MARGIN = 1 + 1e-6
"""On the reach, so that rounding puts no training network beyond it."""


def network_features(vocabulary: Vocabulary) -> NDArray[np.float64]:
    """Return what each primitive adds to a network's features, [1 + vocabulary, features]; row 0 is nothing's.

    A feature is how many blocks of a type there are, or the sum over blocks of a logarithm: input and output channels,
    expansion, kernel, size, stride. The logarithms of FLOPs, parameters and bytes are about sums of these. They depend
    on the vocabulary alone, which the card has, so that an old card means the same later.
    """
    types = sorted({entry.prim_type for entry in vocabulary.by_id if isinstance(entry, Primitive)})
    rows = np.zeros((len(vocabulary) + 1, len(types) + 6))
    for i, entry in enumerate(vocabulary.by_id):
        if isinstance(entry, Primitive):
            expansion = float(entry.options.get("expansion", 1))
            sizes = (entry.C, entry.C_out, expansion, entry.kernel_size, entry.spatial_size, entry.stride)
            rows[i + 1, types.index(entry.prim_type)] = 1
            rows[i + 1, len(types) :] = np.log(sizes)
    return rows


def fit_domain(vocabulary: Vocabulary, training: NDArray[np.int64], held_out: NDArray[np.int64]) -> Domain:
    """Return where networks lie: Mahalanobis distances from the training networks, up to the farthest known network.

    If another network comes from the same source as the `n` held-out ones, it lies beyond their farthest, and so
    beyond the reach, with a probability of at most 1 / (n + 1).

    Args:
        vocabulary: Of the encodings.
        training: Encodings, [networks, slots], at least one.
        held_out: Encodings of networks that were not trained on, [networks, slots].
    """
    table = network_features(vocabulary)
    rows = table[training + 1].sum(1)
    # A feature that all training networks share is measured in its own unit, one block or one e-fold.
    spread = np.where(np.ptp(rows, axis=0) > 0, rows.std(0), 1.0)
    variance, axes = np.linalg.eigh(np.cov(rows / spread, rowvar=False, bias=True))
    floor = _LEAST_SHARE * (variance.max() if variance.max() > 0 else 1.0)
    directions = axes.T / np.sqrt(np.maximum(variance, floor))[:, None] / spread
    center = directions @ rows.mean(0)
    known = np.concatenate([rows, table[held_out + 1].sum(1)])
    farthest = np.linalg.norm(known @ directions.T - center, axis=1).max()
    reach = float(farthest) * _MARGIN if farthest > 0 else 1.0
    return Domain(tuple(center.tolist()), tuple(tuple(row) for row in directions.tolist()), reach)


class Distance(nn.Module):
    """Map encodings to distances from the training networks, as a share of the farthest known network's.

    Args:
        domain: Where the known networks lie.
        vocabulary: Of the encodings.
    """

    step: Tensor
    center: Tensor

    def __init__(self, domain: Domain, vocabulary: Vocabulary) -> None:
        super().__init__()
        features = network_features(vocabulary)
        directions = np.array(domain.directions).reshape(len(domain.center), -1) / domain.reach
        if directions.shape[1] != features.shape[1]:
            raise ValueError(
                f"a domain of {directions.shape[1]} features does not fit {features.shape[1]} of primitives"
            )
        # Each slot's step along the directions, so that a network's place is a sum over its slots.
        self.register_buffer("step", torch.from_numpy(features @ directions.T))
        self.register_buffer("center", torch.tensor(domain.center, dtype=torch.float64) / domain.reach)

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to distances [batch]; above 1 is beyond the reach."""
        place = self.step[ids + 1].sum(1) - self.center
        return place.square().sum(1).sqrt().to(torch.float32)
