"""The once-for-all space of MobileNet blocks: MNasNet's stages with a choice of depth, widths and kernels in each."""

from __future__ import annotations

from random import Random
from typing import Any

from latpred.config import canonical_json
from latpred.errors import ArchitectureError, PrimitiveError
from latpred.primitive import Primitive
from latpred.spaces.base import SearchSpace
from latpred.spaces.checks import check_choices, check_integer, check_integers, check_length, check_name, check_names
from latpred.spaces.layers import ACTIVATIONS
from latpred.spaces.mnasnet_architecture import MNasNetArchitecture, fault, mutated
from latpred.spaces.mnasnet_layout import Layout, Stage, lay_out, number
from latpred.spaces.mnasnet_parameters import MNasNetParameters
from latpred.spaces.mobilenet import make_divisible

_FIRST_KERNEL = 3
"""Kernel of the blocks of the first stage, which is not searched."""
_LARGEST_RATIO = 16
"""Of channels to the reference's; a larger one is a slip of the pen."""


class MNasNetOFA(MNasNetParameters, SearchSpace[MNasNetArchitecture]):
    """Networks of a stem, stages of MobileNet blocks, and fixed primitives behind them.

    The defaults are the reference configuration, which has 92 primitives. Slots are positions: the stem, then
    `num_cell_groups` slots for each stage, then the fixed primitives.
    """

    name = "mnasnet_ofa"

    def __post_init__(self) -> None:
        """Check the parameters against their ranges and each other.

        Raises:
            ValueError: Naming the parameter, its range and the value.
        """
        super().__post_init__()
        self._check()
        self.stages: tuple[Stage, ...] = self._make_stages()
        self.layouts: dict[int, Layout] = {size: self._lay_out(size) for size in self.image_size_choice}
        for primitive in sorted(self.all_primitives()):
            try:
                self.type_of(primitive).cost(primitive)
            except PrimitiveError as error:
                raise ValueError(f"fixed_primitives: {error.where}: {error.problem}") from None
        ids = self.vocabulary().ids
        self._ids = {size: number(layout, self.stages, ids) for size, layout in self.layouts.items()}

    def _check(self) -> None:
        for name in ("image_size_choice", "width_choice", "depth_choice"):
            check_choices(name, getattr(self, name))
        check_choices("kernel_choice", self.kernel_choice, odd=True)
        for name in ("num_cell_groups", "expansions", "base_channels", "strides"):
            check_integers(name, getattr(self, name))
        check_integer("stem_stride", self.stem_stride)
        stages = len(self.num_cell_groups)
        for name in ("expansions", "strides", "acts", "use_ses"):
            check_length(name, getattr(self, name), stages, "one for each entry of num_cell_groups")
        reason = "the stem's and one for each entry of num_cell_groups"
        check_length("base_channels", self.base_channels, 1 + stages, reason, at_least=True)
        check_names("acts", self.acts, ACTIVATIONS)
        check_name("stem_type", self.stem_type, ("conv_3x3", "conv_bn_act"))
        check_name("primitive_type", self.primitive_type, ("mobilenet_v2_block", "mobilenet_v3_block"))
        if not 0 < self.mult_ratio <= _LARGEST_RATIO:
            raise ValueError(f"mult_ratio must lie above 0 and be at most {_LARGEST_RATIO}, got {self.mult_ratio}")
        if self.primitive_type == "mobilenet_v2_block" and any(self.use_ses):
            raise ValueError(f"use_ses must be false throughout for mobilenet_v2_block, got {list(self.use_ses)}")

    def _channels(self) -> list[int]:
        return [make_divisible(channels * self.mult_ratio) for channels in self.base_channels]

    def _make_stages(self) -> tuple[Stage, ...]:
        """Return what each stage allows."""
        stages = []
        for i, groups in enumerate(self.num_cell_groups):
            stage = Stage(
                C_out=self._channels()[1 + i],
                stride=self.strides[i],
                activation=self.acts[i],
                use_se=self.use_ses[i],
                slots=groups,
                depths=tuple(sorted({min(depth, groups) for depth in self.depth_choice})),
                widths=tuple(sorted({min(width, self.expansions[i]) for width in self.width_choice})),
                kernels=tuple(sorted(self.kernel_choice)) if i else (_FIRST_KERNEL,),
            )
            stages.append(stage)
        return tuple(stages)

    def _lay_out(self, image_size: int) -> Layout:
        options = {"activation": self.acts[0], "affine": self.affine} if self.stem_type == "conv_bn_act" else {}
        kwargs = canonical_json(options)
        stem = Primitive(self.stem_type, image_size, 3, self._channels()[0], self.stem_stride, 3, kwargs)
        block = {"prim_type": self.primitive_type, "affine": self.affine}
        return lay_out(stem, self.stages, block, self.fixed_primitives)

    @property
    def slots(self) -> int:
        """Length of an encoding: the stem, the most blocks of each stage, the fixed primitives."""
        return 1 + sum(self.num_cell_groups) + len(self.fixed_primitives)

    def sample(self, rng: Random) -> MNasNetArchitecture:
        """Draw image size, depths, widths and kernels; what a stage cuts to its limit is that much more likely."""
        image_size = rng.choice(self.image_size_choice)
        depth, width, kernel = [], [], []
        for i, stage in enumerate(self.stages):
            blocks = min(rng.choice(self.depth_choice), stage.slots)
            depth.append(blocks)
            width.append(tuple(min(rng.choice(self.width_choice), self.expansions[i]) for _ in range(blocks)))
            kernel.append(tuple(rng.choice(stage.kernels) for _ in range(blocks)))
        return MNasNetArchitecture(tuple(depth), tuple(width), tuple(kernel), image_size)

    def mutate(self, architecture: MNasNetArchitecture, rng: Random) -> MNasNetArchitecture:
        """Change the image size, the depth of one stage, or the width or kernel of one block.

        Raises:
            ArchitectureError: If `architecture` is not in the space, or is all that is there.
        """
        self.slot_ids(architecture)
        neighbour = mutated(architecture, self.stages, self.image_size_choice, rng)
        if neighbour is None:
            problem = "expected a choice that could be changed, found a space of one architecture"
            raise ArchitectureError(f"space {self.name}", problem, "Give one of its choices a second entry")
        return neighbour

    def primitives(self, architecture: MNasNetArchitecture) -> tuple[Primitive, ...]:
        """List the blocks of `architecture` in execution order."""
        by_id = self.vocabulary().primitives
        return tuple(by_id[i] for i in self.slot_ids(architecture) if i >= 0)

    def all_primitives(self) -> frozenset[Primitive]:
        """Every block at every image size."""
        return frozenset(block for layout in self.layouts.values() for block in layout.all_primitives())

    def slot_ids(self, architecture: MNasNetArchitecture) -> list[int]:
        """Return the vocabulary id in each slot, -1 where a stage has fewer blocks than slots."""
        if not isinstance(architecture, MNasNetArchitecture):
            raise self._refusal(
                f"expected an MNasNetArchitecture, found {type(architecture).__name__} {architecture!r}"
            )
        # The look-ups are also the check: a search asks this a million times.
        try:
            stem, stages, fixed = self._ids[architecture.image_size]
            ids = [stem]
            rows = zip(stages, architecture.depth, architecture.width, architecture.kernel, strict=True)
            for (first, later, vacant), depth, widths, kernels in rows:
                empty = vacant[depth]
                choices = list(zip(widths, kernels, strict=True))
                if len(choices) != depth:
                    raise ValueError(depth)
                ids.append(first[choices[0]])
                ids += [later[choice] for choice in choices[1:]]
                ids += empty
            return ids + fixed
        except (KeyError, TypeError, ValueError):
            raise self._refusal(fault(architecture, self.stages, self.image_size_choice)) from None

    def to_json(self, architecture: MNasNetArchitecture) -> dict[str, Any]:
        """Return {depth, width, kernel, image_size}."""
        return architecture.to_json()

    def from_json(self, value: Any) -> MNasNetArchitecture:  # noqa: ANN401 - any JSON value
        """Read {depth, width, kernel, image_size}."""
        try:
            architecture = MNasNetArchitecture.from_json(value)
        except ValueError as error:
            raise self._refusal(str(error)) from None
        self.slot_ids(architecture)
        return architecture

    def _refusal(self, problem: str) -> ArchitectureError:
        return ArchitectureError(f"space {self.name}", problem, "Give an architecture of this space")
