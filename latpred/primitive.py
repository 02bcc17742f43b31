"""The primitive: a block of a network as the device sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from latpred.config import canonical_json
from latpred.errors import PrimitiveError


@dataclass(frozen=True, order=True, slots=True)
class Primitive:
    """A block with all that its latency depends on; equal fields are the same primitive.

    The names are those of the reference document. Two primitives compare by their fields in this order, which gives
    vocabularies their order.
    """

    prim_type: str
    """Name of the block's type, for example `mobilenet_v3_block`."""
    spatial_size: int
    """Height and width of the block's input feature map, pixels."""
    C: int
    """Input channels."""
    C_out: int
    """Output channels."""
    stride: int = 1
    kernel_size: int = 1
    kwargs: str = "{}"
    """The type's further arguments (expansion, activation, use_se, affine ...) as canonical JSON."""

    FIELDS: ClassVar[tuple[str, ...]] = ("prim_type", "spatial_size", "C", "C_out", "stride", "kernel_size", "kwargs")

    def __post_init__(self) -> None:
        """Refuse sizes that no block can have, and further arguments that have another canonical form."""
        for field in ("spatial_size", "C", "C_out", "stride", "kernel_size"):
            value = getattr(self, field)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise PrimitiveError(
                    f"primitive {self.prim_type}", f"expected {field} to be an integer >= 1, found {value!r}", "Mend it"
                )
        if not isinstance(self.prim_type, str) or not self.prim_type:
            raise PrimitiveError("primitive", f"expected prim_type to be a name, found {self.prim_type!r}", "Mend it")
        if self.kwargs != "{}" and not _is_canonical(self.kwargs, self.FIELDS):
            problem = f"expected kwargs to be a mapping as canonical JSON, without fields, found {self.kwargs!r}"
            raise PrimitiveError(f"primitive {self.prim_type}", problem, "Make it with latpred.config.canonical_json")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], where: str = "primitive") -> Primitive:
        """Read the flat form of the reference document: every key that is no field belongs to `kwargs`.

        Raises:
            PrimitiveError: If a field is missing or malformed.
        """
        known = {key: fields[key] for key in cls.FIELDS[:-1] if key in fields}
        if missing := [key for key in ("prim_type", "spatial_size", "C", "C_out") if key not in known]:
            raise PrimitiveError(
                where, f"expected a primitive with {', '.join(missing)}, found {dict(fields)}", "Add it"
            )
        kwargs = {key: value for key, value in fields.items() if key not in known}
        try:
            return cls(**known, kwargs=canonical_json(kwargs))
        except (TypeError, ValueError) as error:
            problem = f"expected names and JSON values beside the fields, found {kwargs} ({error})"
            raise PrimitiveError(where, problem, "Mend it") from None

    def to_dict(self) -> dict[str, Any]:
        """Return the flat form of the reference document; `from_dict` reads it."""
        return {key: getattr(self, key) for key in self.FIELDS[:-1]} | self.options

    @property
    def options(self) -> dict[str, Any]:
        """The type's further arguments."""
        return json.loads(self.kwargs)

    @property
    def out_size(self) -> int:
        """Height and width of the output feature map, pixels."""
        return downsampled(self.spatial_size, self.stride)

    def __str__(self) -> str:
        """Return a short form for tables and errors, such as `conv_3x3 112px 3->16 s2 k3`."""
        options = " ".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        shape = f"{self.spatial_size}px {self.C}->{self.C_out} s{self.stride} k{self.kernel_size}"
        return f"{self.prim_type} {shape} {options}".strip()


def _is_canonical(text: object, fields: tuple[str, ...]) -> bool:
    """Return whether `text` is the canonical JSON of a mapping that has none of `fields`: equal means equal text."""
    try:
        options = json.loads(text)  # type: ignore[arg-type] # what is no text raises TypeError
        return isinstance(options, dict) and not options.keys() & set(fields) and canonical_json(options) == text
    except (TypeError, ValueError):
        return False


def downsampled(size: int, stride: int) -> int:
    """Return the size behind a 'same'-padded layer of that stride: the ceiling of `size / stride`."""
    return -(-size // stride)
