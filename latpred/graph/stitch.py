"""Networks as ONNX, stitched from their blocks."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from torch import nn

from latpred.errors import ProfilingError
from latpred.graph.block import BLOCK_INPUT, BLOCK_OUTPUT, export_block
from latpred.graph.names import block_name, rename
from latpred.network import Network
from latpred.primitive import Primitive

INPUT, OUTPUT = "image", "output"
"""The input and the output of every network."""


class BlockGraphs:
    """Makes the ONNX models of networks; a block that several networks share is exported once.

    A network's input is `image`, [batch, C, size, size] of its first primitive, its output `output`. All else carries
    the position of its block (`b07/body/expand/Conv`), which `block_of` reads. Every shape is static, and the same
    network gives the same bytes.

    Equal blocks of a network have weights of their own, as in a trained one. It would take less room to store them
    once, but OpenVINO fuses no activation into a convolution whose bias another convolution reads too.

    Args:
        batch: Images per pass.
    """

    def __init__(self, batch: int) -> None:
        if batch < 1:
            raise ValueError(f"batch must be an integer >= 1, got {batch!r}")
        self._batch = batch
        self._blocks: dict[tuple[Primitive, nn.Module], onnx.ModelProto] = {}

    def network(self, network: Network, modules: Sequence[nn.Module]) -> onnx.ModelProto:
        """Return the model of `network`.

        Args:
            network: What the modules make up, one after the other.
            modules: Of its primitives, in eval mode and in execution order.

        Raises:
            ProfilingError: If there is not one module for each primitive, or a block cannot be exported or cannot
                follow the one before it, naming the block.
        """
        if len(modules) != len(network.primitives):
            problem = f"expected a block for each of {len(network.primitives)} primitives, found {len(modules)}"
            raise ProfilingError(f"network {network.network_id}", problem, "Mend the space's `build` or `block`")
        model = onnx.ModelProto(producer_name="latpred")
        model.graph.name = network.network_id
        tensor, last = INPUT, len(modules) - 1
        for position, (primitive, module) in enumerate(zip(network.primitives, modules, strict=True)):
            block, where = onnx.ModelProto(), f"block {position} ({primitive})"
            block.CopyFrom(self._block(primitive, module, where))
            if position:
                _check_fit(model.graph, block.graph, where)
            output = OUTPUT if position == last else block_name(position, BLOCK_OUTPUT)
            rename(block.graph, position, {BLOCK_INPUT: tensor, BLOCK_OUTPUT: output})
            _append(model, block)
            tensor = output
        return model

    def _block(self, primitive: Primitive, module: nn.Module, where: str) -> onnx.ModelProto:
        """Return the model of a block.

        Raises:
            ProfilingError: If it cannot be exported, or gives several tensors.
        """
        if (primitive, module) not in self._blocks:
            block = export_block(module, primitive, self._batch, where)
            if len(block.graph.output) != 1:
                problem = f"expected a block that gives one tensor, found {len(block.graph.output)}"
                raise ProfilingError(where, problem, "Mend the block")
            self._blocks[primitive, module] = block
        return self._blocks[primitive, module]


def _append(model: onnx.ModelProto, block: onnx.ModelProto) -> None:
    """Add a block behind those before it; the model's output becomes the block's, and the former a tensor within.

    Args:
        model: Changed in place.
        block: With its names in the network.
    """
    graph = model.graph
    if graph.input:
        graph.value_info.extend(graph.output)
        del graph.output[:]
    else:
        graph.input.extend(block.graph.input)
    graph.output.extend(block.graph.output)
    graph.value_info.extend(block.graph.value_info)
    graph.node.extend(block.graph.node)
    graph.initializer.extend(block.graph.initializer)
    known = {opset.domain for opset in model.opset_import}
    model.opset_import.extend(opset for opset in block.opset_import if opset.domain not in known)
    model.ir_version = max(model.ir_version, block.ir_version)


def _check_fit(before: onnx.GraphProto, block: onnx.GraphProto, where: str) -> None:
    """Make sure that a block can read what those before it give.

    Raises:
        ProfilingError: If the shapes differ.
    """
    given, taken = _shape(before.output[0]), _shape(block.input[0])
    if given != taken:
        problem = f"expected an input of {taken} as its primitive says, the block before it gives {given}"
        raise ProfilingError(where, problem, "Mend the space")


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
