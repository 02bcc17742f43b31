"""ONNX's operators that look at pixels through a window: convolution and pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from latpred.hardware.caffe.block_graph import BlockGraph, Shape, attributes

_IMAGE_AXES = 4
"""Axes of a batch of images: [batch, C, height, width]."""


def convolution(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Convolution, depthwise or not."""
    found, weight = attributes(node), graph.weights(node, 1)
    if weight.ndim != _IMAGE_AXES:
        graph.refuse(node, f"a convolution of images, found weights of {weight.ndim} axes")
    window, group = _window(graph, node, weight.shape[2:]), found.get("group", 1)
    pixel = graph.shape(node.input[0])[2:] == (1, 1) and weight.shape[1] == 1 and weight.shape[2:] == (3, 3)
    if graph.dialect.crops_pixels and pixel and window["pad"] == (1, 1):
        weight = np.ascontiguousarray(weight[:, :, 1:2, 1:2])
        window |= {"pad": (0, 0), "kernel_size": (1, 1)}
    parameters: dict[str, Any] = {"num_output": weight.shape[0], "bias_term": len(node.input) > 2}
    parameters |= {name: _shortest(size) for name, size in window.items()}
    parameters["group"] = group
    dilation = tuple(found.get("dilations", (1, 1)))
    if dilation != (1, 1):
        parameters["dilation"] = _shortest(dilation)
    blobs = (weight, graph.weights(node, 2)) if len(node.input) > 2 else (weight,)
    layer = graph.add(node, "Convolution", (graph.bottom(node),), {"convolution_param": parameters}, blobs)
    graph.give(node, layer)


