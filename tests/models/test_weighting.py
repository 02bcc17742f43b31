"""Weights of an ensemble: against hand-made ones and SciPy's general solver, and what they do not see."""

import numpy as np
import pytest
from scipy.optimize import minimize

from latpred.models.weighting import _on_simplex, left_out_errors, simplex_weights


def test_errors_that_cancel_count_alike():
    errors = np.array([[0.1, -0.1], [-0.1, 0.1], [0.1, -0.1]])
    assert simplex_weights(errors).tolist() == pytest.approx([0.5, 0.5])


def test_the_pull_to_equal_weights_is_worth_one_network_of_the_best():
    """0.01 a^2 + 0.04 b^2 + 0.005 (a^2 + b^2): a / b = 0.045 / 0.015, where b^2 alone would give 4."""
    errors = np.array([[0.1, 0.0], [0.0, 0.2]])
    assert simplex_weights(errors).tolist() == pytest.approx([0.75, 0.25])
    # The first network twice: 0.02 a^2 + 0.04 b^2 + 0.01 (a^2 + b^2).
    assert simplex_weights(errors, np.array([2.0, 1.0])).tolist() == pytest.approx([0.625, 0.375])


def test_a_member_that_only_harms_gets_no_weight():
    rng = np.random.default_rng(0)
    good = 0.01 * rng.standard_normal(100)
    weights = simplex_weights(np.stack([good, good + 0.2], axis=1))
    assert weights.tolist() == [1.0, 0.0]


def test_the_least_on_the_simplex_is_that_of_a_general_solver():
    rng = np.random.default_rng(1)
    for _ in range(5):
        rows = rng.standard_normal((30, 4)) + rng.standard_normal(4)
        found = _on_simplex(rows)
        reference = minimize(
            lambda w, rows=rows: float(np.square(rows @ w).sum()),
            np.full(4, 0.25),
            method="SLSQP",
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-12},
        )
        assert found.sum() == pytest.approx(1.0)
        assert found.tolist() == pytest.approx(reference.x.tolist(), abs=1e-4)


def test_outliers_do_not_choose():
    """Three networks were measured wrong; by squares, the second member is better for them alone."""
    rng = np.random.default_rng(2)
    errors = np.stack([0.01 * rng.standard_normal(60), 0.03 * rng.standard_normal(60)], axis=1)
    errors[:3] += [0.40, 0.35]
    assert _on_simplex(errors)[0] < 0.1
    assert simplex_weights(errors)[0] > 0.7


def test_next_to_no_weight_is_none():
    """0.05^2 against 1: without the bound, the second would have a weight of 0.005."""
    rng = np.random.default_rng(4)
    errors = rng.choice([-1.0, 1.0], (200, 2)) * [0.05, 1.0]
    assert 0 < _on_simplex(errors)[1] < 0.02
    assert simplex_weights(errors).tolist() == [1.0, 0.0]


def test_small_and_large_errors_have_the_same_weights():
    errors = np.array([[0.1, 0.0], [0.0, 0.2]])
    for scale in (1e-4, 1e4):
        assert simplex_weights(scale * errors).tolist() == pytest.approx([0.75, 0.25])


def test_each_network_is_left_out_of_its_own_weights():
    """By itself, each of the two would be predicted without error."""
    errors = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert np.abs(left_out_errors(errors)).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_the_parts_that_are_left_out_depend_on_the_seed_alone():
    errors = np.random.default_rng(3).standard_normal((50, 3)) * [0.01, 0.02, 0.03]
    before = errors.copy()
    assert left_out_errors(errors, seed=0).tolist() == left_out_errors(errors, seed=0).tolist()
    assert left_out_errors(errors, seed=0).tolist() != left_out_errors(errors, seed=1).tolist()
    assert (errors == before).all()


def test_the_left_out_errors_use_the_weights_of_networks():
    errors = np.array([[0.1, 0.0], [0.0, 0.2], [0.1, 0.0], [0.0, 0.2]])
    for i, counts in enumerate((np.ones(4), np.array([9.0, 1.0, 9.0, 1.0]))):
        others = np.delete(np.arange(4), 0)
        expected = errors[0] @ simplex_weights(errors[others], counts[others])
        assert left_out_errors(errors, counts)[0] == pytest.approx(expected), i


@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_no_errors_are_refused(shape):
    with pytest.raises(ValueError, match=rf"expected errors of networks and members, got the shape \[{shape[0]}, "):
        simplex_weights(np.empty(shape))


def test_one_network_cannot_be_left_out():
    with pytest.raises(ValueError, match=r"expected errors of at least two networks, got 1"):
        left_out_errors(np.ones((1, 2)))
