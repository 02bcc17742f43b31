"""The numbers behind a table that is learned from whole networks: what each primitive must cost for the sums to fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

_LEAST_GUESS = 0.05
"""Of the mean guess: a primitive that is guessed at nothing could not become anything."""
_LEAST = 0.01
"""Of its guess: what a primitive costs at least, so that its logarithm exists."""
_STRENGTHS = np.logspace(-10, 2, 25)
"""Of the ridge, as shares of the largest eigenvalue; the lowest is for labels without any noise."""
_QUICKEST = 0.1
"""Of the median network: quicker ones count as if they were as slow as that. On a phone, the 2 % of NAS-Bench-201 of
which a compiler leaves nothing took a thousandth of the others, and their relative errors hid those of all others."""
_REWEIGHTINGS = 3
_PIVOTS = 50


def fit_additive(counts: Floats, value: Floats, weight: Floats, cost: Floats) -> Floats:
    """Return what each primitive costs, positive, such that the sums are near the networks' values.

    A ridge regression on how often each primitive occurs, of relative errors. It does not pull towards 0 but towards
    a guess from what the primitives cost in FLOPs, parameters and bytes: with 100 networks of FBNet's space, the
    error of networks that were not seen is half or a third of what plain non-negative least squares leaves, and with
    900 it is the same or less. The guess also decides what nothing else tells, such as how much of a constant sum is
    the stem's. The ridge's strength is that of the least error on networks left out, and Huber's weights, found by
    iteration, keep outliers from pulling.

    Args:
        counts: How often each primitive occurs in each network, [networks, primitives]; each does somewhere.
        value: Of the networks, [networks], positive.
        weight: How much each network counts, [networks], positive.
        cost: Of the primitives, [primitives, costs], positive.

    Returns:
        [primitives], in the unit of `value`.
    """
    rows = counts / value[:, None]
    weight = weight * np.minimum(value / (_QUICKEST * np.median(value)), 1.0) ** 2
    guess = _guess(rows, weight, cost)
    robust = np.ones_like(value)
    for _ in range(_REWEIGHTINGS + 1):
        root = np.sqrt(weight * robust)
        design, target = root[:, None] * rows * guess, root * (1 - rows @ guess)
        ridge = _ridge(design, target)
        # Huber's 1.345 deviations, the deviation from the median absolute error (Huber 1981, section 7.8).
        error = np.abs(ridge.left_out) / root
        bend = 1.345 * 1.4826 * max(float(np.median(error)), 1e-6)
        robust = np.minimum(bend / np.maximum(error, 1e-12), 1.0)
    return guess * (1 + _bounded(design, target, ridge.strength, _LEAST - 1))


def _guess(rows: Floats, weight: Floats, cost: Floats) -> Floats:
    """Return what each primitive may cost, positive: so much a primitive, and so much for each kind of cost.

    Args:
        rows: Counts over values, [networks, primitives].
        weight: Of the networks, [networks].
        cost: Of the primitives, [primitives, costs], positive.
    """
    kinds = np.column_stack([np.ones(len(cost)), cost])
    root = np.sqrt(weight)
    guess = kinds @ nnls(root[:, None] * (rows @ kinds), root)[0]
    return np.maximum(guess, _LEAST_GUESS * guess.mean())


class _Ridge(NamedTuple):
    strength: float
    """What is added to the squares."""
    left_out: Floats
    """The error of each row by the fit to all others, [rows]."""


def _ridge(design: Floats, target: Floats) -> _Ridge:
    """Choose the strength of a ridge regression by the errors of the rows left out, one at a time."""
    # Either side has the same eigenvalues: the smaller one is quicker.
    if design.shape[1] <= design.shape[0]:
        squares, vectors = np.linalg.eigh(design.T @ design)
        scores = design @ vectors  # [rows, values]: its squares over the eigenvalues are those of the left vectors
        kept = squares > squares[-1] * np.finfo(np.float64).eps * len(squares)
        squares, left = squares[kept], scores[:, kept] / np.sqrt(squares[kept])
    else:
        squares, left = np.linalg.eigh(design @ design.T)
        squares = np.maximum(squares, 0.0)
    along = left.T @ target
    best: _Ridge | None = None
    for strength in _STRENGTHS * squares[-1]:
        shrunk = squares / (squares + strength)
        own = (left**2) @ shrunk
        left_out = (target - left @ (shrunk * along)) / np.maximum(1 - own, 1e-9)
        if best is None or np.square(left_out).sum() < np.square(best.left_out).sum():
            best = _Ridge(float(strength), left_out)
    if best is None:
        raise ValueError("a ridge needs a strength to choose from")
    return best


def _bounded(design: Floats, target: Floats, strength: float, least: float) -> Floats:
    """Return the ridge regression of which no coefficient is below `least`, [columns].

    What would be below is held at the bound, and let go again where that would help, until nothing changes.
    """
    free = np.ones(design.shape[1], dtype=bool)
    solution = np.full(design.shape[1], least)
    for _ in range(_PIVOTS):
        solution[~free] = least
        rest = target - design[:, ~free].sum(1) * least
        solution[free] = _solve(design[:, free], rest, strength)
        slope = design.T @ (design @ solution - target) + strength * solution
        below = free & (solution < least)
        helps = ~free & (slope < -1e-9 * np.abs(slope).max())
        if not below.any() and not helps.any():
            break
        free = (free & ~below) | helps
    return np.maximum(solution, least)


def _solve(design: Floats, target: Floats, strength: float) -> Floats:
    """Return the coefficients of a ridge regression, [columns]."""
    rows, columns = design.shape
    if columns <= rows:
        solution = np.linalg.solve(design.T @ design + strength * np.eye(columns), design.T @ target)
    else:
        solution = design.T @ np.linalg.solve(design @ design.T + strength * np.eye(rows), target)
    return np.asarray(solution, dtype=np.float64)
