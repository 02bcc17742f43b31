"""The architectures of NASBench201: value, public formats, and which of a cell's edges are live."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The operations in the order of the public operation indices."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target node of each edge, in the order of the public strings."""
INPUT, OUTPUT = 0, 3
"""The nodes at which a cell begins and ends."""

_EXAMPLE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
_NODE = re.compile(r"\|(?:[^|]+\|)+")


@dataclass(frozen=True, slots=True)
class NASBench201Architecture:
    """A cell, of which a network of NASBench201 has 15."""

    ops: tuple[str, ...]
    """The operation on each of `EDGES`."""

    @classmethod
    def from_string(cls, text: str) -> NASBench201Architecture:
        """Read the public form, in which `op~i` is an operation on the edge from node i.

        Raises:
            ValueError: If it is none; whether the operations are of the space is for the space to say.
        """
        refusal = ValueError(f"expected arch_str to be a string such as {_EXAMPLE}, found {text!r}")
        if not isinstance(text, str):
            raise refusal
        found: list[tuple[str, tuple[str, int]]] = []
        for target, node in enumerate(text.split("+"), start=1):
            if not _NODE.fullmatch(node):
                raise refusal
            found += [(item, (item.rpartition("~")[2], target)) for item in node.strip("|").split("|")]
        if [edge for _, edge in found] != [(str(source), target) for source, target in EDGES]:
            raise refusal
        return cls(tuple(item.rpartition("~")[0] for item, _ in found))

    def to_string(self) -> str:
        """Return the public form, such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|`."""
        items = [(target, f"{op}~{source}|") for op, (source, target) in zip(self.ops, EDGES, strict=True)]
        nodes = sorted({target for _, target in EDGES})
        return "+".join("|" + "".join(text for to, text in items if to == node) for node in nodes)

    @classmethod
    def from_indices(cls, indices: Sequence[int]) -> NASBench201Architecture:
        """Read the operation indices 0 to 4 on the six edges.

        Raises:
            ValueError: If there are not six, or one is no such index.
        """
        if len(indices) != len(EDGES) or not set(indices) <= set(range(len(OPERATIONS))):
            expected = f"{len(EDGES)} operation indices from 0 to {len(OPERATIONS) - 1}"
            raise ValueError(f"expected {expected}, found {list(indices)}")
        return cls(tuple(OPERATIONS[i] for i in indices))

    def to_indices(self) -> list[int]:
        """Return the operation index on each edge."""
        return [OPERATIONS.index(op) for op in self.ops]

    def live(self) -> tuple[bool, ...]:
        """Return for each edge whether it is on a path from the cell's input to its output; `none` is no path."""
        return live_edges(tuple(op != "none" for op in self.ops))


@lru_cache(maxsize=1 << len(EDGES))
def live_edges(passes: tuple[bool, ...]) -> tuple[bool, ...]:
    """Return for each edge whether it is on a path from the cell's input to its output.

    Args:
        passes: For each edge, whether what comes in goes out.
    """
    begun, read = {INPUT}, {OUTPUT}
    for (source, target), passed in zip(EDGES, passes, strict=True):  # an edge comes behind those into its source
        if passed and source in begun:
            begun.add(target)
    for (source, target), passed in zip(reversed(EDGES), reversed(passes), strict=True):
        if passed and target in read:
            read.add(source)
    return tuple(p and source in begun and target in read for (source, target), p in zip(EDGES, passes, strict=True))


def fault(architecture: NASBench201Architecture) -> str:
    """Return what is wrong with an architecture that is not in the space."""
    ops = architecture.ops
    if not isinstance(ops, Sequence) or isinstance(ops, str) or len(ops) != len(EDGES):
        return f"expected ops to have {len(EDGES)} entries, one for each edge, found {ops!r}"
    for i, op in enumerate(ops):
        if op not in OPERATIONS:
            return f"expected ops[{i}] to be one of {', '.join(OPERATIONS)}, found {op!r}"
    return f"expected a tuple of operations, found {ops!r}"
