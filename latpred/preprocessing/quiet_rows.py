"""The runs of measured networks as training rows, without what the machine's drift added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from latpred.dataset import Estimation, Measurements
from latpred.preprocessing.step import TrainingRows
from latpred.primitive import Primitive


def quiet_rows(
    measurements: Measurements, estimation: Estimation, ids: Mapping[Primitive, int], codes: Sequence[int]
) -> TrainingRows:
    """Return the runs of some networks, their values as on the quiet machine.

    Args:
        measurements: What was read.
        estimation: What it says of the machine's drift.
        ids: Of the primitives of all its networks.
        codes: The networks.
    """
    counts = np.diff(measurements.block_offsets)
    slowdown = 1 + estimation.runs["drift"].to_numpy()
    overall = measurements.runs["overall"] / slowdown
    first = measurements.block_offsets[:-1]
    runs = measurements.runs.assign(overall=overall, first_block=first, block_count=counts)
    return TrainingRows(
        runs=runs[runs["network"].isin(codes)],
        block_values=measurements.block_values / np.repeat(slowdown, counts),
        block_ids=measurements.block_ids(ids),
    )
