"""The block table: what each primitive costs, as buffers of the net."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the buffers.

import numpy as np
import torch
from numpy.typing import NDArray
from pandas import DataFrame, Series
from torch import Tensor, nn

FEATURES = ("C", "C_out", "expansion", "kernel_size", "spatial_size", "stride", "flops", "parameters", "bytes")
"""Features of a primitive that the table keeps beside its value, which is the reference document's seventh."""

GEOMETRY = 6
"""How many of them, the first ones, are those of the reference document."""


class BlockTable(nn.Module):
    """Map vocabulary ids to the mean value of their primitives over the training networks.

    Row 0 of each buffer belongs to the id -1, nothing there, and is worth 0; row `id + 1` belongs to `id`. Rows are
    NaN until fitted, and stay NaN for a primitive that was never measured, so that no prediction can use it unseen.

    Args:
        size: Length of the vocabulary.
    """

    value: Tensor
    measured: Tensor
    estimate: Tensor
    features: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.full((size + 1,), torch.nan))
        self.register_buffer("measured", torch.zeros(size + 1, dtype=torch.bool))
        # What a regression over the measured primitives says of the others; used on request only, and flagged.
        self.register_buffer("estimate", torch.full((size + 1,), torch.nan))
        self.register_buffer("features", torch.full((size + 1, len(FEATURES)), torch.nan))

    def fit(self, blocks: DataFrame, features: NDArray[np.float64], tokens: list[int], wholes: "Series[float]") -> None:
        """Take the values of the training networks.

        Args:
            blocks: One row per measured block of a run: `run`, `network`, `position`, `primitive` (id), `value`.
            features: Positive features of each id, [vocabulary, features]; NaN where an id has none.
            tokens: Ids that stand for no block: worth 0, and known.
            wholes: Estimate of each network, by network.
        """
        # All blocks of a primitive count alike, however often their networks were run.
        mean = estimate_blocks(blocks, wholes).groupby("primitive")["value"].mean()
        value = np.full(len(self.value) - 1, np.nan)
        value[mean.index.to_numpy(np.int64)] = mean.to_numpy(np.float64)
        self.fill(value, features, tokens)

    def fill(
        self,
        value: NDArray[np.float64],
        features: NDArray[np.float64],
        tokens: list[int],
        estimate: NDArray[np.float64] | None = None,
    ) -> None:
        """Take the value of each primitive.

        Args:
            value: Of each id, [vocabulary]; NaN where unmeasured.
            features: Positive features of each id, [vocabulary, features]; NaN where an id has none.
            tokens: Ids that stand for no block: worth 0, and known.
            estimate: Of ids without a value, [vocabulary], where something better is known than a regression over the
                others; NaN elsewhere.
        """
        value, known = value.copy(), np.full(len(value), np.nan) if estimate is None else estimate
        value[tokens] = 0.0
        found = np.concatenate([[np.nan], np.where(np.isfinite(known), known, estimate_unmeasured(value, features))])
        value = np.concatenate([[0.0], value])
        # 1 stands for no feature: its logarithm is 0.
        described = np.concatenate([np.ones((1, features.shape[1])), np.nan_to_num(features, nan=1.0)])
        self.features.copy_(torch.from_numpy(described))
        self.value.copy_(torch.from_numpy(value))
        self.measured.copy_(torch.from_numpy(np.isfinite(value)))
        self.estimate.copy_(torch.from_numpy(found))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the value of each slot of `ids`, [batch, slots]: 0 for nothing, NaN for an unmeasured primitive."""
        return self.value[ids + 1]


def estimate_blocks(blocks: DataFrame, wholes: "Series[float]") -> DataFrame:
    """Return one row per block of a network: `network`, `position`, `primitive`, and `value`, its estimate.

    The estimate is the median over the network's runs, scaled so that a network's blocks add up to the network's own
    estimate: medians alone add up to less, because a burst that slows some block in most runs is in no block's
    median, and what a runtime does between the blocks belongs to none. So each block carries its share of it. A
    network of which some run lacks a block is not scaled.

    Args:
        blocks: One row per measured block of a run: `run`, `network`, `position`, `primitive` (id), `value`.
        wholes: Estimate of each network, by network.
    """
    found = blocks.groupby(["network", "position", "primitive"], as_index=False)["value"].median()
    sizes = blocks.groupby(["network", "run"]).size()
    of_network = found.groupby("network")["value"].agg(["sum", "size"])
    complete = (sizes == of_network["size"].reindex(sizes.index, level="network")).groupby("network").all()
    scale = (wholes.reindex(of_network.index) / of_network["sum"]).where(complete, 1.0)
    return found.assign(value=found["value"] * found["network"].map(scale))


def estimate_unmeasured(value: NDArray[np.float64], features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the values that are NaN by ridge regression of log value on log features.

    Args:
        value: Value of each id, [vocabulary]; NaN where unmeasured, 0 for tokens.
        features: Positive features of each id, [vocabulary, features]; NaN where an id has none.

    Returns:
        The estimates, [vocabulary]; NaN where measured, without features, or where nothing is measured.
    """
    estimate = np.full(len(value), np.nan)
    described: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(features), axis=1)
    known = np.logical_and(described, value > 0)
    wanted = np.logical_and(described, np.isnan(value))
    if not known.any() or not wanted.any():
        return estimate
    logs = np.log(features, where=described[:, None], out=np.zeros_like(features))
    center, scale = logs[known].mean(0), logs[known].std(0)
    design = (logs - center) / np.where(scale > 0, scale, 1.0)
    target = np.log(value[known])
    # A little ridge, because FLOPs, bytes and channels say nearly the same, and few primitives may be measured.
    gram = design[known].T @ design[known] + 1e-2 * known.sum() * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design[known].T @ (target - target.mean()))
    estimate[wanted] = np.exp(target.mean() + design[wanted] @ weights)
    return estimate
