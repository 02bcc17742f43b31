"""How far networks lie from those that were trained on."""

import math
from random import Random

import numpy as np
import pytest
import torch
from measured import tiny_space

from latpred.calibration import Domain
from latpred.intervals import Distance, fit_domain, network_features
from latpred.primitive import Primitive
from latpred.vocabulary import Vocabulary

NARROW, WIDE = Primitive("conv", 8, 1, 4), Primitive("conv", 8, 2, 4)
VOCABULARY = Vocabulary((NARROW, WIDE), ("token",))
N, W, T, NO = 0, 1, 2, -1


def distances(domain: Domain, rows: list[list[int]]) -> list[float]:
    return Distance(domain, VOCABULARY)(torch.tensor(rows)).tolist()


def test_features_by_hand():
    entry = Primitive("fire", 16, 3, 5, 2, 7, '{"expansion":6}')
    rows = network_features(Vocabulary((NARROW, entry), ("token",), (Primitive("glue", 1, 1, 1),)))
    assert rows.shape == (5, 3 + 6)
    assert rows[[0, 3]].tolist() == [[0.0] * 9] * 2  # nothing, and a token
    logs = [math.log(number) for number in (3, 5, 6, 7, 16, 2)]
    assert rows[2].tolist() == [0, 1, 0, *logs]
    assert rows[4].tolist() == [0, 0, 1, *[0.0] * 6]


def test_distances_by_hand():
    """Two networks of two blocks: only the sum of log C differs, mean log 2 and deviation log 2."""
    domain = fit_domain(VOCABULARY, np.array([[N, N, NO], [W, W, T]]), np.array([[N, W, NO]]))
    assert domain.reach == pytest.approx(1, rel=1e-5)
    rows = [[N, N, NO], [W, W, NO], [W, NO, N], [T, W, N]]
    assert distances(domain, rows) == pytest.approx([1, 1, 0, 0], abs=1e-5)
    # A third block is a count, a log C_out and a log size that no network has: each 100 times as far as a deviation.
    steps = (1, math.log(4), math.log(8), 0.01)
    assert distances(domain, [[W, W, W]]) == pytest.approx([100 * math.hypot(*steps[:3])], rel=1e-2)


def test_known_networks_are_not_far_and_the_farthest_is_at_1():
    space, rng = tiny_space(), Random(0)
    ids = np.array([space.slot_ids(space.sample(rng)) for _ in range(60)])
    domain = fit_domain(space.vocabulary(), ids[:20], ids[20:])
    found = Distance(domain, space.vocabulary())(torch.from_numpy(ids))
    assert found.max() == pytest.approx(1, rel=1e-5)
    assert found.max() <= 1
    assert int(found.argmax()) >= 20  # held-out networks count
    assert 0.1 < found.median() < 0.9


def test_a_new_network_is_far_as_seldom_as_promised():
    space, rng, far = tiny_space(), Random(1), 0
    for _ in range(200):
        ids = np.array([space.slot_ids(space.sample(rng)) for _ in range(41)])
        domain = fit_domain(space.vocabulary(), ids[:20], ids[20:40])
        far += int(Distance(domain, space.vocabulary())(torch.from_numpy(ids[40:])) > 1)
    assert 1 <= far <= 200 / 21 + 3 * math.sqrt(200 / 21)


def test_networks_that_are_all_equal_measure_in_blocks():
    domain = fit_domain(VOCABULARY, np.array([[N, NO]] * 3), np.array([[N, NO]]))
    assert domain.reach == 1
    assert distances(domain, [[N, NO], [NO, N]]) == [0, 0]
    assert distances(domain, [[W, NO]]) == pytest.approx([100 * math.log(2)], rel=1e-6)


def test_neighbours_do_not_change_a_distance():
    domain = fit_domain(VOCABULARY, np.array([[N, N], [W, W]]), np.array([[N, W]]))
    rows = [[N, N], [W, NO], [NO, NO]]
    assert [distances(domain, [row])[0] for row in rows] == distances(domain, rows)


def test_a_domain_of_another_vocabulary_is_refused():
    domain = fit_domain(VOCABULARY, np.array([[N, N], [W, W]]), np.array([[N, W]]))
    other = Vocabulary((NARROW, Primitive("fire", 8, 1, 4)))
    with pytest.raises(ValueError, match=r"a domain of 7 features does not fit 8 of primitives"):
        Distance(domain, other)
