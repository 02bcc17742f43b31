"""Where the blocks of MNasNetOFA stand: sizes, channels and strides, worked out once for each image size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latpred.errors import PrimitiveError
from latpred.primitive import Primitive, downsampled

Choice = tuple[float, int]
"""Width (expansion ratio) and kernel of a block."""


class Stage(NamedTuple):
    """Blocks that share their output channels; the first of them takes the stride."""

    C_out: int
    stride: int
    activation: str
    use_se: bool
    slots: int
    """Blocks that it has at most."""
    depths: tuple[int, ...]
    """Numbers of blocks that it can have, ascending."""
    widths: tuple[int, ...]
    """Expansion ratios that a block of it can have, ascending."""
    kernels: tuple[int, ...]
    """Kernels that a block of it can have, ascending."""


class StageBlocks(NamedTuple):
    """The blocks that a stage can have at one image size."""

    first: dict[Choice, Primitive]
    later: dict[Choice, Primitive]
    """Empty where the stage never has a second block."""


class Layout(NamedTuple):
    """The blocks that networks can have at one image size."""

    stem: Primitive
    stages: tuple[StageBlocks, ...]
    fixed: tuple[Primitive, ...]

    def behind(self, stage: int) -> tuple[int, int]:
        """Return the size, pixels, and the channels of the feature map behind a stage, whatever its blocks are."""
        block = next(iter(self.stages[stage].first.values()))
        return block.out_size, block.C_out

    def behind_all(self) -> tuple[int, int]:
        """Return the size, pixels, and the channels of the output."""
        return (self.fixed[-1].out_size, self.fixed[-1].C_out) if self.fixed else self.behind(-1)

    def all_primitives(self) -> set[Primitive]:
        """Return every block."""
        blocks = {self.stem, *self.fixed}
        for stage in self.stages:
            blocks |= {*stage.first.values(), *stage.later.values()}
        return blocks


class StageIds(NamedTuple):
    """Vocabulary ids of the blocks that a stage can have at one image size."""

    first: dict[Choice, int]
    later: dict[Choice, int]
    vacant: dict[int, list[int]]
    """By legal depth, the -1 of the slots that stay empty."""


class LayoutIds(NamedTuple):
    """Vocabulary ids of the blocks that networks can have at one image size."""

    stem: int
    stages: tuple[StageIds, ...]
    fixed: list[int]


def number(layout: Layout, stages: Sequence[Stage], ids: Mapping[Primitive, int]) -> LayoutIds:
    """Replace the blocks of `layout` by their `ids`."""
    numbered = []
    for blocks, stage in zip(layout.stages, stages, strict=True):
        first = {choice: ids[block] for choice, block in blocks.first.items()}
        later = {choice: ids[block] for choice, block in blocks.later.items()}
        numbered.append(StageIds(first, later, {depth: [-1] * (stage.slots - depth) for depth in stage.depths}))
    return LayoutIds(ids[layout.stem], tuple(numbered), [ids[block] for block in layout.fixed])


def lay_out(
    stem: Primitive, stages: Sequence[Stage], block: Mapping[str, Any], fixed: Sequence[Mapping[str, Any]]
) -> Layout:
    """Derive every block of a network whose stem is `stem`.

    Args:
        stem: The first block; its size is the image's.
        stages: In execution order.
        block: `prim_type` and `affine` of the searched blocks.
        fixed: Flat primitives behind the last stage; what is left out follows from the blocks before them.
    """
    size, C, laid = stem.out_size, stem.C_out, []
    for stage in stages:
        end = downsampled(size, stage.stride)
        first = _stage_choices(stage, block, size, C, stage.stride)
        later = _stage_choices(stage, block, end, stage.C_out, 1) if stage.depths[-1] > 1 else {}
        laid.append(StageBlocks(first, later))
        size, C = end, stage.C_out
    return Layout(stem, tuple(laid), _fixed(fixed, size, C))


def _stage_choices(stage: Stage, block: Mapping[str, Any], size: int, C: int, stride: int) -> dict[Choice, Primitive]:
    """Return the blocks of one position of a stage by width and kernel."""
    fields = {**block, "spatial_size": size, "C": C, "C_out": stage.C_out, "stride": stride}
    return choices({**fields, "activation": stage.activation, "use_se": stage.use_se}, stage.widths, stage.kernels)


def choices(fields: Mapping[str, Any], widths: Sequence[float], kernels: Sequence[int]) -> dict[Choice, Primitive]:
    """Return the blocks with the same `fields` by width and kernel; what their type does not take is left out."""
    if fields["prim_type"] == "mobilenet_v2_block":
        fields = {name: value for name, value in fields.items() if name != "use_se"}
    return {
        (width, kernel): Primitive.from_dict({**fields, "expansion": width, "kernel_size": kernel})
        for width in widths
        for kernel in kernels
    }


def _fixed(given: Sequence[Mapping[str, Any]], size: int, C: int) -> tuple[Primitive, ...]:
    """Complete the blocks behind the last stage, whose output is `size` pixels with `C` channels."""
    blocks: list[Primitive] = []
    for i, fields in enumerate(given):
        derived: dict[str, Any] = {"spatial_size": size, "C": C}
        if fields.get("prim_type") in ("avg_pool", "max_pool", "global_avg_pool"):
            derived["C_out"] = C
        if fields.get("prim_type") == "global_avg_pool":
            derived |= {"stride": size, "kernel_size": size}
        for name, value in derived.items():
            if fields.get(name, value) != value:
                raise ValueError(
                    f"fixed_primitives[{i}].{name} must be {value}, as what precedes it, got {fields[name]}"
                )
        try:
            blocks.append(Primitive.from_dict({**derived, **fields}))
        except PrimitiveError as error:
            raise ValueError(f"fixed_primitives[{i}]: {error.problem}") from None
        size, C = blocks[-1].out_size, blocks[-1].C_out
    return tuple(blocks)
