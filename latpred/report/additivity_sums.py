"""Sums of blocks beside their networks: in the same runs, and from the other networks' blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from latpred.dataset import Dataset, Measurements
from latpred.dataset.schema import overall_column
from latpred.dataset.table import RunTable
from latpred.preprocessing.block_table import estimate_blocks
from latpred.primitive import Primitive
from latpred.report.additivity_noise import finite

_KEY = ["session_id", "sequence"]


@dataclass(frozen=True, kw_only=True)
class WholeAndBlocks:
    """Blocks and the whole in the same runs; each network counts with the median of its runs."""

    method: str
    """As in `Run.block_method`; joined by ` + ` where a run's blocks differ."""
    networks: int
    ratio_5: float
    """(Sum of the blocks + overhead) / whole that a twentieth of the networks lies below."""
    ratio_median: float
    ratio_95: float
    overhead_median: float | None
    """What belongs to no block, a fraction of the whole; None where nobody measured it."""


@dataclass(frozen=True, kw_only=True)
class SumErrors:
    """How far sums are from the networks' estimates, fractions of these."""

    networks: int
    signed_median: float
    signed_90: float
    """90th percentile, as below."""
    absolute_median: float
    absolute_90: float
    slope: float | None
    """Of the sums on the estimates, by least squares; None where one of them does not vary, as below."""
    spearman: float | None


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut:
    """Each network as the sum of its blocks' mean values in the other networks."""

    uncovered_networks: int
    """Those with a block that no other network has a value of; they are left out of the errors."""
    uncovered_blocks: int
    """Their blocks of that kind."""
    as_stored: SumErrors | None
    """From the values as they were measured, the drift taken out; None where no network is left, as below."""
    scaled: SumErrors | None
    """With each network's blocks scaled to its own estimate first, as the block table of predictors takes them."""


def run_sums(dataset: Dataset, read: Measurements, drift: pd.Series[float]) -> pd.DataFrame:
    """Return the runs that have the values of all of their blocks.

    Args:
        dataset: Where `read` is from.
        read: The runs.
        drift: Of each run, a fraction.

    Returns:
        `network`; `method`; `ratio`, of blocks and overhead to the whole; `overhead`, a fraction of the whole, NaN if
        unknown; `block_sum`, with the overhead, in the metric's unit, the drift taken out.
    """
    lengths = np.diff(read.block_offsets)
    sums = np.bincount(np.repeat(np.arange(len(lengths)), lengths), read.block_values, len(lengths))  # NaN stays NaN
    details = read.runs[_KEY].merge(_methods_and_overhead(dataset, read.metric), on=_KEY, how="left")
    # The time that belongs to no block was taken of latencies only.
    overhead = details["overhead_ms"] if read.metric == "latency_ms" else np.nan
    runs = pd.DataFrame({"network": read.runs["network"], "method": details["method"], "blocks": sums})
    runs = runs.assign(overhead=overhead, whole=read.runs["overall"], drift=drift).dropna(subset="blocks")
    with_overhead = runs["blocks"] + runs["overhead"].fillna(0.0)
    return pd.DataFrame(
        {
            "network": runs["network"],
            "method": runs["method"].fillna("unknown"),
            "ratio": with_overhead / runs["whole"],
            "overhead": runs["overhead"] / runs["whole"],
            "block_sum": with_overhead / (1 + runs["drift"]),
        }
    )


def _methods_and_overhead(dataset: Dataset, metric: str) -> pd.DataFrame:
    """Return `method` and `overhead_ms` of the runs that `Dataset.read` returns, beside their keys."""
    chosen = (pc.field("status") == "ok") & pc.field(overall_column(metric)).is_valid()
    rows = RunTable(dataset.path / "runs", dataset.version).read([*_KEY, "overhead_ms", "block_method"], chosen)
    lists = rows["block_method"].combine_chunks()
    pairs = pd.DataFrame({"row": pc.list_parent_indices(lists), "method": pc.list_flatten(lists)})
    distinct = pairs.dropna().drop_duplicates().sort_values(["row", "method"])
    methods = distinct.groupby("row")["method"].agg(" + ".join)
    return rows.select([*_KEY, "overhead_ms"]).to_pandas().assign(method=methods)


