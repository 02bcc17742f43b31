"""The primitive of a detector that no classifier has: the predictor of classes and boxes on a feature map."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from latpred.primitive import Primitive
from latpred.spaces.layers import ACTIVATION, ACTIVATIONS, convolution, require_odd_kernel
from latpred.spaces.primitive_type import (
    FLAG,
    Cost,
    LayerCost,
    Option,
    PrimitiveType,
    conv_cost,
    norm_cost,
    read_options,
    require,
    total_cost,
)

_BOX_NUMBERS = 4
"""Center, width and height of a box."""

_COUNT = Option("an integer >= 1", lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1)
_OPTIONS: Mapping[str, Option] = {"activation": ACTIVATION, "affine": FLAG, "anchors": _COUNT, "classes": _COUNT}


class SSDPredictor(nn.Module):
    """Predict the classes and the box of each anchor, and hand the feature map on to the next block of the chain.

    In a detector the predictions leave the chain here. Networks are timed as chains, and what nobody reads, runtimes
    that optimize a graph do not compute: a prediction without a reader would cost nothing there. So the mean of all
    predictions, one number for each image, is added to the feature map that is handed on; on a CPU at 192 px that
    takes a tenth of the predictor's time, 1 % of the network's.
    """

    def __init__(self, primitive: Primitive, *, anchors: int, classes: int, activation: str, affine: bool) -> None:
        super().__init__()
        C, kernel_size = primitive.C, primitive.kernel_size
        self.classes = _separable(C, anchors * classes, kernel_size, activation, affine)
        self.boxes = _separable(C, anchors * _BOX_NUMBERS, kernel_size, activation, affine)

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, C, size, size] to the same shape."""
        scores, boxes = self.predict(features)
        return features + (scores.mean((1, 2, 3), keepdim=True) + boxes.mean((1, 2, 3), keepdim=True))

    def predict(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores [batch, anchors * classes, size, size] and boxes [batch, anchors * 4, size, size]."""
        return self.classes(features), self.boxes(features)


def _separable(C: int, C_out: int, kernel_size: int, activation: str, affine: bool) -> nn.Sequential:
    """Return SSDLite's predictor (arXiv 1801.04381): a depthwise convolution and one of 1 x 1."""
    return nn.Sequential(
        convolution(C, C, kernel_size, groups=C),
        nn.BatchNorm2d(C, affine=affine),
        ACTIVATIONS[activation](),
        convolution(C, C_out, 1, bias=True),
    )


def _options(primitive: Primitive) -> dict[str, Any]:
    options = read_options(primitive, _OPTIONS)
    require_odd_kernel(primitive)
    found = (primitive.C_out, primitive.stride)
    require(primitive, found == (primitive.C, 1), f"C_out and stride {(primitive.C, 1)}, as it hands C on", found)
    return options


def _cost(primitive: Primitive) -> Cost:
    options, C, size = _options(primitive), primitive.C, primitive.spatial_size
    layers: list[LayerCost] = []
    for outputs in (options["classes"], _BOX_NUMBERS):
        layers.append(conv_cost(C, C, primitive.kernel_size, size, groups=C))
        layers.append(norm_cost(C, options["affine"]))
        layers.append(conv_cost(C, options["anchors"] * outputs, 1, size, bias=True))
    return total_cost(primitive, layers)


SSD_TYPES: Mapping[str, PrimitiveType] = MappingProxyType(
    {"ssd_predictor": PrimitiveType(lambda primitive: SSDPredictor(primitive, **_options(primitive)), _cost)}
)
"""The detector's types by name; its extra blocks are MobileNet's, with an expansion below 1."""
