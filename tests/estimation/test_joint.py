"""The joint fit of networks and drift, on runs of which the truth is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from noisy_runs import chosen, columns, made_up, relative, together

from latpred.estimation import fit, summarize_networks
from latpred.estimation.drift import WINDOWS, choose_window

NAN = float("nan")


def plain_medians(runs, networks):
    return np.log(pd.Series(runs.value).groupby(runs.network).median().reindex(range(networks)).to_numpy())


def rms(errors):
    return float(np.sqrt(np.mean(errors**2)))


@pytest.mark.parametrize("seed", range(4))
def test_levels_and_drift_come_back_from_a_wild_machine(seed):
    made = made_up(60, 24, np.random.default_rng(seed), drift="wild")
    found = fit(made.runs, 60)
    error = rms(relative(found.level, made.level))
    assert error < 1.35 * 0.01 / 24**0.5  # that of plain means on a quiet machine, and a third more
    assert error < rms(relative(plain_medians(made.runs, 60), made.level)) / 2
    assert np.corrcoef(found.drift, made.drift)[0, 1] > 0.99
    assert 5 <= found.windows[0] <= 21
    slope = np.polyfit(made.level, found.level, 1)[0]
    assert slope == pytest.approx(1, abs=0.002)


def test_values_are_those_of_the_quiet_machine():
    """It is quiet in a tenth of its runs: levels and drift tell it from the rest."""
    made = made_up(60, 24, np.random.default_rng(0), drift="slow")
    found = fit(made.runs, 60)
    quiet = np.quantile(made.drift, 0.1)
    assert np.median(found.level - made.level) == pytest.approx(quiet, abs=0.003)
    assert rms(found.drift - (made.drift - quiet)) < 0.004
    assert np.quantile(found.drift, 0.1) == pytest.approx(0, abs=1e-9)


def test_without_drift_there_is_no_window_and_means_come_out():
    made = made_up(60, 24, np.random.default_rng(0))
    found = fit(made.runs, 60)
    assert found.windows == (None,)
    assert (found.drift == 0).all()
    means = pd.Series(np.log(made.runs.value)).groupby(made.runs.network).mean().to_numpy()
    np.testing.assert_allclose(found.level, means, atol=0.003)
    assert rms(found.level - made.level) < rms(plain_medians(made.runs, 60) - made.level)
    np.testing.assert_allclose(found.missed, np.log(made.runs.value) - found.level[made.runs.network], atol=1e-9)


def test_values_without_noise_come_back_exactly():
    level = np.array([0.5, 3.0, 400.0])
    network = np.array([0, 1, 2, 2, 1, 0, 0])
    found = fit(columns(network, level[network]), 3)
    np.testing.assert_allclose(np.exp(found.level), level, rtol=1e-12)
    assert found.drift == pytest.approx(0, abs=1e-12)
    assert (found.error < 1e-5).all()
    one = fit(columns([0, 0, 0], [2.0, 2.0, 2.0]), 1)
    assert np.exp(one.level) == pytest.approx([2.0], rel=1e-12)


def test_one_network_alone():
    made = made_up(1, 60, np.random.default_rng(0))
    found = fit(made.runs, 1)
    assert found.level - made.level == pytest.approx([0], abs=3 * 0.01 / 60**0.5)
    moving = made_up(1, 60, np.random.default_rng(0), drift="slow")
    found = fit(moving.runs, 1)
    assert np.corrcoef(found.drift, moving.drift)[0, 1] > 0.95
    assert found.level - moving.level == pytest.approx([np.quantile(moving.drift, 0.1)], abs=0.02)


def test_every_network_once_is_what_it_was_measured_to_be():
    made = made_up(40, 1, np.random.default_rng(0), drift="wild")
    found = fit(made.runs, 40)
    np.testing.assert_allclose(found.level[made.runs.network], np.log(made.runs.value), rtol=1e-12)
    assert np.isnan(found.error).all()
    assert (found.weight == 1).all()
    assert found.windows == (None,)


def test_single_runs_beside_others_are_corrected_and_say_nothing():
    """Ten networks in thirty rounds, and 500 more that were run once, on a machine that slows down and recovers."""
    made = made_up(510, 30, np.random.default_rng(0), drift="slow")
    network = made.runs.network
    number = pd.Series(network).groupby(network).cumcount().to_numpy()
    rows = (network < 10) | (number == network % 30)
    runs = made.runs.of(rows)
    found = fit(runs, 510)
    assert rms(relative(found.level, made.level)[10:]) < 1.25 * 0.01  # one run's noise, not the 20 % of the machine
    assert np.isnan(found.error).tolist() == [False] * 10 + [True] * 500
    repeated = fit(made.runs.of(network < 10), 10)
    np.testing.assert_allclose(found.error[:10], repeated.error, rtol=0.15)
    singles = network[rows] >= 10
    assert (found.missed[singles] == 0).all()
    assert (found.weight[singles] == 1).all()


def test_the_window_is_that_of_the_true_levels():
    """In three rounds, medians say little of the levels; without them the window would be too long or too short."""
    same = 0
    for seed in range(12):
        made = made_up(100, 3, np.random.default_rng(seed), drift="slow")
        same += fit(made.runs, 100).windows[0] == choose_window(np.log(made.runs.value) - made.level[made.runs.network])
    assert same >= 6


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_a_network_that_is_unlike_the_others_keeps_its_value(factor):
    made = made_up(30, 10, np.random.default_rng(3), drift="wild")
    own = made.runs.network == 7
    strange = replace(made.runs, value=np.where(own, factor, 1.0) * made.runs.value)
    found, before = fit(strange, 30), fit(made.runs, 30)
    np.testing.assert_allclose(found.level[7] - before.level[7], np.log(factor), rtol=1e-6)
    np.testing.assert_allclose(np.delete(found.level, 7), np.delete(before.level, 7), rtol=0, atol=1e-6)


def test_the_unit_does_not_matter():
    made = made_up(20, 8, np.random.default_rng(5), drift="wild")
    found = summarize_networks(fit(made.runs, 20), made.runs)
    scaled = replace(made.runs, value=1000 * made.runs.value)
    other = summarize_networks(fit(scaled, 20), scaled)
    np.testing.assert_allclose(other["estimate"], 1000 * found["estimate"], rtol=1e-9)
    np.testing.assert_allclose(other["half_width"], found["half_width"], rtol=1e-6)


def preempted(made, rng, share=0.5):
    """Return the runs as they look where something else has the CPU in a share of them, for 30 % to 3 times as long."""
    waits = rng.random(len(made.runs.value)) < share
    value = made.runs.value * np.where(waits, rng.uniform(1.3, 4, len(waits)), 1.0)
    return replace(made.runs, value=value, cpu_time=made.runs.value, switches=waits.astype(float))


def test_waiting_for_the_cpu_does_not_count():
    made = made_up(30, 12, np.random.default_rng(0))
    runs = preempted(made, np.random.default_rng(1), share=0.6)
    found, undisturbed = fit(runs, 30), fit(made.runs, 30)
    np.testing.assert_allclose(found.level, undisturbed.level, atol=0.002)
    assert rms(plain_medians(runs, 30) - made.level) > 0.2
    unknown = fit(replace(runs, cpu_time=np.full(len(runs.value), NAN)), 30)
    assert np.isfinite(unknown.level).all()  # worse, yet a number


def test_preempted_runs_have_a_noise_of_their_own():
    """Half of the runs were preempted, and the caches they lost make their CPU time four times as noisy."""
    made = made_up(40, 24, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    runs = preempted(made, rng)
    extra = np.exp(np.where(runs.switches > 0, 0.04, 0.0) * rng.standard_normal(len(runs.value)))
    runs = replace(runs, cpu_time=runs.cpu_time * extra)
    alike = columns(runs.network, runs.own_time())
    assert rms(fit(runs, 40).level - made.level) < 0.9 * rms(fit(alike, 40).level - made.level)


def test_two_preempted_runs_do_not_tell_their_own_noise():
    made = made_up(40, 24, np.random.default_rng(0))
    disturbed = np.isin(np.arange(960), [100, 500])
    value = np.where(disturbed, 1.2, 1.0) * made.runs.value
    found = fit(replace(made.runs, value=value, cpu_time=value, switches=disturbed.astype(float)), 40)
    assert found.weight[disturbed].max() < 0.05  # by their own scale, 20 % off would be as good as any other run


def test_sessions_that_share_one_network():
    """The second one was 20 % slower throughout; they share the anchor, network 10."""
    made = made_up(21, 30, np.random.default_rng(1), drift="slow")
    network = made.runs.network
    first, second = chosen(made, network <= 10), chosen(made, network >= 10, session=1, factor=1.2)
    found = fit(together(first, second), 21)
    offset = relative(found.level, made.level)
    assert offset[11:].mean() - offset[:10].mean() == pytest.approx(0, abs=0.01)
    assert found.group.tolist() == [0, 0]
    drift = [found.drift[: len(first.value)], found.drift[len(first.value) :]]
    assert np.median(drift[1]) - np.median(drift[0]) == pytest.approx(np.log(1.2), abs=0.01)
    quiet = fit(first, 11)  # alone: the same machine, as quiet
    moved = found.level[:10] - quiet.level[:10]
    np.testing.assert_allclose(moved, np.median(moved), rtol=0, atol=0.003)


def test_three_sessions_in_a_chain():
    """Networks 0 to 7, 7 to 14 and 14 to 20; each session is 20 % slower than the one before."""
    made = made_up(21, 60, np.random.default_rng(1))
    network = made.runs.network
    third = np.arange(len(network)) * 3 // len(network)
    parts = [
        chosen(made, (third == i) & (network >= 7 * i) & (network <= 7 * i + 7), session=i, factor=1.2**i)
        for i in range(3)
    ]
    found = fit(together(*parts), 21)
    assert found.group.tolist() == [0, 0, 0]
    error = relative(found.level, made.level)
    assert rms(error) < 0.006
    assert abs(error[15:].mean() - error[:7].mean()) < 0.012


def test_sessions_that_share_nothing_each_have_their_own_quiet_machine():
    made = made_up(20, 30, np.random.default_rng(0), drift="slow")
    network = made.runs.network
    parts = chosen(made, network < 10), chosen(made, network >= 10, session=1, factor=1.5)
    found = fit(together(*parts), 20)
    assert found.group.tolist() == [0, 1]
    error = found.level - made.level - np.quantile(made.drift, 0.1)
    assert error[:10].mean() == pytest.approx(0, abs=0.005)
    assert error[10:].mean() == pytest.approx(np.log(1.5), abs=0.005)
    for session, part in enumerate(parts):
        codes = np.unique(part.network)
        alone = fit(replace(part, network=part.network - codes[0], session=0 * part.session), 10)
        np.testing.assert_allclose(found.level[codes], alone.level, rtol=0, atol=0.003)
        own = np.repeat([0, 1], [len(p.value) for p in parts]) == session
        assert np.quantile(found.drift[own], 0.1) == pytest.approx(0, abs=0.01)  # that of the smoothed drift is 0


def test_sessions_of_one_round_each_tell_the_drift_together():
    """A profiler that was started anew for each round: no session has a second run of anything."""
    rng = np.random.default_rng(0)
    made = made_up(60, 1, rng, drift="slow")
    parts = []
    for session in range(10):
        network = rng.permutation(60)
        value = np.exp(made.level[network] + made.drift + 0.01 * rng.standard_normal(60))
        parts.append(columns(network, value, np.full(60, session)))
    runs = together(*parts)
    found = fit(runs, 60)
    assert all(window in WINDOWS for window in found.windows)
    error = rms(relative(found.level, made.level))
    assert error < rms(relative(plain_medians(runs, 60), made.level)) / 3
    assert np.isfinite(found.error).all()


def test_a_session_goes_on_the_next_day():
    """Killed in the middle, continued on a machine that is 10 % slower: as good as in one session."""
    made = made_up(30, 20, np.random.default_rng(2), drift="wild")
    half = np.arange(len(made.runs.value)) < 290
    parts = chosen(made, half), chosen(made, ~half, session=1, factor=1.1)
    error = rms(relative(fit(together(*parts), 30).level, made.level))
    assert error < 1.2 * rms(relative(fit(made.runs, 30).level, made.level))


def test_what_does_not_drift_is_located_and_nothing_more():
    """Memory: a network's stays what it is, on any day; the sessions are not moved towards each other."""
    network, session = [0, 1, 0, 1, 0, 1], [0, 0, 0, 1, 1, 1]
    value = [10.0, 20.0, 10.0, 20.0, 13.0, 20.0]
    found = fit(columns(network, value, session), 2, drifting=False)
    np.testing.assert_allclose(np.exp(found.level), [10.0, 20.0], rtol=1e-6)
    assert (found.drift == 0).all()
    assert found.windows == (None, None)
    assert found.missed[4] == pytest.approx(np.log(1.3))
    assert found.weight[4] < 1e-6 < found.weight[0]


