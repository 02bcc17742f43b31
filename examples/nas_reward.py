"""An architecture search with a predictor in its reward: `python examples/nas_reward.py table.ts`.

Regularized evolution maximizes accuracy * (latency / target)^w (the MnasNet reward). The latency comes from a predictor
that `latpred export` wrote. The accuracy is a PROXY: a smooth function of the FLOPs, so that the example needs no
training and no data; put your supernet's or your trained networks' accuracy in its place. At the end the five best
architectures are measured on this machine, and stand beside what was predicted.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import latpred
from latpred.dataset import Dataset, estimates
from latpred.errors import LatpredError, ProfilingError
from latpred.primitive import Primitive
from latpred.profiling import DeviceConfig, load_device, new_session_record, profile
from latpred.search import (
    SOFT,
    AccuracyObjective,
    ContainerObjective,
    HardwareObjective,
    MnasnetObjective,
    RegularizedEvolution,
)
from latpred.spaces import SearchSpace

ROOT = Path(__file__).resolve().parents[1]
BEST, DRAWN = 5, 200


class ProxyAccuracy:
    """A stand-in for an accuracy: 0.8 * (1 - exp(-FLOPs / reference) / 4), which rises with the FLOPs and saturates.

    It is no accuracy of any network. The reference is the median of drawn architectures, which get 0.73.

    Args:
        space: Whose architectures it takes.
        architectures: Those that the reference is the median of.
    """

    def __init__(self, space: SearchSpace[Any], architectures: list[Any]) -> None:
        self._space = space
        self._flops_of = cache(self._primitive_flops)
        self._reference = statistics.median(map(self.flops, architectures))

    def __call__(self, architecture: Any) -> float:  # noqa: ANN401 - each space has its own type
        """Return the proxy, a fraction."""
        return 0.8 * (1 - math.exp(-self.flops(architecture) / self._reference) / 4)

    def flops(self, architecture: Any) -> int:  # noqa: ANN401
        """Return the FLOPs of one image's pass."""
        return sum(map(self._flops_of, self._space.primitives(architecture)))

    def _primitive_flops(self, primitive: Primitive) -> int:
        return self._space.type_of(primitive).cost(primitive).flops


class Found(NamedTuple):
    """One of the best architectures."""

    architecture: Any
    proxy_accuracy: float
    predicted_ms: float
    reward: float


def search(
    estimator: latpred.Estimator, config: DeviceConfig, target_ms: float | None, evaluations: int, seed: int | None
) -> tuple[float, list[Found]]:
    """Return the target, ms, and the best distinct architectures; without a target it is the median of drawn ones."""
    space, rng = estimator.space, Random(seed)  # noqa: S311 - drawing architectures is no secret
    drawn = [space.sample(rng) for _ in range(DRAWN)]
    # Measured beside predicted means something on the predictor's own device only: another one is refused here.
    hardware = HardwareObjective({"latency_ms": estimator}, device=config.resolve())
    target_ms = statistics.median(hardware.perfs(drawn)["latency_ms"]) if target_ms is None else target_ms
    proxy = AccuracyObjective(ProxyAccuracy(space, drawn), name="proxy_accuracy")
    reward = MnasnetObjective(target_ms, *SOFT, accuracy="proxy_accuracy")
    objective = ContainerObjective([proxy, hardware, reward], losses_coef=[0, 0, 0], rewards_coef=[0, 0, 1])
    population = min(100, evaluations)
    evolution = RegularizedEvolution(
        evaluations=evaluations, population_size=population, sample_size=min(25, population)
    )
    result = evolution.run(space, objective.fitness, seed)
    best = result.top(BEST)
    perfs = objective.perfs([evaluation.architecture for evaluation in best])
    rows = zip(best, perfs["proxy_accuracy"].tolist(), perfs["latency_ms"].tolist(), strict=True)
    return target_ms, [Found(e.architecture, accuracy, latency_ms, e.fitness) for e, accuracy, latency_ms in rows]


