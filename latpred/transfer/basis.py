"""What source devices say of a network, as a few coordinates: what they agree on, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class SourceBasis:
    """Coordinates of networks from what is predicted for source devices: latencies, or their logarithms.

    Each source is standardized first, so that a fast device says as much as a slow one.
    """

    center: Tensor
    """Mean of each source's values, [sources]."""
    deviation: Tensor
    """Their standard deviation, [sources]: how much the networks differ there."""
    common: Tensor
    """Weights of the standardized sources in what they agree on, [sources]."""
    slopes: Tensor
    """How each standardized source follows that, [sources]."""
    directions: Tensor
    """Weights of the sources' residuals in each direction in which they differ, [directions, sources]."""

    @classmethod
    def of(cls, values: Tensor, most_directions: int = 4) -> SourceBasis:
        """Find the coordinates from what the sources say of many networks.

        Args:
            values: Predicted latencies or logarithms, [sources, networks].
            most_directions: The most directions in which sources differ; each has its spread among them as length.
        """
        center, deviation = values.mean(1), values.std(1, correction=0).clamp(min=_LEAST_DEVIATION)
        rows = (values - center[:, None]) / deviation[:, None]
        mean = rows.mean(0)
        length = mean.std(correction=0).clamp(min=_LEAST_DEVIATION)
        common = torch.full((len(rows),), 1 / len(rows), dtype=rows.dtype) / length
        slopes = rows @ (mean / length) / rows.shape[1]
        residual = rows - slopes[:, None] * (mean / length)
        count = min(most_directions, len(rows) - 1)
        left = torch.linalg.svd(residual, full_matrices=False).U if count else rows[:, :0]
        return cls(center, deviation, common, slopes, left[:, :count].T / len(rows) ** 0.5)

    def coordinates(self, values: Tensor) -> Tensor:
        """Return what the sources agree on, of variance 1, and their differences, [networks, 1 + directions].

        Args:
            values: Predicted latencies or logarithms, [sources, networks].
        """
        rows = (values - self.center[:, None]) / self.deviation[:, None]
        mean = self.common @ rows
        apart = self.directions @ (rows - self.slopes[:, None] * mean)
        return torch.cat([mean[None], apart]).T
