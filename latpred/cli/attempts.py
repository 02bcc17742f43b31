"""Fits of run configurations, one after the other, in a time budget; what goes wrong stops none of the others."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from latpred.cli.fit import fit_predictor
from latpred.cli.parser import gist
from latpred.errors import ChainError, LatpredError, UnmeasuredError
from latpred.report.choice import Attempt


def fit_all(configs: Mapping[str, Path], shared: Sequence[str], budget: float) -> list[Attempt]:
    """Fit one candidate after the other, and print a line for each.

    No fit begins after the budget, and none goes on after it, but until one candidate is fitted: then there is always
    an answer.

    Args:
        configs: Run configurations by name.
        shared: Arguments of all fits.
        budget: s.
    """
    began, attempts = time.monotonic(), list[Attempt]()
    for name, config in configs.items():
        spent = time.monotonic() - began
        some = any(attempt.checkpoint is not None for attempt in attempts)
        if some and spent >= budget:
            reason = f"the budget of {budget:g} s was over after {spent:.1f} s"
            attempts.append(Attempt(name=name, config=str(config), status="not tried", reason=reason))
        else:
            attempts.append(attempt_fit(name, config, shared, budget - spent if some else math.inf))
        print(_line(attempts[-1]))
    return attempts


def attempt_fit(name: str, config: Path, shared: Sequence[str], left: float = math.inf) -> Attempt:
    """Fit one candidate in `left` seconds.

    A candidate that cannot be fitted to this dataset, by its chain or by what was not measured, counts as skipped; any
    other error is a failure.
    """
    began = time.monotonic()
    arguments = ["--config", str(config), *shared]
    if math.isfinite(left):
        left = max(1, int(left))  # Lightning counts whole seconds
        # It then stops at the next batch and validates once more, so there is a checkpoint to compare.
        arguments += ["--trainer.max_time", _clock(left)]
    attempt = Attempt(name=name, config=str(config), status="fitted")
    try:
        checkpoint = fit_predictor(arguments).checkpoint
    except (ChainError, UnmeasuredError) as error:
        return replace(attempt, status="skipped", reason=error.problem)
    except Exception as error:  # of a user's predictor, it may be any
        return replace(attempt, status="failed", reason=_reason(error), seconds=time.monotonic() - began)
    spent = time.monotonic() - began
    return replace(attempt, checkpoint=checkpoint, seconds=spent, stopped=spent >= left)


def _reason(error: Exception) -> str:
    if isinstance(error, LatpredError):
        return f"{error.where}: {error.problem}"
    return f"{type(error).__name__}: {gist(str(error))}"


def _clock(seconds: int) -> str:
    """Return a duration as Lightning reads it: DD:HH:MM:SS."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days:02}:{hour:02}:{minute:02}:{second:02}"


def _line(attempt: Attempt) -> str:
    took = "" if attempt.seconds is None else f" in {attempt.seconds:.1f} s"
    stopped = ", stopped by the budget" if attempt.stopped else ""
    return f"{attempt.name}: {attempt.status}{took}{stopped}{f', {attempt.reason}' if attempt.reason else ''}"
