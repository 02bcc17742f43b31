"""How repeatable latpred's latencies are on this machine, with and without a competing load, beside other protocols.

Measures the same networks in several sessions, each a process of its own: a careful one of many rounds, the machine
left alone, which the others are held against; one with a load on all cores; one without; one of 50 rounds. Errors
are those of a session's estimates against the careful session's, tied to it through the anchor networks alone, which
are not scored: the two share no run of any network that is. Prints ratios to the plain median of the same runs, and
to other protocols with as many runs; then what the labels do to predictors, and how runtimes rank the networks.
Leave the machine alone while it runs, some 20 minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from latpred.cli import main as latpred
from latpred.cli.fit import fit_predictor
from latpred.config import canonical_json
from latpred.dataset import Dataset, Measurements, run_columns
from latpred.estimation import RunColumns, fit
from latpred.estimator import predict_in_chunks
from latpred.genprof import read_prof_dir
from latpred.models import load_checkpoint
from latpred.profiling import choose_anchors, load_device, new_session_record, profile
from latpred.report.compare import score
from latpred.run import Run
from latpred.spaces import space_from_card

ROOT = Path(__file__).resolve().parents[1]
Floats = NDArray[np.float64]
PREDICTORS = ("table", "regression", "mlp", "lstm")


# --- measuring ---------------------------------------------------------------------------------------------------


def burn() -> None:
    """Compete for the caches and the cores, for ever."""
    torch.set_num_threads(1)
    conv, image, matrix = torch.nn.Conv2d(32, 64, 3, padding=1), torch.randn(1, 32, 56, 56), torch.randn(512, 512)
    with torch.inference_mode():
        while True:
            for _ in range(20):
                conv(image)
            _ = matrix @ matrix


@contextmanager
def load() -> Iterator[None]:
    """Keep every core busy with a process of its own."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=burn, daemon=True) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    time.sleep(5)  # until they burn
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def measure_session(prof_dir: Path, device: Path, path: Path, rounds: int, anchors_of: Path) -> None:
    """Measure one session into a dataset; run in a process of its own. Prints its id and its share of measuring."""
    folder, config = read_prof_dir(prof_dir), load_device(device)
    anchors = choose_anchors(read_prof_dir(anchors_of).networks, folder.space)
    dataset = Dataset.open(path) if path.exists() else Dataset.create(path, folder.space.card(), config.resolve())
    record = new_session_record(config, None, anchors)
    name = record["session_id"]
    session = profile(folder.networks, folder.space, config, rounds, session_id=name, anchors=anchors)
    with session, dataset.session(record) as writer:
        for run in session:
            writer.append(run)
            writer.commit_if_due()
    print(json.dumps({"session": name, "share": session.stats.share, "failed": session.stats.failed}))


