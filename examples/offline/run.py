"""The whole offline path on this machine, with the vendors' own tools: `python examples/offline/run.py`.

Networks are compiled for ONNX Runtime and for OpenVINO, measured as on a device that has no latpred (by the script that
the compiled folder brings, and by OpenVINO's benchmark_app), parsed into datasets, and predicted from them. The same
networks are then measured online, by `latpred profile`, and both are compared. Some minutes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from latpred.dataset import Dataset, estimate
from latpred.profiling import load_device

ROOT = Path(__file__).resolve().parents[2]
SPACE = ROOT / "examples/offline/space.yaml"


def run(command: str, folder: Path = ROOT) -> str:
    """Print a command, run it, and return what it prints; stop the example where it fails."""
    print(f"\n$ {command}", flush=True)
    words = shlex.split(command)
    if words[0] == "latpred":
        words = [sys.executable, "-m", *words]
    # benchmark_app lies beside Python, where the virtual environment is not activated, too.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def measure_offline(tool: str, out: Path, runs: int) -> Path | None:
    """Compile for a tool, measure with it, parse; return the dataset, None where the tool is not installed."""
    if tool == "openvino" and shutil.which("benchmark_app", path=str(Path(sys.executable).parent)) is None:
        print("\nopenvino: skipped, benchmark_app is not installed; pip install 'latpred[openvino]' brings it")
        return None
    compiled, dataset = out / f"for-{tool}", out / f"offline-{tool}"
    config = f"configs/hardware/{tool}.yaml"
    run(f"latpred compile {out}/prof --hardware {tool} --config {config} --out {compiled}")
    if tool == "onnxruntime":
        run(f"{shlex.quote(sys.executable)} profile_networks.py --runs {runs}", compiled)
    else:
        run(f"sh run.sh {runs}", compiled)
        hardware = load_device(ROOT / f"configs/devices/cpu_{tool}.yaml").resolve().hardware
        (compiled / "results/device.yaml").write_text(f'device: {{hardware: "{hardware}"}}\n', encoding="utf-8")
    parse = f"latpred parse {compiled}/results --hardware {compiled} --prof {out}/prof"
    run(f"{parse} --dataset {dataset} --dry-run")
    run(f"{parse} --dataset {dataset}")
    return dataset


def predict(dataset: Path, out: Path, name: str) -> None:
    """Fit a predictor on a dataset, and ask it."""
    runs = out / f"fit-{name}"
    data = f"--data.dataset {dataset} --data.uncovered drop"
    run(f"latpred fit --config configs/runs/regression.yaml {data} --runs {runs}")
    (checkpoint,) = runs.glob("checkpoints/*/regression/*/best.ckpt")
    run(f"latpred export {checkpoint} --out {out}/{name}.ts --formats ts")
    run(f"latpred predict {out}/{name}.ts --sample 3 --seed 1 --missing nan")


def compare(offline: Path, online: Path) -> dict[str, float]:
    """Return how far two datasets of the same networks are apart, as fractions.

    Returns:
        `whole`: the median difference of networks' latencies; `level`: the median ratio of them, less 1; `apart`: the
        median difference when that level is taken out; `ranking`:
        Spearman's correlation; `blocks`: the median, over networks, of the time that would have to move from block to
        block to make one's shares of the whole the other's.
    """
    both = [Dataset.open(path).read() for path in (offline, online)]
    levels = [estimate(found).networks.set_index("network_id")["estimate"] for found in both]
    ratio = (levels[0] / levels[1]).dropna()
    shares = [_shares(path) for path in (offline, online)]
    moved = [float(np.abs(shares[0][i] - shares[1][i]).sum() / 2) for i in shares[0].keys() & shares[1].keys()]
    return {
        "whole": float((ratio - 1).abs().median()),
        "level": float(ratio.median() - 1),
        "apart": float((ratio / ratio.median() - 1).abs().median()),
        "ranking": float(levels[0].corr(levels[1], method="spearman")),
        "blocks": statistics.median(moved),
    }


def _shares(dataset: Path) -> dict[str, np.ndarray]:
    """Return what each block takes of the blocks' sum, by network, the median over runs."""
    found = Dataset.open(dataset).read()
    values: dict[str, list[np.ndarray]] = {}
    bounds = zip(found.block_offsets[:-1], found.block_offsets[1:], strict=True)
    for network, (start, end) in zip(found.runs["network"], bounds, strict=True):
        blocks = found.block_values[start:end]
        if np.isfinite(blocks).all():
            values.setdefault(found.networks[network].network_id, []).append(blocks / blocks.sum())
    return {name: np.median(runs, axis=0) for name, runs in values.items()}


def main() -> None:
    """Go the whole way for each tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--runs", type=int, default=2, help="of each network, offline")
    parser.add_argument("--rounds", type=int, default=5, help="visits of each network, online")
    parser.add_argument("--tools", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--out", type=Path, help="a new folder; one below runs/ by default")
    options = parser.parse_args()
    out = (options.out or ROOT / "runs" / f"offline-{datetime.now(UTC):%Y%m%d-%H%M%S}").absolute()
    out.mkdir(parents=True)
    run(f"latpred genprof {SPACE} --out {out}/prof --num-sample {options.networks} --seed 0")
    errors = {}
    for tool in options.tools:
        dataset = measure_offline(tool, out, options.runs)
        if dataset is None:
            continue
        predict(dataset, out, tool)
        device = f"configs/devices/cpu_{tool}.yaml"
        online = f"--dataset {out}/online-{tool} --rounds {options.rounds} --seed 0 --wait"
        run(f"latpred profile {out}/prof --device {device} {online}")
        errors[tool] = compare(dataset, out / f"online-{tool}")
    print("\noffline against online, the same networks on the same machine:")
    for tool, found in errors.items():
        print(
            f"{tool}: networks differ by {found['whole']:.1%} (level {found['level']:+.1%}, "
            f"{found['apart']:.1%} apart from that, Spearman {found['ranking']:.3f}), "
            f"{found['blocks']:.1%} of the time stands in other blocks"
        )


if __name__ == "__main__":
    main()
