"""What runs say about networks while they are being measured: made-up runs, each with a known scatter."""

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from synthetic import DEVICE, SPACE, make_networks, make_record, make_run

from latpred.dataset import Dataset, estimate, run_columns
from latpred.estimation import RunColumns
from latpred.profiling import EarlierRuns
from latpred.profiling.knowledge import Knowledge

NETWORKS = make_networks(8, seed=0)
IDS = [network.network_id for network in NETWORKS]


def noisy(place, rng, scatter):
    """A run of a network that takes a ms more than the one before it."""
    value = (1 + place) * rng.lognormvariate(0, scatter)
    return make_run(NETWORKS[place], overall_latency_ms=value, cpu_time_ms=value, involuntary_switches=0)


def filled(knowledge, rounds, scatter=0.01, seed=0, places=range(8)):
    rng = Random(seed)
    for _ in range(rounds):
        for place in places:
            knowledge.add(noisy(place, rng, scatter))
    return knowledge


def test_nothing_is_known_without_runs():
    knowledge = Knowledge()
    assert knowledge.half_widths() == {}
    assert knowledge.uncertain(IDS, 0.5) == sorted(IDS)
    assert knowledge.uncertain([], 0.5) == []


def test_one_run_tells_no_interval():
    knowledge = filled(Knowledge(), 1)
    assert knowledge.half_widths() == dict.fromkeys(IDS, math.inf)
    assert knowledge.uncertain(IDS, 0.99) == sorted(IDS)


def test_intervals_shrink_with_the_runs_and_a_network_that_was_not_asked_for_is_not_named():
    few, many = filled(Knowledge(), 4).half_widths(), filled(Knowledge(), 100).half_widths()
    assert max(many.values()) < 0.006 < min(few.values())
    assert filled(Knowledge(), 100).uncertain(IDS, 0.006) == []
    assert filled(Knowledge(), 4).uncertain(IDS[:3], 0.006) == sorted(IDS[:3])


def test_the_one_that_scatters_more_than_the_others_is_uncertain():
    rng, knowledge = Random(0), Knowledge()
    for _ in range(30):
        for place in range(8):
            knowledge.add(noisy(place, rng, 0.02 if place == 5 else 0.005))
    assert knowledge.uncertain(IDS, 0.004) == [IDS[5]]


def test_half_widths_are_those_of_the_dataset(tmp_path):
    rng, runs = Random(0), []
    for sequence, place in enumerate([*range(8)] * 6):
        run = noisy(place, rng, 0.05)
        switches, cpu = rng.choice([(0, run.cpu_time_ms), (3, 0.97 * run.cpu_time_ms)])
        runs.append(replace(run, sequence=sequence, involuntary_switches=switches, cpu_time_ms=cpu))
    runs[3] = replace(runs[3], cpu_time_ms=None, involuntary_switches=None)
    dataset = Dataset.create(tmp_path / "data", SPACE, DEVICE)
    knowledge = Knowledge()
    with dataset.session(make_record("s0")) as writer:
        for run in runs:
            writer.append(run)
            knowledge.add(run)
    found = estimate(dataset.read()).networks
    assert knowledge.half_widths() == pytest.approx(dict(zip(found["network_id"], found["half_width"], strict=True)))


def test_earlier_runs_count_and_are_joined_through_what_both_measured(tmp_path):
    rng, dataset = Random(0), Dataset.create(tmp_path / "data", SPACE, DEVICE)
    with dataset.session(make_record("s0")) as writer:
        for sequence, place in enumerate([*range(5)] * 40):  # the last three are not in it
            writer.append(replace(noisy(place, rng, 0.005), sequence=sequence))
    measurements = dataset.read()
    earlier = EarlierRuns(run_columns(measurements)[0], [network.network_id for network in measurements.networks])
    knowledge = Knowledge(earlier)
    assert knowledge.uncertain(IDS, 0.01) == sorted(IDS[5:])
    slower = Random(1)
    for _ in range(40):
        for place in (0, 1, 6):
            run = noisy(place, slower, 0.005)
            knowledge.add(replace(run, overall_latency_ms=3 * run.overall_latency_ms, cpu_time_ms=None))
    # three times as slow as a whole is the session's drift, and says nothing against the networks of both
    assert knowledge.uncertain(IDS, 0.01) == sorted([IDS[5], IDS[7]])
    assert set(knowledge.half_widths()) == {*IDS[:5], IDS[6]}


def test_an_empty_dataset_says_nothing():
    empty, none = np.zeros(0), np.zeros(0, np.int64)
    nothing = EarlierRuns(RunColumns(none, none, empty, empty, empty), [])
    assert Knowledge(nothing).half_widths() == {}
    assert filled(Knowledge(nothing), 5).half_widths() == filled(Knowledge(), 5).half_widths()


def failed(place):
    return make_run(
        NETWORKS[place],
        status="failed",
        reason="it broke",
        overall_latency_ms=None,
        block_latency_ms=None,
        cpu_time_ms=None,
        overhead_ms=None,
    )


def test_a_network_that_fails_is_not_asked_for_for_ever():
    knowledge = filled(Knowledge(), 1, places=range(6))
    knowledge.add(failed(6))
    assert knowledge.uncertain(IDS, 0.01) == sorted([*IDS[:6], IDS[7]])
    knowledge.add(failed(2))  # it ran before, and does not now
    assert knowledge.uncertain(IDS, 0.01) == sorted([*IDS[:2], *IDS[3:6], IDS[7]])
    assert IDS[6] not in knowledge.half_widths()


def test_a_network_that_failed_once_and_runs_again_is_asked_for():
    knowledge = filled(Knowledge(), 2)
    knowledge.add(failed(4))
    assert IDS[4] not in knowledge.uncertain(IDS, 0.0001)
    filled(knowledge, 1, seed=1)
    assert knowledge.uncertain(IDS, 0.0001) == sorted(IDS)
