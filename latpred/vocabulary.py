"""The vocabulary: the numbers that stand for primitives in an encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from latpred.errors import CardError, PrimitiveError
from latpred.primitive import Primitive

MAX_TOKENS = 64


@dataclass(frozen=True)
class Vocabulary:
    """Primitives of a space in sorted order, then its tokens, then primitives that occur only in a dataset.

    An id is a place in this order; -1 stands for nothing.
    """

    primitives: tuple[Primitive, ...]
    tokens: tuple[str, ...] = ()
    """Facts about an architecture that are no block and are never timed, at most 64."""
    extra: tuple[Primitive, ...] = ()
    """Primitives that the space does not have, such as the glue of assembled networks."""

    def __post_init__(self) -> None:
        """Refuse an order that would give a primitive two ids, or ids that depend on chance."""
        if list(self.primitives) != sorted(set(self.primitives)) or list(self.extra) != sorted(set(self.extra)):
            raise ValueError("the primitives of a vocabulary must be sorted and distinct")
        if shared := set(self.primitives) & set(self.extra):
            raise ValueError(f"the vocabulary holds {min(shared)} twice, in the space and beside it")
        if len(set(self.tokens)) != len(self.tokens) or len(self.tokens) > MAX_TOKENS:
            raise ValueError(f"tokens must be distinct and at most {MAX_TOKENS}, got {len(self.tokens)}")

    def __len__(self) -> int:
        """Return the number of ids."""
        return len(self.primitives) + len(self.tokens) + len(self.extra)

    @cached_property
    def ids(self) -> Mapping[Primitive, int]:
        """The id of each primitive."""
        behind = len(self.primitives) + len(self.tokens)
        ids = {primitive: i for i, primitive in enumerate(self.primitives)}
        return ids | {primitive: behind + i for i, primitive in enumerate(self.extra)}

    @cached_property
    def token_ids(self) -> Mapping[str, int]:
        """The id of each token."""
        return {token: len(self.primitives) + i for i, token in enumerate(self.tokens)}

    @cached_property
    def by_id(self) -> tuple[Primitive | str, ...]:
        """What each id stands for."""
        return self.primitives + self.tokens + self.extra

    def with_extra(self, found: Sequence[Primitive]) -> Vocabulary:
        """Return this vocabulary with those of `found` that it lacks behind it."""
        lacking = {primitive for primitive in found if primitive not in self.ids}
        return Vocabulary(self.primitives, self.tokens, tuple(sorted(lacking | set(self.extra))))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "primitives": [primitive.to_dict() for primitive in self.primitives],
            "tokens": list(self.tokens),
            "extra": [primitive.to_dict() for primitive in self.extra],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Vocabulary:
        """Read the JSON form.

        Raises:
            CardError: If it is malformed.
        """
        try:
            return cls(
                tuple(Primitive.from_dict(fields, where) for fields in values["primitives"]),
                tuple(values["tokens"]),
                tuple(Primitive.from_dict(fields, where) for fields in values["extra"]),
            )
        except PrimitiveError as error:
            raise CardError(f"{where}: {error.where}", error.problem, "Make the file again") from None
        except (KeyError, TypeError, ValueError) as error:
            raise CardError(where, f"expected a vocabulary, got: {error!r}", "Make the file again") from None
