"""Calibration inside a fit, and how good its intervals are on test networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from latpred.calibration import Calibration
from latpred.intervals import calibrate, fewest_networks, quantile, unit_of
from latpred.preprocessing import Batch

COVERAGE = 0.9
"""Coverage that tests and comparisons report on."""


class HeldOutErrors:
    """The validation networks of one epoch: what was predicted, and what was measured."""

    def __init__(self) -> None:
        self._predicted: list[Tensor] = []
        self._target: list[Tensor] = []
        self._spread: list[Tensor] = []

    def add(self, net: nn.Module, networks: Batch, predicted: Tensor) -> None:
        """Take a batch and what `net` says of it, [batch]."""
        self._predicted.append(predicted)
        self._target.append(networks.target)
        if callable(getattr(net, "spread", None)):
            self._spread.append(unit_of(net, "spread", networks.ids, predicted))

    def calibration(self) -> Calibration:
        """Return the scores of the networks so far, and forget them."""
        columns = [
            torch.cat(column).detach().cpu().double().numpy() if column else None
            for column in (self._predicted, self._target, self._spread)
        ]
        self.clear()
        predicted, target, spread = columns
        if predicted is None or target is None:
            raise ValueError("there are no validation networks to calibrate on")
        return calibrate(predicted, target, spread)

    def clear(self) -> None:
        """Forget all networks."""
        for column in (self._predicted, self._target, self._spread):
            column.clear()


class IntervalScores(Metric):
    """Of intervals of coverage 0.9: the share of networks inside, and the mean width over the measured value."""

    full_state_update = False

    inside: Tensor
    width: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("inside", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("width", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, lower: Tensor, upper: Tensor, target: Tensor) -> None:
        """Take bounds and targets, [batch] each, in one unit."""
        self.inside += ((lower <= target) & (target <= upper)).sum()
        self.width += ((upper - lower) / target).double().sum()
        self.count += target.numel()

    def compute(self) -> dict[str, Tensor]:
        """Return the coverage and the mean relative width, fractions."""
        return {"coverage_90": self.inside / self.count, "width_90": (self.width / self.count).float()}


def bounds(
    net: nn.Module, calibration: Calibration | None, ids: Tensor, predicted: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Return the bounds of coverage 0.9, [batch] each; None where nothing or too little was calibrated on."""
    if calibration is None or len(calibration.scores) < fewest_networks(COVERAGE):
        return None
    bound = quantile(calibration.scores, COVERAGE, "calibration")
    half = bound * unit_of(net, calibration.scale, ids, predicted)
    return (predicted - half).clamp(min=0), predicted + half
