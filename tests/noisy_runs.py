"""Runs of a made-up machine whose drift, bursts and preemption are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from latpred.estimation import RunColumns
from latpred.estimation.runs import Floats, Ints


@dataclass(frozen=True, eq=False)
class MadeUp:
    """Runs, and what is true of them."""

    runs: RunColumns
    level: Floats
    """Log of each network's value on the quiet machine, [networks]."""
    drift: Floats
    """Log of what the machine made of each run, [runs]."""


def columns(
    network: Sequence[int] | Ints,
    value: Sequence[float] | Floats,
    session: Sequence[int] | Ints | None = None,
    cpu_time: Sequence[float] | None = None,
    switches: Sequence[float] | None = None,
) -> RunColumns:
    """Return runs by hand; by default of one session, with CPU times and switches unknown."""
    unknown = np.full(len(value), np.nan)
    return RunColumns(
        np.asarray(network, dtype=np.int64),
        np.zeros(len(value), np.int64) if session is None else np.asarray(session, dtype=np.int64),
        np.asarray(value, dtype=np.float64),
        unknown if cpu_time is None else np.asarray(cpu_time, dtype=np.float64),
        unknown if switches is None else np.asarray(switches, dtype=np.float64),
    )


def made_up(
    networks: int, rounds: int, rng: np.random.Generator, *, noise: float = 0.01, drift: str = "none"
) -> MadeUp:
    """Return one session of rounds, each over all networks in random order.

    Args:
        networks: Their number; their values lie between 1 and 20.
        rounds: Runs of each.
        rng: Where all randomness comes from.
        noise: Standard deviation of the logs of runs around what network and machine make of them.
        drift: `none`; `slow`, half a wave of 20 % over the session; or `wild`: now and then the machine becomes 10 %
            faster or slower for good, a sixth of the runs lies in bursts of 10 to 40 runs that take 25 % longer, and
            besides it wanders.
    """
    level = rng.uniform(0, 3, networks)
    network = np.concatenate([rng.permutation(networks) for _ in range(rounds)])
    count = len(network)
    moved = np.zeros(count)
    if drift == "slow":
        moved = 0.2 * np.sin(np.pi * np.arange(count) / count)
    elif drift == "wild":
        moved = np.cumsum(0.002 * rng.standard_normal(count))
        for _ in range(count // 300):
            moved[rng.integers(count) :] += 0.1 * rng.choice([-1, 1])
        for start in rng.integers(count, size=count // 150):
            moved[start : start + rng.integers(10, 40)] += np.log(1.25)
    value = np.exp(level[network] + moved + noise * rng.standard_normal(count))
    return MadeUp(columns(network, value), level, moved)


def chosen(made: MadeUp, rows: np.ndarray, session: int = 0, factor: float = 1.0) -> RunColumns:
    """Return some of the runs as a session in which everything took `factor` times as long."""
    runs = made.runs.of(rows)
    return replace(runs, session=np.full(len(runs.value), session), value=factor * runs.value)


def together(*parts: RunColumns) -> RunColumns:
    """Return the runs of several sessions."""
    whole = parts[0]
    for part in parts[1:]:
        whole = RunColumns.joined(whole, part)
    return whole


def relative(found: Floats, true: Floats) -> Floats:
    """Return found minus true logs, without what they all differ by: the machine's level."""
    return found - true - np.median(found - true)
