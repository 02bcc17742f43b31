"""Training rows written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pandas import DataFrame

from latpred.preprocessing import TrainingRows

Run = tuple[int, float, Sequence[float], Sequence[int]]
"""Network, overall value, values of the blocks, ids of their primitives."""


def make_rows(runs: Sequence[Run]) -> TrainingRows:
    """Return the rows of `runs`; their index has gaps, and other runs' blocks stand between theirs."""
    values: list[float] = []
    ids: list[int] = []
    table = []
    for network, overall, blocks, primitives in runs:
        values.append(1e9)  # of a run that was left out, as those of validation networks are
        ids.append(0)
        table.append((network, overall, len(values), len(blocks)))
        values += blocks
        ids += primitives
    frame = DataFrame(table, columns=["network", "overall", "first_block", "block_count"])
    frame.index = frame.index * 2 + 1
    return TrainingRows(frame, np.array(values, dtype=np.float64), np.array(ids, dtype=np.int64))


def copied(rows: TrainingRows) -> TrainingRows:
    """Return a copy that shares nothing with `rows`."""
    blocks = None if rows.blocks is None else rows.blocks.copy()
    return TrainingRows(rows.runs.copy(), rows.block_values.copy(), rows.block_ids.copy(), blocks)


def assert_equal(rows: TrainingRows, expected: TrainingRows) -> None:
    """Compare all parts."""
    assert rows.runs.equals(expected.runs)
    np.testing.assert_array_equal(rows.block_values, expected.block_values)
    np.testing.assert_array_equal(rows.block_ids, expected.block_ids)
    assert (rows.blocks is None) == (expected.blocks is None)
    if rows.blocks is not None:
        assert rows.blocks.equals(expected.blocks)
