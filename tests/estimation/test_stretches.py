"""Networks that were measured in groups are told apart from what the machine did to a whole group."""

import numpy as np
import pytest

from latpred.estimation import RunColumns, fit
from latpred.estimation.stretches import stretches

ANCHORS, GROUP, ROUNDS, EVERY = 3, 20, 12, 10


def in_groups(groups, anchors=ANCHORS, seed=0):
    """Return the networks of a session's runs: rounds over one group after the other, and now and then an anchor."""
    rng, order = np.random.default_rng(seed), []
    for group in range(groups):
        members = anchors + group * GROUP + np.arange(GROUP)
        for visit, network in enumerate(np.concatenate([rng.permutation(members) for _ in range(ROUNDS)])):
            if anchors and visit % EVERY == 0:
                order.append(visit // EVERY % anchors)
            order.append(network)
    return np.array(order)


def columns(network, session, value):
    unknown = np.full(len(network), np.nan)
    return RunColumns(network, session, value, unknown, unknown)


def part_of(network):
    """Return the group of each run, anchors' that of the run behind it."""
    group = np.where(network < ANCHORS, -1, (network - ANCHORS) // GROUP)
    return np.where(group < 0, np.append(group[1:], 0), group)


def test_each_group_is_a_stretch_and_borders_lie_between_their_first_and_last_runs():
    network = in_groups(4)
    found = stretches(network, np.zeros(len(network), np.int64))
    of_members = network >= ANCHORS
    np.testing.assert_array_equal(found[of_members], part_of(network)[of_members])
    assert (np.diff(found) >= 0).all()


def test_a_border_by_hand():
    # Up to each place and behind it: 1 2 3 2 1 | 1 2 3 2 1 0 networks.
    network = np.array([9, 0, 1, 0, 1, 9, 2, 3, 2, 3, 9])
    assert stretches(network, np.zeros(11, np.int64)).tolist() == [0] * 5 + [1] * 6


def test_stretches_are_numbered_over_all_sessions():
    one = in_groups(2)
    found = stretches(np.concatenate([one, one]), np.repeat([0, 1], len(one)))
    assert sorted(set(found.tolist())) == [0, 1, 2, 3]
    np.testing.assert_array_equal(found[len(one) :], found[: len(one)] + 2)


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(np.zeros(0, np.int64), id="no_runs"),
        pytest.param(np.zeros(5, np.int64), id="one_network"),
        pytest.param(np.arange(30), id="each_once"),
        pytest.param(in_groups(1), id="one_group"),
        pytest.param(np.tile(np.arange(50), 6), id="rounds_over_all"),
        pytest.param(in_groups(3, anchors=0), id="nothing_goes_on"),
        pytest.param(
            np.tile(np.arange(21), 12) + np.repeat([0, 1], 126) * np.tile(np.arange(21) == 20, 12), id="one_ends"
        ),
    ],
)
def test_where_networks_alternate_or_nothing_joins_them_nothing_is_parted(network):
    assert stretches(network, np.zeros(len(network), np.int64)).tolist() == [0] * len(network)


@pytest.mark.parametrize("sessions", [1, 2])
def test_what_the_machine_did_to_a_group_is_not_taken_for_its_networks(sessions):
    rng, one = np.random.default_rng(1), in_groups(4)
    network, session = np.tile(one, sessions), np.repeat(np.arange(sessions), len(one))
    level = rng.normal(size=network.max() + 1)
    machine = np.array([0.0, 0.3, 0.1, -0.2])[part_of(network)]
    found = fit(
        columns(network, session, np.exp(level[network] + machine + rng.normal(0, 0.01, len(network)))), len(level)
    )
    off = found.level - level
    assert np.abs(off - np.median(off)).max() < 0.02  # 0.3 with one running median for the whole session
    drift = found.drift + np.median(off)
    assert np.median(np.abs(drift - machine)) < 0.01
    assert found.group.tolist() == [0] * sessions
    assert len(found.windows) == sessions


def test_sessions_in_stretches_that_share_nothing_stay_apart():
    one = in_groups(2)
    network = np.concatenate([one, one + one.max() + 1])
    session = np.repeat([0, 1], len(one))
    found = fit(columns(network, session, np.full(len(network), 2.0)), network.max() + 1)
    assert found.group.tolist() == [0, 1]
    np.testing.assert_allclose(found.level, np.log(2), atol=1e-9)
