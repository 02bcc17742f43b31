"""Caffe's layers as Caffe itself has them, slowly: what OpenCV's reader is lenient about is refused here."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from latpred.hardware.caffe import Messages

Array = NDArray[Any]
_RELU6 = {"bvlc": "Clip", "opencv": "ReLU6", "xilinx": "ReLU6"}


def run_caffe(dialect: str, prototxt: str, caffemodel: bytes, image: Array) -> dict[str, Array]:
    """Return the output of each layer for one batch of images, computed with 64 bits."""
    messages = Messages(dialect)
    weights = {layer.name: [_array(blob) for blob in layer.blobs] for layer in messages.from_bytes(caffemodel).layer}
    blobs: dict[str, Array] = {}
    for layer in messages.from_text(prototxt).layer:
        if any(rule.phase == 0 for rule in layer.include):  # of training
            continue
        assert list(layer.top) == [layer.name]
        assert layer.name not in blobs
        if layer.type == "Input":
            assert tuple(layer.input_param.shape[0].dim) == image.shape
            blobs[layer.name] = image.astype(np.float64)
        else:
            bottoms = [blobs[name] for name in layer.bottom]
            blobs[layer.name] = _forward(dialect, layer, bottoms, weights[layer.name])
    return blobs


def _array(blob: Any) -> Array:
    return np.frombuffer(blob.data, "<f4").reshape(tuple(blob.shape.dim)).astype(np.float64)


def _forward(dialect: str, layer: Any, bottoms: list[Array], weights: list[Array]) -> Array:  # noqa: C901 - a list
    x = bottoms[0]
    match layer.type:
        case "Convolution" | "Deconvolution":
            return _convolve(layer, x, weights)
        case "BatchNorm":
            mean, variance, factor = weights
            assert layer.batch_norm_param.use_global_stats
            mean, variance = mean / factor, variance / factor
            return (x - _along(mean, x)) / np.sqrt(_along(variance, x) + layer.batch_norm_param.eps)
        case "Scale":
            return _scale(layer.scale_param, x, bottoms[1:] + weights)
        case "Eltwise":
            assert {bottom.shape for bottom in bottoms} == {x.shape}
            factors = list(layer.eltwise_param.coeff) or [1.0] * len(bottoms)
            is_product = layer.eltwise_param.operation == 0
            return math.prod(bottoms) if is_product else sum(f * b for f, b in zip(factors, bottoms, strict=True))
        case "Power":
            power = layer.power_param
            return power.shift + (power.scale if power.HasField("scale") else 1.0) * x
        case "ReLU":
            return np.where(x > 0, x, layer.relu_param.negative_slope * x)
        case "ReLU6" | "Clip":
            assert layer.type == _RELU6[dialect]
            low, high = (layer.clip_param.min, layer.clip_param.max) if layer.type == "Clip" else (0, 6)
            return x.clip(low, high)
        case "Sigmoid":
            return 1 / (1 + np.exp(-x))
        case "TanH":
            return np.tanh(x)
        case "Flatten":
            return x.reshape(len(x), -1)
        case "Reshape":
            dims = layer.reshape_param.shape.dim
            return x.reshape([x.shape[i] if dim == 0 else dim for i, dim in enumerate(dims)])
        case "InnerProduct":
            assert weights[0].shape[0] == layer.inner_product_param.num_output
            return x.reshape(len(x), -1) @ weights[0].T + (weights[1] if layer.inner_product_param.bias_term else 0)
        case "Softmax":
            return F.softmax(torch.from_numpy(x), layer.softmax_param.axis).numpy()
        case "Concat":
            return np.concatenate(bottoms, layer.concat_param.axis)
        case "Pooling":
            return _pool(layer.pooling_param, x)
    raise AssertionError(f"{layer.type} is no layer of Caffe's")


def _along(values: Array, x: Array) -> Array:
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _convolve(layer: Any, x: Array, weights: list[Array]) -> Array:
    how = layer.convolution_param
    pair = {name: (list(getattr(how, name)) * 2)[:2] for name in ("pad", "stride", "dilation")}
    assert (list(how.kernel_size) * 2)[:2] == list(weights[0].shape[2:])
    bias = torch.from_numpy(weights[1]) if how.bias_term else None
    function = F.conv2d if layer.type == "Convolution" else F.conv_transpose2d
    result = function(
        torch.from_numpy(x),
        torch.from_numpy(weights[0]),
        bias,
        padding=pair["pad"] or 0,
        stride=pair["stride"] or 1,
        dilation=pair["dilation"] or 1,
        groups=how.group or 1,
    ).numpy()
    assert result.shape[1] == how.num_output
    return result


def _scale(how: Any, x: Array, factors: list[Array]) -> Array:
    axis = how.axis if how.HasField("axis") else 1
    end = axis + factors[0].ndim
    assert factors[0].shape == x.shape[axis:end]
    shape = factors[0].shape + (1,) * (x.ndim - end)
    return x * factors[0].reshape(shape) + (factors[1].reshape(shape) if how.bias_term else 0)


def _pool(how: Any, x: Array) -> Array:
    method = {0: np.max, 1: np.sum}[how.pool]
    if how.global_pooling:
        return method(x, (2, 3), keepdims=True) / (x.shape[2] * x.shape[3] if how.pool == 1 else 1)
    kernel = (how.kernel_h or how.kernel_size, how.kernel_w or how.kernel_size)
    stride = (how.stride_h or how.stride or 1, how.stride_w or how.stride or 1)
    pad = (how.pad_h or how.pad, how.pad_w or how.pad)
    fields = {field.name: value for field, value in how.ListFields()}
    rounded = math.floor if fields.get("round_mode") == 1 or fields.get("ceil_mode") is False else math.ceil
    count = [rounded((x.shape[2 + i] + 2 * pad[i] - kernel[i]) / stride[i]) + 1 for i in range(2)]
    count = [n - 1 if pad[i] and (n - 1) * stride[i] >= x.shape[2 + i] + pad[i] else n for i, n in enumerate(count)]
    out = np.empty((*x.shape[:2], *count))
    for cell in product(*map(range, count)):
        begin = [cell[i] * stride[i] - pad[i] for i in range(2)]
        end = [min(begin[i] + kernel[i], x.shape[2 + i] + pad[i]) for i in range(2)]
        counted = math.prod(end[i] - begin[i] for i in range(2)) if how.pool == 1 else 1
        rows, columns = (slice(max(begin[i], 0), min(end[i], x.shape[2 + i])) for i in range(2))
        out[:, :, *cell] = method(x[:, :, rows, columns], (2, 3)) / counted
    return out
