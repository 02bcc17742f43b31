"""OpenVINO on the CPU."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar

from latpred.errors import ProfilingError
from latpred.graph import block_of
from latpred.profiling.runtimes.exported import ExportedRuntime, Model, Pass, Profiler
from latpred.profiling.runtimes.shares import NodeTime

_PRECISIONS: Mapping[str, str] = MappingProxyType({"float32": "f32", "bfloat16": "bf16"})
_WEIGHTY = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})
"""The layers that make a network's precision; in a bfloat16 network, some others stay in float32."""
_REDUCED = frozenset({"bf16", "f16"})
"""What no layer of a float32 network may run in."""
_GROUP = 3
"""Profiled runs that are taken together."""
_TOLD = (
    "ENABLE_CPU_PINNING",
    "ENABLE_HYPER_THREADING",
    "EXECUTION_MODE_HINT",
    "INFERENCE_NUM_THREADS",
    "INFERENCE_PRECISION_HINT",
    "NUM_STREAMS",
    "PERFORMANCE_HINT",
    "RUNTIME_REQUIREMENTS",
    "SCHEDULING_CORE_TYPE",
)


class OpenVINO(ExportedRuntime):
    """Runs networks with OpenVINO's plugin for CPUs, in one stream; with one thread, that is the caller's."""

    name = "openvino"
    precisions = tuple(_PRECISIONS)
    # Up to 6e-6 and 0.09 were found over the shipped spaces, and 0.29 with PyTorch's own bfloat16: in a deep network,
    # rounding adds up. Other processors have other kernels, hence the room; an output of another network is near 1.
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 1e-4, "bfloat16": 0.25})

    @classmethod
    def require(cls) -> None:
        """Make sure that OpenVINO is installed.

        Raises:
            ProfilingError: If it cannot be imported.
        """
        _openvino()

    @classmethod
    def version(cls) -> str:
        """Return OpenVINO's version without build and branch: `2026.4.1`.

        Raises:
            ProfilingError: If it cannot be imported.
        """
        return str(_openvino().__version__).partition("-")[0]

    def describe(self) -> dict[str, Any]:
        """Return what a compiled network says of its settings, whatever was asked for."""
        operators = _openvino("opset13")
        number = operators.parameter([1])
        smallest = _openvino().Model([operators.relu(number)], [number])
        compiled = self._core.compile_model(smallest, "CPU", self._config)
        told = compiled.get_property("SUPPORTED_PROPERTIES")
        return {name.lower(): _plain(compiled.get_property(name)) for name in _TOLD if name in told}

    def compile(self, model: Model) -> Pass:
        """Compile a network."""
        return _pass(self._compile(model).create_infer_request(), model)

    @contextmanager
    def profiled(self, model: Model) -> Iterator[Profiler]:
        """Compile a network so that it counts the time of its nodes, and make sure that they have the right precision.

        Not in `compile`: a network that was asked for its nodes keeps the answer, some MB.
        """
        compiled = self._compile(model, PERF_COUNT=True)
        check_layers(compiled.get_runtime_model(), self.device.precision)
        request, means = compiled.create_infer_request(), list[list[Any]]()
        run = _pass(request, model)

        def run_and_note() -> None:
            run()
            means.append(request.profiling_info)

        yield Profiler(run_and_note, partial(node_times, means))

    @cached_property
    def _core(self) -> Any:  # noqa: ANN401 - the library has no types
        return _openvino().Core()

    @property
    def _config(self) -> dict[str, Any]:
        return {
            "INFERENCE_NUM_THREADS": self.device.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # the session pins
            "INFERENCE_PRECISION_HINT": _PRECISIONS[self.device.precision],  # its own choice is bfloat16
        }

    def _compile(self, model: Model, **more: bool) -> Any:  # noqa: ANN401 - the library has no types
        """Compile a network, and make sure that OpenVINO took its precision for more than a hint.

        Raises:
            ProfilingError: If it chose another one.
        """
        compiled = self._core.compile_model(self._core.read_model(model.serialized), "CPU", {**self._config, **more})
        found = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        _check_precision("the network", found, self.device.precision)
        return compiled


def _openvino(module: str = "") -> Any:  # noqa: ANN401 - the library has no types
    """Import the library or one of its modules.

    Raises:
        ProfilingError: If that fails.
    """
    try:
        return importlib.import_module(f"openvino.{module}" if module else "openvino")
    except ImportError as error:
        problem = f"expected the package openvino to be installed, got {type(error).__name__}: {error}"
        raise ProfilingError("device.runtime openvino", problem, "Run: pip install 'latpred[openvino]'") from None


def _plain(value: object) -> bool | int | str:
    """Return a property as JSON has it; the library's own kinds as their names."""
    if hasattr(value, "to_string"):
        return str(value.to_string())
    return value if isinstance(value, bool | int | str) else str(getattr(value, "name", value))


def _pass(request: Any, model: Model) -> Pass:  # noqa: ANN401 - the library has no types
    request.set_input_tensor(_openvino().Tensor(model.image))  # bound once: handing it over each time takes 30 us
    return lambda: request.infer(share_outputs=True)[0]


def check_layers(compiled: Any, precision: str) -> None:  # noqa: ANN401 - the library has no types
    """Make sure that the layers of a compiled network run in the precision that was asked for.

    Args:
        compiled: What `get_runtime_model` gave.
        precision: As in `Device.precision`.

    Raises:
        ProfilingError: If one of them runs in another.
    """
    for node in compiled.get_ordered_ops():
        told = node.get_rt_info()
        layer, found = str(told["layerType"].value), str(told["runtimePrecision"].value)
        if layer in _WEIGHTY or (precision == "float32" and found in _REDUCED):
            _check_precision(f"{layer} {node.get_friendly_name()}", found, precision)


def _check_precision(what: str, found: str, precision: str) -> None:
    if found != _PRECISIONS[precision]:
        problem = f"expected OpenVINO to run {what} in {_PRECISIONS[precision]}, it runs it in {found}"
        raise ProfilingError(f"device.precision {precision}", problem, "Ask for a precision that this CPU has")


def node_times(means: list[list[Any]], skipped: int) -> list[list[NodeTime]]:
    """Read the nodes of each group of runs out of what OpenVINO tells after every run.

    It tells the mean over all runs so far, of which the first takes several times as long as the others, in whole us
    rounded down. So the time of the runs m + 1 to n is n times the mean after n less m times the mean after m, and
    groups of runs are taken, as the rounding counts that often, too.

    Args:
        means: `profiling_info` after each run, from the first one on.
        skipped: Number of first runs to leave out.
    """
    executed = [node.node_name for node in means[-1] if node.status == node.Status.EXECUTED]
    totals_us = []
    for count in range(skipped, len(means) + 1, _GROUP):
        told_us = {node.node_name: node.real_time.total_seconds() * 1e6 for node in means[count - 1]}
        totals_us.append([count * (told_us[name] + 0.5) for name in executed])
    blocks = [block_of(name) for name in executed]
    return [
        [NodeTime(block, (end - begin) / _GROUP) for block, begin, end in zip(blocks, before, after, strict=True)]
        for before, after in pairwise(totals_us)
    ]
