"""Which held-out error bounds the next one."""

import math
from fractions import Fraction

import numpy as np
import pytest
from crepes import ConformalRegressor

from latpred.errors import ArtefactError, UsageError
from latpred.intervals import check_coverage, coverage_band, fewest_networks, quantile, rank

COVERAGES = ["0.01", "0.07", "0.1", "0.3", "0.5", "0.55", "0.6", "0.7", "0.8", "0.85", "0.9", "0.95", "0.99", "0.999"]


@pytest.mark.parametrize("text", COVERAGES)
def test_ranks_are_those_of_exact_arithmetic(text):
    exact = Fraction(text)
    for networks in range(1, 1200):
        assert rank(networks, float(text)) == math.ceil((networks + 1) * exact)


@pytest.mark.parametrize("text", COVERAGES)
def test_the_fewest_networks_are_enough_and_one_less_is_not(text):
    exact = Fraction(text)
    found = fewest_networks(float(text))
    assert math.ceil((found + 1) * exact) <= found
    assert found == 1 or math.ceil(found * exact) > found - 1


def test_known_numbers_of_networks():
    assert [fewest_networks(c) for c in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]


@pytest.mark.parametrize("coverage", [0.53, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("networks", [37, 118, 501])
def test_bounds_are_those_of_crepes(networks, coverage):
    """Not at n + 1 a multiple of 10, where crepes takes 1 - 0.9 for less than a tenth."""
    rng = np.random.default_rng(networks)
    residuals, unit, predicted = rng.normal(size=networks), rng.uniform(0.5, 2, networks), rng.uniform(5, 9, 10)
    regressor = ConformalRegressor()
    regressor.fit(residuals, sigmas=unit)
    expected = regressor.predict_int(predicted, sigmas=unit[:10], confidence=coverage)
    bound = quantile(tuple(np.sort(np.abs(residuals) / unit)), coverage, "here")
    found = np.stack([predicted - bound * unit[:10], predicted + bound * unit[:10]], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_bounds_by_hand():
    scores = tuple(range(1, 10))  # the 9 scores 1 to 9
    assert [quantile(scores, c, "here") for c in (0.9, 0.8, 0.5, 0.05)] == [9, 8, 5, 1]


def test_the_next_one_is_inside_as_often_as_promised():
    rng = np.random.default_rng(0)
    draws = np.sort(rng.exponential(size=(20000, 24)), axis=1)
    inside = rng.exponential(size=20000) <= [quantile(row, 0.8, "here") for row in draws.tolist()]
    assert inside.mean() == pytest.approx(20 / 25, abs=0.01)  # rank 20 of 25 gaps


def test_too_few_say_how_many_are_needed():
    message = r"^f\.ts: expected at least 19 validation networks for intervals of coverage 0\.95, found 18\. Ask"
    with pytest.raises(ArtefactError, match=message):
        quantile(tuple(range(18)), 0.95, "f.ts")
    assert quantile(tuple(range(19)), 0.95, "f.ts") == 18


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, math.nan, True, "0.9", None])
def test_a_coverage_is_a_number_between_0_and_1(coverage):
    with pytest.raises(UsageError, match=rf"--interval: expected a number between 0 and 1, .* found {coverage!r}\."):
        check_coverage(coverage, "--interval")
    with pytest.raises(UsageError, match=r"coverage: expected a number between 0 and 1"):
        quantile((1.0,), coverage, "here")


def test_the_band_of_realised_coverage_by_hand():
    """Nine networks, rank 9: Beta(9, 1), whose distribution function is x^9."""
    assert coverage_band(9, 0.9) == pytest.approx((0.005 ** (1 / 9), 0.995 ** (1 / 9)))
    assert coverage_band(9, 0.9, confidence=0.5) == pytest.approx((0.25 ** (1 / 9), 0.75 ** (1 / 9)))
    with pytest.raises(ValueError, match=r"coverage 0\.9 needs 9 networks, got 8"):
        coverage_band(8, 0.9)


def test_realised_coverages_lie_in_the_band():
    rng = np.random.default_rng(1)
    draws = np.sort(rng.uniform(size=(4000, 50)), axis=1)
    realised = np.array([quantile(row, 0.9, "here") for row in draws.tolist()])  # uniform: the bound is the coverage
    low, high = coverage_band(50, 0.9, confidence=0.8)
    assert (realised < low).mean() == pytest.approx(0.1, abs=0.02)
    assert (realised > high).mean() == pytest.approx(0.1, abs=0.02)
