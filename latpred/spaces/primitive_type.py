"""What a type of primitive must offer: its module, its cost, and the refusal of arguments that it does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from latpred.errors import PrimitiveError
from latpred.primitive import Primitive

FLOAT32_BYTES = 4


class Cost(NamedTuple):
    """What one pass of one image through a primitive takes, from its fields alone."""

    flops: int
    """Twice the multiply-accumulates of its convolutions and linear layers, as `torch.utils.flop_counter` counts."""
    parameters: int
    """Trained numbers, BatchNorm's scale and shift among them."""
    bytes: int
    """Bytes of parameters, input and output in float32, each moved once."""


@dataclass(frozen=True)
class PrimitiveType:
    """How to build a primitive of a type and what it costs.

    Both functions raise PrimitiveError for a primitive that the type cannot be. The module maps
    [batch, C, spatial_size, spatial_size] to [batch, C_out, out_size, out_size].
    """

    build: Callable[[Primitive], nn.Module]
    cost: Callable[[Primitive], Cost]


class LayerCost(NamedTuple):
    """The share of one layer in a primitive's cost, for one image."""

    flops: int
    parameters: int


def conv_cost(C: int, C_out: int, kernel_size: int, out_size: int, *, groups: int = 1, bias: bool = False) -> LayerCost:
    """Return the cost of a convolution whose output is `out_size` pixels high and wide."""
    weights = C_out * (C // groups) * kernel_size**2
    return LayerCost(2 * weights * out_size**2, weights + C_out * bias)


def norm_cost(C: int, affine: bool) -> LayerCost:
    """Return the cost of a BatchNorm of `C` channels, which counts as no FLOPs."""
    return LayerCost(0, 2 * C * affine)


def total_cost(primitive: Primitive, layers: Iterable[LayerCost]) -> Cost:
    """Sum the layers of `primitive` and add the bytes that they move."""
    flops, parameters = (sum(column) for column in zip(LayerCost(0, 0), *layers, strict=True))
    moved = primitive.C * primitive.spatial_size**2 + primitive.C_out * primitive.out_size**2
    return Cost(flops, parameters, FLOAT32_BYTES * (parameters + moved))


class Option(NamedTuple):
    """Which values an argument in a primitive's kwargs can take."""

    expected: str
    """The allowed values in words, for the error."""
    accepts: Callable[[Any], bool]


def _is_number(value: object) -> bool:
    # 6.0 would be another primitive than 6, and the same block: only one spelling is let in.
    if isinstance(value, float):
        return value > 0 and not value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


FLAG = Option("true or false", lambda value: isinstance(value, bool))
RATIO = Option("a number > 0, without a point where it is whole", _is_number)


def one_of(names: Iterable[str]) -> Option:
    """Return the option that is one of some names."""
    allowed = sorted(names)
    return Option(f"one of {', '.join(allowed)}", lambda value: value in allowed)


def read_options(primitive: Primitive, options: Mapping[str, Option]) -> dict[str, Any]:
    """Return the kwargs of `primitive`, which must be exactly `options`.

    Raises:
        PrimitiveError: Naming the argument that is unknown, missing, or has no such value.
    """
    found, expected = primitive.options, ", ".join(sorted(options)) or "none"
    if unknown := sorted(found.keys() - options.keys()):
        problem = f"expected the arguments {expected}, found also {', '.join(unknown)}"
        raise PrimitiveError(f"primitive {primitive}", problem, "Remove it, or correct its name")
    if missing := sorted(options.keys() - found.keys()):
        problem = f"expected the arguments {expected}, {', '.join(missing)} is missing"
        raise PrimitiveError(f"primitive {primitive}", problem, "Add it")
    for name, option in options.items():
        require(primitive, option.accepts(found[name]), f"{name} to be {option.expected}", found[name])
    return found


def require(primitive: Primitive, holds: bool, expected: str, found: object) -> None:
    """Refuse `primitive` unless something `holds` that its type needs.

    Raises:
        PrimitiveError: Saying what was expected and found.
    """
    if not holds:
        raise PrimitiveError(f"primitive {primitive}", f"expected {expected}, found {found!r}", "Mend the primitive")
