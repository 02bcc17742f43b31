"""What the networks are fed."""

from __future__ import annotations

import torch
from torch import Tensor

_SEED = 0  # one image for all sessions and runtimes, so that no difference between them comes from it


def random_image(batch: int, C: int, size: int) -> Tensor:
    """Return the one image of that shape, [batch, C, size, size], standard normal."""
    return torch.randn(batch, C, size, size, generator=torch.Generator().manual_seed(_SEED))
