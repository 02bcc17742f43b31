"""Objectives: performances, rewards and losses of lists of architectures."""

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from measured import network_latency_ms, tiny_space
from synthetic import DEVICE

import latpred
from latpred.card import SpaceCard
from latpred.errors import CardError, SearchError, UsageError
from latpred.search import (
    HARD,
    AccuracyObjective,
    ContainerObjective,
    HardwareObjective,
    MnasnetObjective,
    Objective,
)


class Given(Objective):
    """Fixed performances, reward and loss."""

    def __init__(self, name, values, reward=0.0, loss=0.0, reads=(), space=None):
        self.perf_names, self.reads, self.space = (name,), reads, space
        self.values, self.factors = np.array(values, dtype=float), (reward, loss)

    def perfs(self, architectures):
        return {self.perf_names[0]: self.values[: len(architectures)]}

    def reward(self, perfs):
        return self.factors[0] * perfs[self.perf_names[0]]

    def loss(self, perfs):
        return self.factors[1] * perfs[self.perf_names[0]]


class Constant:
    """A predictor without a card."""

    def __init__(self, values):
        self.values = values

    def predict_batch(self, architectures):
        return self.values


class Plain(Objective):
    """An objective that overrides nothing but what it must."""

    perf_names = ("size",)

    def perfs(self, architectures):
        return {"size": np.array([float(a) for a in architectures])}


def test_reward_and_loss_are_0_by_default():
    perfs = Plain().perfs([3, 4, 5])
    assert Plain().reward(perfs).tolist() == Plain().loss(perfs).tolist() == [0, 0, 0]
    assert Plain().fitness([]).shape == (0,)


# Accuracy


def test_accuracy_asks_the_function_for_each():
    objective = AccuracyObjective(lambda architecture: architecture / 10, name="top1")
    perfs = objective.perfs([1, 10, 0])
    assert objective.perf_names == ("top1",)
    assert {name: column.tolist() for name, column in perfs.items()} == {"top1": [0.1, 1.0, 0.0]}
    assert objective.reward(perfs).tolist() == [0.1, 1.0, 0.0]
    assert objective.loss(perfs).tolist() == [0.9, 0.0, 1.0]
    assert objective.fitness([5]).tolist() == [0.5]


@pytest.mark.parametrize("value", [np.float32(0.5), torch.tensor(0.5), np.array(0.5)])
def test_accuracy_takes_any_single_number(value):
    assert AccuracyObjective(lambda _: value).fitness(["a"]).tolist() == [0.5]


@pytest.mark.parametrize("value", [1.001, -0.001, float("nan"), 75, None, "high", torch.tensor([0.5, 0.5])])
def test_accuracy_outside_0_to_1_is_refused(value):
    message = rf"^accuracy: expected an accuracy from 0 to 1 of 'net7', found {re.escape(repr(value))}\. Return a frac"
    with pytest.raises(SearchError, match=message):
        AccuracyObjective({"net6": 0.5, "net7": value}.get).perfs(["net6", "net7"])


def test_an_accuracy_function_that_raises_is_named_with_its_architecture():
    def function(architecture):
        raise RuntimeError(f"CUDA out\nof memory in {architecture}.")

    raised = "RuntimeError: CUDA out of memory in net7"
    with pytest.raises(SearchError) as caught:
        AccuracyObjective(function).perfs(["net7"])
    expected = f"accuracy: expected an accuracy of 'net7', the function raised {raised}. Mend the function"
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)
    assert type(caught.value.__cause__) is RuntimeError


def test_a_long_architecture_is_cut_in_the_error():
    with pytest.raises(SearchError, match=r"of 'x{199}\.\.\., found 2"):
        AccuracyObjective(lambda _: 2).perfs(["x" * 1000])


def test_what_is_no_function_is_refused():
    with pytest.raises(UsageError, match=r"function: expected a function of one architecture, found float"):
        AccuracyObjective(0.7)


# Hardware


