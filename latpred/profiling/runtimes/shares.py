"""From a runtime's own profile to what each block takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from latpred.profiling.runtimes.base import BlockShares

_LEAST_COVERED = 0.95
"""Fraction of the time that must belong to blocks; below, the map from nodes to blocks has failed."""


class NodeTime(NamedTuple):
    """What one node of a compiled network took in one run."""

    block: int | None
    """Position of its block; None where its name tells none."""
    us: float


def block_shares(runs: Sequence[Sequence[NodeTime]], blocks: int, plain_us: Sequence[float]) -> BlockShares | None:
    """Return what each block takes of a whole pass.

    The time of a block is its median over the runs: an interruption hits one block of one run. A node without a block
    (a change of layout, say, that the compiler put in) belongs to the block of the last node before it that has one;
    those before all others are overhead.

    A profiler adds some time to every node, not to every microsecond: small nodes seem larger than they are. So what
    the profiled runs take more than `plain_us` is subtracted, the same from each node.

    Args:
        runs: The nodes of each profiled run in the order of their execution.
        blocks: Number of blocks of the network.
        plain_us: What runs without profiling took, us each, that were made in turns with `runs`.

    Returns:
        None where a block has no node of its own, since another block's does its work, or where less than 95 % belong
        to blocks: what cannot be told apart is not made up.
    """
    *spent, overhead = [
        statistics.median(times) for times in zip(*(_by_block(run, blocks) for run in runs), strict=True)
    ]
    *nodes, others = _by_block([NodeTime(node.block, 1) for node in runs[0]], blocks)
    if min(spent) <= 0:
        return None
    added_us = (sum(spent) + overhead - statistics.median(plain_us)) / (sum(nodes) + others)
    # At most half of what the nodes of some block take: whatever noise is in the estimate, every block keeps some.
    added_us = min(max(added_us, 0.0), *(us / count / 2 for us, count in zip(spent, nodes, strict=True)))
    spent = [us - added_us * count for us, count in zip(spent, nodes, strict=True)]
    overhead = max(overhead - added_us * others, 0.0)
    whole = sum(spent) + overhead
    if sum(spent) < _LEAST_COVERED * whole:
        return None
    return BlockShares(tuple(us / whole for us in spent), overhead / whole)


def _by_block(run: Sequence[NodeTime], blocks: int) -> list[float]:
    """Return the time of each block, us, and of what belongs to none behind them."""
    spent, block = [0.0] * (blocks + 1), blocks
    for node in run:
        block = block if node.block is None else node.block
        spent[block] += node.us
    return spent
