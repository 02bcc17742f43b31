"""The runtimes that latpred measures with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from latpred.profiling.environment import hardware_kind
from latpred.profiling.runtimes.base import AUTO, BlockPass, BlockShares, LoadedNetwork, Runtime
from latpred.profiling.runtimes.onnx_runtime import OnnxRuntime
from latpred.profiling.runtimes.openvino import OpenVINO
from latpred.profiling.runtimes.torch_cuda import TorchCuda
from latpred.profiling.runtimes.torch_eager import TorchEager
from latpred.profiling.runtimes.torch_script import TorchScript

RUNTIMES: Mapping[str, type[Runtime]] = MappingProxyType(
    {runtime.name: runtime for runtime in (TorchEager, TorchScript, OnnxRuntime, OpenVINO)}
)
"""The runtimes by the name that stands in a device's YAML; PyTorch has another one for GPUs, see `runtime_class`."""


def runtime_class(name: str, hardware: str) -> type[Runtime]:
    """Return what runs networks on some hardware.

    Args:
        name: One of `RUNTIMES`.
        hardware: As in a device's YAML.

    Raises:
        ValueError: If that runtime does not run there.
    """
    if hardware_kind(hardware) == "cpu":
        return RUNTIMES[name]
    if name != TorchCuda.name:
        raise ValueError(f"runtime must be {TorchCuda.name} with hardware {hardware}, got {name!r}")
    return TorchCuda


__all__ = [
    "AUTO",
    "RUNTIMES",
    "BlockPass",
    "BlockShares",
    "LoadedNetwork",
    "OnnxRuntime",
    "OpenVINO",
    "Runtime",
    "TorchCuda",
    "TorchEager",
    "TorchScript",
    "runtime_class",
]
