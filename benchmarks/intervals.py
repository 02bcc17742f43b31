"""Do intervals hold what they promise, and how wide are they beside those of crepes and MAPIE, on others' measurements.

    python benchmarks/intervals.py --data DIR [--predictor ridge|table|gp] [--json FILE] [--markdown FILE]

DIR holds the files of HELP (`fbnet/arch.pt`, `fbnet/latency/<device>.pt` and so on, as `latpred import help` reads
them). On each device, a predictor learns from 720 networks; then, 20 times, 180 others calibrate it and 4,000 further
ones are asked for. Beside the intervals stand those of crepes on the same predictions: standard, normalized by the
errors of the 25 nearest training networks, and Mondrian (three classes by the prediction); and, where MAPIE is
installed, its gamma scores and its normalized residuals.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from interval_methods import COVERAGE, PREDICTORS, Column, by_crepes, by_mapie, difficulties, encodings, ours
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from latpred.calibration import Calibration
from latpred.dataset.importers.help_files import read_help
from latpred.intervals import (
    calibrated_net,
    coverage_band,
    fit_domain,
    network_features,
)
from latpred.network import Network
from latpred.preprocessing import BlockSumNet, BlockTable
from latpred.shipped import shipped_config
from latpred.spaces import SearchSpace, load_space

SPACES: Mapping[str, str] = MappingProxyType(
    {"nasbench201": "nasbench201", "fbnet": "fbnet", "ofa": "ofa_mobilenet_v3"}
)
"""HELP's names, and the configurations of the spaces."""
TRAINING, CALIBRATING, ASKED, BATCH = 720, 180, 4000, 4096
RATIOS = ("ratio", "ratio_ms")


def device_row(
    space: SearchSpace[Any], networks: list[Network], value: Column, predictor: str, draws: int
) -> dict[str, Any]:
    """Return coverages and widths on one device, means over the draws."""
    order = np.random.default_rng(0).permutation(len(networks))
    predicted = PREDICTORS[predictor](space, networks, value, order[:TRAINING])
    known = np.isfinite(predicted.value[order])
    training, rest = order[:TRAINING], order[TRAINING:][known[TRAINING:]]
    features = network_features(space.vocabulary())[encodings(networks) + 1].sum(1)
    difficulty = difficulties(features, np.nan_to_num(predicted.value), value, training)
    covered: dict[str, list[float]] = {}
    widths: dict[str, list[tuple[float, float]]] = {}
    for draw in range(draws):
        drawn = np.random.default_rng(draw).permutation(rest)
        used, asked = drawn[:CALIBRATING], drawn[CALIBRATING : CALIBRATING + ASKED]
        found = {"ours": ours(predicted, value, used, asked)}
        found |= by_crepes(predicted, value, used, asked, difficulty)
        found |= by_mapie(predicted, value, used, asked, features)
        for name, (lower, upper) in found.items():
            truth = value[asked]
            covered.setdefault(name, []).append(float(((lower <= truth) & (truth <= upper)).mean()))
            widths.setdefault(name, []).append((float(np.mean((upper - lower) / truth)), float(np.mean(upper - lower))))
    return summary(covered, widths) | {
        "mape": float(np.mean(np.abs(predicted.value[rest] / value[rest] - 1))),
        "unanswered": int((~known[TRAINING:]).sum()),
    }