def in_process(*arguments: object) -> Any:  # noqa: ANN401 - JSON
    """Run a script of this folder, and return the JSON of its last line."""
    command = [sys.executable, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return json.loads(output.strip().splitlines()[-1])


class Bench:
    """Measures sessions of one runtime into one dataset.

    Args:
        folder: Where to keep everything.
        runtime: As in a device's YAML.
        prof_dir: The networks to score.
    """

    def __init__(self, folder: Path, runtime: str, prof_dir: Path) -> None:
        self.path, self.prof_dir = folder / f"dataset-{runtime}", prof_dir
        self._device = folder / f"{runtime}.yaml"
        text = (ROOT / "configs/devices/cpu_torch.yaml").read_text()
        self._device.write_text(text.replace("runtime: torch", f"runtime: {runtime}"))

    def session(self, rounds: int, prof_dir: Path | None = None) -> dict[str, Any]:
        """Measure one, and return its id and its share of measuring."""
        arguments = (prof_dir or self.prof_dir, self._device, self.path, rounds, self.prof_dir)
        found: dict[str, Any] = in_process(__file__, "session", *arguments)
        print(f"  {found['session']}: {rounds} rounds, {found['share']:.0%} of the time measuring", flush=True)
        return found


# --- estimating --------------------------------------------------------------------------------------------------


def pick(measurements: Measurements, session_ids: list[str]) -> tuple[RunColumns, NDArray[np.int64]]:
    """Return the runs of some sessions, numbered in their order, and each run's round."""
    columns, names = run_columns(measurements)
    numbers = np.array([session_ids.index(name) if name in session_ids else -1 for name in names])
    chosen = numbers[columns.session] >= 0
    kept = columns.of(chosen)
    return replace(kept, session=numbers[kept.session]), measurements.runs["round"].to_numpy(np.int64)[chosen]


def tied(measurements: Measurements, session: str, careful: str, anchors: list[int]) -> Floats:
    """Return a session's estimates, ms, [networks], tied to the careful one through the anchors alone.

    For the fit, every other network of the session is another network than the careful session's of that number.
    """
    count, (columns, _) = len(measurements.networks), pick(measurements, [session, careful])
    own = (columns.session == 0) & ~np.isin(columns.network, anchors)
    columns = replace(columns, network=np.where(own, columns.network + count, columns.network))
    return np.exp(fit(columns, 2 * count).level[count:])


def alone(measurements: Measurements, session: str, half: int | None = None) -> Floats:
    """Return a session's estimates, ms, [networks], from itself alone, or from its odd or even rounds."""
    columns, rounds = pick(measurements, [session])
    if half is not None:
        columns = columns.of(rounds % 2 == half)
    return np.exp(fit(columns, len(measurements.networks)).level)


def plain_median(measurements: Measurements, session: str, half: int | None = None) -> Floats:
    """Return the median of each network's runs, ms, [networks]: what everybody else does with them."""
    columns, rounds = pick(measurements, [session])
    if half is not None:
        columns = columns.of(rounds % 2 == half)
    values = pd.Series(columns.value).groupby(columns.network).median()
    return np.array(values.reindex(range(len(measurements.networks))), dtype=np.float64)


def error(found: Floats, truth: Floats) -> float:
    """Return the mean relative error, a fraction."""
    return float(np.nanmean(np.abs(found / truth - 1)))


def slope(found: Floats, truth: Floats) -> float:
    """Return the slope of the estimates on the reference."""
    known = np.isfinite(found) & np.isfinite(truth)
    return float(np.polyfit(truth[known], found[known], 1)[0])


def centred(found: Floats, truth: Floats) -> Floats:
    """Return estimates without the factor that they all differ by from the reference."""
    return found / np.nanmedian(found / truth)


def judge(measurements: Measurements, session: str, careful: str, anchors: list[int]) -> dict[str, float]:
    """Return the errors of one session, fractions."""
    scored = np.ones(len(measurements.networks), dtype=bool)
    scored[anchors] = False
    truth, own = alone(measurements, careful)[scored], tied(measurements, session, careful, anchors)[scored]
    plain, plain_truth = (plain_median(measurements, name)[scored] for name in (session, careful))
    halves = [alone(measurements, session, half)[scored] for half in (0, 1)]
    plain_halves = [plain_median(measurements, session, half)[scored] for half in (0, 1)]
    found = {
        "error": error(own, truth),
        "plain_median_error": error(plain, plain_truth),
        "slope": slope(own, truth),
        "plain_median_slope": slope(plain, plain_truth),
        "error_without_common_factor": error(centred(own, truth), truth),
        "plain_median_error_without_common_factor": error(centred(plain, plain_truth), plain_truth),
        "split_half": error(halves[0], halves[1]),
        "plain_median_split_half": error(plain_halves[0], plain_halves[1]),
    }
    return found | {"ratio_to_plain_median": found["error"] / found["plain_median_error"]}


# --- labels and predictors ---------------------------------------------------------------------------------------


def with_labels(source: Measurements, original: Dataset, values: Floats, path: Path) -> None:
    """Write a dataset of one run per network that has a value: that value, and its blocks' medians scaled to it."""
    dataset = Dataset.create(path, original.card.space, original.card.device)
    record = {"session_id": "labels", "started_at": datetime.now(UTC).isoformat(), "environment": {}}
    places = source.runs.groupby("network").indices
    space = space_from_card(original.card.space)
    with dataset.session(record) as writer:
        for sequence, number in enumerate(np.flatnonzero(np.isfinite(values))):
            network = space.network(space.from_json(source.networks[number].architecture))
            spans = [source.block_values[source.block_offsets[i] : source.block_offsets[i + 1]] for i in places[number]]
            blocks = np.median(np.stack(spans), axis=0)
            writer.append(
                Run(
                    session_id="labels",
                    sequence=sequence,
                    network_id=network.network_id,
                    space=network.space,
                    architecture=canonical_json(network.architecture),
                    primitives=network.primitives,
                    role=network.roles,
                    round=0,
                    started_at=datetime.now(UTC),
                    overall_latency_ms=float(values[number]),
                    block_latency_ms=tuple((blocks * values[number] / blocks.sum()).tolist()),
                    block_method=("timestamp",) * len(blocks),
                )
            )


def predictor_errors(bench: Bench, training: str, careful: str, anchors: list[int], folder: Path) -> dict[str, Any]:
    """Return the MAPE of predictors from naive and from corrected labels, against the careful session."""
    dataset = Dataset.open(bench.path)
    read = dataset.read()
    truth = alone(read, careful)
    scored = np.flatnonzero(np.isfinite(truth) & ~np.isin(np.arange(len(truth)), anchors))
    labels = {"naive": plain_median(read, training), "corrected": tied(read, training, careful, anchors)}
    found: dict[str, Any] = {}
    space = space_from_card(dataset.card.space)
    ids = np.stack([space.encode(space.from_json(read.networks[code].architecture)) for code in scored])
    own = pick(read, [training])[0]
    for name, values in labels.items():
        values[np.isfinite(truth)] = np.nan  # what is scored on is not trained on
        path = folder / f"labels-{name}"
        with_labels(_only(read, training), dataset, values, path)
        for predictor in PREDICTORS:
            arguments = ["--config", str(ROOT / f"configs/runs/{predictor}.yaml"), "--data.dataset", str(path)]
            arguments += [
                "--data.test",
                "0",
                "--data.uncovered",
                "drop",
                "--runs",
                str(folder / name),
                "--seed_everything",
                "0",
            ]
            checkpoint = load_checkpoint(fit_predictor(arguments).checkpoint)
            answers = predict_in_chunks(checkpoint.net, ids, checkpoint.batch_chunk).astype(np.float64)
            known = np.isfinite(answers)  # a primitive that no training network has is never made up
            found.setdefault(predictor, {})[name] = score(answers[known], truth[scored][known])["mape"]
    return found | {"networks": len(np.unique(own.network)) - len(anchors)}


def _only(read: Measurements, session: str) -> Measurements:
    """Return the runs of one session."""
    chosen = (read.runs["session_id"] == session).to_numpy()
    sizes = np.diff(read.block_offsets)
    values = read.block_values[np.repeat(chosen, sizes)]
    offsets = np.concatenate([[0], np.cumsum(sizes[chosen])])
    return replace(read, runs=read.runs[chosen].reset_index(drop=True), block_values=values, block_offsets=offsets)


# --- the whole ---------------------------------------------------------------------------------------------------


def scenarios(bench: Bench, rounds: dict[str, int], extra: Path | None) -> dict[str, Any]:
    """Measure the sessions of one runtime, and return their errors and what was measured for predictors."""
    with load():
        sessions = {"loaded": bench.session(rounds["loaded"])}
        training = None if extra is None else bench.session(rounds["training"], extra)["session"]
    careful = bench.session(rounds["careful"])
    sessions |= {name: bench.session(rounds[name]) for name in ("idle", "rounds_50")}
    read = Dataset.open(bench.path).read()
    by_id = {network.network_id: code for code, network in enumerate(read.networks)}
    folder = read_prof_dir(bench.prof_dir)
    anchors = [by_id[anchor.network_id] for anchor in choose_anchors(folder.networks, folder.space)]
    found: dict[str, Any] = {
        name: judge(read, session["session"], careful["session"], anchors) for name, session in sessions.items()
    }
    pair = [tied(read, sessions[name]["session"], careful["session"], anchors) for name in ("loaded", "idle")]
    found["loaded_against_idle"] = float(np.nanmedian(np.abs(pair[0] / pair[1] - 1)))
    found["share_measuring"] = careful["share"]
    found["sessions"] = {"careful": careful["session"], "training": training, "anchors": anchors}
    return found


def protocols(prof_dir: Path, runs: int, truth: dict[str, float]) -> dict[str, Any]:
    """Return the errors of other ways to measure, without their common factor, with and without a load."""
    found: dict[str, Any] = {}
    for name in ("plain", "autorange"):
        arguments = (ROOT / "benchmarks/protocols.py", prof_dir, name, runs)
        with load():
            loaded = in_process(*arguments)
        for state, values in (("loaded", loaded), ("idle", in_process(*arguments))):
            ids = sorted(set(values) & set(truth))
            own, reference = (np.array([source[name] for name in ids]) for source in (values, truth))
            own = centred(own, reference)
            found.setdefault(state, {})[name] = {"error": error(own, reference), "slope": slope(own, reference)}
    return found


def by_id(path: Path, session: str) -> dict[str, float]:
    """Return a session's estimates, ms, by network_id."""
    read = Dataset.open(path).read()
    values = alone(read, session)
    return {read.networks[code].network_id: float(values[code]) for code in np.flatnonzero(np.isfinite(values))}


def show(figures: dict[str, Any]) -> None:
    """Print the tables."""
    console = Console(width=120)
    for runtime in ("torch", "onnxruntime"):
        table = Table(
            "session", "error %", "plain median %", "ratio", "slope", "split half %", "plain %", title=runtime
        )
        for name in ("loaded", "idle", "rounds_50"):
            row = figures[runtime][name]
            columns = ("error", "plain_median_error"), ("split_half", "plain_median_split_half")
            errors, halves = ([f"{100 * row[key]:.2f}" for key in pair] for pair in columns)
            table.add_row(name, *errors, f"{row['ratio_to_plain_median']:.2f}", f"{row['slope']:.3f}", *halves)
        console.print(table)
        print(f"loaded against idle: {figures[runtime]['loaded_against_idle']:.2%} (median of the networks)")
        print(f"time spent measuring, careful session: {figures[runtime]['share_measuring']:.0%}")
        table = Table("predictor", "naive labels, MAPE %", "corrected %", title=f"{runtime}, labels taken under load")
        for name in PREDICTORS:
            row = figures[runtime]["predictors"][name]
            table.add_row(name, *[f"{100 * row[key]:.2f}" for key in ("naive", "corrected")])
        console.print(table)
    table = Table("protocol", "loaded %", "slope", "idle %", "slope", title="other protocols, common factor taken out")
    for name in ("plain", "autorange"):
        cells = [figures["protocols"][state][name] for state in ("loaded", "idle")]
        table.add_row(
            name, *[text for cell in cells for text in (f"{100 * cell['error']:.2f}", f"{cell['slope']:.2f}")]
        )
    console.print(table)
    ranks = figures["spearman"]
    table = Table("Spearman", *ranks)
    for name, row in ranks.items():
        table.add_row(name, *[f"{value:.3f}" for value in row.values()])
    console.print(table)


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the figures."""
    space = ROOT / "configs/spaces/mnasnet_ofa_112.yaml"
    scored, training = folder / "scored", folder / "training"
    for path, count, seed in ((scored, options.networks, 0), (training, options.training, 1)):
        latpred(["genprof", str(space), "--out", str(path), "--num-sample", str(count), "--seed", str(seed)])
    rounds = {"loaded": options.rounds, "idle": options.rounds, "training": options.rounds // 2}
    rounds |= {"careful": options.careful, "rounds_50": options.fifty}
    figures: dict[str, Any] = {"networks": options.networks, "rounds": rounds}
    for runtime in ("torch", "onnxruntime"):
        print(runtime, flush=True)
        bench = Bench(folder, runtime, scored)
        figures[runtime] = scenarios(bench, rounds, training)
        sessions = figures[runtime].pop("sessions")
        arguments = (sessions["training"], sessions["careful"], sessions["anchors"], folder / f"fits-{runtime}")
        figures[runtime]["predictors"] = predictor_errors(bench, *arguments)
        figures[runtime]["estimates"] = by_id(bench.path, sessions["careful"])
    estimates = {name: figures[name].pop("estimates") for name in ("torch", "onnxruntime")}
    for runtime in ("torchscript", "openvino"):
        bench = Bench(folder, runtime, scored)
        estimates[runtime] = by_id(bench.path, bench.session(options.rounds // 2)["session"])
    table = pd.DataFrame(estimates)
    figures["spearman"] = table.corr("spearman").to_dict()
    figures["median_ms"] = table.median().to_dict()
    figures["protocols"] = protocols(scored, options.rounds, estimates["torch"])
    return figures | {name: figures["torch"][name] for name in ("loaded", "idle", "rounds_50")}


def main() -> None:
    """Measure, print, and write the figures."""
    if sys.argv[1:2] == ["session"]:
        prof_dir, device, path, rounds, anchors_of = sys.argv[2:]
        measure_session(Path(prof_dir), Path(device), Path(path), int(rounds), Path(anchors_of))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=60, help="networks to score")
    parser.add_argument("--training", type=int, default=150, help="networks to train predictors on")
    parser.add_argument("--rounds", type=int, default=24, help="of the loaded and the idle session")
    parser.add_argument("--careful", type=int, default=100, help="rounds of the careful session")
    parser.add_argument("--fifty", type=int, default=50, help="rounds of the session of 50 rounds")
    parser.add_argument("--keep", type=Path, help="keep what was measured in this folder, made anew")
    parser.add_argument("--json", type=Path, help="write the figures there, too; those of eager PyTorch on top")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=options.keep is None)
        figures = run(folder, options)
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
