"""From errors to scores."""

import numpy as np
import pytest

from latpred.intervals import calibrate


def test_scores_by_hand():
    found = calibrate(np.array([4.0, 9.0, 1.0]), np.array([5.0, 3.0, 1.0]))
    assert found.scale == "root"
    assert found.scores == (0.0, 1 / 2, 6 / 3)


def test_the_arguments_stay_as_they_are():
    columns = [np.array([4.0, 9.0]), np.array([5.0, 3.0]), np.array([1.0, 2.0])]
    copies = [column.copy() for column in columns]
    calibrate(*columns)
    for column, copy in zip(columns, copies, strict=True):
        np.testing.assert_array_equal(column, copy)


@pytest.fixture
def errors():
    """Predictions of 1 to 16, and errors with a spread that has nothing to do with them."""
    rng = np.random.default_rng(0)
    predicted, spread = rng.uniform(1, 16, 400), rng.uniform(0.1, 1, 400)
    return predicted, predicted + spread * rng.normal(size=400), spread


def test_a_spread_that_knows_is_taken(errors):
    predicted, target, spread = errors
    found = calibrate(predicted, target, spread)
    assert found.scale == "spread"
    np.testing.assert_allclose(found.scores, np.sort(np.abs(target - predicted) / spread))


def test_a_spread_that_misleads_is_not(errors):
    predicted, target, spread = errors
    assert calibrate(predicted, target, 1 / spread).scale == "root"


def test_a_spread_that_is_hardly_worse_is_taken(errors):
    predicted, target, _ = errors
    root = np.sqrt(predicted)
    assert calibrate(predicted, target, 3 * root).scale == "spread"
    assert calibrate(predicted, predicted + 1, root * (1 + 0.06 * (predicted > 8))).scale == "spread"
    assert calibrate(predicted, predicted + root, root * (1 + 0.2 * (predicted > 8))).scale == "root"


def test_it_works_from_one_network_on():
    assert calibrate(np.array([4.0]), np.array([5.0]), np.array([1.0])).scores == (1.0,)


def test_a_prediction_below_0_has_a_large_score():
    found = calibrate(np.array([4.0, -1.0]), np.array([5.0, 2.0]))
    assert found.scores == pytest.approx((0.5, 3e6))


def test_a_prediction_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"the units of 'root' must be finite and above 0, the least is nan"):
        calibrate(np.array([4.0, np.nan]), np.array([5.0, 2.0]))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_units_must_be_above_0(bad):
    with pytest.raises(ValueError, match=r"the units of 'spread' must be finite and above 0, the least is"):
        calibrate(np.array([4.0, 1.0]), np.array([5.0, 1.0]), np.array([1.0, bad]))
