"""Regularized evolution."""

import math
from random import Random

import numpy as np
import pytest
from measured import network_latency_ms, tiny_space

import latpred
from latpred.errors import ArchitectureError, SearchError, UsageError
from latpred.search import AccuracyObjective, ContainerObjective, HardwareObjective, MnasnetObjective
from latpred.search.evolution import Evaluation, RegularizedEvolution, SearchResult
from latpred.spaces.mnasnet_ofa import MNasNetOFA


class Line:
    """All integers; a mutation is a step to a neighbour."""

    def sample(self, rng):
        return rng.randrange(1000)

    def mutate(self, architecture, rng):
        return architecture + rng.choice((-1, 1))


def values(architectures):
    return [float(architecture) for architecture in architectures]


def by_pseudo_code(cycles, population_size, sample_size, seed):
    """The paper's algorithm 1, word for word."""
    rng, space, population, history = Random(seed), Line(), [], []
    while len(population) < population_size:
        architecture = space.sample(rng)
        population.append(architecture)
        history.append(architecture)
    while len(history) < cycles:
        sample = rng.choices(population, k=sample_size)
        parent = max(sample)
        child = space.mutate(parent, rng)
        population.append(child)
        history.append(child)
        population.pop(0)
    return history


def test_it_is_the_algorithm_of_the_paper():
    evolution = RegularizedEvolution(evaluations=300, population_size=20, sample_size=5)
    result = evolution.run(Line(), values, seed=4)
    assert [e.architecture for e in result.history] == by_pseudo_code(300, 20, 5, seed=4)
    assert [e.index for e in result.history] == list(range(300))
    assert all(e.fitness == e.architecture for e in result.history)


@pytest.mark.parametrize("children", [1, 4, 20])
def test_parents_are_alive_and_a_step_away(children):
    evolution = RegularizedEvolution(evaluations=333, population_size=20, sample_size=5, children_per_cycle=children)
    history = evolution.run(Line(), values, seed=0).history
    assert len(history) == 333
    assert [e.parent for e in history[:20]] == [None] * 20
    for evaluation in history[20:]:
        cycle = (evaluation.index - 20) // children * children + 20  # what was there when it was drawn
        assert cycle - 20 <= evaluation.parent < cycle
        assert abs(history[evaluation.parent].architecture - evaluation.architecture) == 1


@pytest.mark.parametrize("sample_size", [1, 5])
def test_the_tournament_picks_the_fittest_of_its_sample(sample_size):
    noise = Random(1)
    evolution = RegularizedEvolution(evaluations=4000, population_size=10, sample_size=sample_size)
    history = evolution.run(Line(), lambda batch: [noise.random() for _ in batch], seed=0).history
    wins = sum(e.parent == max(history[e.index - 10 : e.index], key=lambda p: p.fitness).index for e in history[10:])
    # The fittest of 10 is in a sample of s, drawn with replacement, with the probability 1 - 0.9^s.
    assert wins / 3990 == pytest.approx(1 - 0.9**sample_size, abs=0.03)


def test_children_of_a_cycle_are_evaluated_together():
    sizes = []

    def fitness(batch):
        sizes.append(len(batch))
        return np.zeros(len(batch))

    RegularizedEvolution(evaluations=31, population_size=10, sample_size=2, children_per_cycle=8).run(Line(), fitness)
    assert sizes == [10, 8, 8, 5]
    sizes.clear()
    RegularizedEvolution(evaluations=13, population_size=10, sample_size=2).run(Line(), fitness)
    assert sizes == [10, 1, 1, 1]


def test_the_seed_decides_and_none_is_no_seed():
    evolution = RegularizedEvolution(evaluations=30, population_size=10, sample_size=2)
    runs = [evolution.run(Line(), values, seed).history for seed in (0, 0, 1, None, None)]
    assert runs[0] == runs[1] != runs[2]
    assert runs[0] != runs[3] != runs[4]


def test_a_stream_can_be_left():
    calls = []
    evolution = RegularizedEvolution(evaluations=30, population_size=5, sample_size=2)
    stream = evolution.stream(Line(), lambda batch: calls.append(len(batch)) or values(batch), seed=0)
    whole = evolution.run(Line(), values, seed=0).history
    assert [next(stream) for _ in range(7)] == list(whole[:7])
    stream.close()
    assert calls == [5, 1, 1]


def test_the_best_are_distinct_and_sorted():
    rows = [("a", 1.0), ("b", 3.0), ("c", 2.0), ("b", 2.5), ("d", 3.0)]
    result = SearchResult(tuple(Evaluation(i, *row, None) for i, row in enumerate(rows)))
    assert result.best == Evaluation(1, "b", 3.0, None)
    assert [(e.index, e.architecture) for e in result.top(3)] == [(1, "b"), (4, "d"), (2, "c")]
    assert len(result.top(9)) == 4


