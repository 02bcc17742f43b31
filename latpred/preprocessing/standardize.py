"""Standardization: a part of a net, so that it travels with it."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the buffers.

import torch
from torch import Tensor, nn


class Standardize(nn.Module):
    """Shift and scale every feature by the training networks' mean and deviation.

    Args:
        width: Number of features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        # NaN until fitted: a forgotten `fit` shows in the first prediction.
        self.register_buffer("mean", torch.full((width,), torch.nan))
        self.register_buffer("std", torch.full((width,), torch.nan))

    def fit(self, rows: Tensor) -> None:
        """Take the statistics of `rows`, [rows, width]."""
        std = rows.std(0, correction=0)
        self.mean.copy_(rows.mean(0))
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))  # a constant feature stays finite

    def forward(self, rows: Tensor) -> Tensor:
        """Return `rows`, [..., width], standardized."""
        return (rows - self.mean) / self.std
