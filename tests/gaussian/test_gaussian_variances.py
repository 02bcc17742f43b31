"""Variances by marginal likelihood."""

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from latpred.gaussian.variances import LogNormal, _Task, cholesky, covariance, fit_variances

RNG = np.random.default_rng(0)
X = np.sort(RNG.uniform(0, 10, 40))[:, None]
APART = torch.from_numpy((X - X.T) ** 2)
GRAMS = torch.stack([torch.exp(-APART / 2), torch.ones(40, 40, dtype=torch.float64)])
NOISE = torch.from_numpy(RNG.uniform(0.5, 2, 40))
TARGET = torch.from_numpy(np.sin(X[:, 0]) + RNG.normal(0, 0.1, 40))
PRIOR = LogNormal(np.array([-1.0, -2.0, -4.0]), np.array([2.0, 1.0, 0.5]))
LOGS = np.array([0.3, -1.2, -3.0])


def test_the_loss_is_the_posterior_density_of_the_variances():
    def expected(logs):
        covered = covariance(GRAMS, torch.from_numpy(np.exp(logs)), NOISE).numpy()
        return -multivariate_normal.logpdf(TARGET, cov=covered) - norm.logpdf(logs, *PRIOR).sum()

    loss = _Task(GRAMS, TARGET, NOISE, PRIOR).loss
    difference = loss(LOGS)[0] - loss(PRIOR.mean)[0]
    assert difference == pytest.approx(expected(LOGS) - expected(PRIOR.mean), rel=1e-6)


def test_the_gradient_is_that_of_the_loss():
    loss = _Task(GRAMS, TARGET, NOISE, PRIOR).loss
    np.testing.assert_allclose(loss(LOGS)[1], approx_fprime(LOGS, lambda x: loss(x)[0], 1e-6), rtol=1e-4)


def test_a_covariance_that_cannot_be_decomposed_is_worse_than_any():
    value, gradient = _Task(-GRAMS, TARGET, NOISE, PRIOR).loss(LOGS)
    assert value == 1e12
    np.testing.assert_allclose(gradient, (LOGS - PRIOR.mean) / PRIOR.deviation**2)


def test_variances_are_those_of_scikit_learn():
    kernel = ConstantKernel(1.0) * RBF(1.0, "fixed") + WhiteKernel(0.1)
    oracle = GaussianProcessRegressor(kernel, alpha=1e-8, random_state=0).fit(X, TARGET)
    flat = LogNormal(np.array([0.0, -2.0]), np.array([1e3, 1e3]))
    found = fit_variances(GRAMS[:1], TARGET, torch.ones(40, dtype=torch.float64), flat, 200)
    np.testing.assert_allclose(found, oracle.kernel_.theta, atol=1e-3)


def test_it_begins_where_it_is_told_and_goes_no_further_than_its_reach():
    found = fit_variances(GRAMS, TARGET, NOISE, PRIOR, 200)
    np.testing.assert_allclose(fit_variances(GRAMS, TARGET, NOISE, PRIOR, 1, found), found, atol=1e-2)
    assert np.abs(fit_variances(GRAMS, TARGET, NOISE, PRIOR, 1) - found).max() > 0.1
    nothing = torch.zeros_like(TARGET)
    flat = LogNormal(PRIOR.mean, np.full(3, 1e3))
    np.testing.assert_allclose(fit_variances(GRAMS, nothing, NOISE, flat, 200)[2], -4.0 - 9.0)


def test_a_covariance_adds_up():
    found = covariance(GRAMS, torch.tensor([2.0, 3.0, 0.5], dtype=torch.float64), NOISE)
    torch.testing.assert_close(found, 2 * GRAMS[0] + 3 * GRAMS[1] + torch.diag(0.5 * NOISE + 1e-8))


def test_a_singular_covariance_has_a_factor():
    ones = torch.ones(4, 4, dtype=torch.float64)
    factor = cholesky(ones)
    torch.testing.assert_close(factor @ factor.T, ones, rtol=0, atol=1e-6)
    torch.testing.assert_close(cholesky(4 * torch.eye(2).double()), 2 * torch.eye(2).double(), rtol=0, atol=0)


def test_what_is_no_covariance_has_none():
    with pytest.raises(ValueError, match="expected a covariance of 2 networks, found a matrix that is not positive"):
        cholesky(torch.tensor([[1.0, 5.0], [5.0, 1.0]]).double())