def whole_and_blocks(sums: pd.DataFrame) -> tuple[WholeAndBlocks, ...]:
    """Compare blocks and whole of the same runs, for each method.

    Args:
        sums: From `run_sums`.
    """
    found = []
    for method, runs in sums.groupby("method", sort=True):
        of_network = runs.groupby("network")[["ratio", "overhead"]].median()
        low, middle, high = of_network["ratio"].quantile([0.05, 0.5, 0.95])
        found.append(
            WholeAndBlocks(
                method=str(method),
                networks=len(of_network),
                ratio_5=float(low),
                ratio_median=float(middle),
                ratio_95=float(high),
                overhead_median=finite(of_network["overhead"].median()),
            )
        )
    return tuple(found)


def block_values(read: Measurements, ids: Mapping[Primitive, int], drift: pd.Series[float]) -> pd.DataFrame:
    """Return one row per measured block of a run, as `estimate_blocks` takes them, the drift taken out.

    Args:
        read: The runs.
        ids: Of every primitive of the networks.
        drift: Of each run, a fraction.
    """
    lengths = np.diff(read.block_offsets)
    run = np.repeat(np.arange(len(lengths)), lengths)
    blocks = pd.DataFrame(
        {
            "run": run,
            "network": read.runs["network"].to_numpy()[run],
            "position": np.arange(len(run)) - read.block_offsets[:-1][run],
            "primitive": read.block_ids(ids),
            "value": read.block_values / (1 + drift.to_numpy()[run]),
        }
    )
    return blocks.dropna(subset="value")


def leave_one_out(
    blocks: pd.DataFrame, places: pd.DataFrame, estimates: pd.Series[float]
) -> tuple[LeaveOneOut, pd.DataFrame]:
    """Predict each network from the other networks' blocks.

    Args:
        blocks: From `block_values`, at least one.
        places: One row per block of a network, measured or not: `network, primitive`.
        estimates: Of each network, by network.

    Returns:
        The errors, and the sums `as_stored` and `scaled`, by network; NaN for uncovered networks.
    """
    stored = blocks.groupby(["network", "position", "primitive"])["value"].median().reset_index()
    needed = places.groupby(["network", "primitive"]).size()
    uncovered = needed[_means_of_others(stored, needed).isna()]
    sums = pd.DataFrame(index=estimates.index)
    for name, values in (("as_stored", stored), ("scaled", estimate_blocks(blocks, estimates).dropna())):
        parts = needed * _means_of_others(values, needed)
        sums[name] = parts.groupby("network").sum(skipna=False)
    found = LeaveOneOut(
        uncovered_networks=uncovered.index.get_level_values("network").nunique(),
        uncovered_blocks=int(uncovered.sum()),
        as_stored=sum_errors(sums["as_stored"], estimates),
        scaled=sum_errors(sums["scaled"], estimates),
    )
    return found, sums


def _means_of_others(values: pd.DataFrame, needed: pd.Series[int]) -> pd.Series[float]:
    """Return the mean value of each primitive in all networks but one, by (network, primitive) as in `needed`.

    NaN where no other network has one. All blocks of a primitive count alike, as in the block table.
    """
    by_both, by_primitive = values.groupby(["network", "primitive"]), values.groupby("primitive")
    primitives = needed.index.get_level_values("primitive")
    own = by_both["value"].agg(["sum", "size"]).reindex(needed.index, fill_value=0)
    total = by_primitive["value"].agg(["sum", "size"]).reindex(primitives, fill_value=0).set_axis(needed.index)
    others = total - own
    return others["sum"] / others["size"]  # 0 / 0 is NaN, and the same terms in the same order leave exactly 0


def sum_errors(sums: pd.Series[float], estimates: pd.Series[float]) -> SumErrors | None:
    """Compare sums with estimates, by network; None where no network has both."""
    known = pd.DataFrame({"sum": sums, "estimate": estimates}).dropna()
    if known.empty:
        return None
    error = known["sum"] / known["estimate"] - 1
    ranks, variance = known.rank(), known["estimate"].var()
    return SumErrors(
        networks=len(known),
        signed_median=float(error.median()),
        signed_90=float(error.quantile(0.9)),
        absolute_median=float(error.abs().median()),
        absolute_90=float(error.abs().quantile(0.9)),
        slope=finite(known["sum"].cov(known["estimate"]) / variance) if variance > 0 else None,
        spearman=finite(ranks["sum"].corr(ranks["estimate"])),
    )
