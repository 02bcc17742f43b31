"""FBNet's space (arXiv 1812.03443) as HW-NAS-Bench runs it: 22 layers, each one of nine choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from latpred.config import canonical_json
from latpred.errors import ArchitectureError
from latpred.primitive import Primitive, downsampled
from latpred.spaces.base import SearchSpace
from latpred.spaces.blocks import PRIMITIVE_TYPES, PrimitiveType
from latpred.spaces.checks import check_integer, check_integers, check_length
from latpred.spaces.fbnet_block import FBNET_TYPES

SKIP = "skip"
BLOCKS = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", SKIP)
"""The choices in the order of the public indices: kernel, expansion, and two groups where `g2` says so."""

_OPTIONS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "k3_e1": (3, 1, 1),
        "k3_e1_g2": (3, 1, 2),
        "k3_e3": (3, 3, 1),
        "k3_e6": (3, 6, 1),
        "k5_e1": (5, 1, 1),
        "k5_e1_g2": (5, 1, 2),
        "k5_e3": (5, 3, 1),
        "k5_e6": (5, 6, 1),
    }
)
"""Kernel, expansion and groups of each choice that is a block."""

_CONV = canonical_json({"activation": "relu", "affine": True})


@dataclass(frozen=True, slots=True)
class FBNetArchitecture:
    """A network of FBNet's space."""

    blocks: tuple[str, ...]
    """The choice for each layer, of `BLOCKS`."""

    @classmethod
    def from_indices(cls, indices: Sequence[int]) -> FBNetArchitecture:
        """Read the public form, an index from 0 to 8 for each layer.

        Raises:
            ValueError: If one is no such index; how many there must be is for the space to say.
        """
        for i, index in enumerate(indices):
            if index not in range(len(BLOCKS)):
                raise ValueError(f"expected indices[{i}] to be an integer from 0 to {len(BLOCKS) - 1}, found {index!r}")
        return cls(tuple(BLOCKS[index] for index in indices))

    def to_indices(self) -> list[int]:
        """Return the public form."""
        return [BLOCKS.index(block) for block in self.blocks]


