"""The joint fit: log value = log level of the network + drift of the machine + noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latpred.estimation.drift import choose_window, median_of_others, running_median
from latpred.estimation.join import SessionLevels, join
from latpred.estimation.location import deviation, medians, noise, robust_means, standard_errors
from latpred.estimation.runs import Flags, Floats, Ints, RunColumns
from latpred.estimation.stretches import stretches

_WITHIN_ITERATIONS, _TOGETHER_ITERATIONS = 6, 6
_CHOOSE_AT = (0, 3)
"""Iterations that choose the window: first with rough levels of the networks, then with better ones."""

_LEAST_SCALE = 1e-6
"""Stands for no noise at all, as values have that were typed in or made up."""

_ENOUGH = 30
"""Runs of a kind from which the scale of its noise can be told."""

_SMOOTH = 61
"""Neighbouring runs that tell how quiet the machine was, a tenth of a session at most."""

_QUIET = 0.1
"""The machine counts as quiet at the level that it is below in a tenth of its runs."""


@dataclass(frozen=True, eq=False)
class JointFit:
    """What the runs say about the networks and about the machine."""

    level: Floats
    """Log of each network's value on the quiet machine, [networks]; NaN without runs."""
    error: Floats
    """Standard error of `level`, [networks]; NaN where fewer than two runs tell none. That of the offsets between
    sessions is not in it: it moves all networks of a session together."""
    drift: Floats
    """Log of what the machine did to each run, [runs]; 0 = quiet."""
    missed: Floats
    """Log of what neither level nor drift explains, [runs]."""
    weight: Floats
    """How much each run counts beside one that fits exactly, [runs], from 0 to 1."""
    windows: tuple[int | None, ...]
    """Neighbouring runs that the drift is the median of, [sessions]; None for one drift for a whole session. Of a
    session in stretches, that of the first."""
    group: Ints
    """Sessions of one number measured networks in common, directly or through others, [sessions]."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Runs as the fit sees them."""

    network: Ints
    value: Floats
    """Logs of the networks' own times."""
    preempted: Flags
    networks: int

    @cached_property
    def count(self) -> Ints:
        """How many runs the network of each run has, [runs]."""
        return np.bincount(self.network, minlength=self.networks)[self.network]

    def left(self, level: Floats) -> Floats:
        """Return what the machine made of each run, [runs]; NaN for a single run, which says nothing about it."""
        return np.where(self.count > 1, self.value - level[self.network], np.nan)

    def located(self, drift: Floats, start: Floats) -> tuple[Floats, Floats]:
        """Return the networks' levels without the drift, [networks], and the weight of each run."""
        free = self.value - drift
        start = np.where(np.isnan(start), medians(self.network, free, self.networks), start)
        return robust_means(self.network, free, self.scales(free - start[self.network]), start)

    def scales(self, missed: Floats) -> Floats:
        """Return the scale of each run's noise, [runs], from what levels and drift miss of it.

        Preempted runs have their own: CPU time leaves out the waiting, and not what it did to the caches.
        """
        found = noise(self.network, missed)
        scales = np.full(len(missed), deviation(found))
        for kind in (self.preempted, ~self.preempted):
            if np.isfinite(found[kind]).sum() >= _ENOUGH:
                scales[kind] = deviation(found[kind])
        return np.fmax(scales, _LEAST_SCALE)


