"""How much each predictor of an ensemble counts: weights of relative errors on held-out networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

_REWEIGHTINGS = 10
_LEAST = 0.02
"""Weight below which a member is left out: it costs as much time as any other."""


def simplex_weights(errors: Floats, counts: Floats | None = None) -> Floats:
    """Return weights of members, [members], none negative, their sum 1, such that the weighted error is small.

    Minimised is Huber's loss of the weighted relative errors, by iterated least squares. A pull towards equal weights
    counts as much as one network for each member, so that few networks do not choose by chance; a member that then
    has next to no weight has none.

    Args:
        errors: Relative errors of each member, [networks, members], finite.
        counts: How much each network counts, [networks], positive; all alike if not given.
    """
    if 0 in errors.shape:
        raise ValueError(f"expected errors of networks and members, got the shape {list(errors.shape)}")
    counts = np.ones(len(errors)) if counts is None else counts
    kept = np.arange(errors.shape[1])
    weights = _solved(errors, counts)
    while weights.min() < _LEAST:
        kept = np.delete(kept, weights.argmin())
        weights = _solved(errors[:, kept], counts)
    found = np.zeros(errors.shape[1])
    found[kept] = weights
    return found


def _solved(errors: Floats, counts: Floats) -> Floats:
    members = errors.shape[1]
    # What one network of the best member is worth: the pull has the unit of the errors' squares.
    least = float(np.average(np.square(errors), axis=0, weights=counts).min())
    pull = np.sqrt(max(least, 1e-12) * counts.mean())
    robust, weights = np.ones(len(errors)), np.full(members, 1 / members)
    for _ in range(_REWEIGHTINGS):
        rows = np.concatenate([np.sqrt(counts * robust)[:, None] * errors, pull * np.eye(members)])
        weights = _on_simplex(rows)
        error = np.abs(errors @ weights)
        # Huber's 1.345 deviations, the deviation from the median absolute error (Huber 1981, section 7.8).
        bend = 1.345 * 1.4826 * max(float(np.median(error)), 1e-6)
        robust = np.minimum(bend / np.maximum(error, 1e-12), 1.0)
    return weights


def _on_simplex(rows: Floats) -> Floats:
    """Return the weights on the simplex with the least |rows @ weights|, [columns].

    With v the non-negative minimum of |rows @ v|^2 + (sum(v) - 1)^2, it is v / sum(v): both have the same
    Karush-Kuhn-Tucker conditions.
    """
    found = nnls(np.concatenate([rows, np.ones((1, rows.shape[1]))]), np.append(np.zeros(len(rows)), 1.0))[0]
    return np.asarray(found / found.sum(), dtype=np.float64)


def left_out_errors(errors: Floats, counts: Floats | None = None, *, folds: int = 10, seed: int = 0) -> Floats:
    """Return the weighted relative error of each network by weights that were fitted without it, [networks].

    Args:
        errors: Relative errors of each member, [networks, members], of at least two networks.
        counts: How much each network counts, [networks], positive; all alike if not given.
        folds: Parts of the networks that are left out in turn; fewer where there are fewer networks.
        seed: Of the parts.
    """
    networks = len(errors)
    if networks < 2:
        raise ValueError(f"expected errors of at least two networks, got {networks}")
    counts = np.ones(networks) if counts is None else counts
    left_out = np.empty(networks)
    for part in np.array_split(np.random.default_rng(seed).permutation(networks), min(folds, networks)):
        others = np.delete(np.arange(networks), part)
        left_out[part] = errors[part] @ simplex_weights(errors[others], counts[others])
    return left_out
