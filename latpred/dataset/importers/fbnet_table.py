"""HW-NAS-Bench's names of FBNet's blocks, and a network's values from its tables of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latpred.dataset.importers.base import ImportedRun, value_of
from latpred.errors import ParseError
from latpred.network import Network
from latpred.primitive import Primitive

_HEAD = 3
"""Slots behind the layers: convolution, pooling, classifier."""
_METHOD = "isolated"
"""The benchmark measured each block alone."""

Table = tuple[Mapping[Any, Any], str]
"""Values by the name of a block, and where they stand."""


class BlockNames(NamedTuple):
    """The benchmark's names of a network's blocks."""

    blocks: tuple[str, ...]
    """One for each primitive, in execution order."""
    skips: tuple[str, ...]
    """Of layers that are skipped without a trace: no primitives, but the benchmark has values of them."""


def block_names(network: Network) -> BlockNames:
    """Return the benchmark's names of the blocks of a network of FBNet."""
    blocks, skips = [], []
    left = list(network.primitives)
    size, C = left[0].spatial_size, left[0].C
    slots = network.encoding or ()
    for slot, i in enumerate(slots):
        if i < 0:
            skips.append(f"Skip_H{size}_W{size}_Cin{C}_Cout{C}_stride1")
            continue
        primitive = left.pop(0)
        layer = 0 < slot < len(slots) - _HEAD
        blocks.append(_name(primitive, layer=layer))
        size, C = primitive.out_size, primitive.C_out
    return BlockNames(tuple(blocks), tuple(skips))


def _name(primitive: Primitive, *, layer: bool) -> str:
    size, options = primitive.spatial_size, primitive.options
    shape = f"H{size}_W{size}_Cin{primitive.C}_Cout{primitive.C_out}"
    kernel, stride = f"kernel{primitive.kernel_size}", f"stride{primitive.stride}"
    if primitive.prim_type == "fbnet_block":
        return f"ConvBlock_{shape}_exp{options['expansion']}_{kernel}_{stride}_group{options['groups']}"
    if primitive.prim_type == "global_avg_pool":
        return f"AvgP_{shape}_{kernel}_stride1"
    if primitive.prim_type == "linear":
        return f"FC_Cin{primitive.C}_Cout{primitive.C_out}"
    return f"Skip_{shape}_{stride}" if layer else f"ConvNorm_{shape}_{kernel}_{stride}_group1"


def network_run(place: int, names: BlockNames, latency: Table, energy: Table | None) -> ImportedRun:
    """Return the benchmark's values of a network: those of its blocks, and their sum.

    Raises:
        ParseError: If a table lacks a block, or its value is no number.
    """
    ms, skips_ms = (_values(of, latency) for of in names)
    mj = skips_mj = None
    if energy is not None:
        mj, skips_mj = (_values(of, energy) for of in names)
    return ImportedRun(
        place,
        latency_ms=sum(ms) + sum(skips_ms),
        block_latency_ms=tuple(value or None for value in ms),  # a block that takes no time has no measurement
        overhead_ms=sum(skips_ms),
        energy_mj=None if mj is None else sum(mj) + sum(skips_mj or ()),
        block_energy_mj=None if mj is None else tuple(value or None for value in mj),
        block_method=_METHOD,
    )


def _values(names: Sequence[str], table: Table) -> list[float]:
    values, where = table
    found = []
    for name in names:
        if name not in values:
            remedy = "Give the space that the benchmark has: FBNet's for CIFAR-100 or ImageNet"
            raise ParseError(where, f"expected the block {name}, found none", remedy)
        value = values[name]
        found.append(0.0 if value == 0 else value_of(value, f"{where}.{name}", "the value"))
    return found