def test_it_finds_the_best_of_a_real_space(exports):
    space = latpred.load(exports / "cpu.ts").space
    hardware = HardwareObjective({"latency_ms": latpred.load(exports / "cpu.ts")})
    accuracy = AccuracyObjective(lambda architecture: sum(architecture.depth) / 10)
    parts = [accuracy, hardware, MnasnetObjective(0.9, -0.07, -0.5)]
    objective = ContainerObjective(parts, [0, 0, 0], [0, 0, 1])
    evolution = RegularizedEvolution(evaluations=1500, population_size=50, sample_size=10)
    best = evolution.run(space, objective.fitness, seed=0).best
    everything = {space.sample(rng) for rng in [Random(9)] for _ in range(8000)}
    assert len(everything) == 400

    def reward(architecture):
        latency_ms = network_latency_ms(space.network(architecture))
        return sum(architecture.depth) / 10 * (latency_ms / 0.9) ** (-0.07 if latency_ms <= 0.9 else -0.5)

    assert best.architecture == max(everything, key=reward)
    assert best.fitness == pytest.approx(reward(best.architecture), rel=1e-5)


def test_minus_infinity_marks_what_must_not_be():
    fitness = lambda batch: [a if a % 2 else -math.inf for a in batch]  # noqa: E731
    result = RegularizedEvolution(evaluations=200, population_size=10, sample_size=5).run(Line(), fitness, seed=0)
    assert result.best.architecture % 2 == 1
    assert any(e.fitness == -math.inf for e in result.history)


@pytest.mark.parametrize(
    ("fitness", "message"),
    [
        (lambda batch: [1.0] * 9 + [math.nan], r"^fitness: expected a number or -inf for \d+, found nan\. Mend"),
        (lambda batch: [math.inf] * 10, r"^fitness: expected a number or -inf for \d+, found inf\. Mend"),
        (lambda batch: [1.0], r"^fitness: expected 10 numbers, one for each architecture, found the shape \[1\]\."),
        (lambda batch: None, r"^fitness: expected 10 numbers, one for each architecture, found"),
    ],
)
def test_a_fitness_that_is_none_is_refused(fitness, message):
    with pytest.raises(SearchError, match=message):
        RegularizedEvolution(evaluations=20, population_size=10, sample_size=5).run(Line(), fitness)


def test_what_the_accuracy_function_raises_comes_through():
    def function(architecture):
        raise ValueError("no such supernet")

    with pytest.raises(SearchError, match=r"of \d+, the function raised ValueError: no such supernet\. ") as caught:
        RegularizedEvolution().run(Line(), AccuracyObjective(function).fitness, seed=0)
    assert type(caught.value.__cause__) is ValueError


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"population_size": 0}, r"population_size: expected an integer >= 1, found 0\."),
        ({"population_size": 10.0}, r"population_size: expected an integer >= 1, found 10\.0\."),
        ({"evaluations": 99}, r"evaluations: expected an integer >= 100 \(population_size\), found 99\."),
        ({"sample_size": 101}, r"sample_size: expected an integer from 1 to 100 \(population_size\), found 101\."),
        ({"sample_size": 0}, r"sample_size: expected an integer from 1 to 100 \(population_size\), found 0\."),
        ({"sample_size": True}, r"sample_size: expected an integer from 1 to 100 \(population_size\), found True\."),
        ({"children_per_cycle": 101}, r"children_per_cycle: expected an integer from 1 to 100 .*, found 101\."),
        ({"population_size": 24}, r"sample_size: expected an integer from 1 to 24 \(population_size\), found 25\."),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(sizes, message):
    with pytest.raises(UsageError, match=message):
        RegularizedEvolution(**sizes)


def test_the_defaults_are_those_of_the_paper():
    evolution = RegularizedEvolution()
    sizes = evolution.evaluations, evolution.population_size, evolution.sample_size, evolution.children_per_cycle
    assert sizes == (20_000, 100, 25, 1)


def test_a_space_of_one_architecture_says_so_before_anything_is_evaluated():
    choices = {"width_choice": [3], "depth_choice": [1], "kernel_choice": [3], "image_size_choice": [32]}
    one = MNasNetOFA(**tiny_space().parameters | choices)
    calls = []
    fitness = lambda batch: calls.append(batch) or [0.0] * len(batch)  # noqa: E731
    with pytest.raises(ArchitectureError, match=r"found a space of one architecture"):
        RegularizedEvolution(evaluations=11, population_size=10, sample_size=2).run(one, fitness)
    assert not calls
    result = RegularizedEvolution(evaluations=10, population_size=10, sample_size=2).run(one, fitness)
    assert len(result.top(5)) == 1
