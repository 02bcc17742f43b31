"""Measure, fit, choose, until the error is small enough: a device at hand, whoever measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from latpred.errors import ProfilingError, UsageError
from latpred.network import Network
from latpred.transfer.choice import choose_networks
from latpred.transfer.measured import MeasuredDevice
from latpred.transfer.sources import FittedSources
from latpred.transfer.threads import one_thread

HELD_OUT = 10
"""Random networks that are measured first, and that nothing is fitted to."""
BATCH = 5
"""Networks that are chosen and measured between two fits."""
CONFIDENCE = 0.9
"""Of the bound on the error."""
_FEWEST_HELD_OUT = 3
_REPLAYS = 5
_MOST_CHOSEN = 300

Measure = Callable[[Sequence[Network], float], MeasuredDevice]
"""Measures networks, within some seconds, and returns all that is known of the device then."""


class Step(NamedTuple):
    """One fit of the loop."""

    networks: int
    """That were fitted to."""
    error: float
    """Mean absolute relative error on the networks held out, a fraction."""
    bound: float
    """What the error on networks like these is below, with 90 % confidence."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the loop came to."""

    curve: tuple[Step, ...]
    random: tuple[tuple[int, float], ...]
    """The error from so many of the measured networks, drawn at random, for each step but the last."""
    reached: bool
    why: str
    """Why it ended, in words."""

    def random_needed(self) -> float | None:
        """Return how many random networks would have given the last error; None if that cannot be told.

        The errors from random halves, or fewer, of the measured networks are continued as a power of their number.
        """
        last = self.curve[-1]
        used = [(count, error) for count, error in self.random if count <= last.networks / 2 + BATCH]
        if len(used) < 2:
            return None
        counts, errors = np.log(np.array(used)).T
        slope, level = np.polyfit(counts, errors, 1)
        if slope >= 0:
            return None
        return float(np.exp((np.log(last.error) - level) / slope))


def error_bound(errors: Tensor) -> tuple[float, float]:
    """Return the mean of absolute relative errors, [networks], and an upper bound of it with CONFIDENCE.

    The bound is that of Student's t on the mean; the loop looks at it after each batch, so that it is a little too
    small where the loop stops.
    """
    size = errors.abs()
    mean, deviation = float(size.mean()), float(size.std())
    return mean, mean + float(stdtrit(len(size) - 1, CONFIDENCE)) * deviation / len(size) ** 0.5


def measure_until(
    sources: FittedSources,
    candidates: Sequence[Network],
    measure: Measure,
    *,
    target: float,
    budget_s: float,
    tell: Callable[[Step], None],
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Measure chosen candidates in batches until the bound on the error is at most `target`.

    Args:
        sources: What is known of other devices; there may be none.
        candidates: Distinct architectures that may be measured.
        measure: Measures some of them.
        target: The error that is good enough, a fraction.
        budget_s: Seconds after which no batch begins.
        tell: Called with each step.
        clock: Tells the time, s.

    Raises:
        UsageError: If there are too few candidates.
        ProfilingError: If too few of the held-out networks could be measured.
    """
    if len(candidates) < HELD_OUT + BATCH:
        problem = f"expected at least {HELD_OUT + BATCH} sampled architectures to choose from, found {len(candidates)}"
        raise UsageError("--select", problem, "Draw more: `latpred genprof --num-sample 400`")
    began = clock()
    order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(sources.seed)).tolist()
    held_out = [candidates[i] for i in order[:HELD_OUT]]
    others = [candidates[i] for i in sorted(order[HELD_OUT:])]
    ranked = choose_networks(sources, others, min(len(others), _MOST_CHOSEN))
    measure(held_out, budget_s)
    judge, curve = _Judge(sources, {network.network_id for network in held_out}), list[Step]()
    for first in range(0, len(ranked), BATCH):
        left = budget_s - (clock() - began)
        if curve and left <= 0:
            return judge.outcome(curve, reached=False, why="the budget ended")
        curve.append(judge.step(measure(ranked[first : first + BATCH], max(left, 1.0))))
        tell(curve[-1])
        if curve[-1].bound <= target:
            return judge.outcome(curve, reached=True, why="the bound is below what was asked for")
    return judge.outcome(curve, reached=False, why="all candidates are measured")


class _Judge:
    """Fits to what was chosen, and looks at what was held out.

    Args:
        sources: What is known of other devices.
        held_out: Ids of the networks to look at.
    """

    def __init__(self, sources: FittedSources, held_out: set[str]) -> None:
        self.sources, self.held_out = sources, held_out
        self.new: MeasuredDevice | None = None

    def step(self, new: MeasuredDevice) -> Step:
        """Fit to all that is measured, but the networks held out."""
        self.new = new
        chosen, out = self._rows(new)
        if len(out) < _FEWEST_HELD_OUT or not len(chosen):
            problem = f"expected at least {_FEWEST_HELD_OUT} held-out networks and 1 other to be measured"
            raise ProfilingError(str(new.path), f"{problem}, found {len(out)} and {len(chosen)}", "See why they failed")
        return Step(len(chosen), *error_bound(self._errors(new, chosen, out)))

    def outcome(self, curve: Sequence[Step], *, reached: bool, why: str) -> Outcome:
        """Replay the curve with random ones of the measured networks."""
        if self.new is None:
            raise ValueError("nothing was measured")
        chosen, out = self._rows(self.new)
        generator, random = torch.Generator().manual_seed(self.sources.seed), []
        for step in curve[:-1]:
            draws = [chosen[torch.randperm(len(chosen), generator=generator)[: step.networks]] for _ in range(_REPLAYS)]
            errors = [float(self._errors(self.new, rows, out).abs().mean()) for rows in draws]
            random.append((step.networks, float(np.mean(errors))))
        return Outcome(tuple(curve), tuple(random), reached, why)

    def _rows(self, new: MeasuredDevice) -> tuple[Tensor, Tensor]:
        """Return the places of the networks to fit to, and of those held out."""
        out = torch.tensor([network_id in self.held_out for network_id in new.network_ids], dtype=torch.bool)
        return (~out).nonzero()[:, 0], out.nonzero()[:, 0]

    @one_thread()
    def _errors(self, new: MeasuredDevice, chosen: Tensor, out: Tensor) -> Tensor:
        return self.sources.adapt(new.take(chosen)).mean(new.ids[out]) / new.latency[out] - 1
