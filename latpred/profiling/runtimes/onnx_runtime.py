"""ONNX Runtime on the CPU."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from latpred.graph import INPUT, OUTPUT, block_of
from latpred.profiling.runtimes.exported import ExportedRuntime, Model, Pass, Profiler
from latpred.profiling.runtimes.shares import NodeTime

_PROVIDERS = ("CPUExecutionProvider",)
_FATAL = 4  # of the levels of its log: an error is raised, too
_KERNEL = "_kernel_time"
_BLOCKED = "_nchwc"
"""Behind the name of a tensor, that of the node that makes it with its channels in blocks."""


class OnnxRuntime(ExportedRuntime):
    """Runs networks in an inference session with all of its graph optimizations."""

    name = "onnxruntime"
    precisions = ("float32",)
    # Up to 6e-6 was found over the shipped spaces. Other processors have other kernels, hence the room; a layer with
    # the weights of another is beyond 1e-2.
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 1e-4})

    @classmethod
    def version(cls) -> str:
        """Return ONNX Runtime's version without a build's label."""
        import onnxruntime

        return str(onnxruntime.__version__).partition("+")[0]

    def describe(self) -> dict[str, Any]:
        """Return the settings of a session that change latencies."""
        options = self._options()
        return {
            "providers": list(_PROVIDERS),
            "graph_optimization_level": options.graph_optimization_level.name,
            "execution_mode": options.execution_mode.name,
            "intra_op_num_threads": options.intra_op_num_threads,
            "inter_op_num_threads": options.inter_op_num_threads,
            "cpu_mem_arena": options.enable_cpu_mem_arena,
            "mem_pattern": options.enable_mem_pattern,
        }

    def compile(self, model: Model) -> Pass:
        """Make a session, and bind it to the image."""
        return _pass(_session(model, self._options()), model)

    @contextmanager
    def profiled(self, model: Model) -> Iterator[Profiler]:
        """Make a session that writes a trace into a folder that is gone afterwards."""
        options = self._options()
        options.enable_profiling = True
        with tempfile.TemporaryDirectory(prefix="latpred-") as folder:
            options.profile_file_prefix = str(Path(folder) / "trace")
            session = _session(model, options)
            yield Profiler(_pass(session, model), partial(_end_profile, session, model.last_block))

    def _options(self) -> Any:  # noqa: ANN401 - the library has no types
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.device.threads, 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _FATAL
        return options


def _session(model: Model, options: Any) -> Any:  # noqa: ANN401 - the library has no types
    import onnxruntime

    return onnxruntime.InferenceSession(model.serialized, options, providers=list(_PROVIDERS))


def _pass(session: Any, model: Model) -> Pass:  # noqa: ANN401 - the library has no types
    outputs, feed = [OUTPUT], {INPUT: model.image}
    return lambda: session.run(outputs, feed)[0]


def _end_profile(session: Any, last_block: int, skipped: int) -> list[list[NodeTime]]:  # noqa: ANN401 - as above
    trace = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return node_times(trace, last_block)[skipped:]


def node_times(trace: Sequence[Mapping[str, Any]], last_block: int) -> list[list[NodeTime]]:
    """Read the nodes of each run out of a profile.

    A node has the name of the original one or, where it works on tensors with channels in blocks, of the tensor that
    it makes; those that were put in (changes of layout, parts of an operator without a kernel) have names that tell
    no block.

    Args:
        trace: The events in their order; a run ends with one called `model_run`.
        last_block: Position of the block that makes the network's output.
    """
    runs, nodes = list[list[NodeTime]](), list[NodeTime]()
    for event in trace:
        name = event["name"]
        if name == "model_run":
            runs.append(nodes)
            nodes = []
        elif event["cat"] == "Node" and name.endswith(_KERNEL):
            name = name.removesuffix(_KERNEL)
            block = last_block if name.removesuffix(_BLOCKED) == OUTPUT else block_of(name)
            nodes.append(NodeTime(block, event["dur"] + 0.5))  # whole us, rounded down: half of one is missing
    return runs
