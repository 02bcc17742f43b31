"""Regression on whole networks."""

import math

import numpy as np
import pytest
import torch
from processes import FACTS, exact, fitted, noisy, some_networks

from latpred.gaussian import PARTS, AdditiveKernel, Scale, fit
from latpred.gaussian.process import DRIFT_LENGTHS, drift_grams, student_weights

IDS, COUNTS, LATENCY = some_networks(120)
TEST_COUNTS, TEST_LATENCY = some_networks(60, seed=9)[1:]


def error(posterior, counts=TEST_COUNTS, latency=TEST_LATENCY):
    return float((posterior.mean(posterior.kernel.networks(counts)) / latency - 1).abs().mean())


@pytest.fixture(scope="module")
def posterior():
    return fitted(COUNTS, noisy(LATENCY, 0.01))


def test_sums_are_learned_below_the_noise(posterior):
    assert error(posterior) < 0.01


def test_mean_and_precision_are_those_of_the_formulas(posterior):
    """k (K + N)^-1 y, in numpy."""
    kernel, scale = posterior.kernel, posterior.scale
    target = np.asarray(scale.of(noisy(LATENCY, 0.01)))
    networks = kernel.networks(COUNTS)
    gram = np.einsum("p,pij->ij", posterior.variances, kernel.gram(networks, networks))
    precision = np.linalg.inv(gram + np.diag(posterior.noise_variances) + 1e-8 * np.eye(len(gram)))
    np.testing.assert_allclose(posterior.precision, precision, rtol=1e-5, atol=1e-5 * np.abs(precision).max())
    shared = np.einsum("p,pij->ij", posterior.variances, kernel.gram(kernel.networks(TEST_COUNTS), networks))
    value = shared @ precision @ target * scale.spread + scale.centre
    expected = np.exp(value) if scale.logarithm else value
    np.testing.assert_allclose(posterior.mean(kernel.networks(TEST_COUNTS)), expected, rtol=1e-6)


def test_what_is_left_out_is_predicted_by_the_others(posterior):
    """As by a regression without the network, with the same variances."""
    kernel, keep = posterior.kernel, np.arange(len(COUNTS)) != 7
    networks = kernel.networks(COUNTS)
    gram = np.einsum("p,pij->ij", posterior.variances, kernel.gram(networks, networks))
    target = np.asarray(posterior.scale.of(noisy(LATENCY, 0.01)))
    covered = gram + np.diag(posterior.noise_variances) + 1e-8 * np.eye(len(gram))
    value = gram[7, keep] @ np.linalg.solve(covered[keep][:, keep], target[keep])
    assert float(posterior.left_out[7]) == pytest.approx(float(posterior.scale.latency(torch.tensor(value))), rel=1e-6)


def test_the_scale_is_that_on_which_networks_are_alike():
    assert not fitted(COUNTS, noisy(LATENCY, 0.001)).scale.logarithm
    products = (2 * (LATENCY - LATENCY.mean()) / LATENCY.std()).exp()
    assert fitted(COUNTS, noisy(products, 0.001)).scale.logarithm


@pytest.mark.parametrize("logarithm", [True, False])
def test_a_scale_goes_both_ways(logarithm):
    scale = Scale(logarithm, centre=1.5, spread=0.5)
    latency = torch.tensor([1.0, 4.0], dtype=torch.float64)
    value = scale.of(latency)
    expected = [(math.log(x) if logarithm else x) / 0.5 - 3 for x in (1, 4)]
    assert value.tolist() == pytest.approx(expected)
    torch.testing.assert_close(scale.latency(value), latency)


@pytest.mark.parametrize("logarithm", [True, False])
def test_a_scale_is_moved_by_a_factor(logarithm):
    scale = Scale(logarithm, centre=1.5, spread=0.5)
    value = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(scale.times(1.1).latency(value), 1.1 * scale.latency(value))


