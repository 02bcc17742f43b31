"""The figure of the additivity report: drift, sums beside wholes, errors of sums, intervals."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from latpred.estimation.summary import FAIR, GOOD
from latpred.report.additivity import AdditivityReport, Points

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which most colour-blind people tell apart."""

_SUMS = {"as_stored": "as stored", "scaled": "scaled to the networks"}
_MOST_NAMED = 6
"""Sessions that a legend has room for."""

_ROOM = 0.2
"""What a legend needs above the data, as a fraction of their range."""

_BINS = 40
_OUTER = 0.005
"""Share of the errors on each side that the histogram may put into its last bar, so that a few do not flatten it."""


def additivity_figure(report: AdditivityReport, points: Points) -> Figure:
    """Draw a report in four panels."""
    figure = Figure(figsize=(12, 9), dpi=150, layout="constrained")
    panels: tuple[Callable[[Axes, AdditivityReport, Points], None], ...] = (_drift, _sums, _errors, _intervals)
    for axes, draw in zip(figure.subplots(2, 2).flat, panels, strict=True):
        draw(axes, report, points)
    figure.suptitle(f"{report.metric} of {report.space} on {report.device}, version {report.dataset_version}")
    return figure


def _drift(axes: Axes, report: AdditivityReport, points: Points) -> None:
    sessions = list(points.runs.groupby("session_id"))
    longest = max((runs["started_at"].max() - runs["started_at"].min()).total_seconds() for _, runs in sessions)
    unit, seconds = ("min", 60) if longest > 120 else ("s", 1)
    for (session_id, runs), color in zip(sessions, cycle(_COLORS), strict=False):
        elapsed = (runs["started_at"] - runs["started_at"].min()).dt.total_seconds() / seconds
        axes.plot(elapsed, 100 * runs["drift"], color=color, linewidth=0.8, label=str(session_id))
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel=f"time since the session began, {unit}", ylabel="slower than the quiet machine, %")
    axes.set_title("drift" if len(sessions) == 1 else f"drift of {len(sessions)} sessions")
    if len(sessions) <= _MOST_NAMED:
        _leave_room(axes)
        axes.legend(loc="upper right", fontsize="small")


def _sums(axes: Axes, report: AdditivityReport, points: Points) -> None:
    axes.set_title("blocks of a network and the whole, the same runs")
    known = points.networks.dropna(subset=["estimate", "block_sum"])
    if known.empty:
        _say(axes, "no run has the values of all of its blocks")
        return
    ends = [known[["estimate", "block_sum"]].min().min(), known[["estimate", "block_sum"]].max().max()]
    axes.plot(ends, ends, color="black", linewidth=0.8, label="equal")
    axes.scatter(known["estimate"], known["block_sum"], s=14, alpha=0.7, color=_COLORS[0], label="network")
    axes.set(xlabel=f"estimate of the network, {points.unit}", ylabel=f"sum of its blocks + overhead, {points.unit}")
    axes.legend(loc="upper left")


def _errors(axes: Axes, report: AdditivityReport, points: Points) -> None:
    axes.set_title("sum of the blocks' means in other networks")
    errors = {name: 100 * (points.networks[name] / points.networks["estimate"] - 1).dropna() for name in _SUMS}
    everything = pd.concat(list(errors.values()))
    if everything.empty:
        _say(axes, "no network consists of blocks that other networks have values of")
        return
    low, high = everything.quantile([_OUTER, 1 - _OUTER])
    edges = np.linspace(min(low, 0.0), max(high, 0.0) + 1e-9, _BINS + 1)
    for (name, error), color in zip(errors.items(), _COLORS, strict=False):
        label = f"{_SUMS[name]} (median {error.median():+.1f} %)"
        axes.hist(error.clip(edges[0], edges[-1]), edges.tolist(), color=color, alpha=0.55, label=label)
    axes.axvline(0, color="black", linewidth=0.8)
    _leave_room(axes)
    if (noise := report.noise.label_noise_median) is not None:
        axes.axvspan(-100 * noise, 100 * noise, color="black", alpha=0.12, label=f"label noise, {100 * noise:.1f} %")
    axes.set(xlabel="sum / estimate of the network - 1, %", ylabel="networks")
    axes.legend(loc="upper left", fontsize="small")


def _intervals(axes: Axes, report: AdditivityReport, points: Points) -> None:
    axes.set_title("how sure the networks' estimates are")
    widths: NDArray[np.float64] = np.sort(100 * points.networks["half_width"].to_numpy(np.float64))
    widths = widths[np.isfinite(widths)]
    if not len(widths):
        _say(axes, "no network has an interval: one run alone tells none")
        return
    axes.plot(np.arange(1, len(widths) + 1), widths, color=_COLORS[0], marker=".", linewidth=0.8)
    for limit, name, color, style in ((GOOD, "good", _COLORS[2], "--"), (FAIR, "fair", _COLORS[4], ":")):
        axes.axhline(100 * limit, color=color, linestyle=style, label=f"{name} up to {100 * limit:.0f} %")
    missing = len(points.networks) - len(widths)
    axes.set(xlabel="network, the surest first" + (f"; {missing} without an interval" if missing else ""))
    axes.set_ylabel("half-width of the 95 % interval, %")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")


def _leave_room(axes: Axes) -> None:
    """Make room above the data for the legend."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + _ROOM * (high - low))


def _say(axes: Axes, text: str) -> None:
    """Tell in an empty panel why it is."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def write_figure(figure: Figure, path: Path) -> None:
    """Write a PNG to `path`, which must not exist, so that nobody ever reads half of it.

    Raises:
        FileExistsError: If `path` exists; it is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            figure.savefig(file, format="png")
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        os.link(draft, path)  # unlike a rename, fails where something stands already
    finally:
        draft.unlink()
