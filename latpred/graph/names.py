"""How a network's nodes and tensors are called, and what their names tell."""

from __future__ import annotations

import re

import onnx

_BLOCK = re.compile(r"(?<![0-9A-Za-z])b(\d{2,})/")


def block_name(position: int, name: str) -> str:
    """Return the name in the network of what block `position` calls `name`, such as `b07/body/expand/Conv`."""
    return f"b{position:02d}/{name.lstrip('/')}"


def block_of(name: str) -> int | None:
    """Return the position of the block that a node or tensor belongs to; None if it belongs to none.

    Compilers put words of their own around a name (`Reorder_12_b07/body/expand/Conv_nchwc`), which does no harm; of
    several names in one, the first counts.
    """
    found = _BLOCK.search(name)
    return None if found is None else int(found[1])


def rename(graph: onnx.GraphProto, position: int, tensors: dict[str, str]) -> None:
    """Give all that is in the graph of block `position` its name in the network, graphs of an `If` or `Loop` included.

    Args:
        graph: Changed in place.
        position: Of the block.
        tensors: New names of the block's input and output.
    """

    def named(tensor: str) -> str:
        return tensors.get(tensor) or block_name(position, tensor)

    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = named(value.name)
    for node in graph.node:
        node.name = block_name(position, node.name)
        for names in (node.input, node.output):
            names[:] = [named(tensor) if tensor else "" for tensor in names]  # "": an optional one, left out
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                rename(inner, position, tensors)
