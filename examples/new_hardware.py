"""An offline device of your own, in one file: run it with `python examples/new_hardware.py`.

The device has PyTorch and nothing else, so that it is given TorchScript files and a script that measures them. It tells
no latencies of layers: each primitive is measured by itself, too, and those are the values of the blocks.

To use the class from the command line, name this file (it is executed):

    latpred compile PROF_DIR --hardware torch_board --hardware-file examples/new_hardware.py
    latpred parse RESULTS --hardware torch_board --hardware-file examples/new_hardware.py --prof PROF_DIR ...

or put the class into a package of yours whose `pyproject.toml` says

    [project.entry-points."latpred.hardware"]
    torch_board = "your_package.new_hardware:TorchBoard"
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latpred.hardware import CompiledModel, Hardware
from latpred.network import Network

SCRIPT = '''"""Measure the models beside this script; needs nothing but PyTorch."""

import json
import platform
import sys
import time
from pathlib import Path

import torch

results = Path("results")
results.mkdir()
torch.set_num_threads(1)
for model in sorted(Path(__file__).parent.glob("*/*.ts")):
    net = torch.jit.load(str(model))
    image = torch.zeros(json.loads(model.with_suffix(".json").read_text()))
    rows = ["name,latency_ms,run"]
    with torch.inference_mode():
        for _ in range(5):
            net(image)
        for run in range(int(sys.argv[1])):
            start = time.perf_counter()
            net(image)
            rows.append(f"whole,{1e3 * (time.perf_counter() - start):.6f},{run}")
    (results / f"{model.stem}.csv").write_text("\\n".join(rows))
device = {"hardware": platform.machine(), "runtime_version": torch.__version__.partition("+")[0]}
(results / "device.yaml").write_text(json.dumps({"device": device}))
'''


class TorchBoard(Hardware):
    """Networks and primitives as TorchScript.

    Args:
        batch: Images per pass.
    """

    name = "torch_board"
    runtime = "torchscript"
    formats = ("csv",)
    compiles_primitives = True

    def __init__(self, batch: int = 1) -> None:
        if batch < 1:
            raise ValueError(f"batch must be an integer >= 1, got {batch!r}")
        self.batch = batch

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"batch": self.batch}

    def compile(self, network: Network, modules: Sequence[nn.Module], folder: Path) -> CompiledModel:
        """Write `<name>.ts`, and the shape of its input as `<name>.json`."""
        first = network.primitives[0]
        shape = [self.batch, first.C, first.spatial_size, first.spatial_size]
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # TorchScript is deprecated; this device has nothing else
            image = torch.zeros(shape)
            traced = torch.jit.trace(nn.Sequential(*modules), image)  # type: ignore[no-untyped-call] # of PyTorch
        traced.save(str(folder / f"{folder.name}.ts"))
        (folder / f"{folder.name}.json").write_text(str(shape), encoding="utf-8")
        return CompiledModel(tuple(() for _ in network.primitives))  # no layers that a result could name

    def files(self) -> Mapping[str, str]:
        """Return the script that measures."""
        return {"measure.py": SCRIPT}

    def commands(self) -> str:
        """Return what to do on the device."""
        return "Start `python measure.py 20` in this folder, and bring `results/` back.\n"

    def device_facts(self) -> dict[str, Any]:
        """Return what the models and the script fix."""
        return {"precision": "float32", "threads": 1, "batch": self.batch, "layout": "nchw"}


def main() -> None:
    """Compile two networks, measure them on this machine as if it were the device, and read the results."""
    space = Path(__file__).parents[1] / "configs/spaces/mnasnet_ofa_112.yaml"
    own = ["--hardware", "torch_board", "--hardware-file", __file__]
    with tempfile.TemporaryDirectory() as folder:
        prof, results = f"{folder}/prof", f"{folder}/prof/hardwares/0-torch_board/results"
        _latpred("genprof", str(space), "--out", prof, "--num-sample", "2", "--seed", "0")
        _latpred("compile", prof, *own)
        compiled = Path(results).parent
        subprocess.run([sys.executable, "measure.py", "5"], cwd=compiled, check=True)
        _latpred("parse", results, *own, "--prof", prof, "--dataset", f"{folder}/data")


def _latpred(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "latpred", *arguments], check=True)


if __name__ == "__main__":
    main()
