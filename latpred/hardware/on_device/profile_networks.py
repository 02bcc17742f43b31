"""Measure the networks of this folder with ONNX Runtime; needs nothing but onnxruntime and numpy.

    python profile_networks.py [--runs 5] [--passes 20] [--threads 1] [--level all] [--results results]

Each run of a network leaves two files in RESULTS/NETWORK/RUN/: `whole.csv`, the latency of plain passes, and
`profile.json`, ONNX Runtime's own profile of as many passes, made in turns with the plain ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

LEVELS = {
    "disable": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
WARM_UP = 3
"""Passes that are not measured: ONNX Runtime plans its memory in the first one."""


def make_session(model: Path, threads: int, level: str, profile: Path | None = None) -> onnxruntime.InferenceSession:
    """Load a network; with `profile`, the start of a file's name, it writes a profile there."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = LEVELS[level]
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def make_pass(session: onnxruntime.InferenceSession) -> Callable[[], Any]:
    """Return a function that runs the network once on a random image."""
    (image,) = session.get_inputs()
    feed = {image.name: np.random.default_rng(0).standard_normal(image.shape, dtype=np.float32)}
    return lambda: session.run(None, feed)


def measure(model: Path, folder: Path, options: argparse.Namespace) -> None:
    """Measure a network once, and write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = make_pass(make_session(model, options.threads, options.level))
    profiled = make_session(model, options.threads, options.level, folder / "profile")
    run_profiled = make_pass(profiled)
    for _ in range(WARM_UP):
        plain()
    rows = ["name,latency_ms,run"]
    for number in range(options.passes):
        run_profiled()
        start = time.perf_counter_ns()
        plain()
        rows.append(f"whole,{(time.perf_counter_ns() - start) / 1e6:.6f},{number}")
    Path(profiled.end_profiling()).replace(folder / "profile.json")
    (folder / "whole.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def cpu_name() -> str:
    """Return the processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return next((name for name in names if name), platform.processor() or platform.machine())


def write_device(path: Path, threads: int) -> None:
    """Write what `latpred parse` has to know of this device; JSON is YAML, too."""
    version = str(onnxruntime.__version__).partition("+")[0]
    device = {"hardware": cpu_name(), "runtime_version": version, "threads": threads}
    path.write_text(json.dumps({"device": device}) + "\n", encoding="utf-8")


def main() -> None:
    """Measure all networks beside this script, in rounds."""
    parser = argparse.ArgumentParser(description="Measure the networks of this folder with ONNX Runtime.")
    parser.add_argument("--runs", type=int, default=5, help="runs of each network")
    parser.add_argument("--passes", type=int, default=20, help="passes in a run, plain and profiled each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--level", choices=LEVELS, default="all", help="graph optimizations")
    parser.add_argument("--results", type=Path, default=Path("results"))
    options = parser.parse_args()
    models = sorted(Path(__file__).parent.glob("*/*.onnx"))
    for run in range(options.runs):
        for model in models:
            measure(model, options.results / model.stem / str(run), options)
        print(f"run {run + 1} of {options.runs}: {len(models)} networks")
    write_device(options.results / "device.yaml", options.threads)


if __name__ == "__main__":
    main()
