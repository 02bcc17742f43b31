"""Runs as columns: which were preempted, and what the networks themselves took."""

import numpy as np
import pytest
from noisy_runs import columns, together

NAN = float("nan")


@pytest.mark.parametrize(
    ("cpu_time", "switches", "preempted", "own_time"),
    [
        (10.0, 0.0, False, 10.0),
        (9.5, 0.0, False, 10.0),  # just enough of the CPU: the rest is the clock
        (9.4, 0.0, True, 9.4),
        (9.9, 1.0, True, 9.9),
        (2.0, NAN, True, 2.0),
        (NAN, 3.0, True, 10.0),  # nobody knows how long it waited
        (NAN, NAN, False, 10.0),
        (0.0, 0.0, False, 10.0),  # a clock of ticks says nothing of a short run
        (0.0, 2.0, True, 10.0),
    ],
)
def test_a_preempted_run_is_worth_its_cpu_time(cpu_time, switches, preempted, own_time):
    runs = columns([0], [10.0], cpu_time=[cpu_time], switches=[switches])
    assert runs.preempted.tolist() == [preempted]
    assert runs.own_time().tolist() == [own_time]


def test_some_of_the_runs():
    runs = columns([0, 1, 2], [1.0, 2.0, 3.0], [0, 0, 1], [0.1, 0.2, 0.3], [4, 5, 6])
    found = runs.of(np.array([True, False, True]))
    assert [found.network.tolist(), found.session.tolist()] == [[0, 2], [0, 1]]
    assert [found.value.tolist(), found.cpu_time.tolist(), found.switches.tolist()] == [[1, 3], [0.1, 0.3], [4, 6]]


def test_runs_of_two_sessions_together():
    found = together(columns([0, 1], [1.0, 2.0]), columns([1], [3.0], [1], [0.5], [2]))
    assert [found.network.tolist(), found.session.tolist()] == [[0, 1, 1], [0, 0, 1]]
    assert found.value.tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(found.cpu_time, [NAN, NAN, 0.5])
    np.testing.assert_array_equal(found.switches, [NAN, NAN, 2.0])
