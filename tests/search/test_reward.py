"""The MnasNet reward, against values worked out by hand."""

import math

import numpy as np
import pytest

from latpred.errors import UsageError
from latpred.search import HARD, SOFT, MnasnetObjective, mnasnet_reward

HAND = [
    # accuracy, latency, target, exponents, reward
    (0.75, 60, 80, HARD, 0.75),  # below the target the accuracy alone counts
    (0.75, 80, 80, HARD, 0.75),
    (0.75, 120, 80, HARD, 0.5),  # 0.75 / 1.5
    (0.60, 240, 80, HARD, 0.2),  # 0.6 / 3
    (0.75, 160, 80, SOFT, 0.714478),  # 0.75 * 2^-0.07 = 0.75 * 0.952638
    (0.75, 40, 80, SOFT, 0.787287),  # 0.75 * 2^0.07 = 0.75 * 1.049717
    (0.75, 80, 80, SOFT, 0.75),
    (0.0, 10, 80, SOFT, 0.0),
    (1.0, 2.0, 8.0, (-0.5, -2), 2.0),  # (1/4)^-0.5
    (1.0, 16.0, 8.0, (-0.5, -2), 0.25),  # 2^-2
]


@pytest.mark.parametrize(("accuracy", "latency_ms", "target_ms", "exponents", "expected"), HAND)
def test_values_by_hand(accuracy, latency_ms, target_ms, exponents, expected):
    reward = mnasnet_reward(accuracy, latency_ms, target_ms, *exponents)
    assert type(reward) is float
    assert reward == pytest.approx(expected, abs=1e-6)


def test_arrays_give_the_same_values():
    accuracy, latency_ms = np.array([0.75, 0.75, 0.6]), np.array([60, 120, 240])
    reward = mnasnet_reward(accuracy, latency_ms, 80, *HARD)
    assert reward == pytest.approx([0.75, 0.5, 0.2])


def test_the_exponents_of_the_paper():
    assert (HARD.alpha, HARD.beta, SOFT.alpha, SOFT.beta) == (0, -1, -0.07, -0.07)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": 1.01}, r"accuracy: expected fractions from 0 to 1, found 1\.01"),
        ({"accuracy": -0.1}, r"accuracy: expected fractions from 0 to 1, found -0\.1"),
        ({"accuracy": math.nan}, r"accuracy: expected fractions from 0 to 1, found nan"),
        ({"accuracy": np.array([0.5, 75.0])}, r"latency_ms: expected the shape of accuracy, \[2\], found \[\]"),
        (
            {"accuracy": np.array([0.5, 75.0]), "latency_ms": np.array([1.0, 1.0])},
            r"accuracy: expected fractions from 0 to 1, found 75\.0",
        ),
        ({"latency_ms": 0.0}, r"latency_ms: expected finite numbers > 0, found 0\.0"),
        ({"latency_ms": math.inf}, r"latency_ms: expected finite numbers > 0, found inf"),
        ({"latency_ms": math.nan}, r"latency_ms: expected finite numbers > 0, found nan"),
        ({"target_ms": 0}, r"target_ms: expected a latency > 0 ms, found 0\."),
        ({"target_ms": -3.5}, r"target_ms: expected a latency > 0 ms, found -3\.5"),
        ({"target_ms": math.nan}, r"target_ms: expected a finite number, found nan"),
        ({"alpha": math.inf}, r"alpha: expected a finite number, found inf"),
        ({"beta": "soft"}, r"beta: expected a finite number, found 'soft'"),
        ({"beta": True}, r"beta: expected a finite number, found True"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"accuracy": 0.5, "latency_ms": 10.0, "target_ms": 20.0, "alpha": 0.0, "beta": -1.0}
    assert mnasnet_reward(**good) == 0.5
    with pytest.raises(UsageError, match=message):
        mnasnet_reward(**good | change)


def test_the_objective_reads_the_performances_of_others():
    objective = MnasnetObjective(80, *HARD, accuracy="top1", latency="phone_latency_ms")
    assert objective.reads == ("top1", "phone_latency_ms")
    assert objective.perfs(["any"]) == {}
    perfs = {"top1": np.array([0.75, 0.6]), "phone_latency_ms": np.array([120.0, 240.0]), "latency_ms": np.ones(2)}
    assert objective.reward(perfs) == pytest.approx([0.5, 0.2])
    assert objective.loss(perfs).tolist() == [0, 0]


def test_the_objective_is_soft_by_default():
    perfs = {"accuracy": np.array([0.75]), "latency_ms": np.array([160.0])}
    assert MnasnetObjective(80).reward(perfs) == pytest.approx([0.714478], abs=1e-6)


def test_the_objective_refuses_what_the_reward_would():
    with pytest.raises(UsageError, match=r"target_ms: expected a latency > 0 ms, found -1"):
        MnasnetObjective(-1)
    with pytest.raises(UsageError, match=r"latency: expected a performance in ms, found 'energy_mj'"):
        MnasnetObjective(1, latency="energy_mj")
