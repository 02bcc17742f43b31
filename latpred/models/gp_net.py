"""The net of gp: mean and spread of a Gaussian process, by look-ups."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import Any, Final

import torch
from torch import Tensor, nn

from latpred.gaussian import BlockCosts, Posterior, SmallProcess
from latpred.preprocessing import BlockTable

_DENSE = 8
"""Up to so many ids for each slot, counting blocks and one matrix product is quicker than adding up rows."""

_BUFFERS = (
    *("sums", "least", "gain", "shift", "slope", "offset", "centers", "center_weights", "rates"),
    *("covariances", "block_variance", "variances", "explained_root", "noise", "stretch"),
    *("logarithm", "centre", "unit", "floor", "cost_deviation"),
)


class GPNet(nn.Module):
    """What is additive over blocks is one number for each primitive; the rest depends on a network's place.

    A place is a few sums over blocks (`latpred.gaussian.Places`), and is compared with those of the centers, networks
    that stand for those of training. All is float64, because variances are small differences; but for likenesses in
    the mean, which are not.

    Args:
        table: Gets what each primitive costs (`latpred.gaussian.block_costs`); a network with an id that is NaN there
            is NaN.
        slots: Length of an encoding.
    """

    dense: Final[bool]
    wide: Final[int] = 64  # columns from which adding slot by slot is quicker than all at once, which fills the memory

    sums: Tensor
    least: Tensor
    gain: Tensor
    shift: Tensor
    slope: Tensor
    offset: Tensor
    centers: Tensor
    center_weights: Tensor
    rates: Tensor
    covariances: Tensor
    block_variance: Tensor
    variances: Tensor
    explained_root: Tensor
    noise: Tensor
    stretch: Tensor
    logarithm: Tensor
    centre: Tensor
    unit: Tensor
    floor: Tensor
    cost_deviation: Tensor

    def __init__(self, table: BlockTable, slots: int) -> None:
        super().__init__()
        self.table = table
        self.dense = len(table.value) <= _DENSE * slots
        for name in _BUFFERS:  # of no size: what was fitted decides
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    @torch.no_grad()
    def take(self, posterior: Posterior, small: SmallProcess, costs: BlockCosts, floor: float) -> None:
        """Take what was fitted.

        Args:
            posterior: What is known.
            small: The same in few numbers.
            costs: Of the vocabulary.
            floor: Least prediction, in the metric's unit.
        """
        scale, places, device = posterior.scale, small.places, self.table.value.device
        numbers = {"noise": posterior.noise, "centre": scale.centre, "unit": scale.spread, "floor": floor}
        numbers["stretch"] = posterior.stretch
        # Row 0 of what ids are looked up in belongs to -1, nothing.
        looked_up = {
            "sums": torch.cat([small.cost[:, None], places.sums], 1),
            "covariances": torch.cat([small.block_covariance, small.block_root], 1),
            "block_variance": small.block_variance,
            "cost_deviation": costs.deviation,
        }
        found = small._asdict() | places._asdict() | {"logarithm": torch.tensor(scale.logarithm)}
        found |= {name: torch.cat([torch.zeros_like(rows[:1]), rows]) for name, rows in looked_up.items()}
        found |= {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
        for name in _BUFFERS:
            setattr(self, name, found[name].to(device))
        self.table.value[1:] = costs.mean
        self.table.estimate[1:] = torch.where(self.table.measured[1:], torch.nan, costs.mean)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:  # noqa: ANN401
        """Take the sizes of what is loaded."""
        for name in _BUFFERS:
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name], device=self.table.value.device))
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to expected values [batch], in the metric's unit."""
        return self.mean(ids, self.add_up(ids, self.sums)).to(torch.float32)

    @torch.jit.export
    def spread(self, ids: Tensor) -> Tensor:
        """Return the standard deviation of what is measured, noise included, [batch], in the metric's unit."""
        sums = self.add_up(ids, self.sums)
        place, mean = self.place(sums), self.mean(ids, sums)
        near, far = self.likeness(place, self.centers)
        of_constant, of_totals, of_near, of_far = self.variances.unbind()
        covariances, count = self.add_up(ids, self.covariances), self.centers.shape[0]
        # The variance on the centers: ONNX Runtime would fuse it with the product otherwise, and round it to float32.
        shared = covariances[:, :count] + of_constant + place @ (of_totals * self.centers).T
        shared = shared + of_near * near + of_far * far
        before = covariances[:, count:].square().sum(1) + self.count(ids).square() @ self.block_variance
        before = before + of_constant + of_totals * place.square().sum(1) + of_near + of_far
        variance = (before - (shared @ self.explained_root).square().sum(1)).clamp(min=0)
        # On the logarithmic scale all deviations are relative, else the noise alone.
        relative = torch.where(self.logarithm, torch.ones_like(mean), mean / self.centre)
        unit = self.stretch * torch.where(self.logarithm, self.unit * mean, self.unit)
        return ((variance + self.noise * relative.square()).sqrt() * unit).to(torch.float32)

    def mean(self, ids: Tensor, sums: Tensor) -> Tensor:
        """Return the expected values of networks with `sums`, [batch, 1 + places], [batch]."""
        place = self.place(sums)
        near, far = self.likeness(place.to(torch.float32), self.centers.to(torch.float32))
        weights = self.center_weights.to(torch.float32)
        value = sums[:, 0] + place @ self.slope + self.offset + (near @ weights[0] + far @ weights[1])
        value = (value + 0.0 * self.table(ids).sum(1)) * self.unit + self.centre
        return torch.maximum(torch.where(self.logarithm, value.exp(), value), self.floor)

    def place(self, sums: Tensor) -> Tensor:
        """Return the places of networks with `sums`, [batch, 1 + places], [batch, places]."""
        first = 1 + self.gain.shape[0]
        logs = torch.maximum(sums[:, 1:first], self.least).log() * self.gain
        return torch.cat([logs, sums[:, first:] - self.shift], dim=1)

    def likeness(self, place: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
        """Return how alike places and centers are, near and far, [batch, centers] each."""
        unit = self.rates[0].sqrt().to(place.dtype)
        place, centers = place * unit, centers * unit
        apart = torch.addmm(-centers.square().sum(1), place, centers.T, alpha=2.0)
        apart = (apart - place.square().sum(1, keepdim=True)).clamp(max=0)
        return apart.exp(), (apart * (self.rates[1] / self.rates[0]).to(place.dtype)).exp()

    def add_up(self, ids: Tensor, rows: Tensor) -> Tensor:
        """Return the sums of `rows`, [1 + vocabulary, columns], over the slots, [batch, columns]."""
        if self.dense:
            return self.count(ids) @ rows
        if rows.shape[1] < self.wide:
            return rows[ids + 1].sum(1)
        found = rows[ids[:, 0] + 1]
        for slot in range(1, ids.shape[1]):
            found += rows[ids[:, slot] + 1]
        return found

    def count(self, ids: Tensor) -> Tensor:
        """Return how often each id occurs, [batch, 1 + vocabulary], the first being -1."""
        counts = torch.zeros(ids.shape[0], self.block_variance.shape[0], dtype=torch.float64, device=ids.device)
        return counts.scatter_add(1, ids + 1, torch.ones_like(ids, dtype=torch.float64))
