"""Sampled networks: distinct, reproducible, and as many as the space has."""

from __future__ import annotations

from random import Random

import pytest
from list_space import ListSpace

from latpred.errors import UsageError
from latpred.genprof import sampled
from latpred.primitive import Primitive
from latpred.spaces.mnasnet_ofa import MNasNetOFA

BLOCKS = [Primitive("conv_1x1", 4, C, 4) for C in range(1, 9)]


def ids(networks):
    return [network.network_id for network in networks]


def test_networks_are_distinct_architectures_of_the_space():
    space = MNasNetOFA()
    networks = sampled(space, 50, seed=0)
    assert len(set(ids(networks))) == 50
    for network in networks:
        architecture = space.from_json(network.architecture)
        assert network == space.network(architecture)
        assert set(network.roles) == {"primitive"}
    assert networks[0].primitives == space.primitives(space.sample(Random(0)))


def test_the_seed_decides_and_no_seed_is_not_seed_zero():
    space = MNasNetOFA()
    zero = ids(sampled(space, 5, seed=0))
    assert ids(sampled(space, 5, seed=0)) == zero
    assert ids(sampled(space, 9, seed=0))[:5] == zero
    assert ids(sampled(space, 5, seed=1)) != zero
    unseeded = [ids(sampled(space, 5, seed=None)) for _ in range(2)]
    assert unseeded[0] != unseeded[1]
    assert zero not in unseeded


def test_a_small_space_is_drawn_to_its_end():
    assert len(sampled(ListSpace(*BLOCKS), 8, seed=0)) == 8


def test_more_than_the_space_has_is_refused():
    message = "space list_space: expected 9 distinct networks, found 8, and no new one in 1000 draws. Ask for fewer"
    with pytest.raises(UsageError, match=message):
        sampled(ListSpace(*BLOCKS), 9, seed=0)


def test_no_network_is_refused():
    with pytest.raises(UsageError, match="count: expected at least 1 network to draw, found 0"):
        sampled(MNasNetOFA(), 0, seed=0)
