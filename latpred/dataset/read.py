"""Reading a dataset: the runs as columns of numbers, never as Python objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from latpred.card import METRIC_UNITS
from latpred.dataset.networks import MeasuredNetwork, read_networks
from latpred.dataset.schema import block_column, overall_column
from latpred.dataset.table import RunTable
from latpred.errors import DatasetError, UsageError
from latpred.primitive import Primitive

_PLAIN = ("session_id", "sequence", "round", "started_at", "cpu_time_ms", "involuntary_switches")


@dataclass(frozen=True, eq=False)
class Measurements:
    """The ok runs of a dataset that have one metric."""

    metric: str
    networks: tuple[MeasuredNetwork, ...]
    """The networks of these runs, sorted by network_id."""
    runs: pd.DataFrame
    """One row per run, sorted by (session_id, sequence): `network` (place in `networks`), `session_id, sequence,
    round, started_at, overall` (float64, in the metric's unit), `cpu_time_ms, involuntary_switches` (NaN if unknown).
    """
    block_values: NDArray[np.float64]
    """The values of all blocks of all runs, one run after the other, in the metric's unit; NaN if not measured."""
    block_offsets: NDArray[np.int64]
    """[runs + 1]: run i has the values from block_offsets[i] to block_offsets[i + 1], one for each block."""

    @property
    def unit(self) -> str:
        """The metric's unit."""
        return METRIC_UNITS[self.metric]

    def block_ids(self, ids: Mapping[Primitive, int]) -> NDArray[np.int64]:
        """Return the id of the primitive behind each of `block_values`.

        Args:
            ids: The id of every primitive of `networks`, as `Vocabulary.ids` has them.
        """
        flat, starts = _concatenated([[ids[primitive] for primitive in n.primitives] for n in self.networks])
        lengths = np.diff(self.block_offsets)
        places = np.arange(len(self.block_values)) - np.repeat(self.block_offsets[:-1], lengths)
        return flat[np.repeat(starts[self.runs["network"].to_numpy()], lengths) + places]


def read_measurements(
    table: RunTable, metric: str, dataset: Path, exclude_sessions: Collection[str] = ()
) -> Measurements:
    """Read the ok runs that have an overall value of `metric`; there may be none.

    Args:
        table: The runs, at the version to read.
        metric: One of `METRIC_UNITS`.
        dataset: The dataset's folder, for errors.
        exclude_sessions: Ids of sessions to leave out.

    Raises:
        UsageError: If there is no such metric.
        DatasetError: If a file cannot be read, or rows contradict one another.
    """
    if metric not in METRIC_UNITS:
        raise UsageError("metric", f"expected one of {', '.join(METRIC_UNITS)}, found '{metric}'", "Correct the name")
    overall, blocks = overall_column(metric), block_column(metric)
    columns = [*_PLAIN, "network_id", overall] + ([blocks] if blocks else [])
    chosen = (pc.field("status") == "ok") & pc.field(overall).is_valid() & outside(exclude_sessions)
    rows = table.read(columns, chosen)
    everything = read_networks(table)
    network_ids = sorted(pc.unique(rows["network_id"]).to_pylist())
    networks = tuple(everything[network_id] for network_id in network_ids)

    runs = rows.select(_PLAIN).to_pandas()
    runs["cpu_time_ms"] = runs["cpu_time_ms"].astype("float64")
    runs["involuntary_switches"] = runs["involuntary_switches"].astype("float64")
    runs.insert(0, "network", pc.index_in(rows["network_id"], pa.array(network_ids, pa.string())).to_numpy())
    runs["network"] = runs["network"].astype("int64")
    runs.insert(5, "overall", rows[overall].to_numpy())
    runs = runs.sort_values(["session_id", "sequence"])
    order = runs.index.to_numpy()
    runs = runs.reset_index(drop=True)
    _refuse_duplicates(runs, dataset)

    sizes = np.array([len(network.primitives) for network in networks], dtype=np.int64)[runs["network"].to_numpy()]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    values = np.full(offsets[-1], np.nan)
    if blocks:
        _fill(values, offsets, rows[blocks], order, runs, dataset)
    return Measurements(metric, networks, runs, values, offsets)


def outside(sessions: Collection[str]) -> pc.Expression:
    """Return the condition that a row is of none of these sessions."""
    return ~pc.field("session_id").isin(pa.array(sorted(sessions), pa.string()))


def _fill(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    lists: pa.ChunkedArray,
    order: NDArray[np.int64],
    runs: pd.DataFrame,
    dataset: Path,
) -> None:
    """Write the block values of each run at its offset.

    Args:
        values: Where to write, [blocks of all runs].
        offsets: Where the run at each place of the sorted order begins, [runs + 1].
        lists: The block values of each row as they were read, null where a run has none.
        order: The row behind each place of the sorted order, [runs].
        runs: The runs in sorted order, for errors.
        dataset: The dataset's folder, for errors.
    """
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    sources = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[order]
    lengths = lengths[order]
    expected = np.diff(offsets)
    if (wrong := np.flatnonzero((lengths != expected) & (lengths != 0))).size:
        run = runs.iloc[wrong[0]]
        problem = f"expected {expected[wrong[0]]} block values, found {lengths[wrong[0]]}"
        where = f"{dataset} run {run['sequence']} of session {run['session_id']}"
        raise DatasetError(where, problem, "`latpred dataset validate` lists all such rows")
    found = pc.list_flatten(lists).to_numpy()  # null elements become NaN
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    values[np.repeat(offsets[:-1], lengths) + places] = found[np.repeat(sources, lengths) + places]


def _refuse_duplicates(runs: pd.DataFrame, dataset: Path) -> None:
    duplicated = runs.duplicated(["session_id", "sequence"])
    if duplicated.any():
        run = runs[duplicated].iloc[0]
        problem = f"expected each run once, found run {run['sequence']} of session {run['session_id']} again"
        raise DatasetError(str(dataset), problem, "Open an older version (`latpred dataset history`)")


def _concatenated(rows: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows one after the other, and where each begins."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return np.array([item for row in rows for item in row], dtype=np.int64), np.cumsum(lengths) - lengths
