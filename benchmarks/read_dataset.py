"""How long it takes to read a dataset, and how much memory: latpred beside pandas.

Makes a dataset of 100,000 runs of 20 blocks, 2,000 networks of the reference space, in 4 commits, and reads it in
processes of their own: `latpred` into Measurements, sorted, with one object per network; `latpred, batches` through
split and chain to the fitted block table and a pass over the batches; `pandas, numbers` and `pandas, all` with
`pandas.read_parquet` of the same files, without and with the columns that describe the networks, unsorted.

    python benchmarks/read_dataset.py [--runs 100000] [--networks 2000] [--commits 4] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from latpred.config import canonical_json
from latpred.datamodule import LatencyDataModule
from latpred.dataset import Dataset
from latpred.dataset.schema import PRIMITIVE, SCHEMA
from latpred.dataset.table import RunTable
from latpred.device import Device
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces import SearchSpace, load_space

BLOCKS = 20
SPACE = Path(__file__).parents[1] / "configs/spaces/mnasnet_ofa_112.yaml"

READERS = ("latpred", "latpred, batches", "pandas, numbers", "pandas, all")

_NUMBERS = ["session_id", "sequence", "network_id", "round", "started_at", "status"]
_NUMBERS += ["overall_latency_ms", "block_latency_ms", "cpu_time_ms", "involuntary_switches"]
_NETWORK = ["architecture", "primitives", "role"]


def make_dataset(path: Path, runs: int, networks: int, commits: int, seed: int) -> None:
    """Write a dataset at `path`; the values are random, the sizes are those of a real one."""
    space = load_space(SPACE)
    Dataset.create(path, space.card(), Device("benchmark", "none", "0", "float32", 1, 1, "nchw"))
    (path / "sessions" / "s.json").write_text('{"session_id": "s", "started_at": "2026-01-01", "environment": {}}')
    table = RunTable(path / "runs")
    drawn, rng = networks_of(space, networks, seed), np.random.default_rng(seed)
    for sequences in np.array_split(np.arange(runs), commits):
        table.append([make_batch(sequences, drawn, space.vocabulary().primitives, rng)])


def networks_of(space: SearchSpace[Any], count: int, seed: int) -> list[Network]:
    """Return distinct networks of `space` of `BLOCKS` blocks."""
    rng = Random(seed)  # noqa: S311 - a sample, no secret
    networks: dict[str, Network] = {}
    while len(networks) < count:
        network = space.network(space.sample(rng))
        if len(network.primitives) == BLOCKS:
            networks[network.network_id] = network
    return list(networks.values())


def make_batch(
    sequences: NDArray[np.int64], drawn: list[Network], primitives: tuple[Primitive, ...], rng: np.random.Generator
) -> pa.RecordBatch:
    """Return rows whose networks come in rounds.

    Args:
        sequences: The numbers of the runs, [runs].
        drawn: The networks.
        primitives: The vocabulary of their space.
        rng: Draws the latencies.
    """
    networks, count = len(drawn), len(sequences)
    network = sequences % networks
    offsets = pa.array(np.arange(count + 1) * BLOCKS, pa.int32())
    place = {primitive: i for i, primitive in enumerate(primitives)}
    flat = np.array([[place[primitive] for primitive in n.primitives] for n in drawn])[network].ravel()
    fields = [pa.array([getattr(p, field.name) for p in primitives], field.type).take(flat) for field in PRIMITIVE]
    # Runs of a network differ by some percent, as measured ones do.
    latencies = (1 + flat) * rng.lognormal(0, 0.02, len(flat))
    texts = pa.array([canonical_json(n.architecture) for n in drawn])
    started = np.datetime64("2026-01-01", "us") + sequences * np.timedelta64(10_000, "us")
    columns = {
        "session_id": pa.array(["s"] * count),
        "sequence": pa.array(sequences),
        "network_id": pa.array([n.network_id for n in drawn]).take(network),
        "space": pa.array([drawn[0].space] * count),
        "architecture": texts.take(network),
        "primitives": pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(fields, fields=list(PRIMITIVE))),
        "role": pa.ListArray.from_arrays(offsets, pa.array(["primitive"] * len(flat))),
        "round": pa.array(sequences // networks),
        "started_at": pa.array(started, pa.timestamp("us")),
        "status": pa.array(["ok"] * count),
        "overall_latency_ms": pa.array(latencies.reshape(count, BLOCKS).sum(1)),
        "block_latency_ms": pa.ListArray.from_arrays(offsets, pa.array(latencies)),
        "block_method": pa.ListArray.from_arrays(offsets, pa.array(["timestamp"] * len(flat))),
        "cpu_time_ms": pa.array(latencies.reshape(count, BLOCKS).sum(1)),
        "involuntary_switches": pa.array(np.zeros(count, np.int64)),
    }
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(count, f.type) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def read_once(reader: str, path: Path) -> dict[str, float]:
    """Read the dataset in this process; return seconds, and the peak memory of the process before and after, MB."""
    before = _peak_mb()
    start = time.perf_counter()
    if reader == "latpred":
        rows = len(Dataset.open(path).read().runs)
    elif reader == "latpred, batches":
        rows = read_batches(path)
    else:
        columns = _NUMBERS if reader == "pandas, numbers" else _NUMBERS + _NETWORK
        rows = len(pd.concat(pd.read_parquet(file, columns=columns) for file in (path / "runs").glob("*.parquet")))
    return {"seconds": time.perf_counter() - start, "rows": rows, "before_mb": before, "peak_mb": _peak_mb()}


def read_batches(path: Path) -> int:
    """Split, clean and fit as `latpred fit` does, pass over the batches, and return the number of runs."""
    data = LatencyDataModule(str(path), ["block_sum", "remove_anomaly", "flatten"])
    data.setup("fit")
    data.fit_chain()
    networks = sum(len(batch[0]) for loader in (data.train_dataloader(), data.val_dataloader()) for batch in loader)
    if not networks:
        raise RuntimeError("expected batches, found none")
    return len(data.measurements.runs)


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(args: argparse.Namespace, path: Path) -> dict[str, dict[str, float]]:
    """Return the median figures of each reader, from processes of their own."""

    def child(*arguments: str) -> str:
        # Also for making the dataset: a child begins with the peak memory of the process that starts it.
        command = [sys.executable, __file__, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    sizes = ["--runs", str(args.runs), "--networks", str(args.networks), "--commits", str(args.commits)]
    child(*sizes, "--child", "make", str(path))
    figures = {}
    for reader in READERS:
        results = pd.DataFrame([json.loads(child("--child", reader, str(path))) for _ in range(args.repeats)])
        figures[reader] = {str(name): float(value) for name, value in results.median().items()}
    return figures


def main() -> None:
    """Make the dataset, read it by each reader in turn, print a table."""
    parser = argparse.ArgumentParser(description="Time and memory of reading a dataset.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--networks", type=int, default=2_000)
    parser.add_argument("--commits", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3, help="processes for each reader; the median counts")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        task, path = args.child[0], Path(args.child[1])
        if task == "make":
            make_dataset(path, args.runs, args.networks, args.commits, seed=0)
        else:
            print(json.dumps(read_once(task, path)))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(args, Path(folder) / "dataset")
        size = sum(file.stat().st_size for file in Path(folder).glob("dataset/runs/*.parquet")) / 1e6
    print(
        f"{args.runs} runs x {BLOCKS} blocks, {args.networks} networks, {args.commits} commits, {size:.1f} MB on disk"
    )
    print(f"{'reader':<18}{'s':>8}{'ratio':>8}{'peak MB':>10}{'of which before':>17}")
    for reader, found in figures.items():
        ratio = found["seconds"] / figures["pandas, numbers"]["seconds"]
        print(f"{reader:<18}{found['seconds']:>8.2f}{ratio:>8.2f}{found['peak_mb']:>10.0f}{found['before_mb']:>17.0f}")
    if args.json:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        sizes = {
            "runs": args.runs,
            "networks": args.networks,
            "commits": args.commits,
            "blocks": BLOCKS,
            "disk_mb": size,
        }
        args.json.write_text(json.dumps({"at": when, "cores": os.cpu_count()} | sizes | {"readers": figures}, indent=2))


if __name__ == "__main__":
    main()
