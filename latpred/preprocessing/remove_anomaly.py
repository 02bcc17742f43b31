"""remove_anomaly: drop the runs that something disturbed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from latpred.preprocessing.step import RowStep, TrainingRows


class RemoveAnomaly(RowStep):
    """Drop the runs of a network that are far from that network's median run.

    It looks at the sums of blocks where `block_sum` stands before it and every run of the network has one, else at
    the overall values. The median is the lower one, which is one of the runs, so that at least one run of each
    network stays.

    Args:
        tolerance: Largest relative distance from the median to keep; 0.1 keeps 10 %.
    """

    name: ClassVar[str] = "remove_anomaly"
    needs: ClassVar[frozenset[str]] = frozenset({"runs"})
    gives: ClassVar[frozenset[str]] = frozenset({"clean_runs"})

    def __init__(self, tolerance: float = 0.1) -> None:
        if not 0 < tolerance < 1:
            raise ValueError(f"tolerance must lie between 0 and 1, got {tolerance}")
        self.tolerance = tolerance

    def __call__(self, rows: TrainingRows) -> TrainingRows:
        """Return the rows without the anomalies."""
        runs = rows.runs
        value = runs["overall"]
        if "block_sum" in runs:
            # A network is judged by one of both for all of its runs: they differ by the overhead.
            whole = runs["block_sum"].notna().groupby(runs["network"]).transform("all")
            value = runs["block_sum"].where(whole, value)
        median = value.groupby(runs["network"]).transform("quantile", 0.5, interpolation="lower")
        return replace(rows, runs=runs[(value - median).abs() <= self.tolerance * median])
