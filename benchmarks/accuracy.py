"""How accurate predictors are on the public measurements of HELP: new devices, and single devices.

    python benchmarks/accuracy.py --data DIR [--json FILE] [--report FILE]

DIR has HELP's layout (`nasbench201/latency/<device>.pt` and so on, as `latpred import help` reads it), with any of its
devices. Few-shot: a new device from 10 or 20 measurements and from source devices, by the protocols of HELP's Table 3
and of NASFLAT, over draws of the candidates and two pools of 900 networks that the sources were measured on. Networks
to measure are chosen by variance reduction, and at random for comparison. Single devices: `gp` from 100 and from 900
networks, on 4,000 others, beside a ridge regression. No prediction uses the place of a network in the files; the places
of training networks tell what the drift of the machine did to their labels.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accuracy_protocols import TASKS, Task
from accuracy_report import console, markdown
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from torch import Tensor

from latpred.dataset.importers.help_files import read_help
from latpred.gaussian import AdditiveKernel, BlockFacts, count_blocks, fit
from latpred.shipped import shipped_config
from latpred.spaces import load_space
from latpred.transfer import LEARNING_ROWS, Seen, TransferModel

SPACES = {"nasbench201": "nasbench201", "fbnet": "fbnet", "ofa": "ofa_mobilenet_v3"}
SOURCE_ROWS = 900
POOLS = 2
CANDIDATES = 400
TEST_ROWS = 4000
TRIMMED = slice(900, 1900)
"""The networks that HELP's code scores; no source, and no measurement of a new device, is among them."""


class Space(NamedTuple):
    """The networks of a space and their latencies."""

    facts: BlockFacts
    counts: Tensor
    latency: dict[str, Tensor]


@lru_cache(maxsize=3)
def load(data: Path, name: str) -> Space:
    """Read what is there of a space."""
    torch.set_num_threads(1)
    space = load_space(shipped_config("spaces", SPACES[name]))
    source = read_help(data, space, keep_refused=True)
    vocabulary = space.vocabulary()
    ids = torch.tensor([network.encoding for network in source.networks])
    latency = {}
    for device in source.devices:
        values = torch.full((len(ids),), torch.nan, dtype=torch.float64)
        values[[run.network for run in device.runs]] = torch.tensor(
            [run.latency_ms for run in device.runs], dtype=torch.float64
        )
        # 0 ms, as a clock of whole ms says of quick networks, is no measurement: it stands for less than the least one.
        latency[device.name] = values.nan_to_num(nan=float(values[values.isfinite()].min()) / 2)
    return Space(BlockFacts.of(space, vocabulary), count_blocks(ids, len(vocabulary)), latency)


def pool_rows(count: int, pool: int) -> Tensor:
    """Return the networks that the sources of a pool were measured on."""
    allowed = np.delete(np.arange(count), TRIMMED)
    return torch.from_numpy(np.sort(np.random.default_rng(1000 + pool).permutation(allowed)[:SOURCE_ROWS]))


def source_says(data: Path, name: str, device: str, pool: int) -> Tensor:
    """Return what one device's measurements of a pool say of all networks of the space, [networks]."""
    space = load(data, name)
    rows = pool_rows(len(space.counts), pool)
    kernel = AdditiveKernel(space.facts, space.counts[rows])
    latency = space.latency[device][rows]
    posterior = fit(kernel, space.counts[rows], latency, torch.ones_like(latency), order=rows.double())
    said = torch.cat([posterior.mean(kernel.networks(chunk)) for chunk in torch.split(space.counts, 1000)])
    return said.clamp(min=float(latency.min()) / 2)


class Draw(NamedTuple):
    """Spearman correlation on each new device, by how the networks to measure were chosen."""

    chosen: dict[str, float]
    random: dict[str, float]


def score_task(data: Path, task: Task, sources: Sequence[str], said: Tensor, pool: int, draws: int) -> list[Draw]:
    """Measure, adapt and score on every new device, `draws` times.

    Args:
        data: Folder with HELP's files.
        task: What is asked.
        sources: Those of its devices that are there.
        said: What each of them says of all networks, [sources, networks].
        pool: Which networks they were measured on.
        draws: How often.
    """
    space = load(data, task.space)
    rows = pool_rows(len(space.counts), pool)
    kernel = AdditiveKernel(space.facts, space.counts[rows])
    seen = Seen(kernel.networks(space.counts), said)
    learning = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(pool))[:LEARNING_ROWS]]
    measured = [(seen.take(learning), space.latency[device][learning]) for device in sources]
    model = TransferModel(kernel, seen.take(rows), measured)
    return [_draw(space, task, model, seen, 100 * pool + draw) for draw in range(draws)]