def test_shares_add_up_and_name_the_parts(posterior):
    assert list(posterior.shares) == [*PARTS[1:], "noise"]
    assert sum(posterior.shares.values()) == pytest.approx(1)
    total = float(posterior.variances[1:].sum()) + posterior.noise
    assert posterior.shares["counts"] == pytest.approx(float(posterior.variances[1]) / total)


def test_the_noise_is_found():
    found = fitted(COUNTS, noisy(LATENCY, 0.03))
    assert found.relative(found.noise) == pytest.approx(0.03, rel=0.35)
    products = (2 * (LATENCY - LATENCY.mean()) / LATENCY.std()).exp()
    found = fitted(COUNTS, noisy(products, 0.03))
    assert found.scale.logarithm
    assert found.relative(found.noise) == pytest.approx(0.03, rel=0.35)


def test_deviations_are_those_of_left_out_networks(posterior):
    """Each by a regression on the others, in numpy, with the noise that another run would have."""
    latency = noisy(LATENCY, 0.01)
    gram = np.einsum("p,pij->ij", posterior.variances, posterior.kernel.gram(*[posterior.networks] * 2))
    covered = gram + np.diag(posterior.noise_variances) + 1e-8 * np.eye(len(gram))
    target, off = np.asarray(posterior.scale.of(latency)), []
    for i in range(len(gram)):
        keep = np.arange(len(gram)) != i
        solved = np.linalg.solve(covered[keep][:, keep], np.stack([target[keep], gram[keep, i]], 1))
        noise = posterior.noise * float(latency[i] / latency.median()) ** 2
        variance = gram[i, i] - gram[i, keep] @ solved[:, 1] + noise
        off.append((target[i] - gram[i, keep] @ solved[:, 0]) ** 2 / variance)
    assert posterior.stretch == pytest.approx(np.quantile(off, 0.9) ** 0.5 / 1.645, rel=1e-4)


def test_few_networks_do_not_tell_how_far_off_they_are():
    assert fitted(COUNTS[:9], LATENCY[:9]).stretch == 1
    assert fitted(COUNTS[:10], LATENCY[:10]).stretch != 1
    assert fitted(COUNTS, torch.full_like(LATENCY, 2.0)).stretch == 0.1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_networks_are_enough(count):
    found = fitted(COUNTS[:count], LATENCY[:count])
    mean = found.mean(found.kernel.networks(TEST_COUNTS))
    assert mean.isfinite().all()
    assert (exact(found, found.kernel.networks(TEST_COUNTS))[1] > -1e-9).all()
    if count == 1:
        torch.testing.assert_close(mean, LATENCY[:1].expand(len(mean)), rtol=1e-4, atol=0)


def test_equal_latencies_are_learned():
    found = fitted(COUNTS, torch.full_like(LATENCY, 3.5))
    torch.testing.assert_close(found.mean(found.kernel.networks(TEST_COUNTS)), torch.full_like(TEST_LATENCY, 3.5))


def test_equal_networks_are_learned():
    latency = noisy(torch.full((30,), 2.0, dtype=torch.float64), 0.01)
    found = fitted(COUNTS[:1].repeat(30, 1), latency)
    mean = found.mean(found.kernel.networks(COUNTS[:1]))
    assert float(mean) == pytest.approx(2.0, rel=0.01)


def test_a_network_that_was_measured_twice_counts_twice():
    counts, latency = torch.cat([COUNTS, COUNTS[:1]]), torch.cat([noisy(LATENCY, 0.01), LATENCY[:1]])
    assert error(fitted(counts, latency)) < 0.01


@pytest.mark.parametrize("factor", [100, 0.01])
def test_an_outlier_counts_little(factor):
    clean = noisy(LATENCY, 0.01)
    spoilt = clean.clone()
    spoilt[5] *= factor
    found = fitted(COUNTS, spoilt)
    assert found.outlying[5] < 0.05
    assert float(found.outlying.median()) > 0.9
    assert found.noise_variances[5] > 20 * found.noise_variances.median()
    assert error(found) < 0.025
    assert error(found) < 7 * error(fitted(COUNTS, clean))


