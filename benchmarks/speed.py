"""How long one answer takes: an architecture at a time, and encodings in batches of 4,096, with an interval or without.

Beside it stand a plain Python dict sum and `torch.nn.LSTM` alone (hidden size 100, its best chunk). Everything runs on
one thread. Times are medians over repeats; the ratios are taken within each repeat, so that a machine that slows down
slows both sides.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import latpred

ROOT = Path(__file__).resolve().parents[1]
BATCH = 4096


def seconds(function: Callable[[], Any], calls: int) -> float:
    """Return the mean seconds of a call."""
    begin = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - begin) / calls


def bare_lstm(slots: int) -> Callable[[], None]:
    """Return a run of a batch through `torch.nn.LSTM` alone, in the chunks that are best here."""
    net, rows = torch.nn.LSTM(7, 100, batch_first=True), torch.randn(BATCH, slots, 7)

    def run(chunk: int) -> None:
        with torch.inference_mode():
            for begin in range(0, BATCH, chunk):
                net(rows[begin : begin + chunk])

    best = min((64, 128, 256, 512, 1024, BATCH), key=lambda chunk: min(seconds(lambda: run(chunk), 1) for _ in "abc"))
    return lambda: run(best)


def measure(path: Path, repeats: int) -> dict[str, float]:
    """Return the figures of one predictor: us per architecture, and ratios."""
    estimator = latpred.load(path, missing="nan")
    space, rng = estimator.space, Random(0)  # noqa: S311 - drawing architectures is no secret
    architectures = [space.sample(rng) for _ in range(BATCH)]
    ids = np.stack([space.encode(architecture) for architecture in architectures])
    # The reference: what a user would write with a dict of latencies and the architecture's primitives at hand.
    table = dict.fromkeys(space.vocabulary().primitives, 0.1)
    primitives = [space.primitives(architecture) for architecture in architectures[:256]]
    single = iter(architectures * repeats)
    listed = iter(primitives * 16 * repeats)

    recurrent = bare_lstm(space.slots) if estimator.card.predictor == "lstm" else None
    calls = 2 if recurrent else 20
    rows: dict[str, list[float]] = {}
    for _ in range(repeats):
        times = {
            "single": seconds(lambda: estimator(next(single)), 1000),
            "batch_ids": seconds(lambda: estimator.predict_ids(ids), calls) / BATCH,
            "batch_objects": seconds(lambda: estimator.predict_batch(architectures), 1) / BATCH,
            "dict_sum": seconds(lambda: sum(table[primitive] for primitive in next(listed)), 1000),
        }
        if estimator.card.calibration is not None:
            times["intervals"] = seconds(lambda: estimator.predict_interval_ids(ids), 2) / BATCH
        ratios = {f"{name}_to_dict_sum": times[name] / times["dict_sum"] for name in ("single", "batch_ids")}
        if recurrent:
            times["bare_lstm"] = seconds(recurrent, calls) / BATCH
            ratios["batch_ids_to_bare_lstm"] = times["batch_ids"] / times["bare_lstm"]
        for name, value in ({name: 1e6 * value for name, value in times.items()} | ratios).items():
            rows.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in rows.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("predictors", type=Path, nargs="*", help="exports; the shipped one if none is given")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = options.predictors or sorted((ROOT / "checkpoints").glob("*/*.ts"))
    figures = {path.stem: measure(path, options.repeats) for path in paths}
    columns = {
        "single": "architecture",
        "batch_ids": "ids in batches",
        "intervals": "with intervals",
        "batch_objects": "objects in batches",
        "dict_sum": "dict sum",
    }
    table = Table("predictor", *(f"{title}, us" for title in columns.values()))
    for name, row in figures.items():
        table.add_row(name, *(f"{row[key]:.2f}" if key in row else "" for key in columns))
    Console(width=120).print(table)
    for name, row in figures.items():
        ratios = [f"{key.replace('_', ' ')} {value:.3f}" for key, value in row.items() if "_to_" in key]
        print(f"{name}: {', '.join(ratios)}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
