"""One block: PyTorch -> ONNX -> Caffe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import onnx
from torch import nn

from latpred.errors import ProfilingError
from latpred.graph.block import export_block
from latpred.hardware.caffe import pointwise, windows
from latpred.hardware.caffe.block_graph import BlockGraph, Shape, needed
from latpred.hardware.caffe.dialects import Dialect
from latpred.hardware.caffe.layer import CaffeLayer
from latpred.primitive import Primitive

_OPERATORS: Mapping[str, Callable[[BlockGraph, onnx.NodeProto], None]] = MappingProxyType(
    {
        "Add": pointwise.add,
        "AveragePool": windows.average_pooling,
        "BatchNormalization": pointwise.batch_norm,
        "Clip": pointwise.clip,
        "Concat": pointwise.concatenate,
        "Conv": windows.convolution,
        "Div": pointwise.divide,
        "Dropout": BlockGraph.pass_on,
        "Flatten": BlockGraph.pass_on,
        "Gemm": pointwise.linear,
        "GlobalAveragePool": windows.global_average,
        "GlobalMaxPool": windows.global_maximum,
        "HardSigmoid": pointwise.hard_sigmoid,
        "HardSwish": pointwise.hard_swish,
        "Identity": BlockGraph.pass_on,
        "LeakyRelu": pointwise.leaky_relu,
        "MatMul": pointwise.linear,
        "MaxPool": windows.max_pooling,
        "Mul": pointwise.multiply,
        "ReduceMean": windows.mean,
        "Relu": partial(pointwise.activation, "ReLU"),
        "Reshape": BlockGraph.pass_on,
        "Sigmoid": partial(pointwise.activation, "Sigmoid"),
        "Softmax": pointwise.softmax,
        "Squeeze": BlockGraph.pass_on,
        "Sub": pointwise.subtract,
        "Tanh": partial(pointwise.activation, "TanH"),
        "Unsqueeze": BlockGraph.pass_on,
    }
)
"""What Caffe has for ONNX's operators."""
_NUMBERS: Mapping[str, tuple[int, ...]] = MappingProxyType(dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), (0,)))
"""For operators that read shapes, too, the inputs that hold numbers: shapes are known without what computes them."""


class CaffeBlock(NamedTuple):
    """A block whose layers have the names that they have without a network around them."""

    layers: tuple[CaffeLayer, ...]
    """In execution order; they read each other and `INPUT`."""
    output: str
    """The layer that gives the block's output; `INPUT` if the block does nothing."""
    shapes: tuple[Shape, Shape]
    """Of input and output."""


def convert_block(module: nn.Module, primitive: Primitive, batch: int, dialect: Dialect, where: str) -> CaffeBlock:
    """Convert a block.

    Args:
        module: In eval mode.
        primitive: Tells the input's shape.
        batch: Images per pass.
        dialect: Of the layers.
        where: The block, for errors.

    Raises:
        ProfilingError: If it has an operator that the dialect has no layers for.
    """
    model = export_block(module, primitive, batch, where, keep_norms=True)
    return convert_model(_with_shapes(model, where), dialect, where)


def _with_shapes(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return the ONNX form of a block with the shapes of all its tensors.

    Raises:
        ProfilingError: If ONNX cannot tell them.
    """
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        problem = f"expected tensors whose shapes ONNX can tell, got {reason}"
        raise ProfilingError(where, problem, "Mend the block") from error


def convert_model(model: onnx.ModelProto, dialect: Dialect, where: str) -> CaffeBlock:
    """Convert the ONNX form of a block, with the shapes of all its tensors.

    Raises:
        ProfilingError: As `convert_block` does.
    """
    graph = BlockGraph(model, dialect, where)
    for node in needed(model.graph, _NUMBERS):
        if node.op_type in _OPERATORS:
            _OPERATORS[node.op_type](graph, node)
        elif node.op_type != "Constant":
            graph.refuse(node, f"one of the operators that Caffe has layers for, {', '.join(_OPERATORS)}")
    source, output = model.graph.input[0].name, model.graph.output[0].name
    layer = graph.shaped(output)
    return CaffeBlock(tuple(graph.layers), layer, (graph.shape(source), graph.shape(output)))
