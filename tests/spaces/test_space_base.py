"""What the base class gives to a space that has tokens beside its primitives."""

from __future__ import annotations

import pytest
import torch

from latpred.errors import PrimitiveError
from latpred.primitive import Primitive
from latpred.spaces import SearchSpace

WIDE, NARROW = Primitive("conv_1x1", 4, 3, 8), Primitive("conv_1x1", 4, 3, 4)


class Flagged(SearchSpace):
    """One block, and a fact beside it."""

    name = "flagged"
    parameters: dict = {}  # noqa: RUF012 - a space of the test's own
    slots = 3

    def sample(self, rng):
        return rng.choice(["wide", "narrow"])

    mutate = from_json = None

    def primitives(self, architecture):
        return (WIDE if architecture == "wide" else NARROW,)

    def all_primitives(self):
        return frozenset([WIDE, NARROW])

    def tokens(self):
        return ("mirrored",)

    def slot_ids(self, architecture):
        return [self.vocabulary().token_ids["mirrored"], -1, self.vocabulary().ids[self.primitives(architecture)[0]]]

    def to_json(self, architecture):
        return {"is": architecture}


def test_the_vocabulary_is_sorted_primitives_then_tokens():
    assert Flagged().vocabulary().by_id == (NARROW, WIDE, "mirrored")
    assert Flagged().encode("wide").tolist() == [2, -1, 1]
    assert Flagged().encode("wide").dtype == "int64"


def test_a_network_has_what_is_measured_and_where_it_came_from():
    network = Flagged().network("wide")
    assert (network.space, network.primitives, network.roles) == ("flagged", (WIDE,), ("primitive",))
    assert (network.architecture, network.encoding) == ({"is": "wide"}, (2, -1, 1))
    assert Flagged().architecture_json("wide") == '{"is":"wide"}'


def test_build_stacks_the_blocks():
    network = Flagged().build("wide")
    assert len(network) == 1
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 4, 4)).shape == (2, 8, 4, 4)


def test_an_unknown_type_is_named_with_those_that_are_known():
    with pytest.raises(PrimitiveError, match=r"space flagged: expected a primitive of type avg_pool, .*, found 'warp'"):
        Flagged().block(Primitive("warp", 4, 3, 8))