@pytest.mark.parametrize("name", ["cpu.ts", "cpu.onnx"])
def test_hardware_gives_the_predictions_of_its_estimators(exports, architectures, name):
    objective = HardwareObjective({"latency_ms": latpred.load(exports / name)})
    perfs = objective.perfs(architectures)
    space = tiny_space()
    by_hand = [network_latency_ms(space.network(architecture)) for architecture in architectures]
    assert list(perfs) == list(objective.perf_names) == ["latency_ms"]
    assert perfs["latency_ms"] == pytest.approx(by_hand, rel=1e-5)
    assert perfs["latency_ms"].dtype == np.float64
    assert objective.reward(perfs).tolist() == objective.loss(perfs).tolist() == [0] * 8


def test_hardware_holds_several_metrics_and_is_picklable(exports, architectures):
    estimators = {"latency_ms": latpred.load(exports / "cpu.ts"), "energy_mj": latpred.load(exports / "energy.ts")}
    objective = HardwareObjective(estimators, space=tiny_space(), device=DEVICE)
    assert objective.space == tiny_space().card()
    perfs = pickle.loads(pickle.dumps(objective)).perfs(architectures)  # noqa: S301 - our own bytes
    assert sorted(perfs) == ["energy_mj", "latency_ms"]
    assert perfs["energy_mj"].tolist() == perfs["latency_ms"].tolist()


def test_hardware_takes_prefixed_names(exports):
    assert HardwareObjective({"phone_latency_ms": latpred.load(exports / "phone.ts")}).device.hardware == "Test Phone"


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (
            {"latency_ms": "energy.ts"},
            {},
            CardError,
            r"^latency_ms \(.*energy\.ts\): expected an estimator of latency_ms in ms, found one of energy_mj in mJ\.",
        ),
        (
            {"latency_ms": "phone.ts"},
            {"device": DEVICE},
            CardError,
            r"phone\.ts\): expected an estimator of the device 'Test CPU, .*', found one of 'Test Phone, .*'\. Give",
        ),
        (
            {"latency_ms": "cpu.ts", "phone_latency_ms": "phone.ts"},
            {},
            CardError,
            r"phone\.ts\): expected an estimator of the device 'Test CPU, .*', found one of 'Test Phone",
        ),
        (
            {"latency_ms": "deep.ts"},
            {"space": tiny_space()},
            CardError,
            r"deep\.ts\): expected .* asked space, found another: mnasnet_ofa\.depth_choice = \[1, 2\] against \[2\]\.",
        ),
        (
            {"latency_ms": "cpu.ts", "slow_latency_ms": "deep.ts"},
            {},
            CardError,
            r"slow_latency_ms \(.*deep\.ts\): expected .* mnasnet_ofa\.depth_choice = \[1, 2\] against \[2\]\.",
        ),
        (
            {"speed": "cpu.ts"},
            {},
            UsageError,
            r"ends in one of latency_ms, energy_mj, memory_mb, found 'speed'\. Call it latency_ms\.",
        ),
        ({}, {}, UsageError, r"estimators: expected at least one estimator, found none"),
    ],
)
def test_hardware_refuses_estimators_of_something_else(exports, names, options, error, message):
    estimators = {name: latpred.load(exports / file) for name, file in names.items()}
    with pytest.raises(error, match=message):
        HardwareObjective(estimators, **options)


def test_another_unit_is_refused(exports):
    estimator = latpred.load(exports / "cpu.ts")
    estimator.card = replace(estimator.card, unit="us")
    with pytest.raises(CardError, match=r"expected an estimator of latency_ms in ms, found one of latency_ms in us"):
        HardwareObjective({"latency_ms": estimator})


def test_predictors_without_a_card_work_but_cannot_be_checked():
    predictor = Constant([1.0, 2.0])
    objective = HardwareObjective({"watts": predictor})
    assert objective.perfs(["a", "b"])["watts"].tolist() == [1, 2]
    assert objective.space is None
    for option in ({"device": DEVICE}, {"space": tiny_space()}):
        with pytest.raises(UsageError, match=r"^watts: expected an estimator whose card tells its space and device"):
            HardwareObjective({"watts": predictor}, **option)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, np.nan], r"^latency_ms: expected a finite prediction for 'net7', found nan\. Profile"),
        ([1.0, np.inf], r"expected a finite prediction for 'net7', found inf"),
        ([1.0], r"latency_ms: expected 2 numbers, one for each architecture, found the shape \[1\]"),
        (["a", "b"], r"latency_ms: expected 2 numbers, one for each architecture, found list \['a', 'b'\]"),
    ],
)
def test_predictions_that_are_none_are_refused(values, message):
    with pytest.raises(SearchError, match=message):
        HardwareObjective({"latency_ms": Constant(values)}).perfs(["net6", "net7"])