def _draw(space: Space, task: Task, model: TransferModel, seen: Seen, seed: int) -> Draw:
    generator = np.random.default_rng(seed)
    everything = np.arange(len(space.counts))
    candidates = generator.permutation(np.delete(everything, TRIMMED))[:CANDIDATES]
    reference = generator.permutation(everything)[:CANDIDATES]
    chosen = candidates[model.choose(task.samples, seen.take(_rows(candidates)), seen.take(_rows(reference)))]
    picks = {"chosen": chosen, "random": generator.permutation(candidates)[: task.samples]}
    scores: dict[str, dict[str, float]] = {}
    for how, pick in picks.items():
        test = everything[TRIMMED] if task.trimmed else np.setdiff1d(everything, pick)
        scores[how] = {
            device: _spearman(space, task, model, seen, pick, test, device)
            for device in task.targets
            if device in space.latency
        }
    return Draw(**scores)


def _spearman(
    space: Space,
    task: Task,
    model: TransferModel,
    seen: Seen,
    pick: np.ndarray[Any, np.dtype[np.int64]],
    test: np.ndarray[Any, np.dtype[np.int64]],
    device: str,
) -> float:
    latency = space.latency[device]
    adapted = model.adapt(seen.take(_rows(pick)), latency[_rows(pick)])
    if task.trimmed:
        order = test[np.argsort(latency[_rows(test)].numpy(), kind="stable")]
        test = order[len(order) // 10 : len(order) - len(order) // 10]
    predicted = torch.cat([adapted.mean(seen.take(part)) for part in torch.split(_rows(test), 4000)])
    return float(spearmanr(predicted, latency[_rows(test)]).statistic)


def _rows(places: np.ndarray[Any, np.dtype[np.int64]]) -> Tensor:
    return torch.from_numpy(np.asarray(places))


def score_device(data: Path, name: str, device: str, count: int, draw: int) -> dict[str, float]:
    """Return the errors of gp and of a ridge from `count` networks of one device, fractions."""
    space = load(data, name)
    latency = space.latency[device]
    order = np.random.default_rng(draw).permutation(len(latency))
    train, test = _rows(np.sort(order[:count])), _rows(order[count : count + TEST_ROWS])
    begin = time.perf_counter()
    kernel = AdditiveKernel(space.facts, space.counts[train])
    weight = torch.ones(count, dtype=torch.float64)
    posterior = fit(kernel, space.counts[train], latency[train], weight, order=train.double(), seed=draw)
    seconds = time.perf_counter() - begin
    predicted = torch.cat([posterior.mean(kernel.networks(space.counts[part])) for part in torch.split(test, 1000)])
    predicted = predicted.clamp(min=float(latency[train].min()) / 2)
    ridge = RidgeCV(np.logspace(-3, 2, 11)).fit(space.counts[train].numpy(), latency[train].numpy())
    linear = torch.from_numpy(ridge.predict(space.counts[test].numpy()))
    actual = latency[test]
    return {
        "mape": float((predicted / actual - 1).abs().mean()),
        "rmspe": float((predicted / actual - 1).square().mean().sqrt()),
        "spearman": float(spearmanr(predicted, actual).statistic),
        "ridge_mape": float((linear / actual - 1).abs().mean()),
        "fit_seconds": seconds,
    }


def few_shot(data: Path, pool: ProcessPoolExecutor, tasks: Sequence[Task], draws: int) -> dict[str, Any]:
    """Return the result of each task of which a source and a new device are there."""
    there = {name: set(load(data, name).latency) for name in {task.space for task in tasks}}
    able = [t for t in tasks if set(t.sources) & there[t.space] and set(t.targets) & there[t.space]]
    wanted = sorted({(t.space, d, p) for t in able for d in set(t.sources) & there[t.space] for p in range(POOLS)})
    found = _each(pool, source_says, [(data, *key) for key in wanted], "sources")
    said = dict(zip(wanted, found, strict=True))
    jobs = []
    for task in able:
        sources = [device for device in task.sources if device in there[task.space]]
        for p in range(POOLS):
            stacked = torch.stack([said[task.space, device, p] for device in sources])
            jobs.append((data, task, sources, stacked, p, draws // POOLS + (draws % POOLS > p)))
    results = list(_each(pool, score_task, jobs, "tasks"))
    return {
        task.name: _summary(task, there[task.space], results[POOLS * i : POOLS * (i + 1)])
        for i, task in enumerate(able)
    }


def _summary(task: Task, there: set[str], results: list[list[Draw]]) -> dict[str, Any]:
    draws = [draw for pool in results for draw in pool]
    means = [statistics.fmean(draw.chosen.values()) for draw in draws]
    mean = statistics.fmean(means)
    devices = list(draws[0].chosen)
    missing = [device for device in (*task.sources, *task.targets) if device not in there]
    return {
        "spearman": mean,
        "std": statistics.stdev(means) if len(means) > 1 else 0.0,
        "standard_error": statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0,
        "published": task.best_published,
        "published_by": task.published,
        "ceiling": task.ceiling,
        "gap_closed": (mean - task.best_published) / (task.ceiling - task.best_published),
        "random": statistics.fmean(statistics.fmean(draw.random.values()) for draw in draws),
        "pools": [statistics.fmean(statistics.fmean(d.chosen.values()) for d in pool) for pool in results if pool],
        "targets": {device: statistics.fmean(draw.chosen[device] for draw in draws) for device in devices},
        "samples": task.samples,
        "draws": len(draws),
        "missing_devices": missing,
    }


def single_device(
    data: Path, pool: ProcessPoolExecutor, spaces: Sequence[str], devices: Sequence[str], draws: int
) -> dict[str, Any]:
    """Return the errors on each device from 100 and from 900 of its networks: means and deviations over draws.

    Args:
        data: Folder with HELP's files.
        pool: What works.
        spaces: Names of the spaces.
        devices: Names of the devices; all if empty.
        draws: How often.
    """
    wanted = [(space, device) for space in spaces for device in sorted(load(data, space).latency)]
    keys = [(s, d, n) for s, d in wanted if not devices or d in devices for n in (100, 900)]
    jobs = [(data, *key, draw) for key in keys for draw in range(draws)]
    results = list(_each(pool, score_device, jobs, "single devices"))
    found: dict[str, Any] = {}
    for i, (space, device, count) in enumerate(keys):
        rows = results[draws * i : draws * (i + 1)]
        means = {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}
        spread = statistics.stdev(row["mape"] for row in rows) if draws > 1 else 0.0
        found.setdefault(space, {}).setdefault(device, {})[str(count)] = means | {"mape_std": spread, "draws": draws}
    return found


def _each(pool: ProcessPoolExecutor, function: Any, jobs: Sequence[tuple[Any, ...]], what: str) -> Iterator[Any]:  # noqa: ANN401
    """Yield the results of all jobs in their order, and tell how far it is."""
    futures = [pool.submit(function, *job) for job in jobs]
    for i, future in enumerate(futures):
        yield future.result()
        if (i + 1) % max(1, len(jobs) // 10) == 0:
            print(f"{what}: {i + 1} of {len(jobs)}", file=sys.stderr, flush=True)


def main() -> None:
    """Read, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with HELP's files")
    parser.add_argument("--draws", type=int, default=10, help="draws of the networks, half of them in each source pool")
    parser.add_argument("--tasks", default=",".join(task.name for task in TASKS), help="few-shot tasks, by name")
    parser.add_argument("--spaces", default=",".join(SPACES), help="spaces of the single devices; '' for none")
    parser.add_argument("--devices", default="", help="only these single devices, by name; all if not given")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--report", type=Path, help="also write a page of Markdown there")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many work at once")
    options = parser.parse_args()
    names = [name for name in options.tasks.split(",") if name]
    tasks = [task for task in TASKS if task.name in names]
    if unknown := set(names) - {task.name for task in TASKS}:
        parser.error(f"unknown tasks {sorted(unknown)}, expected some of {[task.name for task in TASKS]}")
    spaces = [name for name in options.spaces.split(",") if name and (options.data / name).is_dir()]
    tasks = [task for task in tasks if (options.data / task.space).is_dir()]
    results: dict[str, Any] = {"few_shot": {}, "single_device": {}}
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        results["few_shot"] = few_shot(options.data, pool, tasks, options.draws)
        _write(results, options)  # the single devices take longer: nothing is lost if they are stopped
        devices = [name for name in options.devices.split(",") if name]
        results["single_device"] = single_device(options.data, pool, spaces, devices, options.draws)
    _write(results, options)
    console(results)


def _write(results: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.report:
        options.report.write_text(markdown(results))


if __name__ == "__main__":
    main()