def max_pooling(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Pooling that takes the largest value, over windows that lie in the image at least in part."""
    if tuple(attributes(node).get("dilations", (1, 1))) != (1, 1):
        graph.refuse(node, "windows without holes, found some with dilations")
    graph.give(node, graph.add(node, "Pooling", (graph.bottom(node),), _pooling(graph, node, "MAX")))


def average_pooling(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Pooling that takes the mean; Caffe's counts the padding, so a Scale undoes that where ONNX's does not."""
    pads = max(_window(graph, node, ())["pad"])
    if attributes(node).get("count_include_pad") or not pads:
        graph.give(node, graph.add(node, "Pooling", (graph.bottom(node),), _pooling(graph, node, "AVE")))
        return
    pooled = graph.add(node, "Pooling", (graph.bottom(node),), _pooling(graph, node, "AVE"), part="sum")
    scale = _counted_for_each_pixel(graph, node)
    layer = graph.add(node, "Scale", (pooled,), {"scale_param": {"axis": 2, "num_axes": 2}}, (scale,))
    graph.give(node, layer)


def global_average(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Pooling over whole images."""
    graph.give(node, graph.add(node, "Pooling", (graph.bottom(node),), _whole("AVE")))


def global_maximum(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Pooling over whole images."""
    graph.give(node, graph.add(node, "Pooling", (graph.bottom(node),), _whole("MAX")))


def mean(graph: BlockGraph, node: onnx.NodeProto) -> None:
    """Add a Pooling over whole images, and a Convolution that takes the mean of the channels if they are asked for."""
    shape = graph.shape(node.input[0])
    axes = tuple(sorted(axis % len(shape) for axis in attributes(node).get("axes", ())))
    if len(shape) != _IMAGE_AXES or axes not in ((2, 3), (1, 2, 3)):
        graph.refuse(node, f"a mean over whole images, found one over the axes {list(axes)} of {list(shape)}")
    if axes == (2, 3):
        graph.give(node, graph.add(node, "Pooling", (graph.bottom(node),), _whole("AVE")), (*shape[:2], 1, 1))
        return
    pooled = graph.add(node, "Pooling", (graph.bottom(node),), _whole("AVE"), part="pixels")
    weight = np.full((1, shape[1], 1, 1), 1 / shape[1], dtype=np.float32)
    parameters = {"convolution_param": {"num_output": 1, "bias_term": False, "kernel_size": [1]}}
    graph.give(node, graph.add(node, "Convolution", (pooled,), parameters, (weight,)), (shape[0], 1, 1, 1))


def spread(graph: BlockGraph, node: onnx.NodeProto, index: int, shape: Shape) -> str:
    """Add a layer that repeats an input of a node, one number for each image or channel, for each pixel.

    Caffe's sums do not broadcast. A Deconvolution with weights of 1 does, in every dialect and on the device itself.

    Args:
        graph: Of the block.
        node: Which reads the input.
        index: Of the input.
        shape: What the input is repeated to.
    """
    small = graph.shape(node.input[index])
    group = shape[1] if small[1] == shape[1] else 1
    weight = np.ones((small[1], shape[1] // group, *shape[2:]), dtype=np.float32)
    parameters = {"num_output": shape[1], "bias_term": False, "kernel_size": _shortest(shape[2:]), "group": group}
    bottoms = (graph.bottom(node, index),)
    return graph.add(node, "Deconvolution", bottoms, {"convolution_param": parameters}, (weight,), part="spread")


def _whole(method: str) -> dict[str, dict[str, Any]]:
    return {"pooling_param": {"pool": method, "global_pooling": True}}


def _pooling(graph: BlockGraph, node: onnx.NodeProto, method: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of a Pooling whose output has the size that ONNX says."""
    window = _window(graph, node, ())
    parameters: dict[str, Any] = {"pool": method}
    for name, (height, width) in window.items():
        short = "kernel" if name == "kernel_size" else name
        parameters |= {name: height} if height == width else {f"{short}_h": height, f"{short}_w": width}
    wanted = graph.shape(node.output[0])[2:]
    sizes = list(zip(graph.shape(node.input[0])[2:], *window.values(), strict=True))
    if wanted == tuple(_rounded_up(*size) for size in sizes):
        return {"pooling_param": parameters}
    if wanted != tuple((size + 2 * pad - kernel) // stride + 1 for size, pad, kernel, stride in sizes):
        graph.refuse(node, f"an output of Caffe's size, rounded up or down, found {list(wanted)}")
    if graph.dialect.floor is None:
        expected = f"{[_rounded_up(*size) for size in sizes]} pixels, as this Caffe rounds sizes up"
        graph.refuse(node, f"{expected}, found {list(wanted)}")
    field, value = graph.dialect.floor
    return {"pooling_param": parameters | {field: value}}


def _rounded_up(size: int, pad: int, kernel: int, stride: int) -> int:
    """Return how many windows Caffe puts on a row of pixels; the last of them begins in the image or before it."""
    count = math.ceil((size + 2 * pad - kernel) / stride) + 1
    return count - 1 if pad and (count - 1) * stride >= size + pad else count


def _counted_for_each_pixel(graph: BlockGraph, node: onnx.NodeProto) -> NDArray[np.float32]:
    """Return what Caffe counts in each window, divided by the pixels in it, [height, width] of the output."""
    window, ratios = _window(graph, node, ()), []
    for axis, count in enumerate(graph.shape(node.output[0])[2:]):
        size = graph.shape(node.input[0])[2 + axis]
        pad, kernel, stride = (window[name][axis] for name in ("pad", "kernel_size", "stride"))
        begin = np.arange(count) * stride - pad
        end = np.minimum(begin + kernel, size + pad)
        ratios.append((end - begin) / (np.minimum(end, size) - np.maximum(begin, 0)))
    return np.outer(*ratios).astype(np.float32)


def _window(graph: BlockGraph, node: onnx.NodeProto, kernel: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    """Return pad, kernel_size and stride of a node, (height, width) each."""
    found = attributes(node)
    kernel = tuple(found.get("kernel_shape", kernel))
    if len(kernel) != _IMAGE_AXES - 2:
        graph.refuse(node, f"a window of height and width, found {list(kernel)}")
    if found.get("auto_pad", b"NOTSET") != b"NOTSET":
        graph.refuse(node, f"a padding in numbers, found {found['auto_pad'].decode()}")
    pads = tuple(found.get("pads", (0, 0, 0, 0)))
    if pads[:2] != pads[2:]:
        graph.refuse(node, f"the same padding on opposite sides, found {list(pads)}")
    stride = tuple(found.get("strides", (1, 1)))
    return {"pad": (pads[0], pads[1]), "kernel_size": (kernel[0], kernel[1]), "stride": (stride[0], stride[1])}


def _shortest(sizes: tuple[int, ...]) -> list[int]:
    """Return one number if it does for height and width."""
    return list(sizes[:1]) if len(set(sizes)) == 1 else list(sizes)
