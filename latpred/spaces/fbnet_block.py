"""The block of FBNet (arXiv 1812.03443): a 1x1 convolution, one of each channel, and another 1x1, some in groups."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from latpred.primitive import Primitive
from latpred.spaces.layers import convolution, require_odd_kernel
from latpred.spaces.primitive_type import (
    Cost,
    Option,
    PrimitiveType,
    conv_cost,
    norm_cost,
    read_options,
    require,
    total_cost,
)

_COUNT = Option("an integer >= 1", lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1)
_OPTIONS: Mapping[str, Option] = MappingProxyType({"expansion": _COUNT, "groups": _COUNT})


class ChannelShuffle(nn.Module):
    """Deal the channels out anew, so that every group behind has some of every group before."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, C, size, size] to the same shape."""
        batch, C, height, width = features.shape
        grouped = features.reshape(batch, self.groups, C // self.groups, height, width)
        return grouped.transpose(1, 2).reshape(batch, C, height, width)


class FBNetBlock(nn.Module):
    """Widen, filter each channel, project, and add the input where it has the same shape.

    Unlike MobileNet's, it has the first convolution even where that does not widen.
    """

    def __init__(self, primitive: Primitive, *, expansion: int, groups: int) -> None:
        super().__init__()
        C, C_out, inner = primitive.C, primitive.C_out, primitive.C * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["expand"] = convolution(C, inner, 1, groups=groups)
        layers["expand_norm"] = nn.BatchNorm2d(inner)
        layers["expand_act"] = nn.ReLU(inplace=True)
        if groups > 1:
            layers["shuffle"] = ChannelShuffle(groups)
        layers["depthwise"] = convolution(inner, inner, primitive.kernel_size, primitive.stride, groups=inner)
        layers["depthwise_norm"] = nn.BatchNorm2d(inner)
        layers["depthwise_act"] = nn.ReLU(inplace=True)
        layers["project"] = convolution(inner, C_out, 1, groups=groups)
        layers["project_norm"] = nn.BatchNorm2d(C_out)
        self.body = nn.Sequential(layers)
        self.adds_input = primitive.stride == 1 and C_out == C

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, C, size, size] to [batch, C_out, out_size, out_size]."""
        out = self.body(features)
        return features + out if self.adds_input else out


def _options(primitive: Primitive) -> dict[str, Any]:
    options = read_options(primitive, _OPTIONS)
    require_odd_kernel(primitive)
    divides = primitive.C % options["groups"] == 0 and primitive.C_out % options["groups"] == 0
    found = (primitive.C, primitive.C_out)
    require(primitive, divides, f"C and C_out that {options['groups']} groups divide", found)
    return options


def _cost(primitive: Primitive) -> Cost:
    options = _options(primitive)
    C, C_out, inner, groups = primitive.C, primitive.C_out, primitive.C * options["expansion"], options["groups"]
    layers = [
        conv_cost(C, inner, 1, primitive.spatial_size, groups=groups),
        conv_cost(inner, inner, primitive.kernel_size, primitive.out_size, groups=inner),
        conv_cost(inner, C_out, 1, primitive.out_size, groups=groups),
        *(norm_cost(channels, affine=True) for channels in (inner, inner, C_out)),
    ]
    return total_cost(primitive, layers)


FBNET_TYPES: Mapping[str, PrimitiveType] = MappingProxyType(
    {"fbnet_block": PrimitiveType(lambda primitive: FBNetBlock(primitive, **_options(primitive)), _cost)}
)
"""FBNet's types by name."""
