"""The blocks of MobileNetV2 (arXiv 1801.04381) and MobileNetV3 (arXiv 1905.02244)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from latpred.primitive import Primitive
from latpred.spaces.layers import ACTIVATION, ACTIVATIONS, convolution, require_odd_kernel
from latpred.spaces.primitive_type import (
    FLAG,
    RATIO,
    Cost,
    Option,
    PrimitiveType,
    conv_cost,
    norm_cost,
    read_options,
    total_cost,
)

_V2: Mapping[str, Option] = {"activation": ACTIVATION, "affine": FLAG, "expansion": RATIO}
_V3: Mapping[str, Option] = {**_V2, "use_se": FLAG}


def make_divisible(channels: float) -> int:
    """Round a number of channels to a multiple of 8, at least 8, one step up where that loses more than 10 %."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def inner_channels(C: int, expansion: float) -> int:
    """Return the width of the depthwise convolution; without an expansion there is no layer that could change it."""
    return C if expansion == 1 else make_divisible(C * expansion)


class SqueezeExcite(nn.Module):
    """Scale each channel by a number between 0 and 1 that all channels' means decide."""

    def __init__(self, C: int) -> None:
        super().__init__()
        squeezed = make_divisible(C / 4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(C, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, C, 1),
            nn.Hardsigmoid(inplace=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, C, size, size] to the same shape."""
        return features * self.gate(features)


class MobileNetBlock(nn.Module):
    """Expand, filter each channel, weigh the channels, project, and add the input where it has the same shape."""

    def __init__(self, primitive: Primitive, *, expansion: float, activation: str, use_se: bool, affine: bool) -> None:
        super().__init__()
        C, C_out, inner = primitive.C, primitive.C_out, inner_channels(primitive.C, expansion)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            layers["expand"] = convolution(C, inner, 1)
            layers["expand_norm"] = nn.BatchNorm2d(inner, affine=affine)
            layers["expand_act"] = ACTIVATIONS[activation]()
        layers["depthwise"] = convolution(inner, inner, primitive.kernel_size, primitive.stride, groups=inner)
        layers["depthwise_norm"] = nn.BatchNorm2d(inner, affine=affine)
        layers["depthwise_act"] = ACTIVATIONS[activation]()
        if use_se:
            layers["squeeze_excite"] = SqueezeExcite(inner)
        layers["project"] = convolution(inner, C_out, 1)
        layers["project_norm"] = nn.BatchNorm2d(C_out, affine=affine)
        self.body = nn.Sequential(layers)
        self.adds_input = primitive.stride == 1 and C_out == C

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, C, size, size] to [batch, C_out, out_size, out_size]."""
        out = self.body(features)
        return features + out if self.adds_input else out


def _v2_options(primitive: Primitive) -> dict[str, Any]:
    require_odd_kernel(primitive)
    return read_options(primitive, _V2) | {"use_se": False}


def _v3_options(primitive: Primitive) -> dict[str, Any]:
    require_odd_kernel(primitive)
    return read_options(primitive, _V3)


def _cost(primitive: Primitive, options: Mapping[str, Any]) -> Cost:
    C, C_out, size, affine = primitive.C, primitive.C_out, primitive.out_size, options["affine"]
    inner = inner_channels(C, options["expansion"])
    layers = [
        conv_cost(inner, inner, primitive.kernel_size, size, groups=inner),
        norm_cost(inner, affine),
        conv_cost(inner, C_out, 1, size),
        norm_cost(C_out, affine),
    ]
    if options["expansion"] != 1:
        layers += [conv_cost(C, inner, 1, primitive.spatial_size), norm_cost(inner, affine)]
    if options["use_se"]:
        squeezed = make_divisible(inner / 4)
        layers += [conv_cost(inner, squeezed, 1, 1, bias=True), conv_cost(squeezed, inner, 1, 1, bias=True)]
    return total_cost(primitive, layers)


MOBILENET_TYPES: Mapping[str, PrimitiveType] = MappingProxyType(
    {
        "mobilenet_v2_block": PrimitiveType(
            lambda primitive: MobileNetBlock(primitive, **_v2_options(primitive)),
            lambda primitive: _cost(primitive, _v2_options(primitive)),
        ),
        "mobilenet_v3_block": PrimitiveType(
            lambda primitive: MobileNetBlock(primitive, **_v3_options(primitive)),
            lambda primitive: _cost(primitive, _v3_options(primitive)),
        ),
    }
)
"""MobileNet's types by name."""