def fit(runs: RunColumns, networks: int, *, drifting: bool = True) -> JointFit:
    """Fit levels and drift to runs.

    The drift of a session is the running median of what is left of its runs without their networks, over a window
    that is chosen from these runs; levels are robust means of what is left without the drift; the two alternate.
    Sessions, and stretches of a session that measured other networks, are joined through the networks that they
    share. Levels are not shrunk towards each other.

    Args:
        runs: What was measured.
        networks: Their number.
        drifting: Whether the machine changes the values at all; a network's memory stays what it is.
    """
    rows = _Rows(runs.network, np.log(runs.own_time()), runs.preempted, networks)
    stretch = stretches(runs.network, runs.session)
    places = [np.flatnonzero(stretch == number) for number in range(int(stretch.max(initial=-1)) + 1)]
    drift, windows, found = np.zeros(len(rows.value)), list[int | None](), list[SessionLevels]()
    for place in places:
        drift[place], window, levels = _within(rows, place, drifting=drifting)
        windows.append(window)
        found.append(levels)
    joined = join(found, networks)
    if drifting and len(places) > 1:
        drift += joined.offsets[stretch]
        _together(rows, places, windows, drift)
    level, weights = rows.located(drift, np.full(networks, np.nan))
    missed = _missed(rows, places, windows, level, drift)
    error = standard_errors(rows.network, missed, rows.scales(missed), weights, networks)
    quiet = _quiet_levels(drift, places, joined.group)
    level += medians(rows.network, quiet, networks)
    first = np.unique(runs.session, return_index=True)[1]
    begin = np.array([place[0] for place in places], np.int64)
    group = runs.session[begin[joined.group[stretch[first]]]]
    return JointFit(level, error, drift - quiet, missed, weights, tuple(windows[i] for i in stretch[first]), group)


def _within(rows: _Rows, place: Ints, *, drifting: bool) -> tuple[Floats, int | None, SessionLevels]:
    """Fit one session by itself: the drift of its runs, its window, its levels with their errors."""
    codes, network = np.unique(rows.network[place], return_inverse=True)
    own = _Rows(network, rows.value[place], rows.preempted[place], len(codes))
    level, drift, window = medians(network, own.value, len(codes)), np.zeros(len(place)), None
    weights = np.ones(len(place))
    for iteration in range(_WITHIN_ITERATIONS):
        left = own.left(level)
        if drifting and iteration in _CHOOSE_AT:
            window = choose_window(left)
        if drifting:
            drift = running_median(left, window)
        level, weights = own.located(drift, level)
    missed = _missed(own, [np.arange(len(place))], [window], level, drift)
    error = standard_errors(network, missed, own.scales(missed), weights, len(codes))
    return drift, window, SessionLevels(codes, level, error)


def _together(rows: _Rows, places: Sequence[Ints], windows: list[int | None], drift: Floats) -> None:
    """Let all sessions tell the levels, and the levels each session's drift; changes `windows` and `drift`."""
    level = np.full(rows.networks, np.nan)
    for iteration in range(_TOGETHER_ITERATIONS):
        level, _weights = rows.located(drift, level)
        left = rows.left(level)
        for session, place in enumerate(places):
            if iteration == 0 and windows[session] is None:  # a session of single runs knows none by itself
                windows[session] = choose_window(left[place])
            drift[place] = running_median(left[place], windows[session])


def _missed(rows: _Rows, places: Sequence[Ints], windows: Sequence[int | None], level: Floats, drift: Floats) -> Floats:
    """Return what neither the level nor the drift, as the neighbouring runs tell it, explains of each run."""
    left = rows.left(level)
    around = drift.copy()
    for place, window in zip(places, windows, strict=True):
        if window is not None:
            around[place] = median_of_others(left[place], window)
    return np.where(rows.count > 1, left - around, 0.0)


def _quiet_levels(drift: Floats, places: Sequence[Ints], group: Ints) -> Floats:
    """Return the drift of the quiet machine, for each run that of the sessions that its own is joined to, [runs].

    It is taken from a smoothed drift: a short window follows noise, and the low tenth of noise is no quiet machine.
    """
    smooth, quiet = np.zeros(len(drift)), np.zeros(len(drift))
    for place in places:
        smooth[place] = running_median(drift[place], min(_SMOOTH, len(place) // 10 | 1))
    for number in np.unique(group):
        members = np.concatenate([place for place, own in zip(places, group, strict=True) if own == number])
        if len(members):
            quiet[members] = np.quantile(smooth[members], _QUIET)
    return quiet
