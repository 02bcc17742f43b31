"""The contract of a search space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from random import Random
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from latpred.card import SpaceCard
from latpred.config import canonical_json
from latpred.errors import PrimitiveError
from latpred.network import Network, Role
from latpred.primitive import Primitive
from latpred.spaces.blocks import PRIMITIVE_TYPES, PrimitiveType
from latpred.vocabulary import Vocabulary

ArchitectureT = TypeVar("ArchitectureT")


class SearchSpace(ABC, Generic[ArchitectureT]):
    """Draws architectures, and maps each to its primitives, its encoding and its torch module.

    When each method is called:

    - constructor: once, with the `parameters` of a space's YAML (typed arguments, no `**kwargs`, checked here);
    - `all_primitives` and `tokens`: once per space object, for the vocabulary; `genprof` profiles the former;
    - `sample`: by `genprof --num-sample`, `latpred sample` and searches, with the caller's seeded generator;
    - `mutate`: by searches, on architectures of this space;
    - `primitives` and `slot_ids`: once per network that is profiled, and once per prediction (`slot_ids` must be fast);
    - `build`: where a network is executed (profiling, tests), never for a prediction;
    - `to_json` and `from_json`: whenever an architecture is written to a file or read from one.

    Architectures are frozen, hashable values. A new space is one file: a subclass, a YAML, and either an entry point
    in the group `latpred.spaces` or direct use in Python (`examples/new_space.py`).
    """

    name: ClassVar[str]
    """The registered name, as in the YAML."""

    primitive_types: ClassVar[Mapping[str, PrimitiveType]] = PRIMITIVE_TYPES
    """The block types of the space by name; a space with its own adds them: `PRIMITIVE_TYPES | {...}`."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments in JSON form: `type(space)(**space.parameters)` is the same space."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Length of an encoding, the same for every architecture."""

    @abstractmethod
    def sample(self, rng: Random) -> ArchitectureT:
        """Draw an architecture."""

    @abstractmethod
    def mutate(self, architecture: ArchitectureT, rng: Random) -> ArchitectureT:
        """Return an architecture of the space that differs from `architecture` in one choice."""

    @abstractmethod
    def primitives(self, architecture: ArchitectureT) -> tuple[Primitive, ...]:
        """List the blocks of `architecture` in execution order.

        Raises:
            ArchitectureError: If `architecture` is not in the space.
        """

    @abstractmethod
    def all_primitives(self) -> frozenset[Primitive]:
        """Every primitive that an architecture of the space can have."""

    def tokens(self) -> tuple[str, ...]:
        """Facts about architectures that are no block and are never timed; none by default."""
        return ()

    @abstractmethod
    def slot_ids(self, architecture: ArchitectureT) -> list[int]:
        """Return the vocabulary id in each slot, -1 where there is nothing: `encode` without the array.

        Blocks stand in execution order; the primitives behind the ids >= 0 that are no tokens are `primitives`.

        Raises:
            ArchitectureError: If `architecture` is not in the space.
        """

    @abstractmethod
    def to_json(self, architecture: ArchitectureT) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON form: plain dicts, lists, strings and numbers."""

    @abstractmethod
    def from_json(self, value: Any) -> ArchitectureT:  # noqa: ANN401 - any JSON value
        """Read the JSON form.

        Raises:
            ArchitectureError: If it is malformed or not in the space, naming the key.
        """

    def encode(self, architecture: ArchitectureT) -> NDArray[np.int64]:
        """Return the vocabulary ids of `architecture`, [slots], -1 where there is nothing.

        Raises:
            ArchitectureError: If `architecture` is not in the space.
        """
        return np.array(self.slot_ids(architecture), dtype=np.int64)

    def vocabulary(self) -> Vocabulary:
        """The primitives of the space in sorted order, then its tokens."""
        return self._vocabulary

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(tuple(sorted(self.all_primitives())), self.tokens())

    def card(self) -> SpaceCard:
        """The name and parameters, which a dataset or predictor keeps."""
        return SpaceCard(self.name, self.parameters)

    def network(self, architecture: ArchitectureT) -> Network:
        """Return what is measured for `architecture`."""
        primitives = self.primitives(architecture)
        role: Role = "primitive"
        return Network(
            space=self.name,
            primitives=primitives,
            roles=(role,) * len(primitives),
            architecture=self.to_json(architecture),
            encoding=tuple(self.slot_ids(architecture)),
        )

    def architecture_json(self, architecture: ArchitectureT) -> str:
        """Return the canonical JSON text of `architecture`."""
        return canonical_json(self.to_json(architecture))

    def type_of(self, primitive: Primitive) -> PrimitiveType:
        """Return the type of `primitive`.

        Raises:
            PrimitiveError: If this space knows no such type, naming those it knows.
        """
        try:
            return self.primitive_types[primitive.prim_type]
        except KeyError:
            known = ", ".join(sorted(self.primitive_types))
            raise PrimitiveError(
                f"space {self.name}",
                f"expected a primitive of type {known}, found '{primitive.prim_type}'",
                "Correct the name, or add the type to the space's `primitive_types`",
            ) from None

    def block(self, primitive: Primitive) -> nn.Module:
        """Build the module of one primitive."""
        return self.type_of(primitive).build(primitive)

    def build(self, architecture: ArchitectureT) -> nn.Sequential:
        """Build the network; its children line up one to one with `primitives(architecture)`.

        It maps images [batch, 3, size, size] to the output of the last block. A space whose networks are no chain
        overrides this and gives a module whose `blocks()` does.
        """
        return nn.Sequential(*(self.block(primitive) for primitive in self.primitives(architecture)))
