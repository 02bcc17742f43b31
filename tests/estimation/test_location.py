"""Robust means and their errors."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import stdtrit
from scipy.stats import t as student

from latpred.estimation.location import LAW_COUNTS, deviation, medians, noise, robust_means, standard_errors

NAN = float("nan")


def test_medians_by_hand():
    found = medians(np.array([2, 0, 2, 2, 0]), np.array([5.0, 1.0, 9.0, 6.0, 2.0]), 4)
    np.testing.assert_array_equal(found, [1.5, NAN, 6.0, NAN])


def test_a_robust_mean_is_the_most_likely_location():
    rng = np.random.default_rng(0)
    values, scales = rng.standard_normal(30), rng.uniform(0.5, 2, 30)
    values[:4] += 12
    groups = np.repeat([0, 1, 3], 10)
    start = medians(groups, values, 4)
    location = start
    for _ in range(20):
        location, weights = robust_means(groups, values, scales, location)
    for group in (0, 1, 3):
        own, scale = values[groups == group], scales[groups == group]
        likely = minimize_scalar(lambda x, own=own, scale=scale: -student.logpdf(own, 4, x, scale).sum(), (-1, 1))
        assert location[group] == pytest.approx(likely.x, abs=1e-5)
    assert np.isnan(location[2])
    np.testing.assert_allclose(weights, 4 / (4 + ((values - location[groups]) / scales) ** 2))


def test_a_surer_value_counts_more():
    """Two values that are close by: their mean, weighted by their variances, 1 and 4."""
    location, _ = robust_means(np.zeros(2, int), np.array([0.0, 0.01]), np.array([1.0, 2.0]), np.array([0.0]))
    assert location[0] == pytest.approx(0.01 / 5, rel=1e-3)


def test_a_burst_counts_little_and_equal_values_fully():
    values = np.array([1.0, 1.0, 1.0, 1.0, 3.0])
    location, weights = robust_means(np.zeros(5, int), values, np.full(5, 0.01), np.array([1.0]))
    assert location[0] == pytest.approx(1.0, abs=1e-4)
    assert weights.tolist() == pytest.approx([1, 1, 1, 1, 4 / (4 + 200**2)], rel=1e-2)


def test_an_error_by_hand():
    """Four values 1 from the middle, of scale 2: weights 4 / (4 + 1 / 4) = 16 / 17."""
    missed, scales, weights = np.array([1.0, -1.0, 1.0, -1.0]), np.full(4, 2.0), np.full(4, 16 / 17)
    law = 1 / (4 * 5 / 7 / 4)
    follows = 16 / 17 * (2 * 16 / 17 - 1)
    own = 4 * (16 / 17) ** 2 / (4 * follows) ** 2 * 4 / 3
    expected = ((LAW_COUNTS * law + 4 * own) / (LAW_COUNTS + 4)) ** 0.5
    found = standard_errors(np.zeros(4, int), missed, scales, weights, 1)
    assert found[0] == pytest.approx(expected)


def test_values_that_are_all_far_out_have_a_finite_error():
    missed, scales = np.array([9.0, -9.0]), np.ones(2)
    weights = 4 / (4 + missed**2)
    pull = 4 / 85
    own = 2 * (pull * 9) ** 2 / (2 * pull / 3) ** 2 * 2
    expected = ((LAW_COUNTS * 7 / 10 + 2 * own) / (LAW_COUNTS + 2)) ** 0.5
    assert standard_errors(np.zeros(2, int), missed, scales, weights, 1)[0] == pytest.approx(expected)


def test_fewer_than_two_values_have_no_error():
    found = standard_errors(np.array([0, 2, 2]), np.zeros(3), np.ones(3), np.ones(3), 4)
    assert np.isnan(found).tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("count", "widened", "low", "high"),
    [(2, 1, 0.95, 1.0), (4, 1, 0.94, 0.99), (24, 1, 0.93, 0.97), (4, 3, 0.7, 0.98), (24, 3, 0.88, 0.97)],
)
def test_errors_are_those_of_many_repetitions(count, widened, low, high):
    """How often the interval holds 0, in 4000 groups of normal values that scatter `widened` times what is said."""
    rng = np.random.default_rng(count)
    groups, scales = np.repeat(np.arange(4000), count), np.ones(4000 * count)
    values = widened * rng.standard_normal(4000 * count)
    location, weights = robust_means(groups, values, scales, medians(groups, values, 4000))
    error = standard_errors(groups, values - location[groups], scales, weights, 4000)
    holds = np.abs(location) <= stdtrit(count - 1 + LAW_COUNTS, 0.975) * error
    assert low < holds.mean() < high


def test_the_deviation_is_that_of_a_normal_law_and_bursts_do_not_count():
    values = np.random.default_rng(0).normal(0, 0.02, 100_000)
    assert deviation(values) == pytest.approx(0.02, rel=0.01)
    values[:1000] = 50.0
    assert deviation(values) == pytest.approx(0.02, rel=0.02)
    assert deviation(np.array([-3.0, 1.0, 0.0])) == 1.4826
    assert deviation(np.array([NAN, -3.0, 1.0, 0.0, NAN])) == 1.4826
    assert np.isnan(deviation(np.array([NAN])))
    assert np.isnan(deviation(np.zeros(0)))


def test_noise_is_what_is_missed_and_what_the_location_took():
    found = noise(np.array([2, 0, 2, 5, 0, 0]), np.array([1.0, 2.0, -1.0, 0.0, 2.0, -4.0]))
    two, three = 2**0.5, 1.5**0.5
    np.testing.assert_allclose(found, [two, 2 * three, -two, NAN, 2 * three, -4 * three])
    assert len(noise(np.zeros(0, int), np.zeros(0))) == 0
