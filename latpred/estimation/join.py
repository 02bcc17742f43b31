"""Joining sessions: how much slower one was than another, told by the networks that both measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latpred.estimation.location import medians
from latpred.estimation.runs import Floats, Ints

PROCESS_EFFECT = 0.005
"""What a network's level differs by between two processes, besides noise, as a standard deviation: in each process
its weights lie elsewhere in memory. Measured with eager PyTorch and ONNX Runtime on networks of 1 to 10 ms."""

_TYPICAL_ERROR = 0.02
"""Standard error of a level where no session tells one, because each ran its networks once."""

_ITERATIONS = 5


@dataclass(frozen=True, eq=False)
class SessionLevels:
    """What one session alone says about its networks."""

    network: Ints
    """[its networks]"""
    level: Floats
    """Log values, [its networks]."""
    error: Floats
    """Their standard errors, [its networks]; NaN where unknown."""


@dataclass(frozen=True, eq=False)
class Joined:
    """How sessions relate to each other."""

    offsets: Floats
    """Log of how much slower each session was, [sessions]; comparable within a group only."""
    group: Ints
    """Sessions of one number share networks, directly or through others, [sessions]."""


def join(sessions: Sequence[SessionLevels], networks: int) -> Joined:
    """Find the offsets that make the sessions agree best about the networks that they share, robustly.

    Args:
        sessions: What each one says.
        networks: Number of networks.
    """
    count = len(sessions)
    session = np.repeat(np.arange(count), [len(found.network) for found in sessions])
    network = np.concatenate([found.network for found in sessions]) if sessions else np.zeros(0, np.int64)
    group = _groups(session, network, count, networks)
    if count < 2:
        return Joined(np.zeros(count), group)
    level = np.concatenate([found.level for found in sessions])
    error = np.concatenate([found.error for found in sessions])
    typical = np.nanmedian(error) if np.isfinite(error).any() else _TYPICAL_ERROR
    variance = np.where(np.isfinite(error), error, 2 * typical) ** 2 + PROCESS_EFFECT**2
    offsets, weight = np.zeros(count), 1 / variance
    for _ in range(_ITERATIONS):
        offsets = _solve(session, network, level, weight, (count, networks))
        missed = level - offsets[session]
        missed -= medians(network, missed, networks)[network]
        weight = 5 / (4 + missed**2 / variance) / variance  # Student's t: a network that changed does not pull
    return Joined(offsets, group)


def _solve(session: Ints, network: Ints, level: Floats, weight: Floats, shape: tuple[int, int]) -> Floats:
    """Return the offsets of weighted least squares, the networks' own levels eliminated; least norm, so unique."""
    sessions, networks = shape
    share = np.zeros((sessions, networks))
    np.add.at(share, (session, network), weight)
    values = np.zeros((sessions, networks))
    np.add.at(values, (session, network), weight * level)
    total = np.maximum(share.sum(axis=0), np.finfo(float).tiny)
    matrix = np.diag(share.sum(axis=1)) - share / total @ share.T
    right = values.sum(axis=1) - share / total @ values.sum(axis=0)
    return np.linalg.lstsq(matrix, right, rcond=1e-9)[0]


def _groups(session: Ints, network: Ints, sessions: int, networks: int) -> Ints:
    """Number the connected parts of the graph of sessions and networks, by the lowest session in each."""
    of_session, of_network = np.arange(sessions), np.full(networks, sessions)
    while True:
        np.minimum.at(of_network, network, of_session[session])
        lower = of_session.copy()
        np.minimum.at(lower, session, of_network[network])
        if np.array_equal(lower, of_session):
            return of_session
        of_session = lower
