"""How long regularized evolution takes with a predictor in its reward, and where the time goes.

Runs on one thread. The accuracy function returns a constant, so what is measured is the search besides it. The ratio
compares the whole search with calling the estimator alone, in a loop over the same architectures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import latpred
from latpred.search import (
    SOFT,
    AccuracyObjective,
    ContainerObjective,
    HardwareObjective,
    MnasnetObjective,
    RegularizedEvolution,
)

ROOT = Path(__file__).resolve().parents[1]


class Stopwatch:
    """Adds up the seconds inside one function."""

    def __init__(self, function: Callable[[Sequence[Any]], Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, architectures: Sequence[Any]) -> Any:  # noqa: ANN401 - what the function returns
        """Call the function."""
        begin = time.perf_counter()
        answer = self._function(architectures)
        self.seconds += time.perf_counter() - begin
        return answer


class Timed:
    """An estimator whose batches are timed."""

    def __init__(self, estimator: latpred.Estimator) -> None:
        self.stopwatch = Stopwatch(estimator.predict_batch)

    def predict_batch(self, architectures: Sequence[Any]) -> NDArray[Any]:
        """Return the estimator's predictions."""
        predictions: NDArray[Any] = self.stopwatch(architectures)
        return predictions


def measure(path: Path, evaluations: int, children: int) -> dict[str, float]:
    """Return seconds of one search: whole, in the predictor, in the evolution, and in the objectives around both."""
    estimator = latpred.load(path)
    predictor = Timed(estimator)
    accuracy, hardware = AccuracyObjective(lambda _: 0.75), HardwareObjective({"latency_ms": predictor})
    objective = ContainerObjective([accuracy, hardware, MnasnetObjective(10, *SOFT)], [0, 0, 0], [0, 0, 1])
    fitness = Stopwatch(objective.fitness)
    population = min(100, evaluations)
    evolution = RegularizedEvolution(
        evaluations=evaluations,
        population_size=population,
        sample_size=min(25, population),
        children_per_cycle=children,
    )
    begin = time.perf_counter()
    result = evolution.run(estimator.space, fitness, seed=0)
    whole = time.perf_counter() - begin
    architectures = [evaluation.architecture for evaluation in result.history]
    begin = time.perf_counter()
    for architecture in architectures:
        estimator(architecture)
    alone = time.perf_counter() - begin
    in_predictor = predictor.stopwatch.seconds
    return {
        "evaluations": evaluations,
        "children_per_cycle": children,
        "seconds": whole,
        "predictor_s": in_predictor,
        "evolution_s": whole - fitness.seconds,
        "rest_s": fitness.seconds - in_predictor,
        "estimator_alone_s": alone,
        "ratio_to_estimator_alone": whole / alone,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("predictor", type=Path, nargs="?", help="an export; the shipped table if none is given")
    parser.add_argument("--evaluations", type=int, default=20_000)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = [options.predictor] if options.predictor else sorted((ROOT / "checkpoints").glob("*/table.ts"))
    if not paths:
        raise SystemExit(f"expected a table.ts below {ROOT / 'checkpoints'}, found none: give the path of an export")
    # One child at a time is the paper's algorithm; twenty show what batches bring.
    rows = [measure(paths[0], options.evaluations, children) for children in (1, min(20, options.evaluations))]
    names = ("children_per_cycle", "seconds", "predictor_s", "evolution_s", "rest_s", "ratio_to_estimator_alone")
    title = f"{options.evaluations} evaluations, {paths[0].name}"
    table = Table(*(name.replace("_", " ") for name in names), title=title)
    for row in rows:
        table.add_row(str(row["children_per_cycle"]), *(f"{row[name]:.2f}" for name in names[1:]))
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps({"one": rows[0], "batches": rows[1]}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
