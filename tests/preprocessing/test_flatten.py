"""flatten: one row per measured block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rows import assert_equal, copied, make_rows

from latpred.preprocessing import Flatten

NAN = float("nan")
ROWS = make_rows([(4, 9.0, [NAN, 0.5, NAN], [7, 8, 7]), (4, 9.0, [1.0, 2.0, 3.0], [7, 8, 7]), (2, 9.0, [5.0], [6])])


def test_every_measured_block_has_a_row_and_no_other():
    before = copied(ROWS)
    flat = Flatten()(ROWS)
    assert list(flat.blocks) == ["run", "network", "position", "primitive", "value"]
    assert list(flat.blocks.itertuples(index=False, name=None)) == [
        (0, 4, 1, 8, 0.5),
        (1, 4, 0, 7, 1.0),
        (1, 4, 1, 8, 2.0),
        (1, 4, 2, 7, 3.0),
        (2, 2, 0, 6, 5.0),
    ]
    assert_equal(replace(flat, blocks=None), before)
    assert_equal(ROWS, before)


def test_runs_that_were_dropped_before_have_no_rows():
    kept = replace(ROWS, runs=ROWS.runs[ROWS.runs["network"] == 2])
    assert Flatten()(kept).blocks.to_numpy().tolist() == [[0, 2, 0, 6, 5.0]]


def test_the_rows_are_a_copy_of_the_values():
    flat = Flatten()(ROWS)
    before = ROWS.block_values.copy()
    flat.blocks.loc[:, "value"] = 0.0
    np.testing.assert_array_equal(ROWS.block_values, before)


def test_no_runs_give_no_rows():
    assert len(Flatten()(make_rows([])).blocks) == 0
