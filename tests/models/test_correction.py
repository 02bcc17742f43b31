"""The bound on what a net may correct."""

import math

import pytest
import torch

from latpred.models.correction import Correction


def test_it_begins_at_the_mean_and_stays_within_one_and_a_half_times_the_range():
    torch.manual_seed(0)
    correction = Correction(4)
    correction.fit(torch.tensor([0.1, 0.2, 0.6]))  # mean 0.3, farthest 0.3 from it
    assert float(correction(torch.zeros(1, 4))) == pytest.approx(0.3)
    with torch.no_grad():
        far = correction(1e6 * torch.randn(200, 4))
    assert float(far.max()) == pytest.approx(0.75)
    assert float(far.min()) == pytest.approx(-0.15)


def test_small_corrections_pass_unbent():
    correction = Correction(1)
    correction.fit(torch.tensor([-0.4, 0.4]))
    with torch.no_grad():
        correction.linear.weight.fill_(1.0)
        assert float(correction(torch.tensor([[0.05]]))) == pytest.approx(0.6 * math.tanh(0.05 / 0.6), rel=1e-6)


def test_equal_networks_leave_room_to_answer():
    correction = Correction(1)
    correction.fit(torch.tensor([0.2, 0.2]))
    assert float(correction(torch.tensor([[5.0]]))) == pytest.approx(0.2, abs=0.002)


def test_before_the_fit_it_answers_nan():
    assert Correction(2)(torch.zeros(1, 2)).isnan().all()
