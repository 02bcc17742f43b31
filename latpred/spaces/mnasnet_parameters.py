"""The parameters of a space that has MNasNet's stages."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(kw_only=True, eq=False)
class MNasNetParameters:
    """What the stem, the stages and what stands behind them may be; the defaults are the reference configuration."""

    image_size_choice: Sequence[int] = (112,)
    """Heights and widths of the input image, pixels."""
    width_choice: Sequence[int] = (3, 4, 6)
    """Expansion ratios; a larger one than a stage's `expansions` counts as that."""
    depth_choice: Sequence[int] = (2, 3, 4)
    """Numbers of blocks of a stage; a larger one than its `num_cell_groups` counts as that."""
    kernel_choice: Sequence[int] = (3, 5, 7)
    """Kernels in all stages but the first, where it is 3."""
    num_cell_groups: Sequence[int] = (1, 4, 4, 4, 4, 4)
    """Most blocks of each stage; its length is the number of stages."""
    expansions: Sequence[int] = (1, 6, 6, 6, 6, 6)
    """Largest expansion ratio of each stage."""
    base_channels: Sequence[int] = (16, 16, 24, 32, 64, 96, 160, 320, 1280)
    """Output channels of the stem and of each stage; those behind belong to the reference's head, here not used."""
    mult_ratio: float = 1.0
    """Factor on the channels of stem and stages, which are then rounded to multiples of 8."""
    strides: Sequence[int] = (1, 2, 2, 2, 1, 2)
    """Stride of the first block of each stage."""
    acts: Sequence[str] = ("relu", "relu", "relu", "h_swish", "h_swish", "h_swish")
    """Activation of each stage."""
    use_ses: Sequence[bool] = (False, False, True, False, True, True)
    """Whether the blocks of each stage have squeeze-excite; `mobilenet_v2_block` has none."""
    stem_type: str = "conv_3x3"
    """`conv_3x3`, or `conv_bn_act` with the first stage's activation."""
    stem_stride: int = 2
    primitive_type: str = "mobilenet_v3_block"
    """`mobilenet_v2_block` or `mobilenet_v3_block`."""
    affine: bool = True
    """Whether the BatchNorms scale and shift."""
    fixed_primitives: Sequence[dict[str, Any]] = ()
    """Flat primitives behind the last stage; sizes and input channels follow from what precedes them."""

    def __post_init__(self) -> None:
        """Keep copies of the sequences, so that the caller's lists stay the caller's."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Sequence) and not isinstance(value, str):
                setattr(self, field.name, copy.deepcopy(tuple(value)))

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments in JSON form."""
        given = {field.name: copy.deepcopy(getattr(self, field.name)) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
