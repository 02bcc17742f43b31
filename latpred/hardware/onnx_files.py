"""What hardware shares that takes ONNX: whole networks and single primitives, checked, with their nodes' names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from latpred.errors import ProfilingError
from latpred.graph import OUTPUT, BlockGraphs, block_of
from latpred.hardware.base import CompiledModel, Hardware
from latpred.network import Network

SCRIPT = "run.sh"
_LARGEST_MB = 2000  # a protobuf message, which an ONNX file is, holds 2 GB


class OnnxHardware(Hardware):
    """A hardware whose tools read ONNX.

    Args:
        batch: Images per pass.
        threads: That its tools use.
    """

    def __init__(self, batch: int = 1, threads: int = 1) -> None:
        for name, count in (("batch", batch), ("threads", threads)):
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ValueError(f"{name} must be an integer >= 1, got {count!r}")
        self.batch, self.threads = batch, threads
        self._graphs = BlockGraphs(batch)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"batch": self.batch, "threads": self.threads}

    def compile(self, network: Network, modules: Sequence[nn.Module], folder: Path) -> CompiledModel:
        """Write `<name>.onnx`, checked by ONNX itself."""
        where = f"network {network.network_id}"
        model = self._graphs.network(network, modules)
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ProfilingError(
                where, f"expected a model that ONNX accepts, got: {reason}", "Mend the blocks"
            ) from None
        content = model.SerializeToString(deterministic=True)
        if len(content) > _LARGEST_MB * 1e6:
            problem = f"expected a model of at most {_LARGEST_MB} MB, found {len(content) / 1e6:.0f} MB"
            raise ProfilingError(where, problem, "Take smaller blocks")
        (folder / f"{folder.name}.onnx").write_bytes(content)
        return CompiledModel(layers_of(model.graph, len(network.primitives)))

    def device_facts(self) -> dict[str, Any]:
        """Return what the models and the script fix."""
        return {"threads": self.threads, "batch": self.batch, "layout": "nchw"}


class ScriptedHardware(OnnxHardware):
    """A hardware whose tools read ONNX and are driven by a shell script."""

    def files(self) -> Mapping[str, str]:
        """Return the script."""
        return {SCRIPT: self.script()}

    @abstractmethod
    def script(self) -> str:
        """Return a POSIX shell script that measures all models, `sh run.sh [RUNS]`, and writes `results/`."""


def layers_of(graph: onnx.GraphProto, blocks: int) -> tuple[tuple[str, ...], ...]:
    """Return the names of each block's nodes; the network's output, by which compilers call nodes, is the last's."""
    layers: list[list[str]] = [[] for _ in range(blocks)]
    last = 0
    for node in graph.node:
        position = block_of(node.name)
        if position is not None and position < blocks and node.op_type != "Identity":
            layers[position].append(node.name)
            last = max(last, position)
    layers[last].append(OUTPUT)
    return tuple(map(tuple, layers))


def over_all_models(body: str, runs: int) -> str:
    """Return the script that does `body` for each model in each run; rounds go over all models.

    Args:
        body: Lines that use `$model` (the file), `$name` (the model's), `$run` and `$out` (where results go).
        runs: How many runs, unless the user says so.
    """
    lines = "\n".join(f"    {line}" if line else "" for line in body.strip("\n").split("\n"))
    return f"""#!/bin/sh
# Measures every model in this folder; usage: sh run.sh [RUNS]
cd "$(dirname "$0")" || exit 1
runs=${{1:-{runs}}}
run=0
while [ "$run" -lt "$runs" ]; do
  for model in */*.onnx; do
    name=$(basename "$model" .onnx)
    out=results/$name/$run
    mkdir -p "$out"
    echo "$out"
{lines}
  done
  run=$((run + 1))
done
"""
