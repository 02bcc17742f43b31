"""Which of several fitted predictors to take, and why: their errors on the same validation networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latpred.models.weighting import left_out_errors

Floats = NDArray[np.float64]
Status = Literal["fitted", "skipped", "failed", "not tried", "not taken"]

MIN_NETWORKS = 10
"""Fewest validation networks that an ensemble's weights are tried on."""

_ANSWERS = 0.9
"""Of the validation networks that some predictor answers for: one that answers for fewer is not compared."""
_CLEARLY = 2.0
"""Standard errors by which an ensemble must be better: it costs what its members cost together."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of one candidate."""

    name: str
    config: str
    """Its run configuration."""
    status: Status
    reason: str = ""
    """Why it has that status, a sentence without its full stop."""
    checkpoint: Path | None = None
    seconds: float | None = None
    """That its fit took, with the reading of the data."""
    mape: float | None = None
    """On the validation networks of the comparison, a fraction; an ensemble's by weights that have not seen them."""
    stopped: bool = False
    """Whether the budget ended its fit."""

    def to_json(self) -> dict[str, Any]:
        """Return the plain form, with null for what there is not."""
        return asdict(self) | {"checkpoint": None if self.checkpoint is None else str(self.checkpoint)}


class Choice(NamedTuple):
    """Which candidate is best on the validation networks, or which ones are together."""

    attempts: tuple[Attempt, ...]
    """As given, those that were compared with their errors and reasons."""
    chosen: Attempt
    """The best one alone, until an ensemble of the members is fitted."""
    members: tuple[Attempt, ...]
    """One that is best alone, or the members of an ensemble that is clearly better; the best one first."""
    networks: int
    """Validation networks that all compared predictors answer for."""
    left_out: float | None
    """MAPE of the ensemble by weights that were fitted without each network; None if it was not tried."""
    reason: str
    """Why the ensemble was taken or not, a sentence without its full stop; empty if it was not tried."""


def choose(attempts: Sequence[Attempt], errors: Sequence[Floats | None], counts: Floats, *, ensemble: bool) -> Choice:
    """Choose by the mean absolute relative error on validation networks.

    An ensemble is tried by cross-validation over these networks, and taken if its advantage over the best predictor is
    more than two of its standard errors: then it is no chance, and the weights did not see what they are judged by.

    Args:
        attempts: All candidates, some of them fitted.
        errors: Relative errors of each, [networks]; NaN for a network that it cannot answer for, None if not fitted.
        counts: How much each network counts in the weights of an ensemble, [networks], positive.
        ensemble: Whether to try one.

    Raises:
        ValueError: If none was fitted, or none can answer for any network.
    """
    compared = _comparable(errors)
    if not compared:
        raise ValueError("expected at least one fitted candidate, found none")
    table = np.stack(list(compared.values()), axis=1)
    rows: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(table), axis=1)
    table, places = table[rows], list(compared)
    order = np.abs(table).mean(0).argsort(kind="stable").tolist()
    best = order[0]
    told = [_uncompared(*pair) for pair in zip(attempts, errors, strict=True)]
    for j in order:
        told[places[j]] = _placed(attempts[places[j]], table[:, j], table[:, best], attempts[places[best]].name)
    chosen = told[places[best]]
    found = Choice(tuple(told), chosen, (chosen,), len(table), None, "")
    if not ensemble or len(order) < 2 or len(table) < MIN_NETWORKS or not chosen.mape:
        return found
    left_out = np.abs(left_out_errors(table, counts[rows]))
    clearly, reason = _judge(np.abs(table[:, best]), left_out, chosen.name)
    members = tuple(told[places[j]] for j in order) if clearly else found.members
    return found._replace(members=members, left_out=float(left_out.mean()), reason=reason)


def _comparable(errors: Sequence[Floats | None]) -> dict[int, Floats]:
    """Return the errors, by place, of those that answer for nearly as many networks as the one with the most."""
    fitted = {i: error for i, error in enumerate(errors) if error is not None}
    answered = {i: int(np.isfinite(error).sum()) for i, error in fitted.items()}
    most = max(answered.values(), default=0)
    return {i: error for i, error in fitted.items() if answered[i] >= _ANSWERS * most > 0}


def _uncompared(attempt: Attempt, errors: Floats | None) -> Attempt:
    """Return an attempt that answers for too few networks, with the reason; one without errors as it is."""
    if errors is None:
        return attempt
    answered = f"not compared: answers for {int(np.isfinite(errors).sum())} of {len(errors)} validation networks"
    return replace(attempt, reason=answered)


def _placed(attempt: Attempt, errors: Floats, best: Floats, best_name: str) -> Attempt:
    """Return an attempt with its error, and how it stands to the best."""
    mape, least = float(np.abs(errors).mean()), float(np.abs(best).mean())
    reason = f"{mape / least:.2f} times the error of {best_name}" if least else f"{best_name} has no error at all"
    if attempt.name == best_name:
        reason = "the least error of one predictor"
    return replace(attempt, mape=mape, reason=reason)


def _judge(alone: Floats, left_out: Floats, best: str) -> tuple[bool, str]:
    """Return whether the ensemble's errors are clearly smaller than those of the best predictor, and a sentence."""
    gain = alone - left_out
    error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    clearly = bool(gain.mean() > _CLEARLY * error)
    share, unsure = 100 * gain.mean() / alone.mean(), 100 * error / alone.mean()
    amount = f"{abs(share):.1f} % {'less' if share > 0 else 'more'} error than {best}, standard error {unsure:.1f} %"
    return clearly, amount if clearly else f"not clearly better: {amount}"
