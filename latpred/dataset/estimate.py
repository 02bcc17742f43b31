"""The estimate: the one value of a network that everything is fitted to and scored on, made from its raw runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from latpred.card import SUMMABLE_METRICS
from latpred.dataset.read import Measurements
from latpred.estimation import RunColumns, fit, summarize_networks, summarize_sessions


@dataclass(frozen=True, eq=False)
class Estimation:
    """What a dataset's runs say about its networks and its sessions; recomputed from them, never stored."""

    networks: pd.DataFrame
    """One row per network: `network_id, assembled`, and the columns of `latpred.estimation.summarize_networks`.
    The index is the network's place in `Measurements.networks`."""
    sessions: pd.DataFrame
    """One row per session: `session_id`, and the columns of `latpred.estimation.summarize_sessions`."""
    runs: pd.DataFrame
    """One row per run, as in `Measurements.runs`: `session_id, started_at, drift` (a fraction above the quiet
    machine), `weight` (0 to 1)."""


def estimate(measurements: Measurements) -> Estimation:
    """Estimate every network together with the machine's drift, from all runs that were read."""
    columns, session_ids = run_columns(measurements)
    found = fit(columns, len(measurements.networks), drifting=measurements.metric in SUMMABLE_METRICS)
    networks = summarize_networks(found, columns)
    networks.insert(0, "network_id", [network.network_id for network in measurements.networks])
    networks.insert(1, "assembled", [network.assembled for network in measurements.networks])
    sessions = summarize_sessions(found, columns)
    sessions.insert(0, "session_id", session_ids)
    runs = measurements.runs[["session_id", "started_at"]].assign(drift=np.expm1(found.drift), weight=found.weight)
    return Estimation(networks.rename_axis("network"), sessions, runs)


def run_columns(measurements: Measurements) -> tuple[RunColumns, list[str]]:
    """Return the runs as the estimation takes them, and the ids behind its numbers of sessions."""
    runs = measurements.runs
    session, session_ids = pd.factorize(runs["session_id"])
    timed = measurements.metric == "latency_ms"  # CPU time and preemption are those of the timed pass
    unknown = np.full(len(runs), np.nan)
    columns = RunColumns(
        network=runs["network"].to_numpy(np.int64),
        session=session.astype(np.int64),
        value=runs["overall"].to_numpy(np.float64),
        cpu_time=runs["cpu_time_ms"].to_numpy(np.float64) if timed else unknown,
        switches=runs["involuntary_switches"].to_numpy(np.float64) if timed else unknown,
    )
    return columns, [str(session_id) for session_id in session_ids]


def estimates(measurements: Measurements) -> pd.DataFrame:
    """Return `Estimation.networks` with `noise`, from `split_half_noise`."""
    return estimate(measurements).networks.assign(noise=split_half_noise(measurements))


def split_half_noise(measurements: Measurements) -> pd.Series[float]:
    """Return the noise of each network's estimate, a fraction; NaN where one half of the rounds has no run of it.

    It is half of the relative difference between the estimates from the odd rounds and from the even ones, each half
    estimated by itself; what all networks differ by is taken out, because it is the machine's level and no noise. One
    network alone cannot be told from the machine: all of its difference counts.
    """
    columns, _ = run_columns(measurements)
    odd = measurements.runs["round"].to_numpy() % 2 == 1
    drifting = measurements.metric in SUMMABLE_METRICS
    count = len(measurements.networks)
    halves = [fit(columns.of(chosen), count, drifting=drifting) for chosen in (odd, ~odd)]
    difference = pd.Series(halves[1].level - halves[0].level, index=pd.RangeIndex(count, name="network"))
    shared = difference.median() if difference.count() > 1 else 0.0
    return (difference - shared).abs() / 2


def label_noise(measurements: Measurements) -> float:
    """Return the mean noise of the networks that have one, a fraction; NaN if none has."""
    return float(split_half_noise(measurements).mean())


def label_weights(half_width: pd.Series[float]) -> pd.Series[float]:
    """Return how much each label counts in training, 1 on average.

    The weight is the inverse variance, with the typical error of all labels added, because no model is exact and an
    error from a few runs is itself uncertain; where no error is known, all count alike.

    Args:
        half_width: Of the labels' intervals, fractions; inf where one run tells none.
    """
    error = half_width.replace(np.inf, np.nan)
    typical = error.median()
    if not typical > 0:
        return pd.Series(1.0, index=error.index)
    weight = 1 / (error.fillna(typical) ** 2 + typical**2)
    return weight / weight.mean()