def test_weights_of_residuals():
    assert student_weights(torch.tensor([0.0, 1.0, 28.0])).tolist() == pytest.approx([1.5, 1.0, 0.1])


def test_sure_labels_count_more():
    weight = torch.ones_like(LATENCY)
    weight[::2] = 0.01
    latency = LATENCY.clone()
    latency[::2] *= 1.1
    found = fit(AdditiveKernel(FACTS, COUNTS), COUNTS, noisy(latency, 0.002), weight / weight.mean())
    off = found.mean(found.kernel.networks(TEST_COUNTS)) / TEST_LATENCY - 1
    assert float(off.mean()) < 0.03


def test_variances_come_from_some_rows_that_the_seed_draws():
    latency = noisy(LATENCY, 0.02)
    found = [fitted(COUNTS, latency, likelihood_rows=20, seed=seed).variances for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(*(fitted(COUNTS, latency, likelihood_rows=120, seed=seed).variances for seed in (0, 1)))


def test_drift_is_remembered_over_three_lengths():
    grams = drift_grams(torch.tensor([0.0, 5.0, 35.0]))
    assert grams.shape == (3, 3, 3)
    expected = [math.exp(-30 / length) for length in DRIFT_LENGTHS]
    assert grams[:, 1, 2].tolist() == pytest.approx(expected)


def measured_in_order(deviation=0.06, noise=0.003):
    """Return latencies in order of measuring, and the drift in them."""
    drift = deviation * torch.sin(torch.arange(len(LATENCY)) / 8).double()
    return noisy(LATENCY, noise) * (1 + drift), drift


@pytest.mark.parametrize("scale", ["raw", "logarithmic"])
def test_drift_is_told_from_networks(scale):
    latency, drift = measured_in_order()
    if scale == "logarithmic":
        products = (2 * (LATENCY - LATENCY.mean()) / LATENCY.std()).exp()
        latency = latency / LATENCY * products
    found = fitted(COUNTS, latency, order=torch.arange(len(latency)).double())
    assert np.corrcoef(found.drift, drift)[0, 1] > 0.95
    assert float((found.drift - drift).std()) < 0.35 * float(drift.std())
    assert found.relative(found.drift_variance) == pytest.approx(0.06 / 2**0.5, rel=0.5)
    if scale == "raw":
        assert error(found) < 0.6 * error(fitted(COUNTS, latency))


def test_the_order_of_the_rows_is_not_that_of_measuring():
    latency, drift = measured_in_order()
    shuffled = torch.randperm(len(latency), generator=torch.Generator().manual_seed(0))
    found = fitted(COUNTS[shuffled], latency[shuffled], order=shuffled.double())
    assert np.corrcoef(found.drift, drift[shuffled])[0, 1] > 0.95


def test_without_an_order_there_is_no_drift(posterior):
    assert not posterior.drift.any()
    assert posterior.drift_variance == 0


def test_predictions_are_for_the_machine_as_it_usually_is():
    """A quarter of the time it is slower by a third."""
    slow = (torch.arange(len(LATENCY)) % 40 >= 30).double() / 3
    found = fitted(COUNTS, noisy(LATENCY, 0.003) * (1 + slow), order=torch.arange(len(LATENCY)).double())
    off = found.mean(found.kernel.networks(TEST_COUNTS)) / TEST_LATENCY - 1
    assert abs(float(off.median())) < 0.02
    assert float(found.drift[slow > 0].median()) > 0.25
    assert abs(float(found.drift[slow == 0].median())) < 0.03


def test_no_argument_is_changed():
    counts, latency, order = COUNTS.clone(), noisy(LATENCY, 0.02), torch.arange(len(LATENCY)).double()
    weight = torch.ones_like(latency)
    copies = [value.clone() for value in (counts, latency, order, weight)]
    fit(AdditiveKernel(FACTS, counts), counts, latency, weight, order=order)
    assert all(torch.equal(a, b) for a, b in zip(copies, (counts, latency, order, weight), strict=True))
