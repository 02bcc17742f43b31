"""Drift told from networks, in stretches."""

import sys

import numpy as np
import pytest
import torch
from processes import FACTS, fitted, noisy, some_networks

from latpred.gaussian import find_drift

_, COUNTS, LATENCY = some_networks(150)
ORDER = torch.arange(150).double()
DRIFT = 0.05 * torch.sin(ORDER / 10)


@pytest.mark.parametrize("stretch", [1000, 60])
def test_it_is_found_with_its_size_and_that_of_the_noise(stretch, monkeypatch):
    monkeypatch.setattr(sys.modules["latpred.gaussian.drift"], "STRETCH", stretch)
    shuffled = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    latency = noisy(LATENCY, 0.01) * (1 + DRIFT)
    found = find_drift(FACTS, COUNTS[shuffled], latency[shuffled], ORDER[shuffled])
    assert np.corrcoef(found.of_label, DRIFT[shuffled])[0, 1] > 0.9
    assert found.deviation == pytest.approx(0.05 / 2**0.5, rel=0.5)
    assert found.noise == pytest.approx(0.01, rel=0.5)


def test_stretches_are_of_time(monkeypatch):
    """Networks of a stretch are neighbours in time, whatever their rows: those of another tell them nothing."""
    monkeypatch.setattr(sys.modules["latpred.gaussian.drift"], "STRETCH", 75)
    latency = noisy(LATENCY, 0.01) * (1 + DRIFT)
    shuffled = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    changed = torch.where(ORDER >= 75, 1.3 * latency, latency)
    found, other = (
        find_drift(FACTS, COUNTS[shuffled], values[shuffled], ORDER[shuffled]).of_label for values in (latency, changed)
    )
    early = ORDER[shuffled] < 75
    assert torch.equal(found[early], other[early])


def test_without_drift_and_noise_there_is_none():
    found = find_drift(FACTS, COUNTS, LATENCY, ORDER)
    assert float(found.of_label.abs().max()) < 0.01
    assert found.noise < 0.005


def test_noise_is_a_fraction_of_each_latency():
    """The root of the mean variance, each over the square of its latency, on the raw scale."""
    latency = noisy(LATENCY - 0.9 * LATENCY.min(), 0.02)
    posterior = fitted(COUNTS, latency, order=ORDER)
    assert not posterior.scale.logarithm
    fractions = [
        variance * posterior.scale.spread**2 / value**2
        for variance, value in zip(posterior.noise_variances.tolist(), latency.tolist(), strict=True)
    ]
    found = find_drift(FACTS, COUNTS, latency, ORDER)
    assert found.noise == pytest.approx((sum(fractions) / len(fractions)) ** 0.5)
    assert found.deviation == pytest.approx(posterior.relative(posterior.drift_variance))