def test_networks_without_runs_have_no_level():
    found = fit(columns([0, 2, 0, 2], [1.0, 2.0, 1.0, 2.0]), 4)
    assert np.isnan(found.level).tolist() == [False, True, False, True]
    assert np.isnan(found.error).tolist() == [False, True, False, True]


@pytest.mark.parametrize("networks", [0, 3])
def test_no_runs_at_all(networks):
    found = fit(columns([], []), networks)
    assert np.isnan(found.level).tolist() == [True] * networks
    assert (len(found.drift), len(found.weight), found.windows, len(found.group)) == (0, 0, (), 0)


def test_a_fit_leaves_the_runs_as_they_are_and_is_repeatable():
    made = made_up(20, 6, np.random.default_rng(0), drift="wild")
    runs = preempted(made, np.random.default_rng(1))
    before = together(runs)
    copies = [getattr(before, name).copy() for name in ("network", "session", "value", "cpu_time", "switches")]
    first, second = fit(runs, 20), fit(runs, 20)
    for name, copy in zip(("network", "session", "value", "cpu_time", "switches"), copies, strict=True):
        np.testing.assert_array_equal(getattr(runs, name), copy)
    np.testing.assert_array_equal(first.level, second.level)


@pytest.mark.parametrize("drift", ["none", "slow", "wild"])
@pytest.mark.parametrize("rounds", [3, 8, 24])
def test_intervals_hold_the_truth_as_often_as_they_say(drift, rounds):
    holds = []
    for seed in range(8):
        made = made_up(40, rounds, np.random.default_rng(seed), drift=drift)
        found = summarize_networks(fit(made.runs, 40), made.runs)
        error = relative(np.log(found["estimate"].to_numpy()), made.level)
        holds.append(np.abs(error) <= np.log1p(found["half_width"].to_numpy()))
    assert 0.88 <= np.mean(holds) <= 0.99
