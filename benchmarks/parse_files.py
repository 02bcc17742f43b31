"""How long `latpred parse` takes, and how much memory, for many small files.

Compiles some networks, writes OpenVINO's counters of 100 layers and a latency beside each, and reads them
in processes of their own: `layers` parses files and maps layers to blocks, `command` is `latpred parse --dry-run`. With
half of the files, memory should be the same.

    python benchmarks/parse_files.py [--files 10000] [--networks 20] [--json FILE]
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

from latpred.cli import main as latpred
from latpred.genprof import read_prof_dir, sampled, write_prof_dir
from latpred.hardware import Reading, ResultReader, make_hardware, read_compiled, write_compiled
from latpred.spaces import load_space

LAYERS = 100
SPACE = Path(__file__).parents[1] / "configs/spaces/mnasnet_ofa_112.yaml"
READERS = ("layers", "command")


def make(folder: Path, files: int, networks: int) -> None:
    """Compile networks, and write so many files of layers, each of one run, with its latency in a file beside it."""
    space = load_space(SPACE)
    drawn = sampled(space, networks, 0)
    write_prof_dir(folder / "prof", space, drawn, sorted(space.all_primitives()))
    prof = read_prof_dir(folder / "prof")
    write_compiled(folder / "prof/hardwares/0-openvino", prof, make_hardware("openvino"))
    compiled = read_compiled(folder / "prof/hardwares/0-openvino", prof)
    (folder / "results").mkdir()
    device = {"hardware": "benchmark", "runtime_version": "2026.4.1"}
    (folder / "results/device.yaml").write_text(json.dumps({"device": device}), encoding="utf-8")
    rng, ids = Random(0), sorted(compiled.networks)  # noqa: S311 - made-up latencies
    for number in range(files):
        network_id = ids[number % len(ids)]
        names = [name for block in compiled.networks[network_id][1] for name in block][:LAYERS]
        names += [f"{names[-1]}/{i}" for i in range(LAYERS - len(names))]
        run = folder / f"results/{network_id}/{number // len(ids)}"
        run.mkdir(parents=True)
        times = [round(rng.uniform(0.01, 0.1), 3) for _ in names]
        rows = [f"{name};EXECUTED;Convolution;f32;{ms:.3f};{ms:.3f}" for name, ms in zip(names, times, strict=True)]
        rows = ["layerName;execStatus;layerType;execType;realTime (ms);cpuTime (ms)", *rows]
        rows.append(f"Total;;;;{sum(times):.3f};{sum(times):.3f}")
        (run / "benchmark_detailed_counters_report.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        (run / "whole.csv").write_text(f"name,latency_ms\nwhole,{rng.uniform(4, 6):.6f}\n", encoding="utf-8")


def read(reader: str, folder: Path) -> dict[str, float]:
    """Read the results in this process; return seconds, and the peak memory of the process before and after, MB."""
    before, start, runs = _peak_mb(), time.perf_counter(), 0
    if reader == "command":
        words = [str(folder / "results"), "--hardware", "openvino", "--prof", str(folder / "prof"), "--dry-run"]
        if latpred(["parse", *words]):
            raise RuntimeError("expected to read the results")
    else:
        prof = read_prof_dir(folder / "prof")
        compiled = read_compiled(folder / "prof/hardwares/0-openvino", prof)
        results = ResultReader(compiled, Reading(compiled.config.hardware)).read(folder / "results")
        runs = sum(1 for _ in results)
    return {"seconds": time.perf_counter() - start, "runs": runs, "before_mb": before, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(files: int, networks: int, folder: Path) -> dict[str, dict[str, float]]:
    """Return the figures of each reader, from processes of their own."""

    def child(*arguments: str) -> str:
        command = [sys.executable, __file__, "--files", str(files), "--networks", str(networks), "--child", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    child("make", str(folder))
    return {reader: json.loads(child(reader, str(folder)).splitlines()[-1]) for reader in READERS}


def main() -> None:
    """Write the results, read them by each reader in turn, print a table."""
    parser = argparse.ArgumentParser(description="Time and memory of parsing results.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        task, path = args.child[0], Path(args.child[1])
        if task == "make":
            make(path, args.files, args.networks)
        else:
            print(json.dumps(read(task, path)))
        return
    figures = {}
    for files in (args.files // 2, args.files):
        with tempfile.TemporaryDirectory() as folder:
            figures[files] = measure(files, args.networks, Path(folder))
    print(f"files of {LAYERS} layers, {args.networks} networks")
    print(f"{'files':>8} {'reader':<10}{'s':>8}{'peak MB':>10}{'of which before':>17}")
    for files, readers in figures.items():
        for reader, found in readers.items():
            numbers = f"{found['seconds']:>8.1f}{found['peak_mb']:>10.0f}{found['before_mb']:>17.0f}"
            print(f"{files:>8} {reader:<10}{numbers}")
    if args.json:
        facts = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(), "layers": LAYERS}
        args.json.write_text(json.dumps(facts | {"networks": args.networks, "files": figures}, indent=2))


if __name__ == "__main__":
    main()
