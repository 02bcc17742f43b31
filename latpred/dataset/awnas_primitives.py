"""The reference system's primitives and latpred's, both ways, and the architecture behind a chain of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from latpred.errors import LatpredError, ParseError, PrimitiveError
from latpred.network import Network, Role
from latpred.primitive import Primitive
from latpred.spaces import SearchSpace
from latpred.spaces.mnasnet_architecture import MNasNetArchitecture
from latpred.spaces.mnasnet_layout import Choice
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.reference_names import BLOCK_TYPES

_KERNELS: Mapping[str, int] = {"conv_1x1": 1, "conv_3x3": 3}
"""What the reference leaves out, because the type's name has it."""
_REDUNDANT: tuple[tuple[str, Any], ...] = (("affine", True), ("use_se", False))
"""What the reference states of types that have no such choice."""
_REMEDY = "Give the space that it was profiled for; a type of your own belongs into the space's `primitive_types`"


def read_primitive(written: Mapping[str, Any], space: SearchSpace[Any], where: str) -> Primitive:
    """Return latpred's primitive for one of the reference's, without its performances.

    Raises:
        ParseError: If the space does not know it, naming it.
    """
    fields: dict[str, Any] = {}
    for key, value in written.items():
        if not isinstance(key, str) or not isinstance(value, str | int | float | bool | None):
            problem = f"expected a primitive of names and plain values, found {key!r:.40} = a {type(value).__name__}"
            raise ParseError(where, problem, "Mend the file")
        if value is not None:  # the reference writes null for what is not given
            fields[key] = int(value) if isinstance(value, float) and value.is_integer() else value
    fields["prim_type"] = BLOCK_TYPES.get(str(fields.get("prim_type")), fields.get("prim_type"))
    if str(fields["prim_type"]) in _KERNELS:
        fields.setdefault("kernel_size", _KERNELS[str(fields["prim_type"])])
    try:
        return _known(fields, space, where)
    except LatpredError as error:
        found = ", ".join(f"{key} {value}" for key, value in sorted(fields.items()))
        problem = f"expected a primitive of the space {space.name}, found {found:.200} ({error.problem})"
        raise ParseError(where, problem, _REMEDY) from None


def _known(fields: Mapping[str, Any], space: SearchSpace[Any], where: str) -> Primitive:
    """Return the primitive of `fields`, without those that its type does not take and that say nothing."""
    first: PrimitiveError | None = None
    left = dict(fields)
    for name, value in ((None, None), *_REDUNDANT):
        if name is not None and left.pop(name, value) != value:
            break
        try:
            primitive = Primitive.from_dict(left, where)
            space.type_of(primitive).cost(primitive)
        except PrimitiveError as error:
            first = first or error
        else:
            return primitive
    raise first or PrimitiveError(where, "expected a primitive", _REMEDY)


def write_primitive(primitive: Primitive) -> dict[str, Any]:
    """Return the reference's form of `primitive`, which its constructors take."""
    fields = {"affine": True} | primitive.to_dict()
    if primitive.prim_type in _KERNELS:
        del fields["kernel_size"]
    return fields


def network_of(primitives: Sequence[Primitive], space: SearchSpace[Any]) -> Network:
    """Return the architecture that has these blocks, or else the assembled network of them.

    Blocks of an assembled network that are none of the space's are glue.
    """
    architecture = _architecture(primitives, space) if type(space) is MNasNetOFA else None
    if architecture is not None:
        return space.network(architecture)
    known = space.vocabulary().ids
    roles: list[Role] = ["primitive" if primitive in known else "glue" for primitive in primitives]
    return Network(space.name, tuple(primitives), tuple(roles))


def _architecture(primitives: Sequence[Primitive], space: MNasNetOFA) -> MNasNetArchitecture | None:
    for image_size, layout in space.layouts.items():
        end = len(primitives) - len(layout.fixed)
        if end > 0 and primitives[0] == layout.stem and tuple(primitives[end:]) == layout.fixed:
            rows = next(_stages(primitives[1:end], space, image_size, 0), None)
            if rows is not None:
                width = tuple(tuple(int(choice[0]) for choice in row) for row in rows)
                kernel = tuple(tuple(choice[1] for choice in row) for row in rows)
                return MNasNetArchitecture(tuple(map(len, rows)), width, kernel, image_size)
    return None


def _stages(
    blocks: Sequence[Primitive], space: MNasNetOFA, image_size: int, stage: int
) -> Iterator[list[list[Choice]]]:
    """Yield the ways to read `blocks` as the stages from `stage` on: the choices of each block by stage."""
    if stage == len(space.stages):
        if not blocks:
            yield []
        return
    choices = space.layouts[image_size].stages[stage]
    first = {primitive: choice for choice, primitive in choices.first.items()}
    later = {primitive: choice for choice, primitive in choices.later.items()}
    for depth in space.stages[stage].depths:
        if depth > len(blocks) or blocks[0] not in first or any(block not in later for block in blocks[1:depth]):
            continue
        row = [first[blocks[0]], *(later[block] for block in blocks[1:depth])]
        for rest in _stages(blocks[depth:], space, image_size, stage + 1):
            yield [row, *rest]
