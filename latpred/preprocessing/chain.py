"""The chain: the list of preprocessors in a run's configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import nn

from latpred.card import SUMMABLE_METRICS
from latpred.config import construct
from latpred.errors import ChainError
from latpred.preprocessing.block_sum import BlockSum
from latpred.preprocessing.block_table import BlockTable
from latpred.preprocessing.flatten import Flatten
from latpred.preprocessing.lstm_features import LSTMFeatures
from latpred.preprocessing.padding import Padding
from latpred.preprocessing.remove_anomaly import RemoveAnomaly
from latpred.preprocessing.step import NetStep, RowStep, Step, TrainingRows
from latpred.preprocessing.sum_features import ExtractSumFeatures

STEPS: Mapping[str, type[Step]] = MappingProxyType(
    {step.name: step for step in (BlockSum, Flatten, RemoveAnomaly, ExtractSumFeatures, Padding, LSTMFeatures)}
)
"""The preprocessors by their names in YAML."""

ALIASES = MappingProxyType({"extract_lstm_features": "lstm_features", "extrace_lstm_features": "lstm_features"})
"""Names of the reference system (its documentation misspells the second) and ours."""

WHERE = "data.preprocessors"

WORDS = MappingProxyType(
    {
        "runs": "runs",
        "blocks": "block values",
        "block_sum": "the sum of blocks",
        "clean_runs": "runs without anomalies",
        "block_rows": "one row per block",
        "sum_features": "the sum and number of blocks",
        "padded_blocks": "the padded list of block values",
        "lstm_features": "the features of each block",
    }
)
"""What the steps need and give, in words for a person."""


class Chain:
    """Preprocessors in order.

    Args:
        steps: Each a name, or a mapping of one name to the step's arguments: `[block_sum, {remove_anomaly:
            {tolerance: 0.2}}, flatten]`.

    Raises:
        ChainError: If a step is unknown or stands twice.
    """

    def __init__(self, steps: Sequence[str | Mapping[str, Any]]) -> None:
        if isinstance(steps, str) or not isinstance(steps, Sequence):
            raise ChainError(WHERE, f"expected a list of steps, found {steps!r}", "Write [block_sum, flatten], say")
        self.steps: tuple[Step, ...] = tuple(_step(entry) for entry in steps)
        names = [step.name for step in self.steps]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ChainError(WHERE, f"expected each step once, found {doubled[0]} twice", "Remove one of them")

    def check(self, predictor: str, needs: frozenset[str], legal: Sequence[Sequence[str]], metric: str) -> None:
        """Refuse a chain that cannot work, before anything is trained.

        Args:
            predictor: Name of the predictor that the chain feeds.
            needs: What the predictor needs from the chain.
            legal: The chains that the predictor's documentation lists.
            metric: What is predicted; block values of a peak cannot be summed.

        Raises:
            ChainError: Naming the step, what it lacks, and the legal chains.
        """
        remedy = f"Legal chains for {predictor}: " + " or ".join(map(_listed, legal))
        other_metric = f"Take one of the metrics {', '.join(SUMMABLE_METRICS)}"
        there = frozenset({"runs", "blocks"})
        ended: dict[str, str] = {}
        for step in self.steps:
            if "blocks" in step.needs and metric not in SUMMABLE_METRICS:
                problem = f"step '{step.name}' needs block values, but {metric} is a peak, which is no sum of blocks"
                raise ChainError(WHERE, problem, other_metric)
            if lacking := step.needs - there:
                before = sorted({f"'{ended[thing]}'" for thing in lacking if thing in ended})
                why = f"which end at {' and '.join(before)}" if before else "which nothing before it gives"
                raise ChainError(WHERE, f"step '{step.name}' needs {_words(lacking)}, {why}", remedy)
            there = (there | step.gives) - step.ends
            ended |= dict.fromkeys(step.ends, step.name)
        if lacking := needs - there:
            problem = f"predictor '{predictor}' needs {_words(lacking)}, which no step of {_listed(self.names)} gives"
            raise ChainError(WHERE, problem, remedy if metric in SUMMABLE_METRICS else other_metric)
        net_steps = [step for step in self.steps if isinstance(step, NetStep)]
        if net_steps and not net_steps[-1].gives & needs:
            found = f"but the last step that feeds it, '{net_steps[-1].name}', gives {_words(net_steps[-1].gives)}"
            raise ChainError(WHERE, f"predictor '{predictor}' needs {_words(needs)}, {found}", remedy)

    @property
    def names(self) -> list[str]:
        """The names of the steps in order."""
        return [step.name for step in self.steps]

    def clean(self, rows: TrainingRows) -> TrainingRows:
        """Return what the row steps make of the training rows."""
        for step in self.steps:
            if isinstance(step, RowStep):
                rows = step(rows)
        return rows

    def front(self, table: BlockTable) -> nn.Module:
        """Return the module of the last net step, the front of a net: ids [batch, slots] to features.

        Raises:
            ChainError: If the chain has no net step.
        """
        for step in reversed(self.steps):
            if isinstance(step, NetStep):
                return step.front(table)
        net_steps = ", ".join(name for name, step in STEPS.items() if issubclass(step, NetStep))
        raise ChainError(WHERE, f"expected one of the steps {net_steps}, found {_listed(self.names)}", "Add it")


def _step(entry: str | Mapping[str, Any]) -> Step:
    """Build one step of the configuration."""
    if isinstance(entry, Mapping):
        if len(entry) != 1:
            raise ChainError(WHERE, f"expected a step's name with its arguments, found {dict(entry)}", "Mend the list")
        name, arguments = next(iter(entry.items()))
    else:
        name, arguments = entry, {}
    name = ALIASES.get(name, name) if isinstance(name, str) else name
    if not isinstance(name, str) or name not in STEPS:
        raise ChainError(WHERE, f"unknown step '{name}', expected one of {', '.join(sorted(STEPS))}", "Mend the name")
    if not isinstance(arguments, Mapping | None):
        problem = f"expected a mapping of arguments, found {arguments!r}"
        raise ChainError(f"{WHERE}.{name}", problem, f"Write {name}: {{argument: value}}")
    return construct(STEPS[name], arguments or {}, f"{WHERE}.{name}")


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(names)}]"


def _words(things: frozenset[str] | set[str]) -> str:
    return " and ".join(WORDS.get(thing, thing) for thing in sorted(things))
