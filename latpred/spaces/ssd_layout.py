"""Where the heads and predictors of SSDOFA stand: sizes and channels, worked out once for each image size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

from latpred.config import canonical_json
from latpred.primitive import Primitive, downsampled
from latpred.spaces.mnasnet_layout import Choice, Layout, choices

_KERNEL = 3
"""Of the predictors, which is not searched."""
HEAD_STRIDE = 2
"""Of the heads."""


class HeadLayout(NamedTuple):
    """The blocks beside the backbone's that networks can have at one image size."""

    predictors: tuple[Primitive, ...]
    """One for each feature map: the backbone's, then each head's."""
    heads: tuple[dict[Choice, Primitive], ...]
    """The extra block of each head by width and kernel."""

    def all_primitives(self) -> set[Primitive]:
        """Return every block."""
        return {*self.predictors, *(block for head in self.heads for block in head.values())}


class HeadIds(NamedTuple):
    """Vocabulary ids of the blocks that networks can have at one image size."""

    backbone: list[int]
    """By the id in the backbone's own vocabulary; the last entry stands for the -1 of an empty slot."""
    predictors: list[int]
    heads: list[dict[Choice, int]]


def number(backbone: Sequence[Primitive], layout: HeadLayout, ids: Mapping[Primitive, int]) -> HeadIds:
    """Replace the blocks of the `backbone`'s vocabulary and of `layout` by their `ids`."""
    heads = [{choice: ids[block] for choice, block in head.items()} for head in layout.heads]
    return HeadIds([*(ids[block] for block in backbone), -1], [ids[block] for block in layout.predictors], heads)


def feature_stages(levels: Sequence[int], stem_stride: int, strides: Sequence[int]) -> list[int]:
    """Return for each level the last stage whose output is 1 / 2 ** level as large as the image.

    Raises:
        ValueError: If no stage has that output, or the last level is not that of the last stage.
    """
    reductions = list(accumulate(strides, mul, initial=stem_stride))[1:]
    known = [level for level in range(max(reductions).bit_length()) if 2**level in reductions]
    stages = []
    for i, level in enumerate(levels):
        if level not in known:
            raise ValueError(f"feature_levels[{i}] must be one of {', '.join(map(str, known))}, got {level}")
        stages.append(len(reductions) - 1 - reductions[::-1].index(2**level))
    if stages != sorted(set(stages)) or stages[-1] != len(strides) - 1:
        raise ValueError(f"feature_levels must ascend and end with the last stage's, got {list(levels)}")
    return stages


def lay_out_heads(
    backbone: Layout,
    stages: Sequence[int],
    head_channels: Sequence[int],
    widths: Sequence[float],
    kernels: Sequence[int],
    head: Mapping[str, Any],
    predictor: Mapping[str, Any],
    anchors: Sequence[int],
) -> HeadLayout:
    """Derive the blocks on the feature maps of a backbone.

    Args:
        backbone: Whose output feeds the heads.
        stages: Whose outputs have predictors; the last of them is the backbone's output.
        head_channels: Output channels of each head.
        widths: Of the heads.
        kernels: Of the heads.
        head: Fields that the heads share.
        predictor: Further arguments that the predictors share.
        anchors: Boxes for each pixel of each feature map.
    """
    maps = [*(backbone.behind(stage) for stage in stages[:-1]), backbone.behind_all()]
    heads = []
    for C_out in head_channels:
        size, C = maps[-1]
        fields = {**head, "spatial_size": size, "C": C, "C_out": C_out, "stride": HEAD_STRIDE}
        heads.append(choices(fields, widths, kernels))
        maps.append((downsampled(size, HEAD_STRIDE), C_out))
    predictors = [
        Primitive("ssd_predictor", size, C, C, 1, _KERNEL, canonical_json({**predictor, "anchors": count}))
        for (size, C), count in zip(maps, anchors, strict=True)
    ]
    return HeadLayout(tuple(predictors), tuple(heads))
