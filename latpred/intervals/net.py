"""The net of an export that knows its errors: the same predictions, and methods for intervals and distances."""
# No `from __future__ import annotations` here: torch.jit.script must read the types.

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from latpred.calibration import Calibration, Domain
from latpred.intervals.distance import Distance
from latpred.intervals.scores import LEAST
from latpred.vocabulary import Vocabulary


class CalibratedNet(nn.Module):
    """Predict as `net` does, and bound a measured value by the errors on held-out networks.

    This one takes the square root of the prediction for the unit of scores.

    Args:
        net: Maps ids [batch, slots] to predictions [batch].
        calibration: Its scores.
        distance: Maps ids to distances from the training networks.
    """

    least: Final[float] = LEAST  # of this class, because TorchScript knows no other constants

    scores: Tensor

    def __init__(self, net: nn.Module, calibration: Calibration, distance: Distance) -> None:
        super().__init__()
        self.net = net
        self.domain = distance
        self.register_buffer("scores", torch.tensor(calibration.scores, dtype=torch.float64))

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to predictions [batch], in the metric's unit."""
        return self.net(ids)

    def unit(self, ids: Tensor, value: Tensor) -> Tensor:
        """Return what a score is worth, [batch], where the net predicts `value`, [batch]."""
        return value.clamp(min=self.least).sqrt()

    @torch.jit.export
    def parts(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Map ids [batch, slots] to predictions and what a score is worth, [batch] each."""
        value = self.net(ids)
        return value, self.unit(ids, value)

    @torch.jit.export
    def distance(self, ids: Tensor) -> Tensor:
        """Map ids [batch, slots] to distances from the training networks, [batch]; above 1 is beyond all known ones."""
        return self.domain(ids)

    @torch.jit.export
    def interval(self, ids: Tensor, coverage: float) -> tuple[Tensor, Tensor, Tensor]:
        """Map ids [batch, slots] to lower bounds, predictions and upper bounds, [batch] each, in the metric's unit.

        Where there were too few held-out networks for `coverage`, the interval is all that can be, 0 to infinity.
        """
        if not 0.0 < coverage < 1.0:
            raise ValueError("coverage must lie between 0 and 1")
        value, unit = self.parts(ids)
        place = max(math.ceil((self.scores.shape[0] + 1) * coverage - 1e-9), 1)
        if place > self.scores.shape[0]:
            half = torch.full_like(value, math.inf) + 0.0 * value  # NaN stays NaN
        else:
            half = float(self.scores[place - 1]) * unit
        return (value - half).clamp(min=0.0), value, value + half


class SpreadNet(CalibratedNet):
    """The same for a net with a `spread(ids) -> [batch]`, its own standard deviation, as the unit of scores."""

    def unit(self, ids: Tensor, value: Tensor) -> Tensor:
        """Return the net's standard deviation, [batch], in the metric's unit."""
        return self.net.spread(ids).to(value.dtype).clamp(min=self.least)


def calibrated_net(net: nn.Module, calibration: Calibration, domain: Domain, vocabulary: Vocabulary) -> CalibratedNet:
    """Return `net` with its calibration and domain in buffers."""
    # A class for each scale: TorchScript must know when it compiles whether there is a `spread`.
    wrapper = SpreadNet if calibration.scale == "spread" else CalibratedNet
    return wrapper(net, calibration, Distance(domain, vocabulary))


def unit_of(net: Any, scale: str, ids: Tensor, value: Tensor) -> Tensor:  # noqa: ANN401 - it may have a `spread`
    """Return what a score of `scale` is worth where `net` predicts `value`, [batch]."""
    if scale == "spread":
        return net.spread(ids).to(value.dtype).clamp(min=LEAST)
    return value.clamp(min=LEAST).sqrt()


class AllParts(nn.Module):
    """A calibrated net whose one method gives all there is, for formats that know no other methods.

    Args:
        net: The calibrated net.
    """

    def __init__(self, net: CalibratedNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map ids [batch, slots] to predictions, what a score is worth, and distances, [batch] each."""
        value, unit = self.net.parts(ids)
        return value, unit, self.net.distance(ids)
