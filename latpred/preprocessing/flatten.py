"""flatten: unfold runs into the rows from which block tables are made."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pandas import DataFrame

from latpred.preprocessing.step import RowStep, TrainingRows


class Flatten(RowStep):
    """Turn each run into one row per measured block."""

    name: ClassVar[str] = "flatten"
    needs: ClassVar[frozenset[str]] = frozenset({"blocks"})
    gives: ClassVar[frozenset[str]] = frozenset({"block_rows"})
    ends: ClassVar[frozenset[str]] = frozenset({"runs", "blocks"})  # cleaned later, runs would keep their rows

    def __call__(self, rows: TrainingRows) -> TrainingRows:
        """Return the rows with `blocks`; a block that was not measured has no row."""
        index = rows.block_index()
        measured = np.isfinite(rows.block_values[index])
        index = index[measured]
        network = np.repeat(rows.runs["network"].to_numpy(np.int64), rows.runs["block_count"].to_numpy(np.int64))
        columns = {
            "run": np.repeat(np.arange(len(rows.runs)), rows.runs["block_count"].to_numpy(np.int64))[measured],
            "network": network[measured],
            "position": rows.block_positions()[measured],
            "primitive": rows.block_ids[index],
            "value": rows.block_values[index],
        }
        return replace(rows, blocks=DataFrame(columns, copy=False))  # millions of rows: once is enough
