"""Tables on the terminal; shares are fractions everywhere else and per cent here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from latpred.answers import Answer, Interval
from latpred.card import PredictorCard

if TYPE_CHECKING:  # they bring Lightning, for seconds of which `predict` has no use
    from latpred.report.choice import Choice
    from latpred.report.compare import Comparison

_COLUMNS = {
    "mape": "MAPE %",
    "rmspe": "RMSPE %",
    "within_1": "within 1 %",
    "within_5": "within 5 %",
    "within_10": "within 10 %",
    "spearman": "Spearman",
    "kendall": "Kendall",
    "coverage_90": "in 90 % interval",
    "width_90": "its width %",
}
_OF_INTERVALS = ("coverage_90", "width_90")
"""Only tests of calibrated predictors have them."""
_CORRELATIONS = ("spearman", "kendall")


def print_errors(rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print one line of metrics for each name; a metric that a row lacks stays empty."""
    table = Table(title="errors on held-out networks")
    table.add_column("")
    shown = _shown(rows.values())
    for metric in shown:
        table.add_column(_COLUMNS[metric], justify="right")
    for name, metrics in rows.items():
        table.add_row(name, *(_format(metric, metrics.get(metric)) for metric in shown))
    _console().print(table)


def _shown(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the metrics that have a column: those of intervals only where some row has them."""
    found = {name for row in rows for name in row}
    return [name for name in _COLUMNS if name not in _OF_INTERVALS or name in found]


def _format(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if metric in _CORRELATIONS else f"{100 * value:.2f}"


def print_answers(
    card: PredictorCard,
    architectures: Sequence[Any],
    answers: Sequence[Answer],
    intervals: Sequence[Interval] | None = None,
) -> None:
    """Print the predictions of architectures, given in JSON form, and their intervals if there are any."""
    table = Table(title=f"{card.metric} by '{card.predictor}' on {card.device}")
    table.add_column("architecture", overflow="fold")
    table.add_column(card.unit, justify="right")
    if intervals:
        table.add_column(f"{100 * intervals[0].coverage:g} % interval", justify="right")
    table.add_column("primitives")
    for i, (architecture, answer) in enumerate(zip(architectures, answers, strict=True)):
        bounds = [f"{intervals[i].lower:.3f} to {intervals[i].upper:.3f}"] if intervals else []
        table.add_row(_short(architecture), f"{answer.value:.3f}", *bounds, _coverage(answer))
    _console().print(table)


def _coverage(answer: Answer) -> str:
    if not answer.unmeasured:
        return "all measured" + (f"; far from the training networks ({answer.distance:.1f})" if answer.far else "")
    how = "estimated" if answer.estimated else "unmeasured"
    return f"{len(answer.unmeasured)} {how}: {'; '.join(str(primitive) for primitive in answer.unmeasured)}"


def _short(architecture: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(architecture, Mapping):
        return "  ".join(f"{key} {value}".replace(", ", ",") for key, value in architecture.items())
    return str(architecture)


def _console() -> Console:
    """Return a console as wide as the terminal, wide enough for whole lines where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def print_comparison(found: Comparison) -> None:
    """Print predictors side by side, with the noise of the labels and the constant answer."""
    noise = "unknown" if math.isnan(found.label_noise) else f"{100 * found.label_noise:.2f} %"
    table = Table(title=f"errors on {found.networks} held-out networks, label noise {noise}")
    table.add_column("", no_wrap=True)
    shown = _shown(row.metrics for row in found.rows)
    for title in (*(_COLUMNS[metric] for metric in shown), "val MAPE %", "us", "fit s"):
        table.add_column(title, justify="right")
    best = found.best
    for row in found.rows:
        numbers = [_format(metric, row.metrics.get(metric)) for metric in shown]
        numbers.append(_format("mape", row.val_mape))
        numbers += ["" if value is None else f"{value:.2f}" for value in (row.us_per_prediction, row.fit_seconds)]
        table.add_row(row.name, *numbers, style="bold" if row is best else "")
    _console().print(table)
    if found.uncovered:
        print(f"{found.uncovered} held-out networks left out: some predictor cannot answer for them")


def print_choice(found: Choice) -> None:
    """Print what became of each candidate, and which one was chosen."""
    table = Table(title=f"candidates on {found.networks} validation networks")
    table.add_column("")
    for title in ("MAPE %", "fit s"):
        table.add_column(title, justify="right")
    table.add_column("")
    for attempt in found.attempts:
        chosen = attempt.name == found.chosen.name
        words = ["chosen" if chosen else attempt.status, "stopped by the budget" if attempt.stopped else ""]
        told = "; ".join(word for word in (*words, attempt.reason) if word)
        spent = "" if attempt.seconds is None else f"{attempt.seconds:.1f}"
        style = "bold" if chosen else ""
        table.add_row(attempt.name, _format("mape", attempt.mape), spent, told, style=style)
    _console().print(table)
