"""The block types of NASBench201: the edges of a cell, and what stands between and behind the cells.

A cell is no chain: a node is the sum of its incoming edges. So that networks are chains all the same, an edge's block
takes all nodes that are still to be read, side by side as channels, and hands on those that are still to be read
behind it. It computes what the cell computes; carrying the nodes along takes copies that a program of one's own does
without.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from latpred.primitive import Primitive
from latpred.spaces.layers import convolution
from latpred.spaces.nasbench201_architecture import EDGES, OPERATIONS
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

PREFIX = "nb201_"
"""Of the names of these types; what follows it for an edge is the public name of its operation."""
KERNELS: Mapping[str, int] = MappingProxyType({"nor_conv_1x1": 1, "nor_conv_3x3": 3, "avg_pool_3x3": 3})
"""Kernel of each operation that has one; 1 stands for the others."""


class Carried(NamedTuple):
    """The nodes that an edge's block takes and hands on, side by side as channels."""

    before: tuple[int, ...]
    after: tuple[int, ...]


CARRIED: Mapping[tuple[int, int], Carried] = MappingProxyType(
    {
        (0, 1): Carried((0,), (0, 1)),
        (0, 2): Carried((0, 1), (0, 1, 2)),
        (1, 2): Carried((0, 1, 2), (0, 1, 2)),
        (0, 3): Carried((0, 1, 2), (1, 2, 3)),
        (1, 3): Carried((1, 2, 3), (2, 3)),
        (2, 3): Carried((2, 3), (3,)),
    }
)
"""By edge, in execution order; the last edge of a cell hands on its output alone."""


def edge_name(edge: tuple[int, int]) -> str:
    """Return what a primitive calls an edge, such as `0-1`."""
    return f"{edge[0]}-{edge[1]}"


_BY_NAME = MappingProxyType({edge_name(edge): edge for edge in EDGES})
_EDGE_OPTIONS: Mapping[str, Option] = MappingProxyType({"edge": one_of(_BY_NAME), "live": FLAG})


class _Zero(nn.Module):
    """What the public implementation runs for `none`, and devices spend time on."""

    def forward(self, features: Tensor) -> Tensor:
        return features * 0.0


def _relu_conv_bn(C: int, C_out: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    # Not in place: other edges read the same node.
    return nn.Sequential(nn.ReLU(), convolution(C, C_out, kernel_size, stride), nn.BatchNorm2d(C_out))


def _operation(name: str, C: int) -> nn.Module:
    if name == "none":
        return _Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(KERNELS[name], 1, padding=1, count_include_pad=False)
    return _relu_conv_bn(C, C, KERNELS[name])


class EdgeBlock(nn.Module):
    """Add what an operation makes of the edge's source to its target.

    Args:
        operation: Maps [batch, C, size, size] to the same shape.
        edge: Source and target node.
    """

    def __init__(self, operation: nn.Module, edge: tuple[int, int]) -> None:
        super().__init__()
        self.operation = operation
        self.edge = edge

    def forward(self, features: Tensor) -> Tensor:
        """Map the nodes before, [batch, nodes * C, size, size], to those behind."""
        (source, target), (before, after) = self.edge, CARRIED[self.edge]
        nodes = dict(zip(before, features.chunk(len(before), 1), strict=True))
        value = self.operation(nodes[source])
        nodes[target] = nodes[target] + value if target in nodes else value
        return torch.cat([nodes[node] for node in after], 1) if len(after) > 1 else nodes[target]


def _node_channels(primitive: Primitive, operation: str) -> int:
    """Return the channels of one node; refuse a primitive that is no edge."""
    before, after = CARRIED[_edge(primitive)]
    C = primitive.C // len(before)
    found = (primitive.C, primitive.C_out, primitive.stride, primitive.kernel_size)
    fields = (max(C, 1) * len(before), max(C, 1) * len(after), 1, KERNELS.get(operation, 1))
    require(primitive, found == fields, f"C, C_out, stride and kernel_size {fields}", found)
    return C


def _edge(primitive: Primitive) -> tuple[int, int]:
    return _BY_NAME[read_options(primitive, _EDGE_OPTIONS)["edge"]]


def _edge_type(operation: str) -> PrimitiveType:
    def build(primitive: Primitive) -> nn.Module:
        return EdgeBlock(_operation(operation, _node_channels(primitive, operation)), _edge(primitive))

    def cost(primitive: Primitive) -> Cost:
        C = _node_channels(primitive, operation)
        if not operation.startswith("nor_conv"):
            return total_cost(primitive, [])
        return total_cost(primitive, [conv_cost(C, C, KERNELS[operation], primitive.spatial_size), norm_cost(C, True)])

    return PrimitiveType(build, cost)


class ResidualBlock(nn.Module):
    """Halve the feature map between two stages: two 3x3 convolutions beside a pooled 1x1 convolution."""

    def __init__(self, C: int, C_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_relu_conv_bn(C, C_out, 3, 2), _relu_conv_bn(C_out, C_out, 3))
        # Rounds up, as the convolutions do, where the size is odd.
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True), convolution(C, C_out, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, C, size, size] to [batch, C_out, out_size, out_size]."""
        return self.shortcut(features) + self.body(features)


def _check_residual(primitive: Primitive) -> None:
    read_options(primitive, {})
    found = (primitive.stride, primitive.kernel_size)
    require(primitive, found == (2, 3), "stride and kernel_size (2, 3)", found)


def _build_residual(primitive: Primitive) -> nn.Module:
    _check_residual(primitive)
    return ResidualBlock(primitive.C, primitive.C_out)


def _cost_residual(primitive: Primitive) -> Cost:
    _check_residual(primitive)
    C, C_out, size = primitive.C, primitive.C_out, primitive.out_size
    convs = [conv_cost(C, C_out, 3, size), conv_cost(C_out, C_out, 3, size), conv_cost(C, C_out, 1, size)]
    return total_cost(primitive, [*convs, norm_cost(C_out, True), norm_cost(C_out, True)])


def _check_bn_relu(primitive: Primitive) -> None:
    read_options(primitive, {})
    found = (primitive.C_out, primitive.stride, primitive.kernel_size)
    require(primitive, found == (primitive.C, 1, 1), f"C_out, stride and kernel_size {(primitive.C, 1, 1)}", found)


def _build_bn_relu(primitive: Primitive) -> nn.Module:
    _check_bn_relu(primitive)
    return nn.Sequential(nn.BatchNorm2d(primitive.C), nn.ReLU(inplace=True))


def _cost_bn_relu(primitive: Primitive) -> Cost:
    _check_bn_relu(primitive)
    return total_cost(primitive, [norm_cost(primitive.C, True)])


NASBENCH201_TYPES: Mapping[str, PrimitiveType] = MappingProxyType(
    {
        **{PREFIX + operation: _edge_type(operation) for operation in OPERATIONS},
        PREFIX + "bn_relu": PrimitiveType(_build_bn_relu, _cost_bn_relu),
        PREFIX + "residual": PrimitiveType(_build_residual, _cost_residual),
    }
)
"""The types by name."""
