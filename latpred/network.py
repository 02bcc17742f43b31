"""The network: what is measured, an architecture of a space or an assembled profiling network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from latpred.config import canonical_json, check_keys
from latpred.errors import ConfigError
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

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "space": self.space,
            "primitives": [primitive.to_dict() for primitive in self.primitives],
            "roles": list(self.roles),
            "architecture": self.architecture,
            "encoding": None if self.encoding is None else list(self.encoding),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "network") -> Network:
        """Read the JSON form.

        Raises:
            ConfigError: If a key is unknown, missing or malformed, naming `where`.
            PrimitiveError: If a primitive is.
        """
        names = [field.name for field in fields(cls)]
        check_keys(where, values, names, required=names)
        try:
            return cls(
                space=values["space"],
                primitives=tuple(Primitive.from_dict(item, where) for item in values["primitives"]),
                roles=tuple(values["roles"]),
                architecture=values["architecture"],
                encoding=None if values["encoding"] is None else tuple(values["encoding"]),
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(where, f"expected a network, found: {error}", "Restore it from a copy") from None

    @property
    def assembled(self) -> bool:
        """Whether the network was put together for profiling, and is no architecture of the space."""
        return self.architecture is None
