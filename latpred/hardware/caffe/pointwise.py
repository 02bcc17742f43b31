"""ONNX's operators that work on each number, and those that combine channels without a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from latpred.hardware.caffe.block_graph import BlockGraph, attributes
from latpred.hardware.caffe.layer import Blobs
from latpred.hardware.caffe.windows import spread

_SIX = 6.0


def activation(kind: str, graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a layer without parameters."""
    graph.give(node, graph.add(node, kind, (graph.bottom(node),)))


def leaky_relu(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a ReLU with a slope."""
    slope = {"relu_param": {"negative_slope": attributes(node).get("alpha", 0.01)}}  # ONNX's default
    graph.give(node, graph.add(node, "ReLU", (graph.bottom(node),), slope))


def clip(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a ReLU6."""
    values = [graph.constant(tensor) if tensor else None for tensor in node.input[1:]]
    bounds = [None if value is None else float(value) for value in values]
    if bounds != [0, _SIX]:
        graph.refuse(node, f"the bounds 0 and 6, as of ReLU6, found {bounds}")
    graph.give(node, _relu6(graph, node, graph.bottom(node)))


def hard_sigmoid(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add max(0, min(1, alpha x + beta)) as a sixth of a ReLU6."""
    found = attributes(node)
    gate = _hard_gate(graph, node, found.get("alpha", 0.2), found.get("beta", 0.5))  # ONNX's defaults
    graph.give(node, graph.add(node, "Power", (gate,), _linear(scale=1 / _SIX)))


def hard_swish(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add x * max(0, min(1, x / 6 + 1 / 2))."""
    gate = graph.add(node, "Power", (_hard_gate(graph, node, 1 / _SIX, 0.5),), _linear(scale=1 / _SIX), part="gate")
    graph.give(node, _eltwise(graph, node, (graph.bottom(node), gate), {"operation": "PROD"}))


def _hard_gate(graph: BlockGraph, node: onnx.NodeProto, alpha: float, beta: float) -> str:
    """Add six times a hard sigmoid."""
    moved = graph.add(node, "Power", (graph.bottom(node),), _linear(_SIX * alpha, _SIX * beta), part="shift")
    return _relu6(graph, node, moved, part="relu6")


def _relu6(graph: BlockGraph, node: onnx.NodeProto, bottom: str, part: str = "") -> str:
    kind = graph.dialect.relu6
    return graph.add(node, kind, (bottom,), {"clip_param": {"min": 0, "max": _SIX}} if kind == "Clip" else {}, (), part)


def _linear(scale: float = 1.0, shift: float = 0.0) -> dict[str, dict[str, Any]]:
    """Return the parameters of a Power that is none: shift + scale * x."""
    values = {"scale": (float(np.float32(scale)), 1.0), "shift": (float(np.float32(shift)), 0.0)}
    return {"power_param": {name: value for name, (value, default) in values.items() if value != default}}


def add(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a sum; what is smaller than the other is repeated for each pixel."""
    if not _with_number(graph, node):
        _sum(graph, node, [])


def subtract(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a difference."""
    if not _with_number(graph, node):
        _sum(graph, node, [1, -1])


def multiply(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a product; a Scale if one factor has a number for each channel, as in a squeeze-excite."""
    if _with_number(graph, node):
        return
    shapes, out = [graph.shape(tensor) for tensor in node.input], graph.shape(node.output[0])
    if shapes == [out, out]:
        graph.give(node, _eltwise(graph, node, (graph.bottom(node), graph.bottom(node, 1)), {"operation": "PROD"}))
        return
    gate = next((i for i, shape in enumerate(shapes) if shape == (*out[:2], 1, 1)), None)
    if gate is None or shapes[1 - gate] != out:
        graph.refuse(node, f"equal shapes, or one number for each channel, found {shapes}")
    flat = graph.add(node, "Flatten", (graph.bottom(node, gate),), part="flat")  # Caffe matches axes from the first on
    layer = graph.add(node, "Scale", (graph.bottom(node, 1 - gate), flat), {"scale_param": {"axis": 0}})
    graph.give(node, layer)


def divide(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a quotient whose divisor is a number."""
    if not _with_number(graph, node):
        graph.refuse(node, f"a divisor that is a number, found '{node.input[1]}'")


def _with_number(graph: BlockGraph, node: onnx.NodeProto) -> bool:
    """Add a sum or product with a constant number, if it is one."""
    numbers = [graph.constant(tensor) for tensor in node.input]
    index = next((i for i, value in enumerate(numbers) if value is not None), None)
    if index is None:
        return False
    value, kind, out = np.asarray(numbers[index]), node.op_type, graph.shape(node.output[0])
    if value.size != 1 or graph.shape(node.input[1 - index]) != out:
        graph.refuse(node, f"constants of a single number, found one of {list(value.shape)}")
    if kind == "Div" and (index == 0 or value.item() == 0):
        graph.refuse(node, f"a divisor that is a number and not 0, found '{node.input[1]}'")
    number = float(value.item())
    parameters = {
        "Add": _linear(shift=number),
        "Sub": _linear(shift=-number) if index else _linear(-1, number),
        "Mul": _linear(number),
        "Div": _linear(1 / number if kind == "Div" else 1),
    }[kind]
    graph.give(node, graph.add(node, "Power", (graph.bottom(node, 1 - index),), parameters))
    return True


def _sum(graph: BlockGraph, node: onnx.NodeProto, coefficients: list[float]) -> None:
    out, bottoms = graph.shape(node.output[0]), []
    for i, tensor in enumerate(node.input):
        shape = graph.shape(tensor)
        if shape == out:
            bottoms.append(graph.bottom(node, i))
        elif len(out) == len(shape) == 4 and shape[2:] == (1, 1) and shape[:2] in (out[:2], (out[0], 1)):
            bottoms.append(spread(graph, node, i, out))
        else:
            graph.refuse(node, f"equal shapes, or one number for each image or channel, found {list(shape)}")
    graph.give(node, _eltwise(graph, node, tuple(bottoms), {"operation": "SUM", "coeff": coefficients}))


def _eltwise(graph: BlockGraph, node: onnx.NodeProto, bottoms: tuple[str, ...], parameters: dict[str, Any]) -> str:
    return graph.add(node, "Eltwise", bottoms, {"eltwise_param": parameters})


def batch_norm(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a BatchNorm, which has the statistics, and a Scale, which has the affine part."""
    if attributes(node).get("training_mode"):
        graph.refuse(node, "a norm in eval mode, found one in training")
    gamma, beta, average, variance = (graph.weights(node, index) for index in range(1, 5))
    parameters = {"use_global_stats": True, "eps": attributes(node).get("epsilon", 1e-5)}  # ONNX's default
    factor = np.ones(1, dtype=np.float32)  # what Caffe divides the statistics by
    statistics = (average, variance, factor)
    norm = graph.add(node, "BatchNorm", (graph.bottom(node),), {"batch_norm_param": parameters}, statistics)
    affine = {"scale_param": {"bias_term": True}}
    graph.give(node, graph.add(node, "Scale", (norm,), affine, (gamma, beta), part="scale"))


def linear(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add an InnerProduct, which flattens its input by itself."""
    found, weight = attributes(node), graph.weights(node, 1)
    factors = [found.get(name, default) for name, default in (("alpha", 1), ("beta", 1), ("transA", 0))]
    if factors != [1, 1, 0]:
        graph.refuse(node, f"alpha, beta and transA of 1, 1 and 0, found {factors}")
    if (axes := len(graph.shape(node.input[0]))) != 2:
        graph.refuse(node, f"features of each image in one row, found an input of {axes} axes")
    blobs: Blobs = (weight if found.get("transB") else np.ascontiguousarray(weight.T),)
    outputs = len(blobs[0])
    if len(node.input) > 2:
        bias = graph.weights(node, 2).reshape(-1)
        if len(bias) != outputs:
            graph.refuse(node, f"a bias for each of {outputs} outputs, found {len(bias)}")
        blobs = (*blobs, bias)
    parameters = {"inner_product_param": {"num_output": outputs, "bias_term": len(blobs) > 1}}
    graph.give(node, graph.add(node, "InnerProduct", (graph.stored(node),), parameters, blobs))


def softmax(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Softmax."""
    axis = attributes(node).get("axis", -1) % len(graph.shape(node.input[0]))
    graph.give(node, graph.add(node, "Softmax", (graph.bottom(node),), {"softmax_param": {"axis": axis}}))


def concatenate(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Concat."""
    axis = attributes(node)["axis"] % len(graph.shape(node.output[0]))
    bottoms = tuple(graph.bottom(node, index) for index in range(len(node.input)))
    graph.give(node, graph.add(node, "Concat", bottoms, {"concat_param": {"axis": axis}}))
