"""A space that is nothing but a list of primitives; each of its architectures is one of them."""

from __future__ import annotations

from torch import nn

from latpred.primitive import Primitive
from latpred.spaces import PRIMITIVE_TYPES, Cost, PrimitiveType, SearchSpace


def _broken(primitive):
    raise RuntimeError("no such\nlayer")


class ListSpace(SearchSpace):
    name = "list_space"
    primitive_types = PRIMITIVE_TYPES | {
        "broken": PrimitiveType(_broken, lambda _: Cost(0, 0, 0)),
        "liar": PrimitiveType(lambda _: nn.Identity(), lambda _: Cost(0, 0, 0)),
    }

    def __init__(self, *blocks):
        self.blocks = blocks

    parameters = property(lambda self: {"blocks": [str(block) for block in self.blocks]})
    slots = 1

    def sample(self, rng):
        return rng.choice(self.blocks)

    def mutate(self, architecture, rng):
        return self.sample(rng)

    def primitives(self, architecture):
        return (architecture,)

    def all_primitives(self):
        return frozenset(self.blocks)

    def slot_ids(self, architecture):
        return [self.vocabulary().ids[architecture]]

    def to_json(self, architecture):
        return architecture.to_dict()

    def from_json(self, value):
        return Primitive.from_dict(value)
