"""The Caffes: where they took different words for one thing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple


class Dialect(NamedTuple):
    """What one of Caffe's descendants has, and calls otherwise than its siblings."""

    relu6: Literal["Clip", "ReLU6"]
    """The layer type that cuts at 0 and 6."""
    floor: tuple[str, str | bool] | None
    """The field of a pooling layer, and its value, that rounds sizes down; without a word, all of them round up."""
    fields: Mapping[str, tuple[str, ...]]
    """What its messages have besides those of `messages`, in the form that is used there."""
    crops_pixels: bool = False
    """Whether a 3 x 3 depthwise convolution of a single pixel has to be written as the 1 x 1 that it is."""
    calibrated: bool = False
    """Whether models begin with a layer that reads images, to find out the range of each activation."""


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        # https://github.com/BVLC/caffe, from 2018 on
        "bvlc": Dialect(
            relu6="Clip",
            floor=("round_mode", "FLOOR"),
            fields=MappingProxyType(
                {
                    "LayerParameter": ("clip_param 148 ClipParameter",),
                    "ClipParameter": ("min 1 float", "max 2 float"),
                    "PoolingParameter": ("round_mode 13 RoundMode",),
                }
            ),
        ),
        # OpenCV 4's reader; OpenCV 5 has none
        "opencv": Dialect(
            relu6="ReLU6",
            floor=("ceil_mode", False),
            fields=MappingProxyType({"PoolingParameter": ("ceil_mode 13 bool",)}),
            crops_pixels=True,  # 4.14.0 reads beyond the pixel and answers with what it finds there
        ),
        # the Caffe of DNNDK and Vitis AI: its compiler knows no word for rounding down
        "xilinx": Dialect(relu6="ReLU6", floor=None, fields=MappingProxyType({}), calibrated=True),
    }
)
"""The dialects by name."""