class FBNet(SearchSpace[FBNetArchitecture]):
    """A stem, stages of layers with nine choices each, and a head; the defaults are those for CIFAR-100.

    A slot is a layer. `skip` is a 1x1 convolution where a layer changes the shape; where it does not, nothing is
    executed, and the slot is empty.

    Args:
        image_size: Height and width of the input image, pixels.
        stem_channels: Output channels of the stem.
        stem_stride: Of the stem: 1 for CIFAR, 2 for ImageNet.
        depths: Layers of each stage.
        channels: Output channels of each stage, even because some convolutions have two groups.
        strides: Of the first layer of each stage.
        head_channels: Output channels of the 1x1 convolution behind the last stage.
        classes: Outputs of the classifier.
    """

    name = "fbnet"
    primitive_types: ClassVar[Mapping[str, PrimitiveType]] = MappingProxyType({**PRIMITIVE_TYPES, **FBNET_TYPES})

    def __init__(
        self,
        image_size: int = 32,
        stem_channels: int = 16,
        stem_stride: int = 1,
        depths: Sequence[int] = (1, 4, 4, 4, 4, 4, 1),
        channels: Sequence[int] = (16, 24, 32, 64, 112, 184, 352),
        strides: Sequence[int] = (1, 1, 2, 2, 1, 2, 1),
        head_channels: int = 1504,
        classes: int = 100,
    ) -> None:
        numbers = {"image_size": image_size, "stem_channels": stem_channels, "stem_stride": stem_stride}
        numbers |= {"head_channels": head_channels, "classes": classes}
        for name, number in numbers.items():
            check_integer(name, number)
        lists = {"depths": list(depths), "channels": list(channels), "strides": list(strides)}
        for name, values in lists.items():
            check_integers(name, values)
            check_length(name, values, len(depths), "one for each entry of depths")
        for name, values in {"stem_channels": [stem_channels], "channels": lists["channels"]}.items():
            if any(value % 2 for value in values):
                raise ValueError(f"{name} must be even, as some convolutions have two groups, got {values}")
        self._parameters: dict[str, Any] = {**numbers, **lists}
        self._stem = Primitive("conv_bn_act", image_size, 3, stem_channels, stem_stride, 3, _CONV)
        self._layers = self._lay_out()
        ids = self.vocabulary().ids
        self._stem_id, self._head_ids = ids[self._stem], [ids[block] for block in self._head()]
        self._ids = [{name: ids[p] if p else -1 for name, p in layer.items()} for layer in self._layers]

    def _lay_out(self) -> list[dict[str, Primitive | None]]:
        """Return what each layer can be, by choice; None where nothing is executed."""
        size, C, layers = self._stem.out_size, self._stem.C_out, []
        given = self._parameters
        for depth, C_out, first in zip(given["depths"], given["channels"], given["strides"], strict=True):
            for i in range(depth):
                stride = first if i == 0 else 1
                layers.append(_choices(size, C, C_out, stride))
                size, C = downsampled(size, stride), C_out
        return layers

    def _head(self) -> tuple[Primitive, ...]:
        """Return the blocks behind the last layer, whose shape no choice changes."""
        last, C_out = self._layers[-1][BLOCKS[0]], self._parameters["head_channels"]
        if last is None:
            raise TypeError("only skip can be nothing")
        size = last.out_size
        return (
            Primitive("conv_bn_act", size, last.C_out, C_out, kwargs=_CONV),
            Primitive("global_avg_pool", size, C_out, C_out, size, size),
            Primitive("linear", 1, C_out, self._parameters["classes"], kwargs=canonical_json({"activation": "none"})),
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: list(value) if isinstance(value, list) else value for name, value in self._parameters.items()}

    @property
    def slots(self) -> int:
        """Length of an encoding: the stem, a slot for each layer, the head."""
        return 1 + len(self._layers) + len(self._head_ids)

    def sample(self, rng: Random) -> FBNetArchitecture:
        """Draw each layer uniformly."""
        return FBNetArchitecture(tuple(rng.choice(BLOCKS) for _ in self._layers))

    def mutate(self, architecture: FBNetArchitecture, rng: Random) -> FBNetArchitecture:
        """Change the choice for one layer."""
        self.slot_ids(architecture)
        blocks, i = architecture.blocks, rng.randrange(len(self._layers))
        other = rng.choice([block for block in BLOCKS if block != blocks[i]])
        return FBNetArchitecture((*blocks[:i], other, *blocks[i + 1 :]))

    def primitives(self, architecture: FBNetArchitecture) -> tuple[Primitive, ...]:
        """List the blocks of `architecture` in execution order."""
        by_id = self.vocabulary().primitives
        return tuple(by_id[i] for i in self.slot_ids(architecture) if i >= 0)

    def all_primitives(self) -> frozenset[Primitive]:
        """Every choice for every layer, the stem and the head."""
        blocks = {primitive for layer in self._layers for primitive in layer.values() if primitive}
        return frozenset({self._stem, *self._head(), *blocks})

    def slot_ids(self, architecture: FBNetArchitecture) -> list[int]:
        """Return the vocabulary id in each slot, -1 where a layer is skipped without a trace."""
        if not isinstance(architecture, FBNetArchitecture):
            problem = f"expected an FBNetArchitecture, found {type(architecture).__name__} {architecture!r}"
            raise self._refusal(problem)
        try:  # the look-ups are also the check
            layers = [ids[block] for ids, block in zip(self._ids, architecture.blocks, strict=True)]
        except (KeyError, TypeError, ValueError):
            raise self._refusal(self._fault(architecture.blocks)) from None
        return [self._stem_id, *layers, *self._head_ids]

    def _fault(self, blocks: object) -> str:
        if not isinstance(blocks, Sequence) or isinstance(blocks, str) or len(blocks) != len(self._layers):
            return f"expected blocks to have {len(self._layers)} entries, one for each layer, found {blocks!r}"
        i, block = next((i, block) for i, block in enumerate(blocks) if block not in BLOCKS)
        return f"expected blocks[{i}] to be one of {', '.join(BLOCKS)}, found {block!r}"

    def to_json(self, architecture: FBNetArchitecture) -> dict[str, Any]:
        """Return {blocks}: the names of the choices."""
        self.slot_ids(architecture)
        return {"blocks": list(architecture.blocks)}

    def from_json(self, value: Any) -> FBNetArchitecture:  # noqa: ANN401 - any JSON value
        """Read {blocks}."""
        if not isinstance(value, dict) or list(value) != ["blocks"] or not isinstance(value["blocks"], list):
            found = ", ".join(sorted(map(str, value))) if isinstance(value, dict) else repr(value)
            raise self._refusal(f"expected an architecture with the key blocks, a list of choices, found {found}")
        architecture = FBNetArchitecture(tuple(value["blocks"]))
        self.slot_ids(architecture)
        return architecture

    def _refusal(self, problem: str) -> ArchitectureError:
        return ArchitectureError(f"space {self.name}", problem, "Give an architecture of this space")


def _choices(size: int, C: int, C_out: int, stride: int) -> dict[str, Primitive | None]:
    """Return what a layer can be, by choice; None where nothing is executed."""
    found: dict[str, Primitive | None] = {}
    for name, (kernel, expansion, groups) in _OPTIONS.items():
        options = canonical_json({"expansion": expansion, "groups": groups})
        found[name] = Primitive("fbnet_block", size, C, C_out, stride, kernel, options)
    changes = stride != 1 or C_out != C
    found[SKIP] = Primitive("conv_bn_act", size, C, C_out, stride, 1, _CONV) if changes else None
    return found
