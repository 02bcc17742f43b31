"""Joining sessions through the networks that they share."""

import numpy as np
import pytest

from latpred.estimation.join import PROCESS_EFFECT, SessionLevels, join

NAN = float("nan")


def levels(network, level, error=0.001):
    error = np.broadcast_to(np.asarray(error, float), len(network)).copy()
    return SessionLevels(np.array(network, dtype=np.int64), np.array(level, dtype=float), error)


def test_one_shared_network_tells_the_offset():
    joined = join([levels([0, 1], [1.0, 2.0]), levels([1, 2], [2.3, 7.0])], 3)
    assert joined.offsets[1] - joined.offsets[0] == pytest.approx(0.3)
    assert joined.group.tolist() == [0, 0]


def test_sessions_in_a_chain():
    chain = [levels([0, 1], [1.0, 2.0]), levels([3, 4], [0.0, 0.5]), levels([1, 2, 4], [2.1, 3.1, 0.9])]
    joined = join(chain, 5)
    assert joined.offsets - joined.offsets[0] == pytest.approx([0.0, -0.3, 0.1])
    assert joined.group.tolist() == [0, 0, 0]


def test_what_shares_nothing_stays_apart():
    joined = join([levels([0, 1], [1.0, 2.0]), levels([2], [5.0]), levels([1], [2.5]), levels([2], [5.0])], 4)
    assert joined.group.tolist() == [0, 1, 0, 1]
    assert joined.offsets == pytest.approx([-0.25, 0.0, 0.25, 0.0])


@pytest.mark.parametrize("sessions", [[], [levels([0, 1], [1.0, 2.0])]])
def test_fewer_than_two_need_no_offset(sessions):
    joined = join(sessions, 2)
    assert joined.offsets.tolist() == joined.group.tolist() == [0] * len(sessions)


def test_surer_networks_count_more():
    """Offsets 0 and 0.01 with errors e and e in both: weights 1 / (e^2 + p^2) each, robustly nearly so."""
    sure, unsure = 0.001, 0.05
    joined = join(
        [levels([0, 1], [1.0, 2.0], [sure, unsure]), levels([0, 1], [1.0, 2.01], [sure, unsure])],
        2,
    )
    weights = 1 / (np.array([sure, unsure]) ** 2 + PROCESS_EFFECT**2)
    expected = 0.01 * weights[1] / weights.sum()
    assert joined.offsets[1] - joined.offsets[0] == pytest.approx(expected, rel=0.02)


def test_networks_that_changed_do_not_pull():
    rng = np.random.default_rng(0)
    networks, first = np.arange(20), rng.uniform(0, 3, 20)
    second = first + 0.2
    second[:5] += 1.0  # a library was updated, and some operator is slower
    joined = join([levels(networks, first), levels(networks, second)], 20)
    assert joined.offsets[1] - joined.offsets[0] == pytest.approx(0.2, abs=0.005)
    with_least_squares = 0.2 + 5 / 20
    assert joined.offsets[1] - joined.offsets[0] < with_least_squares - 0.2


def test_an_unknown_error_counts_as_twice_the_typical_one():
    """Offsets 0 of the network whose error is known, and 0.01 of the one whose error is not."""
    joined = join([levels([0, 1], [1.0, 2.0], [0.02, NAN]), levels([0, 1], [1.0, 2.01], [0.02, NAN])], 2)
    weights = 1 / (np.array([0.02, 0.04]) ** 2 + PROCESS_EFFECT**2)
    assert joined.offsets[1] - joined.offsets[0] == pytest.approx(0.01 * weights[1] / weights.sum(), rel=0.02)


@pytest.mark.parametrize("error", [NAN, [NAN, NAN, 0.001, 0.001, 0.001, 0.001]])
def test_unknown_errors_are_taken_for_large_ones(error):
    networks, values = list(range(6)), np.arange(6.0)
    changed = values + 0.2
    changed[0] += 2.0
    joined = join([levels(networks, values, error), levels(networks, changed, error)], 6)
    assert joined.offsets[1] - joined.offsets[0] == pytest.approx(0.2, abs=0.05)