# Container


def test_container_sums_by_hand():
    objective = ContainerObjective(
        [Given("a", [1, 2], reward=10, loss=1), Given("b", [3, 5], reward=1, loss=100)],
        losses_coef=[2, 0.5],
        rewards_coef=[1, -1],
    )
    assert objective.perf_names == ("a", "b")
    perfs = objective.perfs(["x", "y"])
    assert {name: column.tolist() for name, column in perfs.items()} == {"a": [1, 2], "b": [3, 5]}
    assert objective.reward(perfs).tolist() == [10 * 1 - 3, 10 * 2 - 5]
    assert objective.loss(perfs).tolist() == [2 * 1 + 0.5 * 300, 2 * 2 + 0.5 * 500]
    assert objective.fitness(["x"]).tolist() == [7]


def test_container_gives_the_mnasnet_reward_of_its_parts():
    parts = [AccuracyObjective(lambda a: a), HardwareObjective({"latency_ms": Constant([120.0, 60.0])})]
    container = ContainerObjective([*parts, MnasnetObjective(80, *HARD)], [0, 0, 0], np.array([0, 0, 1.0]))
    assert container.fitness([0.75, 0.6]) == pytest.approx([0.5, 0.6])


def test_containers_nest():
    inner = ContainerObjective([Given("a", [1], reward=1), Given("b", [2], reward=1)], [0, 0], [1, 1])
    assert ContainerObjective([inner, Given("c", [4], reward=1)], [0, 0], [10, 1]).fitness(["x"]).tolist() == [34]


@pytest.mark.parametrize(
    ("losses", "rewards", "message"),
    [
        ([1], [1, 1], r"^losses_coef: expected 2 coefficients, one for each sub-objective, found 1\."),
        ([1, 1], [1, 1, 1], r"^rewards_coef: expected 2 coefficients, one for each sub-objective, found 3\."),
        ([1, 1], [1, float("nan")], r"^rewards_coef\[1\]: expected a finite number, found nan"),
        (["1", 1], [1, 1], r"^losses_coef\[0\]: expected a finite number, found '1'"),
        ("11", [1, 1], r"^losses_coef: expected a list of numbers, found '11'"),
        (1.0, [1, 1], r"^losses_coef: expected a list of numbers, found 1\.0"),
    ],
)
def test_container_refuses_bad_coefficients(losses, rewards, message):
    with pytest.raises(UsageError, match=message):
        ContainerObjective([Given("a", [1]), Given("b", [1])], losses, rewards)


def test_container_refuses_parts_that_do_not_fit():
    with pytest.raises(UsageError, match=r"sub_objectives: expected at least one objective, found none"):
        ContainerObjective([], [], [])
    with pytest.raises(UsageError, match=r"expected each performance once, found a in more than one"):
        ContainerObjective([Given("a", [1]), Given("b", [1]), Given("a", [1])], [1] * 3, [1] * 3)
    with pytest.raises(UsageError, match=r"MnasnetObjective reads accuracy, found latency_ms\. Add the objective"):
        ContainerObjective([Given("latency_ms", [1]), MnasnetObjective(1)], [1, 1], [1, 1])
    spaces = [SpaceCard("s", {"size": size}) for size in (8, 16)]
    with pytest.raises(CardError, match=r"expected objectives of one space, found two: s\.size = 8 against 16"):
        ContainerObjective([Given("a", [1], space=spaces[0]), Given("b", [1], space=spaces[1])], [1, 1], [1, 1])
    parts = [Given("a", [1]), Given("b", [1], space=spaces[1])]
    assert ContainerObjective(parts, [1, 1], [1, 1]).space == spaces[1]
