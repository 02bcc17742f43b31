"""The net of an export that knows its errors."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the nets.

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latpred.calibration import Calibration
from latpred.intervals import AllParts, CalibratedNet, calibrated_net, fit_domain, unit_of
from latpred.primitive import Primitive
from latpred.vocabulary import Vocabulary

VOCABULARY = Vocabulary(tuple(Primitive("conv", 8, width, 4) for width in (1, 2, 3)))
DOMAIN = fit_domain(VOCABULARY, np.array([[0, 0], [1, 1], [0, 1]]), np.array([[1, 0]]))
IDS = torch.tensor([[0, 0], [1, 1], [2, 0], [1, -1]])
SCORES = tuple(i / 10 for i in range(1, 20))  # 19 networks: rank 18 of coverage 0.9 is 1.8
VALUES = torch.tensor([2.0, 32.0, torch.nan, 16.0])
SPREADS = torch.tensor([0.2, 3.2, torch.nan, 1.6])


class Sum(nn.Module):
    """Values 1, 16 and NaN, summed."""

    def __init__(self):
        super().__init__()
        self.register_buffer("value", torch.tensor([0.0, 1.0, 16.0, torch.nan]))

    def forward(self, ids: Tensor) -> Tensor:
        return self.value[ids + 1].sum(1)


class SureSum(Sum):
    """The same, with a tenth as its deviation."""

    def spread(self, ids: Tensor) -> Tensor:
        return 0.1 * self.value.double()[ids + 1].sum(1)


def made(scale: str, scores: tuple[float, ...] = SCORES) -> CalibratedNet:
    net = SureSum() if scale == "spread" else Sum()
    return calibrated_net(net, Calibration(scale, scores), DOMAIN, VOCABULARY).eval()


@pytest.fixture(params=["root", "spread"])
def scale(request) -> str:
    return request.param


@pytest.fixture(params=["eager", "script"])
def net(request, scale):
    net = made(scale)
    return net if request.param == "eager" else torch.jit.script(net)


def test_predictions_units_and_intervals_by_hand(net, scale):
    unit = SPREADS if scale == "spread" else VALUES.sqrt()
    torch.testing.assert_close(net(IDS), VALUES, equal_nan=True)
    for found, expected in zip(net.parts(IDS), (VALUES, unit), strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)
    for coverage, bound in ((0.9, 1.8), (0.5, 1.0), (0.95, 1.9), (0.01, 0.1)):
        lower, value, upper = net.interval(IDS, coverage)
        torch.testing.assert_close(value, VALUES, equal_nan=True)
        torch.testing.assert_close(lower, (VALUES - bound * unit).clamp(min=0), equal_nan=True)
        torch.testing.assert_close(upper, VALUES + bound * unit, equal_nan=True)


def test_too_few_networks_give_all_that_can_be(net):
    lower, value, upper = net.interval(IDS, 0.96)
    assert lower.tolist()[:2] == [0, 0]
    assert upper.tolist()[:2] == [torch.inf] * 2
    assert [bool(found[2].isnan()) for found in (lower, value, upper)] == [True] * 3


@pytest.mark.parametrize("coverage", [0.0, 1.0, float("nan")])
def test_a_coverage_lies_between_0_and_1(net, coverage):
    with pytest.raises((ValueError, torch.jit.Error), match="coverage must lie between 0 and 1"):
        net.interval(IDS, coverage)


def test_distances_are_those_of_the_domain(net):
    found = net.distance(IDS)
    assert found[:2].tolist() == pytest.approx([1, 1], abs=1e-5)
    assert found[3] > 10  # of one block, which no network of the domain is


def test_a_line_below_0_has_an_interval():
    net = made("root")
    net.net.value.neg_()
    lower, value, upper = net.interval(IDS[:1], 0.9)
    assert (float(lower), float(value)) == (0, -2)
    assert float(upper) == pytest.approx(-2 + 1.8e-6)


def test_all_parts_at_once(scale):
    net = made(scale)
    for found, expected in zip(AllParts(net)(IDS), (*net.parts(IDS), net.distance(IDS)), strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)


def test_units_outside_the_net_are_the_same(scale):
    net = made(scale)
    value, unit = net.parts(IDS)
    torch.testing.assert_close(unit_of(net.net, scale, IDS, value), unit, equal_nan=True)


def test_the_scores_and_the_domain_are_buffers(scale):
    assert sorted(dict(made(scale).named_buffers())) == ["domain.center", "domain.step", "net.value", "scores"]
    assert made(scale).scores.tolist() == list(SCORES)
