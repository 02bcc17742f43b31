"""Names of TensorRT's layers: which nodes of the model they stand for, and which stand for none."""

from __future__ import annotations

import re

_ONNX_LAYER = re.compile(r"\[ONNX Layer: ")
_OVERHEAD = re.compile(
    r"Reformatting CopyNode |\[(?:HostToDevice|DeviceToHost|DeviceToShapeHost|ShapeHostToDevice)Copy \d|"
    r"data (?:to nvm|copy finish)$|\S+ (?:to nvm|finish)$|.* (?:input|output) reformatter \d+$",
    re.DOTALL,
)
"""Copies between formats and, on a DLA, between memories. The profilers of TensorRT 6 to 11 print these names."""
_PROFILE = re.compile(r" \[profile \d+\]$")
_RANGE = "{ForeignNode["
_OPENING, _CLOSING = "([{", ")]}"


def is_overhead(name: str) -> bool:
    """Tell whether a layer only moves or reorders data between layers of the model."""
    return _OVERHEAD.match(name) is not None


def metadata_nodes(metadata: str) -> tuple[str, ...]:
    """Return the nodes that `[ONNX Layer: a][ONNX Layer: b]` names, each once, with a control character between."""
    parts = _ONNX_LAYER.split(metadata)[1:]
    # A part ends with its bracket, and perhaps the separator of TensorRT 8.6 and later; names may hold brackets.
    nodes = (part[: part.rfind("]")] if "]" in part else part for part in parts)
    return tuple(dict.fromkeys(nodes))


def name_nodes(name: str) -> tuple[str, ...]:
    """Return the nodes that a layer's name is made of.

    They are joined by ` + `, wrapped as `PWN(a, b)`, listed as `{a,b}` for a DLA. Of a range `{ForeignNode[a...b]}`
    the name tells only the two ends, and so does this. A layer that is overhead has none.
    """
    if is_overhead(name):
        return ()
    return tuple(dict.fromkeys(_nodes(without_profile(name), 0)))


def without_profile(name: str) -> str:
    """Return a layer's name without the optimization profile, `[profile 1]`, that it ran in."""
    return _PROFILE.sub("", name)


def _nodes(name: str, depth: int) -> list[str]:
    name = name.strip(" ")
    if depth > 50 or not name:  # wrapped deeper than any layer is: take it as it stands
        return [name] if name else []
    if name.startswith(_RANGE) and name.endswith("]}"):
        return _each(name[len(_RANGE) : -2].split("...", 1), depth)
    if len(parts := _split(name, " + ")) > 1:
        return _each(parts, depth)
    if name.startswith("PWN(") and name.endswith(")"):
        return _each(_split(name[4:-1], ", "), depth)
    if name.startswith("{") and name.endswith("}"):
        return _each(_split(name[1:-1], ","), depth)
    return [name]


def _each(names: list[str], depth: int) -> list[str]:
    return [node for name in names for node in _nodes(name, depth + 1)]


def _split(name: str, separator: str) -> list[str]:
    """Split at the separators that stand outside of brackets."""
    if separator not in name:
        return [name]
    parts, start, depth = [], 0, 0
    for i, character in enumerate(name):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif depth == 0 and i >= start and name.startswith(separator, i):
            parts.append(name[start:i])
            start = i + len(separator)
    return [*parts, name[start:]]
