"""The network: what is measured, an architecture of a space or an assembled profiling network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal, get_args

from latpred.config import canonical_json
from latpred.primitive import Primitive

Role = Literal["primitive", "glue"]


@dataclass(frozen=True, slots=True)
class Network:
    """A list of blocks in execution order, and the architecture it came from if there is one."""

    space: str
    """Name of the space."""
    primitives: tuple[Primitive, ...]
    roles: tuple[Role, ...]
    """`glue` marks blocks that are there only to connect the others."""
    architecture: Any = None
    """The JSON form of the architecture (plain lists, dicts, numbers); None for an assembled network."""
    encoding: tuple[int, ...] | None = None
    """The space's encoding of the architecture, [slots]; None for an assembled network."""

    def __post_init__(self) -> None:
        """Refuse networks that cannot be."""
        if not self.primitives:
            raise ValueError("a network needs at least one primitive")
        if len(self.primitives) != len(self.roles):
            raise ValueError(f"expected a role for each of {len(self.primitives)} primitives, got {len(self.roles)}")
        if unknown := [role for role in self.roles if role not in get_args(Role)]:
            raise ValueError(f"expected roles of primitive or glue, got {unknown[0]!r}")
        if (self.architecture is None) != (self.encoding is None):
            raise ValueError("a network has both an architecture and its encoding, or neither")

    @property
    def network_id(self) -> str:
        """The first 16 hex digits of the sha256 of what the network is.

        The primitives alone are not enough: in NAS-Bench-201, 11,528 of 15,625 architectures share theirs.
        """
        identity = {
            "space": self.space,
            "encoding": self.encoding,
            "primitives": [primitive.to_dict() for primitive in self.primitives],
        }
        return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:16]

    @property
    def assembled(self) -> bool:
        """Whether the network was put together for profiling, and is no architecture of the space."""
        return self.architecture is None
