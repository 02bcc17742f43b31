"""regression: its line, against a hand-made one and scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import HuberRegressor, LinearRegression

from latpred.models.regression import relative_least_squares


def design(block_sum, count=None):
    rest = torch.zeros_like(block_sum) if count is None else count
    return torch.stack([block_sum, rest, torch.ones_like(block_sum)], dim=1)


def test_an_exact_line_is_found():
    block_sum = torch.tensor([1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
    found = relative_least_squares(design(block_sum), 1.25 * block_sum + 0.5, torch.ones(4, dtype=torch.float64))
    assert found.tolist() == pytest.approx([1.25, 0.0, 0.5], abs=1e-9)


def test_an_exact_plane_is_found():
    rng = np.random.default_rng(0)
    block_sum, count = (torch.from_numpy(rng.uniform(1, 9, 20)) for _ in range(2))
    target = 1.1 * block_sum + 0.02 * count + 0.3
    found = relative_least_squares(design(block_sum, count), target, torch.ones(20, dtype=torch.float64))
    assert found.tolist() == pytest.approx([1.1, 0.02, 0.3], abs=1e-8)


def test_without_outliers_it_is_the_weighted_least_squares_of_scikit_learn():
    rng = np.random.default_rng(1)
    block_sum = rng.uniform(2, 8, 200)
    # Errors of one size: none is beyond Huber's bend, 1.345 * 1.4826 times their median.
    target = (1.2 * block_sum + 0.4) * (1 + 0.02 * rng.choice([-1, 1], 200))
    weight = rng.uniform(0.5, 2, 200)
    reference = LinearRegression().fit(block_sum[:, None], target, sample_weight=weight / target**2)
    rows = design(torch.from_numpy(block_sum))
    found = relative_least_squares(rows, torch.from_numpy(target), torch.from_numpy(weight))
    assert found[[0, 2]].tolist() == pytest.approx([reference.coef_[0], reference.intercept_], rel=1e-3)


def test_outliers_do_not_bend_the_line():
    rng = np.random.default_rng(2)
    block_sum = torch.from_numpy(rng.uniform(2, 8, 100))
    target = (1.2 * block_sum + 0.4) * torch.from_numpy(1 + 0.01 * rng.standard_normal(100))
    target[block_sum.argsort()[:8]] *= 3
    found = relative_least_squares(design(block_sum), target, torch.ones(100, dtype=torch.float64))
    plain = LinearRegression().fit(block_sum[:, None].numpy(), target.numpy())
    huber = HuberRegressor(max_iter=1000).fit(block_sum[:, None].numpy(), target.numpy())
    assert abs(found[0] - 1.2) < 0.03
    assert abs(huber.coef_[0] - 1.2) < 0.1 < abs(plain.coef_[0] - 1.2)


def test_one_network_and_equal_networks_give_finite_lines():
    for count in (1, 5):
        block_sum = torch.full((count,), 4.0, dtype=torch.float64)
        found = relative_least_squares(design(block_sum), 1.5 * block_sum, torch.ones(count, dtype=torch.float64))
        assert float(design(block_sum)[0] @ found) == pytest.approx(6.0)
