"""A new device from few measurements, on devices that are known exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from mixtures import EVERYTHING, SPACE, block_ms, device, encoded, latency_ms, mixture, with_blocks
from scipy.stats import spearmanr

from latpred.transfer import View, fit_sources

NEW = 3 * latency_ms(EVERYTHING, 0.65)
"""The new device: none of the sources, nor as fast as any of them."""


@pytest.fixture(scope="module")
def sources():
    """Three mixtures of the two ways in which blocks cost, each measured on networks of its own."""
    return fit_sources(SPACE, [mixture(share, 60, first=60 * i) for i, share in enumerate((0.1, 0.5, 0.9))])


@pytest.fixture(scope="module")
def none():
    return fit_sources(SPACE, [])


def adapted(sources, rows, latency=NEW):
    """Predictions for all networks from `rows` of them."""
    seen = sources.see(encoded(EVERYTHING))
    return sources.model.adapt(seen.take(rows), latency[rows]).mean(seen)


def rank(predicted, latency=NEW):
    return spearmanr(predicted, latency).statistic


def draw(count, seed=1):
    return torch.randperm(len(EVERYTHING), generator=torch.Generator().manual_seed(seed))[:count]


def test_ten_measurements_recover_the_ranks_and_the_level(sources):
    predicted = adapted(sources, draw(10))
    assert rank(predicted) > 0.998
    assert float((predicted / NEW - 1).abs().mean()) < 0.01


def test_sources_tell_more_than_ten_measurements_alone(sources, none):
    assert rank(adapted(none, draw(10))) < rank(adapted(sources, draw(10)))


def test_structure_takes_over_where_sources_tell_nothing():
    """The sources are noise, and the new device is none of them."""
    noise = torch.randn(2, 120, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()
    useless = fit_sources(SPACE, [device(EVERYTHING[:120], row, f"noise {i}") for i, row in enumerate(noise)])
    said = useless.see(encoded(EVERYTHING)).said.mean(0)
    assert abs(rank(said)) < 0.5
    assert rank(adapted(useless, draw(60))) > 0.97


def test_structure_alone_learns_from_the_measured_networks(none):
    assert rank(adapted(none, draw(10))) > 0.8
    predicted = adapted(none, draw(80))
    assert rank(predicted) > 0.99
    assert float((predicted / NEW - 1).abs().mean()) < 0.03


@pytest.mark.parametrize("count", [10, 20])
def test_measured_blocks_tell_more_than_whole_networks(none, count):
    """Of a device that is like no source, and whose blocks add up to half of a network."""
    rows = draw(count)
    networks = [EVERYTHING[row] for row in rows.tolist()]
    wholes = device(networks, NEW[rows])
    errors = [
        float((none.adapt(new).mean(encoded(EVERYTHING)) / NEW - 1).abs().mean())
        for new in (with_blocks(wholes, networks, 0.65, 1.5), wholes)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_what_blocks_take_on_the_sources_is_known_of_every_primitive():
    """The geometric mean of the sources that have some; one of them has none."""
    shares = (0.1, 0.9)
    known = [with_blocks(mixture(share, 60), EVERYTHING[:60], share, 1.0) for share in shares]
    found = fit_sources(SPACE, [*known, mixture(0.5, 60)])
    primitives = SPACE.vocabulary().primitives
    expected = np.exp(np.mean([[np.log(block_ms(block, share)) for block in primitives] for share in shares], axis=0))
    np.testing.assert_allclose(found.block_base, expected, rtol=1e-3)
    assert fit_sources(SPACE, [mixture(0.5, 60)]).block_base is None


@pytest.mark.parametrize("factor", [100.0, 0.01], ids=["slow", "fast"])
def test_a_network_that_is_a_hundred_times_off_with_all_its_blocks_hardly_counts(sources, factor):
    rows = draw(12)
    networks = [EVERYTHING[row] for row in rows.tolist()]
    wrong, other = NEW[rows].clone(), torch.ones(12, dtype=torch.float64)
    wrong[3] *= factor
    other[3] = factor
    new = with_blocks(device(networks, wrong), networks, 0.65, 3.0)
    new = replace(new, blocks=replace(new.blocks, value=new.blocks.value * other[new.blocks.network]))
    predicted = sources.adapt(new).mean(encoded(EVERYTHING))
    assert rank(predicted) > 0.97
    assert float((predicted / NEW - 1).abs().median()) < 0.1


@pytest.mark.parametrize("factor", [100.0, 0.01], ids=["slow", "fast"])
def test_one_measurement_that_is_a_hundred_times_off_hardly_counts(sources, factor):
    rows = draw(12)
    wrong = NEW.clone()
    wrong[rows[3]] *= factor
    predicted = adapted(sources, rows, wrong)
    assert rank(predicted) > 0.97
    assert float((predicted / NEW - 1).abs().median()) < 0.1


def test_one_measurement_sets_the_level(sources):
    predicted = adapted(sources, draw(1))
    assert rank(predicted) > 0.95
    assert float((predicted / NEW - 1).abs().mean()) < 0.25


def test_all_but_the_unit_is_the_same_in_another_unit(sources):
    micro = adapted(sources, draw(10), 1000 * NEW)
    torch.testing.assert_close(micro, 1000 * adapted(sources, draw(10)), rtol=1e-6, atol=0)


def test_networks_are_chosen_as_a_search_through_all_would(sources):
    """At each step, the candidate after which the variances of the reference add up to the least."""
    candidates, reference = encoded(EVERYTHING[:30]), encoded(EVERYTHING[200:225])
    seen, both = sources.see(candidates), sources.see(torch.cat([candidates, reference]))
    priors = [view.prior_covariance(both) for view in sources.model.views]
    expected = []
    for _ in range(6):
        left = {i: sum(left_variance(*prior, [*expected, i]) for prior in priors) for i in set(range(30)) - {*expected}}
        expected.append(min(left, key=left.get))
    assert sources.model.choose(6, seen, sources.see(reference)) == expected


def left_variance(matrix, noise, measured):
    """Variance left of all but the first 30 networks when `measured` are, over what it was before."""
    K = matrix.numpy()
    of_measured = K[np.ix_(measured, measured)] + noise * np.eye(len(measured))
    across = K[30:, measured]
    left = K[30:, 30:] - across @ np.linalg.solve(of_measured, across.T)
    return np.trace(left) / np.trace(K[30:, 30:])


def test_no_network_is_chosen_twice_and_fewer_are_the_first_of_more(sources):
    seen = sources.see(encoded(EVERYTHING[:40]))
    everything = sources.model.choose(40, seen, seen)
    assert sorted(everything) == list(range(40))
    assert sources.model.choose(7, seen, seen) == everything[:7]


def test_no_network_is_chosen_twice_even_if_noise_is_all_there_is(sources, monkeypatch):
    """To measure the best one again and again would then tell most."""
    prior = View.prior_covariance
    monkeypatch.setattr(View, "prior_covariance", lambda view, seen: (prior(view, seen)[0], 1e3))
    seen = sources.see(encoded(EVERYTHING[:10]))
    assert sorted(sources.model.choose(10, seen, seen)) == list(range(10))


def test_chosen_networks_tell_more_than_random_ones(none):
    """Without sources, where the choice has most to win."""
    seen = none.see(encoded(EVERYTHING))
    chosen = rank(adapted(none, torch.tensor(none.model.choose(12, seen, seen))))
    assert chosen > np.mean([rank(adapted(none, draw(12, seed))) for seed in range(4)])
