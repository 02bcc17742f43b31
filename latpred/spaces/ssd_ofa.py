"""The detection space: a once-for-all backbone, SSD's extra heads behind it, and predictors on the feature maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar

from latpred.errors import ArchitectureError
from latpred.primitive import Primitive
from latpred.spaces.base import SearchSpace
from latpred.spaces.blocks import PRIMITIVE_TYPES, PrimitiveType
from latpred.spaces.checks import check_choices, check_integer, check_integers, check_length, check_name, check_ratios
from latpred.spaces.layers import ACTIVATIONS
from latpred.spaces.mnasnet_architecture import other_at, possible_changes
from latpred.spaces.mnasnet_layout import Layout
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.mnasnet_parameters import MNasNetParameters
from latpred.spaces.ssd_architecture import SSDArchitecture, head_fault, plain_ratio
from latpred.spaces.ssd_layout import HeadLayout, feature_stages, lay_out_heads, number
from latpred.spaces.ssd_predictor import SSD_TYPES


class _Backbone(MNasNetOFA):
    """The backbone, whose refusals name the space that the user knows."""

    name = "ssd_ofa"


@dataclass(kw_only=True, eq=False)
class SSDOFA(MNasNetParameters, SearchSpace[SSDArchitecture]):
    """Networks of MNasNetOFA's stages, then a chain of extra blocks (heads), each a width and a kernel.

    The feature maps of `feature_levels` and of each head have a predictor of classes and boxes, which stands behind
    the block that makes its map. Slots are positions, as in MNasNetOFA, with the predictors and heads in between.
    """

    image_size_choice: Sequence[int] = (512, 384, 320, 256, 192)
    """Heights and widths of the input image, pixels."""
    base_channels: Sequence[int] = (16, 16, 24, 32, 64, 96, 160, 960, 1280)
    """Output channels of the stem and of each stage; those behind belong to the reference's classifier."""
    acts: Sequence[str] = ("relu6", "relu6", "relu6", "h_swish", "h_swish", "h_swish")
    """Activation of each stage."""
    num_head: int = 4
    """Heads, each half as large as the feature map before it."""
    head_channels: Sequence[int] = (512, 256, 256, 128)
    """Output channels of each head."""
    head_width_choice: Sequence[float] = (0.25, 0.5, 0.75)
    """Ratios of a head's inner width to its input channels."""
    head_kernel_choice: Sequence[int] = (3,)
    """Kernels of the heads."""
    head_activation: str = "relu"
    """Activation of the heads; the predictors have relu6."""
    feature_levels: Sequence[int] = (4, 5)
    """Feature maps of the backbone that have a predictor: 4 is the last one of 1/16 of the image, 5 of 1/32."""
    anchors: Sequence[int] = (4, 6, 6, 6, 4, 4)
    """Boxes for each pixel of each feature map: the backbone's, then the heads'."""
    num_classes: int = 20
    """Classes of objects; a predictor tells one more, the background."""

    name = "ssd_ofa"
    primitive_types: ClassVar[Mapping[str, PrimitiveType]] = MappingProxyType({**PRIMITIVE_TYPES, **SSD_TYPES})

    def __post_init__(self) -> None:
        """Check the parameters against their ranges and each other.

        Raises:
            ValueError: Naming the parameter, its range and the value.
        """
        super().__post_init__()
        self._backbone = _Backbone(**{field.name: getattr(self, field.name) for field in fields(MNasNetParameters)})
        self._check_heads()
        self.head_width_choice = tuple(plain_ratio(width) for width in self.head_width_choice)
        stages = feature_stages(self.feature_levels, self.stem_stride, self.strides)
        # A predictor stands behind the last slot of its stage; the backbone's output may be that of fixed primitives.
        self._ends = [1 + sum(self.num_cell_groups[: stage + 1]) for stage in stages[:-1]] + [self._backbone.slots]
        self._layouts = {size: self._lay_out(layout, stages) for size, layout in self._backbone.layouts.items()}
        ids, backbone = self.vocabulary().ids, self._backbone.vocabulary().primitives
        self._ids = {size: number(backbone, layout, ids) for size, layout in self._layouts.items()}

    def _check_heads(self) -> None:
        for name in ("num_head", "num_classes"):
            check_integer(name, getattr(self, name))
        for name in ("head_channels", "feature_levels", "anchors"):
            check_integers(name, getattr(self, name))
        check_ratios("head_width_choice", self.head_width_choice)
        check_choices("head_kernel_choice", self.head_kernel_choice, odd=True)
        check_length("head_channels", self.head_channels, self.num_head, "as num_head says")
        maps = len(self.feature_levels) + self.num_head
        check_length("anchors", self.anchors, maps, "one for each of feature_levels and each head")
        check_name("head_activation", self.head_activation, ACTIVATIONS)

    def _lay_out(self, backbone: Layout, stages: Sequence[int]) -> HeadLayout:
        head = {"prim_type": self.primitive_type, "activation": self.head_activation, "affine": self.affine}
        return lay_out_heads(
            backbone,
            stages,
            self.head_channels,
            self.head_width_choice,
            self.head_kernel_choice,
            head | {"use_se": False},
            {"activation": "relu6", "affine": self.affine, "classes": self.num_classes + 1},
            self.anchors,
        )

    @property
    def slots(self) -> int:
        """Length of an encoding: the backbone's, a block for each head, a predictor for each feature map."""
        return self._backbone.slots + self.num_head + len(self.anchors)

    def sample(self, rng: Random) -> SSDArchitecture:
        """Draw a backbone as MNasNetOFA does, and the width and kernel of each head."""
        backbone = self._backbone.sample(rng)
        width = tuple(rng.choice(self.head_width_choice) for _ in range(self.num_head))
        return SSDArchitecture(backbone, width, tuple(rng.choice(self.head_kernel_choice) for _ in width))

    def mutate(self, architecture: SSDArchitecture, rng: Random) -> SSDArchitecture:
        """Change the image size, the depth of one stage, or the width or kernel of one block or head.

        Raises:
            ArchitectureError: If `architecture` is not in the space, or is all that is there.
        """
        self.slot_ids(architecture)
        in_backbone = possible_changes(architecture.backbone, self._backbone.stages, self.image_size_choice)
        in_heads = [("head_width", i) for i in range(self.num_head) if len(self.head_width_choice) > 1]
        in_heads += [("head_kernel", i) for i in range(self.num_head) if len(self.head_kernel_choice) > 1]
        # Where nothing can be changed, the backbone says so.
        if rng.randrange(max(1, len(in_backbone) + len(in_heads))) >= len(in_heads):
            return replace(architecture, backbone=self._backbone.mutate(architecture.backbone, rng))
        what, i = rng.choice(in_heads)
        if what == "head_width":
            return replace(architecture, head_width=other_at(architecture.head_width, i, self.head_width_choice, rng))
        return replace(architecture, head_kernel=other_at(architecture.head_kernel, i, self.head_kernel_choice, rng))

    def primitives(self, architecture: SSDArchitecture) -> tuple[Primitive, ...]:
        """List the blocks of `architecture` in execution order."""
        by_id = self.vocabulary().primitives
        return tuple(by_id[i] for i in self.slot_ids(architecture) if i >= 0)

    def all_primitives(self) -> frozenset[Primitive]:
        """Every block at every image size."""
        heads = {block for layout in self._layouts.values() for block in layout.all_primitives()}
        return self._backbone.all_primitives() | heads

    def slot_ids(self, architecture: SSDArchitecture) -> list[int]:
        """Return the vocabulary id in each slot, -1 where a stage has fewer blocks than slots."""
        if not isinstance(architecture, SSDArchitecture):
            problem = f"expected an SSDArchitecture, found {type(architecture).__name__} {architecture!r}"
            raise self._refusal(problem)
        backbone = self._backbone.slot_ids(architecture.backbone)
        renumbered, predictors, heads = self._ids[architecture.backbone.image_size]
        ids, begin = list[int](), 0
        for end, predictor in zip(self._ends, predictors[: len(self._ends)], strict=True):
            ids += [renumbered[i] for i in backbone[begin:end]]
            ids.append(predictor)
            begin = end
        try:  # the look-ups are also the check
            rows = zip(heads, architecture.head_width, architecture.head_kernel, strict=True)
            blocks = [head[width, kernel] for head, width, kernel in rows]
        except (KeyError, TypeError, ValueError):
            allowed = self.head_width_choice, self.head_kernel_choice
            raise self._refusal(head_fault(architecture, self.num_head, *allowed)) from None
        for block, predictor in zip(blocks, predictors[len(self._ends) :], strict=True):
            ids += [block, predictor]
        return ids

    def to_json(self, architecture: SSDArchitecture) -> dict[str, Any]:
        """Return {depth, width, kernel, image_size, head_width, head_kernel}."""
        return architecture.to_json()

    def from_json(self, value: Any) -> SSDArchitecture:  # noqa: ANN401 - any JSON value
        """Read {depth, width, kernel, image_size, head_width, head_kernel}."""
        try:
            architecture = SSDArchitecture.from_json(value)
        except ValueError as error:
            raise self._refusal(str(error)) from None
        self.slot_ids(architecture)
        return architecture

    def _refusal(self, problem: str) -> ArchitectureError:
        return ArchitectureError(f"space {self.name}", problem, "Give an architecture of this space")
