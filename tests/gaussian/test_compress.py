"""A posterior in few numbers."""

import sys

import pytest
import torch
from processes import FACTS, by_small, exact, fitted, noisy, some_networks

from latpred.gaussian import compress
from latpred.gaussian.compress import _pivoted

_, COUNTS, LATENCY = some_networks(120)
TEST_COUNTS = torch.cat([some_networks(60, seed=9)[1], COUNTS[:20]])


@pytest.fixture(scope="module", params=["raw", "logarithmic"])
def posterior(request):
    latency = LATENCY if request.param == "raw" else (2 * (LATENCY - LATENCY.mean()) / LATENCY.std()).exp()
    return fitted(COUNTS, noisy(latency, 0.01))


def test_it_is_exact_where_all_networks_are_centers(posterior):
    mean, variance = exact(posterior, posterior.kernel.networks(TEST_COUNTS))
    small = by_small(compress(posterior, 120), TEST_COUNTS)
    torch.testing.assert_close(small[0], mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(small[1], variance, rtol=1e-2, atol=0)


def test_few_centers_are_close_and_no_surer(posterior):
    mean, variance = exact(posterior, posterior.kernel.networks(TEST_COUNTS))
    found = compress(posterior, 40)
    assert found.centers.shape[0] == found.explained_root.shape[0] == 40
    small = by_small(found, TEST_COUNTS)
    assert float((small[0] - mean).abs().max()) < 0.02
    assert (small[1] > 0.95 * variance).all()
    assert (small[1] < 5 * variance).all()


def test_equal_networks_and_a_single_one_are_compressed():
    for counts, latency in ((COUNTS[:1].repeat(5, 1), LATENCY[:1].repeat(5)), (COUNTS[:1], LATENCY[:1])):
        found = fitted(counts, latency)
        mean, variance = exact(found, found.kernel.networks(TEST_COUNTS))
        small = by_small(compress(found, 3), TEST_COUNTS)
        torch.testing.assert_close(small[0], mean, rtol=0, atol=1e-4)
        torch.testing.assert_close(small[1], variance, rtol=1e-3, atol=1e-6)


def test_places_are_as_far_apart_as_totals_and_fewer(posterior):
    kernel = posterior.kernel
    places = compress(posterior, 5).places
    everywhere = torch.cat([TEST_COUNTS, torch.eye(len(FACTS.amounts), dtype=torch.float64)])
    found, totals = places.of(everywhere), kernel.networks(everywhere).totals
    assert found.shape[1] < totals.shape[1]
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(totals, totals), rtol=1e-6, atol=1e-5)
    training = kernel.networks(COUNTS).totals
    torch.testing.assert_close(found @ places.of(COUNTS).T, totals @ training.T, rtol=1e-6, atol=1e-6)


def test_covariances_of_low_rank_make_nobody_surer(posterior, monkeypatch):
    """A factor of few columns: what they leave is independent cost of each block, before and after."""
    monkeypatch.setattr(sys.modules["latpred.gaussian.compress"], "_RANK", 3)
    found = compress(posterior, 120)
    assert found.block_root.shape[1] == 3
    mean, variance = exact(posterior, posterior.kernel.networks(TEST_COUNTS))
    small = by_small(found, TEST_COUNTS)
    torch.testing.assert_close(small[0], mean, rtol=1e-5, atol=1e-6)
    assert (small[1] > 0.5 * variance).all()
    assert float(small[1].mean()) > float(variance.mean())


def test_pivots_are_what_the_others_tell_least_about():
    covariance = torch.tensor([[1.0, 0.9, 0.0], [0.9, 2.0, 0.0], [0.0, 0.0, 1.5]]).double()
    chosen, columns = _pivoted(covariance, 3)
    assert chosen.tolist() == [1, 2, 0]
    torch.testing.assert_close(columns @ columns.T, covariance)
    chosen, columns = _pivoted(torch.ones(3, 3).double(), 3)
    assert sorted(chosen.tolist()) == [0, 1, 2]
    torch.testing.assert_close(columns @ columns.T, torch.ones(3, 3).double())
