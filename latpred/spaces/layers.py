"""Plain primitives: convolutions, pooling and linear layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from torch import Tensor, nn

from latpred.primitive import Primitive
from latpred.spaces.primitive_type import (
    FLAG,
    Cost,
    Option,
    PrimitiveType,
    conv_cost,
    norm_cost,
    one_of,
    read_options,
    require,
    total_cost,
)

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "h_swish": partial(nn.Hardswish, inplace=True),
        "none": nn.Identity,
        "relu": partial(nn.ReLU, inplace=True),
        "relu6": partial(nn.ReLU6, inplace=True),
        "swish": partial(nn.SiLU, inplace=True),
    }
)
"""The activations by the name that stands in a primitive's kwargs."""

ACTIVATION = one_of(ACTIVATIONS)

_CONV_BN_ACT: Mapping[str, Option] = {"activation": ACTIVATION, "affine": FLAG}
_LINEAR: Mapping[str, Option] = {"activation": ACTIVATION}


def convolution(
    C: int, C_out: int, kernel_size: int, stride: int = 1, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a 'same'-padded convolution: its output has the ceiling of size / stride pixels, for odd kernels."""
    return nn.Conv2d(C, C_out, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=bias)


def require_odd_kernel(primitive: Primitive) -> None:
    """Refuse an even kernel, which no equal padding on both sides keeps in place.

    Raises:
        PrimitiveError: If the kernel is even.
    """
    require(primitive, primitive.kernel_size % 2 == 1, "an odd kernel_size", primitive.kernel_size)


class LinearBlock(nn.Module):
    """A linear layer between [batch, C, 1, 1] and [batch, C_out, 1, 1], so that it stands in a chain of blocks."""

    def __init__(self, C: int, C_out: int, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(C, C_out)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, C, 1, 1] to [batch, C_out, 1, 1]."""
        return self.activation(self.linear(features.flatten(1)))[:, :, None, None]


def _check_conv(kernel_size: int, primitive: Primitive) -> None:
    read_options(primitive, {})
    require(primitive, primitive.kernel_size == kernel_size, f"kernel_size {kernel_size}", primitive.kernel_size)


def _build_conv(kernel_size: int, primitive: Primitive) -> nn.Module:
    _check_conv(kernel_size, primitive)
    return convolution(primitive.C, primitive.C_out, kernel_size, primitive.stride, bias=True)


def _cost_conv(kernel_size: int, primitive: Primitive) -> Cost:
    _check_conv(kernel_size, primitive)
    layer = conv_cost(primitive.C, primitive.C_out, kernel_size, primitive.out_size, bias=True)
    return total_cost(primitive, [layer])


def _build_conv_bn_act(primitive: Primitive) -> nn.Module:
    options = read_options(primitive, _CONV_BN_ACT)
    require_odd_kernel(primitive)
    return nn.Sequential(
        convolution(primitive.C, primitive.C_out, primitive.kernel_size, primitive.stride),
        nn.BatchNorm2d(primitive.C_out, affine=options["affine"]),
        ACTIVATIONS[options["activation"]](),
    )


def _cost_conv_bn_act(primitive: Primitive) -> Cost:
    options = read_options(primitive, _CONV_BN_ACT)
    require_odd_kernel(primitive)
    layer = conv_cost(primitive.C, primitive.C_out, primitive.kernel_size, primitive.out_size)
    return total_cost(primitive, [layer, norm_cost(primitive.C_out, options["affine"])])


def _check_pool(primitive: Primitive) -> None:
    read_options(primitive, {})
    require(primitive, primitive.C_out == primitive.C, f"C_out {primitive.C} as C", primitive.C_out)
    fits = primitive.kernel_size % 2 == 1 or primitive.kernel_size == primitive.stride
    require(primitive, fits, "kernel_size to be odd or the stride", primitive.kernel_size)


def _build_pool(average: bool, primitive: Primitive) -> nn.Module:
    _check_pool(primitive)
    k, odd = primitive.kernel_size, primitive.kernel_size % 2 == 1
    # Either way the output has the ceiling of size / stride pixels; padding that counted would dim the border.
    if average:
        return nn.AvgPool2d(k, primitive.stride, k // 2 if odd else 0, ceil_mode=not odd, count_include_pad=False)
    return nn.MaxPool2d(k, primitive.stride, k // 2 if odd else 0, ceil_mode=not odd)


def _cost_pool(primitive: Primitive) -> Cost:
    _check_pool(primitive)
    return total_cost(primitive, [])


def _check_global_avg_pool(primitive: Primitive) -> None:
    read_options(primitive, {})
    require(primitive, primitive.C_out == primitive.C, f"C_out {primitive.C} as C", primitive.C_out)
    window = (primitive.stride, primitive.kernel_size)
    whole = (primitive.spatial_size, primitive.spatial_size)  # makes the output 1 x 1 by the one formula for sizes
    require(primitive, window == whole, f"stride and kernel_size {whole}, its spatial_size", window)


def _build_global_avg_pool(primitive: Primitive) -> nn.Module:
    _check_global_avg_pool(primitive)
    return nn.AdaptiveAvgPool2d(1)


def _cost_global_avg_pool(primitive: Primitive) -> Cost:
    _check_global_avg_pool(primitive)
    return total_cost(primitive, [])


def _check_linear(primitive: Primitive) -> str:
    options = read_options(primitive, _LINEAR)
    sizes = (primitive.spatial_size, primitive.stride, primitive.kernel_size)
    require(primitive, sizes == (1, 1, 1), "spatial_size, stride and kernel_size (1, 1, 1)", sizes)
    return str(options["activation"])


def _build_linear(primitive: Primitive) -> nn.Module:
    return LinearBlock(primitive.C, primitive.C_out, _check_linear(primitive))


def _cost_linear(primitive: Primitive) -> Cost:
    _check_linear(primitive)
    return total_cost(primitive, [conv_cost(primitive.C, primitive.C_out, 1, 1, bias=True)])


LAYER_TYPES: Mapping[str, PrimitiveType] = MappingProxyType(
    {
        "avg_pool": PrimitiveType(partial(_build_pool, True), _cost_pool),
        "conv_1x1": PrimitiveType(partial(_build_conv, 1), partial(_cost_conv, 1)),
        "conv_3x3": PrimitiveType(partial(_build_conv, 3), partial(_cost_conv, 3)),
        "conv_bn_act": PrimitiveType(_build_conv_bn_act, _cost_conv_bn_act),
        "global_avg_pool": PrimitiveType(_build_global_avg_pool, _cost_global_avg_pool),
        "linear": PrimitiveType(_build_linear, _cost_linear),
        "max_pool": PrimitiveType(partial(_build_pool, False), _cost_pool),
    }
)
"""The plain types by name."""
