"""How sure the values of a dataset are: the quality of its networks' estimates, the noise of its sessions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from latpred.dataset import Estimation

_POOREST = 5
"""Networks that are named."""

_FEW_RUNS = 5
_MANY = 0.2
"""Fraction of a network's runs from which their fault is a reason for its wide interval."""

_NOISIER, _NOISY = 2.0, 0.02
"""A session stands out whose noise is more than that many times the others', and more than that fraction."""

_SLOWER = 0.1
"""A session stands out that was slower than the others by more than that fraction."""


@dataclass(frozen=True, kw_only=True)
class PoorNetwork:
    """A network whose estimate is not good."""

    network_id: str
    quality: str
    half_width: float | None
    """Of the estimate's interval, a fraction; None where one run alone tells none."""
    runs: int
    outlying_runs: int
    preempted_runs: int
    why: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NetworkNoise:
    """How sure the networks' estimates are."""

    good: int
    """Networks, as in the next two."""
    fair: int
    poor: int
    half_width_median: float | None
    """Of the estimates' intervals, a fraction; None where most networks have none."""
    label_noise_median: float | None
    """Of `split_half_noise`, a fraction; None where no network has odd and even rounds, as below."""
    label_noise_mean: float | None
    poorest: tuple[PoorNetwork, ...]
    """The widest intervals of those that are not good, the widest first."""


@dataclass(frozen=True, kw_only=True)
class SessionNoise:
    """What a session was like; fractions but where a unit is in the name."""

    session_id: str
    runs: int
    preempted: float
    noise_before: float
    """Deviation of its runs from their networks' medians."""
    noise_after: float
    """Deviation of its runs from what network and drift explain."""
    window_runs: int
    """Neighbouring runs that its drift is taken from; 0 for one drift for the whole session."""
    window_s: float | None
    """How long so many runs take in the median; None without a window."""
    level: float
    """How much slower than the quiet machine it was."""
    swing: float
    """Range of its drift, without the highest and lowest twentieth."""
    stands_out: tuple[str, ...]
    """What is worse about it than about the others."""


def finite(value: float) -> float | None:
    """Return `value`, or None where it is no finite number because it cannot be told."""
    return float(value) if math.isfinite(value) else None


def network_noise(networks: pd.DataFrame, label_noise: pd.Series[float]) -> NetworkNoise:
    """Count the qualities, and find the poorest networks.

    Args:
        networks: As in `Estimation`.
        label_noise: From `split_half_noise`.
    """
    counts = networks["quality"].value_counts()
    doubtful = networks[networks["quality"] != "good"]
    poorest = doubtful.sort_values(["half_width", "network_id"], ascending=[False, True])
    return NetworkNoise(
        good=int(counts.get("good", 0)),
        fair=int(counts.get("fair", 0)),
        poor=int(counts.get("poor", 0)),
        half_width_median=finite(networks["half_width"].median()),
        label_noise_median=finite(label_noise.median()),
        label_noise_mean=finite(label_noise.mean()),
        poorest=tuple(_poor_network(row) for row in poorest.head(_POOREST).to_dict("records")),
    )


def _poor_network(row: dict[Any, Any]) -> PoorNetwork:
    runs, outlying, preempted = int(row["runs"]), int(row["outlying"]), int(row["preempted"])
    why = [f"few runs ({runs})"] if runs < _FEW_RUNS else []
    why += [f"{outlying} of {runs} runs outlying"] if outlying > _MANY * runs else []
    why += [f"{preempted} of {runs} runs preempted"] if preempted > _MANY * runs else []
    return PoorNetwork(
        network_id=row["network_id"],
        quality=row["quality"],
        half_width=finite(row["half_width"]),
        runs=runs,
        outlying_runs=outlying,
        preempted_runs=preempted,
        why=tuple(why) or ("its runs scatter",),
    )


def session_noise(estimation: Estimation) -> tuple[SessionNoise, ...]:
    """Describe each session, and say how it stands out from the others, if it does."""
    started = estimation.runs.groupby("session_id")["started_at"]
    found = []
    for place, row in enumerate(estimation.sessions.to_dict("records")):
        window = int(row["window"])
        found.append(
            SessionNoise(
                session_id=row["session_id"],
                runs=int(row["runs"]),
                preempted=float(row["preempted"]),
                noise_before=float(row["noise_before"]),
                noise_after=float(row["noise_after"]),
                window_runs=window,
                window_s=_window_s(started.get_group(row["session_id"]), window),
                level=float(row["level"]),
                swing=float(row["swing"]),
                stands_out=_stands_out(row, estimation.sessions.drop(index=place)),
            )
        )
    return tuple(found)


def _window_s(started: pd.Series[pd.Timestamp], window: int) -> float | None:
    """Return how long `window` runs take in the median, from the start of the first to that of the next one, s."""
    if not 0 < window < len(started):
        return None
    return started.diff(window).median().total_seconds()


def _stands_out(row: dict[Any, Any], others: pd.DataFrame) -> tuple[str, ...]:
    """Return what is worse about a session than about the others; a comparison with none is with NaN, and false."""
    remarks = []
    noise = others["noise_after"].median()
    if row["noise_after"] > _NOISY and row["noise_after"] > _NOISIER * noise:
        remarks.append(f"its noise is {100 * row['noise_after']:.1f} %, the others' {100 * noise:.1f} %")
    level = others.loc[others["group"] == row["group"], "level"].median()  # other groups' levels are not comparable
    slower = (1 + row["level"]) / (1 + level) - 1
    if slower > _SLOWER:
        remarks.append(f"it was {100 * slower:.0f} % slower than the others")
    return tuple(remarks)


def sessions_apart(sessions: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return the sessions that share no network with the others, together those that share some among themselves.

    The others are the largest group; where several are as large, all are returned.
    """
    groups = [tuple(members) for _, members in sessions.groupby("group")["session_id"]]
    largest = max((len(members) for members in groups), default=0)
    if sum(len(members) == largest for members in groups) > 1:
        return tuple(groups)
    return tuple(members for members in groups if len(members) < largest)