def measure(
    space: SearchSpace[Any], found: list[Found], config: DeviceConfig, rounds: int, seed: int | None
) -> pd.DataFrame:
    """Measure the architectures here; return a row for each in their order: its `estimate`, ms, and its `noise`."""
    networks = [space.network(one.architecture) for one in found]
    record = new_session_record(config, seed)
    with tempfile.TemporaryDirectory() as folder, Progress(auto_refresh=False) as progress:
        dataset = Dataset.create(Path(folder) / "best", space.card(), config.resolve())
        session = profile(networks, space, config, rounds, session_id=record["session_id"], seed=seed)
        task = progress.add_task("measuring the best", total=session.total)
        with session, dataset.session(record) as writer:
            for run in session:
                if run.status == "failed":
                    problem = f"expected a latency, found a failure: {run.reason}"
                    raise ProfilingError(f"network {run.network_id}", problem, "Mend the block that it names")
                writer.append(run)
                progress.update(task, advance=1, refresh=True)
        measured = estimates(dataset.read()).set_index("network_id")
    return measured.loc[[network.network_id for network in networks]]


def rows_of(space: SearchSpace[Any], found: list[Found], measured: pd.DataFrame) -> list[dict[str, Any]]:
    """Return predicted beside measured; noise and difference are fractions."""
    columns = zip(found, measured["estimate"].tolist(), measured["noise"].tolist(), strict=True)
    return [
        {
            "architecture": space.to_json(one.architecture),
            "proxy_accuracy": one.proxy_accuracy,
            "reward": one.reward,
            "predicted_ms": one.predicted_ms,
            "measured_ms": measured_ms,
            "difference": one.predicted_ms / measured_ms - 1,
            "label_noise": noise if noise == noise else None,  # one round has none
        }
        for one, measured_ms, noise in columns
    ]


def show(report: dict[str, Any]) -> None:
    """Print the report."""
    title = f"best of {report['evaluations']} on {report['device']}, target {report['target_ms']:.3f} ms"
    table = Table(title=title, show_lines=True)
    table.add_column("architecture", overflow="fold")
    for name in ("proxy accuracy", "reward", "predicted ms", "measured ms", "difference %", "label noise %"):
        table.add_column(name, justify="right")
    for row in report["best"]:
        noise = "" if row["label_noise"] is None else f"{100 * row['label_noise']:.2f}"
        numbers = [f"{row[key]:.3f}" for key in ("proxy_accuracy", "reward", "predicted_ms", "measured_ms")]
        text = json.dumps(row["architecture"], separators=(",", ":"))
        table.add_row(text, *numbers, f"{100 * row['difference']:+.2f}", noise)
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    difference = statistics.mean(abs(row["difference"]) for row in report["best"])
    noises = [row["label_noise"] for row in report["best"] if row["label_noise"] is not None]
    noise = f"{100 * statistics.mean(noises):.2f} %" if noises else "unknown with one round"
    print(f"predicted against measured: {100 * difference:.2f} % on average; label noise {noise}")
    print("the proxy accuracy is a function of the FLOPs, and no accuracy of any network")


def main() -> int:
    """Search, measure the best, and print both; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictor", type=Path, help="an export; a .ts is a program: load those you trust")
    parser.add_argument("--device", type=Path, default=ROOT / "configs/devices/cpu_torch.yaml", help="its YAML")
    parser.add_argument("--target-ms", type=float, help=f"by default the median of {DRAWN} drawn architectures")
    parser.add_argument("--evaluations", type=int, default=2000, help="architectures that the search evaluates")
    parser.add_argument("--rounds", type=int, default=20, help="visits of each of the best")
    parser.add_argument("--seed", type=int, help="of drawing and mutating; without one, each call takes another")
    parser.add_argument("--json", type=Path, help="write the report there, too")
    options = parser.parse_args()
    try:
        estimator, config = latpred.load(options.predictor), load_device(options.device)
        target_ms, found = search(estimator, config, options.target_ms, options.evaluations, options.seed)
        measured = measure(estimator.space, found, config, options.rounds, options.seed)
    except LatpredError as error:
        print(f"nas_reward: error: {error}", file=sys.stderr)
        return error.exit_code
    report = {
        "predictor": str(options.predictor),
        "device": str(estimator.card.device),
        "target_ms": target_ms,
        "evaluations": options.evaluations,
        "rounds": options.rounds,
        "best": rows_of(estimator.space, found, measured),
    }
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
