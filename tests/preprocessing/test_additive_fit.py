"""The fit of additive values: exact where labels are, as good as plain least squares elsewhere, and always positive."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.linear_model import Ridge, RidgeCV

from latpred.preprocessing.additive_fit import _bounded, _guess, _ridge, fit_additive


def problem(networks, primitives, seed, *, blocks=8, noise=0.0):
    """Random networks of `blocks` primitives: counts, values, costs, and what each primitive costs."""
    rng = np.random.default_rng(seed)
    counts = np.array([np.bincount(rng.integers(0, primitives, blocks), minlength=primitives) for _ in range(networks)])
    costs = rng.lognormal(0, 1, (primitives, 2))
    true = (0.5 + costs[:, 0]) * rng.lognormal(0, 0.3, primitives)  # the costs tell much of it, not all
    return counts.astype(float), counts @ true * rng.lognormal(0, noise, networks), costs, true


def equal(networks):
    return np.ones(networks)


def test_exact_sums_give_exact_values():
    counts, value, costs, true = problem(60, 20, seed=0)
    np.testing.assert_allclose(fit_additive(counts, value, equal(60), costs), true, rtol=1e-4)


def test_constant_groups_give_exact_sums():
    """Each network has one of three primitives at each of 6 places: only sums are known, and they are exact."""
    rng = np.random.default_rng(1)
    counts = np.zeros((80, 19))
    counts[:, 18] = 1.0
    for place in range(6):
        counts[np.arange(80), 3 * place + rng.integers(0, 3, 80)] = 1.0
    true, costs = rng.lognormal(0, 1, 19), rng.lognormal(0, 1, (19, 3))
    found = fit_additive(counts[:40], counts[:40] @ true, equal(40), costs)
    np.testing.assert_allclose(counts[40:] @ found, counts[40:] @ true, rtol=1e-5)
    assert (found > 0).all()


@pytest.mark.parametrize("networks", [12, 25, 60])
def test_fewer_errors_on_new_networks_than_plain_methods(networks):
    ours, others = [], []
    for seed in range(5):
        counts, value, costs, true = problem(networks + 300, 40, seed, noise=0.03)
        train, test = slice(networks), slice(networks, None)
        found = fit_additive(counts[train], value[train], equal(networks), costs)
        rows = counts[train] / value[train, None]
        plain = [nnls(rows, equal(networks))[0], Ridge(1.0, fit_intercept=False).fit(counts[train], value[train]).coef_]
        exact = counts[test] @ true
        ours.append(np.abs(counts[test] @ found / exact - 1).mean())
        others.append(min(np.abs(counts[test] @ coefficients / exact - 1).mean() for coefficients in plain))
    assert np.mean(ours) < np.mean(others)
    assert np.mean(ours) < 0.2


def test_outliers_do_not_pull():
    counts, value, costs, true = problem(120, 15, seed=3, noise=0.01)
    value[::10] *= 3.0
    found = fit_additive(counts, value, equal(120), costs)
    np.testing.assert_allclose(found, true, rtol=0.1)
    plain = nnls(counts / value[:, None], equal(120))[0]
    assert np.abs(plain / true - 1).max() > 0.3


def test_networks_that_take_nearly_nothing_do_not_rule():
    """A compiler left nothing of them, so they are no sums; of relative errors theirs would be nearly all."""
    counts, value, costs, true = problem(100, 10, seed=12, noise=0.01)
    value[:3] *= 1e-3
    np.testing.assert_allclose(fit_additive(counts, value, equal(100), costs), true, rtol=0.1)


def test_weights_count():
    """Half of the networks say twice as much, and weigh next to nothing."""
    counts, value, costs, true = problem(80, 10, seed=4)
    value[40:] *= 2.0
    weight = np.where(np.arange(80) < 40, 1.0, 1e-9)
    np.testing.assert_allclose(fit_additive(counts, value, weight, costs), true, rtol=1e-3)


def test_a_unit_changes_nothing_else():
    counts, value, costs, _ = problem(30, 20, seed=5, noise=0.02)
    found = fit_additive(counts, value, equal(30), costs)
    np.testing.assert_allclose(fit_additive(counts, 1e3 * value, equal(30), costs), 1e3 * found, rtol=1e-6)
    np.testing.assert_allclose(fit_additive(counts, value, 7 * equal(30), costs * [1e16, 1e-3]), found, rtol=1e-6)


def test_a_guess_is_so_much_for_each_cost_by_the_networks_that_count():
    counts, _, costs, _ = problem(50, 10, seed=13)
    true = 0.3 + costs @ [2.0, 0.5]
    value = counts @ true
    value[25:] *= 3.0
    weight = np.where(np.arange(50) < 25, 1.0, 1e-12)
    np.testing.assert_allclose(_guess(counts / value[:, None], weight, costs), true, rtol=1e-6)


def test_a_guess_leaves_room_for_what_seems_to_cost_nothing():
    """All others cost less than their FLOPs say, so nothing is left for each block as such."""
    counts, _, costs, _ = problem(50, 10, seed=14)
    costs = 1 + costs[:, :1]
    costs[0] = 1e-9
    true = costs[:, 0] - 0.5
    true[0] = 0.2
    guess = _guess(counts / (counts @ true)[:, None], equal(50), costs)
    assert guess[0] == pytest.approx(0.05 * np.append(guess[1:], 0).mean(), rel=0.01)


def test_what_costs_nothing_is_small_and_positive():
    counts, _, costs, true = problem(100, 12, seed=6)
    true[3] = 0.0
    value = counts @ true
    found = fit_additive(counts, value, equal(100), costs)
    assert 0 < found[3] < 0.05 * true.mean()
    assert (found > 0).all()


def test_what_only_the_guess_can_tell_goes_by_it():
    """Two primitives are in every network, once each, and the second costs twice as much by all that is known."""
    counts, _, costs, true = problem(60, 10, seed=7)
    counts[:30] *= 2  # else one more of each primitive could stand for what is in every network
    counts = np.concatenate([counts, np.ones((60, 2))], axis=1)
    costs = np.concatenate([costs, [[1.0, 1.0], [2.0, 2.0]]])
    found = fit_additive(counts, counts @ np.append(true, [1.5, 1.5]), equal(60), costs)
    assert found[10] + found[11] == pytest.approx(3.0, rel=1e-3)
    assert 1.1 < found[11] / found[10] < 6


@pytest.mark.parametrize("networks", [1, 2])
def test_one_network_gives_its_own_sum(networks):
    counts, value, costs, _ = problem(networks, 6, seed=8)
    counts, costs = counts[:, counts.any(0)], costs[counts.any(0)]
    found = fit_additive(counts, value, equal(networks), costs)
    np.testing.assert_allclose(counts @ found, value, rtol=0.25)


@pytest.mark.parametrize("columns", [4, 30])
def test_the_strength_is_that_of_the_least_error_left_out(columns):
    rng = np.random.default_rng(9)
    design = rng.normal(size=(20, columns))
    target = design[:, 0] + rng.normal(0, 0.5, 20)
    found = _ridge(design, target)
    strengths = np.logspace(-10, 2, 25) * np.linalg.eigvalsh(design.T @ design)[-1]
    expected = RidgeCV(strengths, fit_intercept=False, scoring="neg_mean_squared_error").fit(design, target)
    assert found.strength == pytest.approx(expected.alpha_)
    left_out = []
    for row in range(20):
        others = np.arange(20) != row
        fitted = Ridge(found.strength, fit_intercept=False).fit(design[others], target[others])
        left_out.append(target[row] - fitted.predict(design[row : row + 1])[0])
    np.testing.assert_allclose(found.left_out, left_out, rtol=1e-6)


@pytest.mark.parametrize(("columns", "strength", "least"), [(6, 0.3, -0.02), (40, 3.0, -0.1)])
def test_the_bounded_solution_is_the_best_one(columns, strength, least):
    """As non-negative least squares finds it, of which a ridge is more rows."""
    held = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        design = rng.normal(size=(25, columns)) + 1.5 * rng.normal(size=(25, 1))
        target = rng.normal(size=25) * (1 + strength)
        rows = np.concatenate([design, np.sqrt(strength) * np.eye(columns)])
        expected = least + nnls(rows, np.append(target, np.zeros(columns)) - rows.sum(1) * least)[0]
        found = _bounded(design, target, strength, least)
        np.testing.assert_allclose(found, expected, atol=1e-8)
        held += (found == least).sum()
    assert held > 6


def test_arguments_stay_as_they_are():
    given = [*problem(20, 5, seed=11)[:2], equal(20), problem(20, 5, seed=11)[2]]
    before = [array.copy() for array in given]
    fit_additive(*given)
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)
