"""A block between ONNX and Caffe: its tensors, its constants, and the layers so far."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from latpred.errors import ProfilingError
from latpred.hardware.caffe.dialects import Dialect
from latpred.hardware.caffe.layer import Blobs, CaffeLayer, Parameters

Shape = tuple[int, ...]

INPUT = "input"
"""What a block's layers call its input; no layer is called so, as ONNX's names begin with a module or operator."""

_REMEDY = "Leave such blocks out of the space, or compile for other hardware"


class _Blob(NamedTuple):
    """What stands for a tensor in Caffe; it may have the numbers in another shape, until somebody minds."""

    layer: str
    shape: Shape
    node: str
    """The name of the last node that gave the tensor a shape."""


class BlockGraph:
    """What operators read a block from, and write its layers to.

    Args:
        model: The block, with the shapes of all tensors.
        dialect: Of the layers.
        where: The block, for errors.

    Raises:
        ProfilingError: If the block does not make one tensor of one.
    """

    def __init__(self, model: onnx.ModelProto, dialect: Dialect, where: str) -> None:
        graph = model.graph
        for what, values in (("reads", graph.input), ("gives", graph.output)):
            if len(values) != 1:
                problem = f"expected a block that {what} one tensor, found {len(values)}"
                raise ProfilingError(where, problem, "Mend the block")
        self.dialect, self._where = dialect, where
        self.layers: list[CaffeLayer] = []
        self._shapes = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)
        }
        self._constants = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
        self._constants |= {
            node.output[0]: numpy_helper.to_array(value)
            for node in graph.node
            if node.op_type == "Constant" and (value := attributes(node).get("value")) is not None
        }
        source = graph.input[0].name
        self._blobs = {source: _Blob(INPUT, self._shapes[source], "")}
        self._names = {INPUT}

    def shape(self, tensor: str) -> Shape:
        """Return the shape that ONNX gives a tensor."""
        return self._shapes[tensor]

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """Return the value of a tensor that is no result of the input; None for others."""
        return self._constants.get(tensor)

    def weights(self, node: onnx.NodeProto, index: int) -> NDArray[np.float32]:
        """Return the input of a node that has to be constant."""
        value = self.constant(node.input[index])
        if value is None:
            self.refuse(node, f"weights that are constant, found those of '{node.input[index]}'")
        return np.ascontiguousarray(value, dtype=np.float32)

    def stored(self, node: onnx.NodeProto, index: int = 0) -> str:
        """Return the layer with the numbers of an input of a node, of whatever shape."""
        tensor = node.input[index]
        if tensor not in self._blobs:
            self.refuse(node, f"an input that depends on the block's, found the constant '{tensor}'")
        return self._blobs[tensor].layer

    def bottom(self, node: onnx.NodeProto, index: int = 0) -> str:
        """Return the layer that gives an input of a node, in the shape that it has in ONNX."""
        self.stored(node, index)
        return self.shaped(node.input[index])

    def shaped(self, tensor: str) -> str:
        """Return the layer that gives a tensor in its shape, which takes one more layer if a node changed it."""
        blob, shape = self._blobs[tensor], self.shape(tensor)
        if blob.shape != shape:
            if not shape or blob.shape[0] != shape[0]:
                problem = f"'{blob.node}': expected images to stay apart, found {blob.shape} in the shape {shape}"
                raise ProfilingError(self._where, problem, _REMEDY)
            if len(shape) == 2:
                layer = CaffeLayer(self._name(blob.node), "Flatten", (blob.layer,))
            else:
                sizes = {"reshape_param": {"shape": {"dim": [0, *shape[1:]]}}}  # 0: as it was
                layer = CaffeLayer(self._name(blob.node), "Reshape", (blob.layer,), sizes)
            self.layers.append(layer)
            self._blobs[tensor] = _Blob(layer.name, shape, "")
        return self._blobs[tensor].layer

    def add(
        self,
        node: onnx.NodeProto,
        kind: str,
        bottoms: tuple[str, ...],
        parameters: Parameters | None = None,
        blobs: Blobs = (),
        part: str = "",
    ) -> str:
        """Add a layer for a node and return its name.

        Args:
            node: Which it is of.
            kind: Caffe's `type`.
            bottoms: Layers that it reads.
            parameters: Its messages.
            blobs: Its weights.
            part: What it does, if it is one of several layers of the node and not the last of them.
        """
        name = self._name(f"{node.name or node.output[0]}/{part}")
        self.layers.append(CaffeLayer(name, kind, bottoms, parameters or {}, blobs))
        return name

    def give(self, node: onnx.NodeProto, layer: str, shape: Shape | None = None) -> None:
        """Let a layer stand for the output of a node; of another shape than ONNX says, if it is given."""
        tensor = node.output[0]
        self._blobs[tensor] = _Blob(layer, shape or self.shape(tensor), node.name or tensor)

    def pass_on(self, node: onnx.NodeProto) -> None:
        """Let the input of a node stand for its output, as the node changes a shape at most."""
        tensor = node.input[0]
        if tensor in self._constants:  # the exporter keeps equal weights once, and hands them on
            self._constants[node.output[0]] = self._constants[tensor].reshape(self._shapes[node.output[0]])
            return
        self.give(node, self.stored(node), self._blobs[tensor].shape)

    def refuse(self, node: onnx.NodeProto, expected: str) -> NoReturn:
        """Refuse a node that Caffe, or this dialect, cannot express.

        Raises:
            ProfilingError: Always, naming the block and the node.
        """
        problem = f"{node.op_type} '{node.name or node.output[0]}': expected {expected}"
        raise ProfilingError(self._where, problem, _REMEDY)

    def _name(self, path: str) -> str:
        """Return a name for a layer, which compilers make names of symbols of."""
        plain = re.sub(r"[^0-9A-Za-z]+", "_", path).strip("_")
        name, count = plain, 1
        while name in self._names:
            count += 1
            name = f"{plain}_{count}"
        self._names.add(name)
        return name


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by their names."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def needed(graph: onnx.GraphProto, numbers: Mapping[str, tuple[int, ...]]) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that the output depends on, in execution order.

    Args:
        graph: Of a block.
        numbers: For some operators, the inputs that are needed; all are of the others.
    """
    wanted, nodes = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            nodes.append(node)
            inputs = numbers.get(node.op_type, range(len(node.input)))
            wanted |= {node.input[i] for i in inputs if i < len(node.input)}
    return reversed(nodes)
