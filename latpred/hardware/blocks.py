"""From the rows of a profile to the blocks of a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from latpred.formats import Layer
from latpred.graph import block_of
from latpred.hardware.base import Hardware

LEAST_COVERED = 0.95
"""Fraction of the layers' time that must belong to blocks; below, the map has failed."""

_ADDED = ("_nchwc", "/WithoutBiases", "_kernel_time")
"""What ONNX Runtime and OpenVINO write behind the name of a node or tensor."""
_BETWEEN = re.compile(r" \+ |[;,]")
"""What stands between the names of nodes that were fused, where a format leaves them together."""
_NO_WORD = re.compile(r"[^0-9A-Za-z]+")
_SPELT = re.compile(r"(?<![0-9A-Za-z])b(\d{2,})_")


class Place(NamedTuple):
    """Where a row of a profile belongs."""

    block: int | None
    """Position of the block; None if it belongs to none."""
    fused: bool = False
    """Whether nodes of other blocks are in it, too."""


class BlockNames:
    """Finds the blocks of a network that names stand for.

    Args:
        layers: The names of each block's layers in the vendor's file.
    """

    def __init__(self, layers: Sequence[Sequence[str]]) -> None:
        self._blocks = len(layers)
        self._exact = {name: position for position, names in enumerate(layers) for name in names}
        self._spelt: dict[int, tuple[str, ...]] = {
            position: tuple(_spelt(name) for name in names) for position, names in enumerate(layers)
        }

    def place(self, nodes: Iterable[str]) -> Place:
        """Return where a row belongs that is made of `nodes`: to the block of the last one that tells a block."""
        found = [block for node in nodes if (block := self._of(node)) is not None]
        return Place(found[-1], fused=len(set(found)) > 1) if found else Place(None)

    def _of(self, name: str) -> int | None:
        """Return the block of one name, however a tool has changed it."""
        for ending in ("", *_ADDED):
            if (block := self._exact.get(name.removesuffix(ending))) is not None:
                return block
        parts = _BETWEEN.split(name)
        if len(parts) > 1:
            return self.place(parts).block
        block = block_of(name)
        if block is not None:
            return block if block < self._blocks else None
        return self._respelt(name)

    def _respelt(self, name: str) -> int | None:
        """Return the block of a name in which a converter has replaced what is no letter or digit."""
        spelt = _spelt(name)
        for match in reversed(list(_SPELT.finditer(spelt))):
            rest = spelt[match.start() :] + "_"
            if any(rest.startswith(f"{known}_") for known in self._spelt.get(int(match[1]), ())):
                return int(match[1])
        return None


def _spelt(name: str) -> str:
    return _NO_WORD.sub("_", name).strip("_")


class BlockTimes(NamedTuple):
    """What the rows of a profile take, put together; times are in ms."""

    blocks: tuple[float, ...]
    """Of each block."""
    rows: tuple[int, ...]
    """Rows of each block."""
    overhead: Mapping[str, float]
    """Of the rows that belong to no block, by their kind."""
    overhead_rows: int
    by_position: float
    """Of the rows that name no block, and count for the one before them; `blocks` has it, too."""
    fused: float
    """Of the rows that hold nodes of several blocks, and count for the last one's; `blocks` has it, too."""

    @property
    def total(self) -> float:
        """Of all rows."""
        return sum(self.blocks) + sum(self.overhead.values())


def block_times(
    layers: Iterable[Layer], names: BlockNames, hardware: Hardware, blocks: int, *, in_order: bool
) -> BlockTimes:
    """Add up the rows of a profile; those without a time are left out.

    A row that names no block (a change of layout that the compiler put in, a part of an operator without a kernel)
    belongs to the block of the last row before it that names one; those before all others are overhead. This is what
    `latpred.profiling` does with a runtime's own profile.

    Args:
        layers: The rows.
        names: Of the network's blocks.
        hardware: What the rows are of.
        blocks: How many the network has.
        in_order: Whether the rows are in the order of their execution; if not, all without a block are overhead.
    """
    times, rows = [0.0] * blocks, [0] * blocks
    overhead, overhead_rows, by_position, fused, current = dict[str, float](), 0, 0.0, 0.0, None
    for layer in layers:
        if layer.latency_ms is None:
            continue
        place = names.place(hardware.nodes_of(layer))
        current = place.block if place.block is not None or not in_order else current
        if current is None:
            kind = layer.kind or re.sub(r"\d+", "N", layer.name)[:40] or "unnamed"
            overhead[kind] = overhead.get(kind, 0.0) + layer.latency_ms
            overhead_rows += 1
            continue
        times[current] += layer.latency_ms
        rows[current] += 1
        by_position += layer.latency_ms if place.block is None else 0.0
        fused += layer.latency_ms if place.fused else 0.0
    return BlockTimes(tuple(times), tuple(rows), overhead, overhead_rows, by_position, fused)


def spread(times: BlockTimes, whole_ms: float) -> tuple[tuple[float, ...], float] | None:
    """Return what each block takes of the whole, ms, and what belongs to none; together they are `whole_ms`.

    A profiler adds some time to every row, not to every microsecond, so small rows seem larger than they are: what
    the rows take more than the whole is subtracted first, the same from each, but at most half of what any block has.
    So does `latpred.profiling`.

    Args:
        times: What the rows take.
        whole_ms: What the network takes, without the profiler if that is known.

    Returns:
        None where a block has no row of its own, since another one's does its work, or where less than 95 % of the
        time belongs to blocks: what cannot be told apart is not made up.
    """
    if not times.blocks or min(times.blocks) <= 0 or sum(times.blocks) < LEAST_COVERED * times.total:
        return None
    added = max(times.total - whole_ms, 0.0) / (sum(times.rows) + times.overhead_rows)
    added = min(added, *(time / rows / 2 for time, rows in zip(times.blocks, times.rows, strict=True)))
    blocks = [time - added * rows for time, rows in zip(times.blocks, times.rows, strict=True)]
    others = max(sum(times.overhead.values()) - added * times.overhead_rows, 0.0)
    scale = whole_ms / (sum(blocks) + others)
    return tuple(time * scale for time in blocks), others * scale
