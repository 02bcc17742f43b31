"""What a session of `latpred profile` brought, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from latpred.dataset import Dataset, estimate
from latpred.estimation import FAIR, GOOD, Quality
from latpred.profiling import NOT_MEASURABLE, Goal, SessionStats


def tell_outcome(
    stats: SessionStats, dataset: Dataset, record: Mapping[str, Any], ids: Sequence[str], goal: Goal
) -> None:
    """Print how much was measured, how well the networks are known, and what was not reached.

    Args:
        stats: Of the session.
        dataset: Where its runs are.
        record: Of the session.
        ids: The networks that were to be measured.
        goal: How much of them.
    """
    print(f"{stats.ok + stats.failed} runs of {len(ids)} networks, {stats.share:.0%} of the time measuring")
    found = estimate(dataset.read())
    own = found.networks.set_index("network_id").reindex(list(ids))  # one that has no run is known to NaN
    counts = own["quality"].value_counts()
    qualities = ", ".join(f"{counts.get(name, 0)} {name}" for name in get_args(Quality))
    print(f"estimates: {qualities}; good is known to {GOOD:.0%}, fair to {FAIR:.0%} (95 % intervals)")
    for row in found.sessions[found.sessions["session_id"] == record["session_id"]].itertuples():
        if math.isfinite(row.noise_before):
            print(f"noise of a run: {row.noise_before:.1%}, {row.noise_after:.1%} with the machine's drift taken out")
    if str(record["measuring"]["energy_meter"]).startswith(NOT_MEASURABLE):
        print(f"energy: {record['measuring']['energy_meter']}")
    visited = dataset.visited()
    if left := sum((network_id, round_) not in visited for network_id in ids for round_ in range(goal.rounds)):
        print(f"not reached: {left} of {goal.rounds * len(ids)} visits are left; the same command goes on with them")
    if goal.precision is not None:
        print(_precision_reached(own["half_width"], goal.precision))


def tell_failed(failed: Mapping[str, str]) -> None:
    """Print why networks failed, by network_id."""
    for network_id, reason in sorted(failed.items()):
        print(f"failed: network {network_id}: {reason}")


def _precision_reached(half_widths: pd.Series[float], precision: float) -> str:
    """Say which networks are not known well enough.

    Args:
        half_widths: By network_id, fractions; NaN where no run is, inf where one run alone tells none.
        precision: What was asked for.
    """
    count, wide = len(half_widths), half_widths[~(half_widths <= precision)]
    if wide.empty:
        return f"all {count} networks are known to {precision:.2%}"
    told = wide[np.isfinite(wide)].sort_values(ascending=False, kind="stable")
    least = f", the least is {told.index[0]} with {told.iloc[0]:.2%}" if len(told) else ""
    unknown = f", {len(wide) - len(told)} of them have fewer than two runs" if len(told) < len(wide) else ""
    reached = f"not reached: {len(wide)} of {count} networks are not known to {precision:.2%}"
    return reached + least + unknown
