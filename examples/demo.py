"""The main job, from a search space to an answer, on this machine: `make demo`.

Every step is a command that you can run yourself; it is printed before it runs. All that is made lies in a new
folder below runs/.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PREDICTORS = ("table", "regression", "gp", "block_sum_net", "mlp", "lstm")


def run(command: str) -> None:
    """Print a command and run it; stop the demo where it fails."""
    print(f"\n$ {command}", flush=True)
    words = shlex.split(command)
    if words[0] == "latpred":
        words = [sys.executable, "-m", *words]
    if code := subprocess.run(words, cwd=ROOT, check=False).returncode:
        sys.exit(code)


def only(folder: Path, pattern: str) -> Path:
    """Return the one path that matches; the demo's folder is new, so there is one."""
    (path,) = folder.glob(pattern)
    return path.relative_to(ROOT)


def main() -> None:
    """Run the commands in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="configs/spaces/mnasnet_ofa_112.yaml")
    parser.add_argument("--networks", type=int, default=120, help="networks drawn from the space")
    parser.add_argument("--rounds", type=int, default=10, help="visits of each network")
    options = parser.parse_args()
    begin = time.monotonic()
    folder = ROOT / "runs" / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    out = folder.relative_to(ROOT)

    run(f"latpred genprof {options.space} --out {out}/prof")
    run(f"latpred genprof {options.space} --out {out}/sampled --num-sample {options.networks} --seed 0")
    run(
        f"latpred profile {out}/prof {out}/sampled --device configs/devices/cpu_torch.yaml"
        f" --dataset {out}/cpu --rounds {options.rounds}"
    )
    run(f"latpred dataset info {out}/cpu")
    for name in PREDICTORS:
        run(f"latpred fit --config configs/runs/{name}.yaml --data.dataset {out}/cpu --runs {out}")
    checkpoints = {name: only(folder, f"checkpoints/*/{name}/*/best.ckpt") for name in PREDICTORS}
    for name, checkpoint in checkpoints.items():
        config = f"--config configs/runs/{name}.yaml --data.dataset {out}/cpu"
        run(f"latpred validate {config} --ckpt_path {checkpoint}")
    run(f"latpred export {checkpoints['table']} --out {out}/table.ts --formats ts,pt2,onnx")
    run(f"latpred predict {out}/table.ts --sample 5 --seed 1")
    run(f"{sys.executable} examples/nas_reward.py {out}/table.ts --seed 0")
    paths = " ".join(map(str, checkpoints.values()))
    run(f"latpred compare {out}/cpu {paths} --export-best {out}/best.ts")

    print(f"\nDone in {time.monotonic() - begin:.0f} s. Made:")
    for what, path in {
        "dataset": f"{out}/cpu",
        "checkpoints": f"{out}/checkpoints",
        "predictors": f"{out}/best.ts and {out}/table.ts (and .pt2, .onnx)",
        "TensorBoard": f"tensorboard --logdir {out}/logs",
    }.items():
        print(f"  {what:<12} {path}")


if __name__ == "__main__":
    main()
