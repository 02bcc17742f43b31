"""A search space of your own, in one file: run it with `python examples/new_space.py`.

The space is a small VGG for 64-pixel images: three stages, each with a choice of how many layers it has, how wide
they are, and whether they are plain or separable convolutions. Separable convolutions are a primitive type that
latpred does not have, so this file brings it.

To use the space from YAML and the command line, put the class into a package of yours whose `pyproject.toml` says

    [project.entry-points."latpred.spaces"]
    small_vgg = "your_package.new_space:SmallVGG"

and write a YAML with `space: small_vgg` and `parameters: {image_size: 64}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from random import Random
from typing import Any

from torch import nn

from latpred.errors import ArchitectureError
from latpred.primitive import Primitive
from latpred.spaces import PRIMITIVE_TYPES, Cost, PrimitiveType, SearchSpace
from latpred.spaces.checks import check_choices, check_integer
from latpred.spaces.primitive_type import conv_cost, norm_cost, read_options, require, total_cost

STAGES = 3
LAYER_TYPES = ("conv_bn_act", "sep_conv")
CLASSES = 10


def _check_sep_conv(primitive: Primitive) -> None:
    read_options(primitive, {})
    require(primitive, primitive.kernel_size % 2 == 1, "an odd kernel_size", primitive.kernel_size)


def build_sep_conv(primitive: Primitive) -> nn.Module:
    """Build a convolution of each channel and a 1x1 convolution behind it."""
    _check_sep_conv(primitive)
    C, k = primitive.C, primitive.kernel_size
    return nn.Sequential(
        nn.Conv2d(C, C, k, primitive.stride, padding=k // 2, groups=C, bias=False),
        nn.Conv2d(C, primitive.C_out, 1, bias=False),
        nn.BatchNorm2d(primitive.C_out),
        nn.ReLU(inplace=True),
    )


def sep_conv_cost(primitive: Primitive) -> Cost:
    """Return the cost of the same two convolutions and the BatchNorm."""
    _check_sep_conv(primitive)
    C, size = primitive.C, primitive.out_size
    layers = [
        conv_cost(C, C, primitive.kernel_size, size, groups=C),
        conv_cost(C, primitive.C_out, 1, size),
        norm_cost(primitive.C_out, affine=True),
    ]
    return total_cost(primitive, layers)


@dataclass(frozen=True, slots=True)
class Stage:
    """Layers of one width; the first of them halves the feature map."""

    depth: int
    """Number of layers."""
    C_out: int
    layer_type: str
    """`conv_bn_act` or `sep_conv`."""


SmallVGGNet = tuple[Stage, ...]
"""An architecture is any frozen, hashable value."""


class SmallVGG(SearchSpace[SmallVGGNet]):
    """Chains of three stages, global pooling and a classifier.

    Args:
        image_size: Height and width of the input image, pixels.
        depths: Numbers of layers that a stage can have.
        widths: Channels that a stage can have.
    """

    name = "small_vgg"
    primitive_types = PRIMITIVE_TYPES | {"sep_conv": PrimitiveType(build_sep_conv, sep_conv_cost)}

    def __init__(self, image_size: int = 64, depths: Sequence[int] = (1, 2), widths: Sequence[int] = (16, 32)) -> None:
        check_integer("image_size", image_size)
        check_choices("depths", depths)
        check_choices("widths", widths)
        self.image_size, self.depths, self.widths = image_size, tuple(depths), tuple(widths)
        self._choices = [Stage(d, C, t) for d in self.depths for C in self.widths for t in LAYER_TYPES]

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"image_size": self.image_size, "depths": list(self.depths), "widths": list(self.widths)}

    @property
    def slots(self) -> int:
        """The most layers of each stage, the pooling and the classifier."""
        return STAGES * max(self.depths) + 2

    def sample(self, rng: Random) -> SmallVGGNet:
        """Draw each stage uniformly."""
        return tuple(rng.choice(self._choices) for _ in range(STAGES))

    def mutate(self, architecture: SmallVGGNet, rng: Random) -> SmallVGGNet:
        """Change the depth, the width or the type of one stage."""
        self._check(architecture)
        i = rng.randrange(STAGES)
        present = astuple(architecture[i])
        changed = [s for s in self._choices if sum(a != b for a, b in zip(astuple(s), present, strict=True)) == 1]
        return (*architecture[:i], rng.choice(changed), *architecture[i + 1 :])

    def primitives(self, architecture: SmallVGGNet) -> tuple[Primitive, ...]:
        """List the layers of all stages, the pooling and the classifier."""
        self._check(architecture)
        blocks, size, C = [], self.image_size, 3
        for stage in architecture:
            for i in range(stage.depth):
                blocks.append(self._layer(stage, size, C, stride=2 if i == 0 else 1))
                size, C = blocks[-1].out_size, stage.C_out
        return (*blocks, *self._head(size, C))

    def _layer(self, stage: Stage, size: int, C: int, stride: int) -> Primitive:
        kwargs = '{"activation":"relu","affine":true}' if stage.layer_type == "conv_bn_act" else "{}"
        return Primitive(stage.layer_type, size, C, stage.C_out, stride, kernel_size=3, kwargs=kwargs)

    def _head(self, size: int, C: int) -> tuple[Primitive, Primitive]:
        pool = Primitive("global_avg_pool", size, C, C, stride=size, kernel_size=size)
        return pool, Primitive("linear", 1, C, CLASSES, kwargs='{"activation":"none"}')

    def all_primitives(self) -> frozenset[Primitive]:
        """Collect the layers of pairs of neighbouring stages: a layer depends on no more than that."""
        found: set[Primitive] = set()
        for before in self._choices:
            for stage in self._choices:
                found.update(self.primitives((before, stage, stage)), self.primitives((before, before, stage)))
        return frozenset(found)

    def slot_ids(self, architecture: SmallVGGNet) -> list[int]:
        """Return the layers' ids, -1 where a stage has fewer than the most, then the head's."""
        ids = iter(self.vocabulary().ids[primitive] for primitive in self.primitives(architecture))
        slots: list[int] = []
        for stage in architecture:
            slots += [next(ids) for _ in range(stage.depth)] + [-1] * (max(self.depths) - stage.depth)
        return [*slots, *ids]

    def to_json(self, architecture: SmallVGGNet) -> list[dict[str, Any]]:
        """Return a list of {depth, C_out, layer_type}."""
        return [{"depth": s.depth, "C_out": s.C_out, "layer_type": s.layer_type} for s in architecture]

    def from_json(self, value: Any) -> SmallVGGNet:  # noqa: ANN401 - any JSON value
        """Read a list of {depth, C_out, layer_type}."""
        try:
            architecture = tuple(Stage(**stage) for stage in value)
        except TypeError as error:
            problem = f"expected a list of stages {{depth, C_out, layer_type}}, got: {error}"
            raise ArchitectureError(f"space {self.name}", problem, "Mend the architecture") from None
        self._check(architecture)
        return architecture

    def _check(self, architecture: SmallVGGNet) -> None:
        legal = isinstance(architecture, tuple) and len(architecture) == STAGES
        if not legal or any(stage not in self._choices for stage in architecture):
            allowed = f"{STAGES} stages with a depth of {self.depths}, C_out of {self.widths}, type of {LAYER_TYPES}"
            problem = f"expected {allowed}, found {architecture!r}"
            raise ArchitectureError(f"space {self.name}", problem, "Give an architecture of this space")


def main() -> None:
    """Print two architectures of the space with what a predictor needs to know of them."""
    space, rng = SmallVGG(), Random(0)  # noqa: S311 - a sample, no secret
    print(f"space {space.name}: {len(space.all_primitives())} primitives, encodings of {space.slots} slots")
    architecture = space.sample(rng)
    for title, network in (("sampled", architecture), ("mutated", space.mutate(architecture, rng))):
        print(f"\n{title}: {space.architecture_json(network)}")
        print(f"encoding: {space.encode(network).tolist()}")
        for primitive in space.primitives(network):
            cost = space.type_of(primitive).cost(primitive)
            print(f"  {primitive}: {cost.flops / 1e6:.2f} MFLOPs, {cost.parameters} parameters")


if __name__ == "__main__":
    main()
