"""The runtimes that latpred measures with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from latpred.profiling.runtimes.base import AUTO, BlockPass, BlockShares, LoadedNetwork, Runtime
from latpred.profiling.runtimes.torch_eager import TorchEager

RUNTIMES: Mapping[str, type[Runtime]] = MappingProxyType({runtime.name: runtime for runtime in (TorchEager,)})
"""The runtimes by the name that stands in a device's YAML."""

__all__ = ["AUTO", "RUNTIMES", "BlockPass", "BlockShares", "LoadedNetwork", "Runtime", "TorchEager"]