def summary(covered: Mapping[str, list[float]], widths: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Return the means over the draws, and our mean width over the least of the others', relative and in ms."""
    low, high = coverage_band(CALIBRATING, COVERAGE)
    mean = {name: np.mean(pairs, axis=0) for name, pairs in widths.items()}
    best = np.min([pair for name, pair in mean.items() if name != "ours"], axis=0)
    coverage = float(np.mean(covered["ours"]))
    return {
        "coverage": coverage,
        "inside_band": bool(low <= coverage <= high),
        "draws_outside_band": float(np.mean([not low <= one <= high for one in covered["ours"]])),
        "others_coverage": {name: float(np.mean(rows)) for name, rows in covered.items() if name != "ours"},
        "relative_width": {name: float(pair[0]) for name, pair in mean.items()},
        "width_ms": {name: float(pair[1]) for name, pair in mean.items()},
        "ratio": float(mean["ours"][0] / best[0]),
        "ratio_ms": float(mean["ours"][1] / best[1]),
    }


def microseconds(space: SearchSpace[Any], ids: NDArray[np.int64]) -> float:
    """Return what an interval and a distance take an architecture in batches of 4,096 on one thread, with a table."""
    vocabulary = space.vocabulary()
    table = BlockTable(len(vocabulary))
    table.value.fill_(1.0)
    rows = np.resize(ids, (BATCH, ids.shape[1]))
    domain = fit_domain(vocabulary, rows[:TRAINING], rows[TRAINING : TRAINING + CALIBRATING])
    net = calibrated_net(BlockSumNet(table), Calibration("root", (1.0,) * CALIBRATING), domain, vocabulary)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit.script, which exports use all the same
        script: Any = torch.jit.script(net.eval())
        batch, times = torch.from_numpy(rows), []
        for _ in range(12):
            begin = time.perf_counter()
            script.interval(batch, COVERAGE)
            script.distance(batch)
            times.append(time.perf_counter() - begin)
    return 1e6 * float(np.median(times[2:])) / BATCH


def results(data: Path, predictor: str, draws: int) -> dict[str, Any]:
    """Return a row for each device of the spaces that are there, and what all of them say together."""
    rows: list[dict[str, Any]] = []
    cost = {}
    for name, config in SPACES.items():
        if not (data / name).is_dir():
            continue
        space = load_space(shipped_config("spaces", config))
        source = read_help(data, space, keep_refused=True)
        cost[name] = microseconds(space, encodings(list(source.networks)))
        for device in source.devices:
            networks = [source.networks[run.network] for run in device.runs]
            value = np.array([run.latency_ms for run in device.runs], dtype=np.float64)
            row = device_row(space, networks, value, predictor, draws)
            rows.append({"space": name, "device": device.name} | row)
    low, high = coverage_band(CALIBRATING, COVERAGE)
    return {
        "predictor": predictor,
        "draws": draws,
        "band_99": [low, high],
        "mean_coverage": float(np.mean([row["coverage"] for row in rows])),
        "devices_inside_band": sum(row["inside_band"] for row in rows),
        "devices": len(rows),
        "draws_outside_band": float(np.mean([row["draws_outside_band"] for row in rows])),
        "mean_ratio": {name: float(np.mean([row[name] for row in rows])) for name in RATIOS},
        "largest_ratio": {name: max(row[name] for row in rows) for name in RATIOS},
        "us_per_architecture": cost,
        "rows": rows,
    }


def as_markdown(found: dict[str, Any]) -> str:
    """Return the table of `docs/results/intervals.md`."""
    names = list(found["rows"][0]["relative_width"])
    lines = [
        f"| space | device | MAPE | coverage | outside | {' | '.join(names)} | ratio | in ms |",
        "|---" * (len(names) + 7) + "|",
    ]
    for row in found["rows"]:
        widths = [f"{100 * row['relative_width'][name]:.2f} %" for name in names]
        shares = f"{100 * row['mape']:.2f} % | {row['coverage']:.4f} | {100 * row['draws_outside_band']:.0f} %"
        ratios = " | ".join(f"{row[name]:.3f}" for name in RATIOS)
        lines.append(f"| {row['space']} | {row['device']} | {shares} | {' | '.join(widths)} | {ratios} |")
    return "\n".join(lines) + "\n"


def print_results(found: dict[str, Any]) -> None:
    """Print one line for each device, and what all say together."""
    low, high = found["band_99"]
    title = f"{found['predictor']}: {TRAINING} networks teach, {CALIBRATING} calibrate, {found['draws']} draws"
    table = Table("space", "device", "MAPE %", "coverage", "width %", "best of others %", "ratio", "in ms", title=title)
    for row in found["rows"]:
        best = min(width for name, width in row["relative_width"].items() if name != "ours")
        numbers = [100 * row["mape"], row["coverage"], 100 * row["relative_width"]["ours"], 100 * best]
        numbers += [row[name] for name in RATIOS]
        table.add_row(row["space"], row["device"], *(f"{number:.4g}" for number in numbers))
    Console(width=110).print(table)
    print(f"mean coverage {found['mean_coverage']:.4f}; 99 % band of one draw {low:.3f} to {high:.3f}")
    print(f"{found['devices_inside_band']} of {found['devices']} devices inside")
    print(f"{100 * found['draws_outside_band']:.1f} % of the draws outside")
    for name, unit in zip(RATIOS, ("relative widths", "ms"), strict=True):
        mean, largest = found["mean_ratio"][name], found["largest_ratio"][name]
        print(f"mean width over the best of the others, {unit}: {mean:.3f}, at most {largest:.3f}")
    print(f"us per architecture, interval and distance: {found['us_per_architecture']}")


def main() -> None:
    """Read, calibrate, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with HELP's files")
    parser.add_argument("--predictor", choices=list(PREDICTORS), default="ridge", help="what learns")
    parser.add_argument("--draws", type=int, default=20, help="draws of calibration and asked networks")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--markdown", type=Path, help="write the table of docs/results/intervals.md there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = results(options.data, options.predictor, options.draws)
    print_results(found)
    if options.json is not None:
        options.json.write_text(json.dumps({"intervals": found}, indent=1) + "\n", encoding="utf-8")
    if options.markdown is not None:
        options.markdown.write_text(as_markdown(found), encoding="utf-8")


if __name__ == "__main__":
    main()
