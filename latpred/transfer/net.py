"""The net of a transferred predictor: what the sources say of a network, and what that means on the new device."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Folded(NamedTuple):
    """All that `TransferNet` needs, float64 but for `logarithm`; a column is a source, or one of the two views."""

    sums: Tensor
    """What each block adds to each column, and to each coordinate of a place, [vocabulary, columns + places]."""
    least: Tensor
    """As in `latpred.gaussian.Places`, [logarithms]."""
    gain: Tensor
    """The same."""
    shift: Tensor
    """The same, [places - logarithms]."""
    slope: Tensor
    """What each coordinate of a place adds to each column, [places, columns]."""
    offset: Tensor
    """[columns]."""
    centers: Tensor
    """Places of networks that others are compared with, [centers, places]."""
    likeness: Tensor
    """What likeness to each center adds to each column, near and far, [2, centers, columns]."""
    rates: Tensor
    """Likeness is exp(-rate * squared distance), near and far, [2]."""
    logarithm: Tensor
    """Whether a source's column is of logarithms, bool [sources]."""
    centre: Tensor
    """A source's value, or its logarithm, is column * unit + centre, [sources]."""
    unit: Tensor
    """[sources]."""
    least_said: Tensor
    """Least value of each source, in the metric's unit, [sources]."""
    weights: Tensor
    """What the logarithms of the sources' values add to the first view, their values to the second, [sources, 2]."""
    shares: Tensor
    """How much the views count, [2]; the first is of logarithms."""
    floor: Tensor
    """Least prediction, in the metric's unit, []."""


class TransferNet(nn.Module):
    """Sources and new device are sums over blocks, a linear function of a network's place, and likeness to centers.

    There may be no sources: then the views have what the measured networks say, alone.

    Args:
        folded: What was found.
    """

    sums: Tensor
    least: Tensor
    gain: Tensor
    shift: Tensor
    slope: Tensor
    offset: Tensor
    centers: Tensor
    likeness: Tensor
    rates: Tensor
    logarithm: Tensor
    centre: Tensor
    unit: Tensor
    least_said: Tensor
    weights: Tensor
    shares: Tensor
    floor: Tensor

    def __init__(self, folded: Folded) -> None:
        super().__init__()
        self.sources = len(folded.centre)
        self.columns = len(folded.offset)
        # Row 0 of what ids are looked up in belongs to -1, nothing.
        rows = folded._replace(sums=torch.cat([torch.zeros_like(folded.sums[:1]), folded.sums]))
        for name, value in rows._asdict().items():
            self.register_buffer(name, value)

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to expected values [batch], in the metric's unit."""
        columns = self.parts(ids)
        raw, logs = columns[:, self.sources + 1], columns[:, self.sources]
        if self.sources > 0:
            said = self.values(columns)
            logs = logs + said.log() @ self.weights[:, 0]
            raw = raw + said @ self.weights[:, 1]
        found = self.shares[0] * logs.exp() + self.shares[1] * raw
        return torch.maximum(found, self.floor).to(torch.float32)

    @torch.jit.export
    def said(self, ids: Tensor) -> Tensor:
        """Return what the sources say of networks, float64 [batch, sources], in the metric's unit."""
        return self.values(self.parts(ids))

    def values(self, columns: Tensor) -> Tensor:
        """Return the sources' values from [batch, columns], [batch, sources]."""
        value = columns[:, : self.sources] * self.unit + self.centre
        return torch.maximum(torch.where(self.logarithm, value.exp(), value), self.least_said)

    def parts(self, ids: Tensor) -> Tensor:
        """Return the columns of networks, [batch, columns]."""
        sums = self.sums[ids + 1].sum(1)
        end = self.columns + self.gain.shape[0]
        logs = torch.maximum(sums[:, self.columns : end], self.least).log() * self.gain
        place = torch.cat([logs, sums[:, end:] - self.shift], dim=1)
        apart = place.square().sum(1, keepdim=True) + self.centers.square().sum(1) - 2 * place @ self.centers.T
        apart = apart.clamp(min=0)
        near = (-self.rates[0] * apart).exp() @ self.likeness[0]
        far = (-self.rates[1] * apart).exp() @ self.likeness[1]
        return sums[:, : self.columns] + place @ self.slope + self.offset + near + far
