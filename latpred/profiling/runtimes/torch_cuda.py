"""PyTorch in eager mode on a CUDA GPU, with CUDA graphs if asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import ModuleType, TracebackType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.profiling.runtimes.base import LoadedNetwork
from latpred.profiling.runtimes.torch_cuda_network import CudaNetwork, out_of_memory_is_named
from latpred.profiling.runtimes.torch_eager import TorchRuntime

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_ASKED = re.compile(r"cuda(?::(?P<index>\d+))?")
_TF32_SWITCHES = ("cudnn.conv", "cudnn.rnn", "cuda.matmul")  # of torch.backends; convolutions have TF32 on by default


class TorchCuda(TorchRuntime):
    """Runs the blocks one after the other on one GPU, and times them with events in its stream.

    Args:
        device: What latencies belong to.
        asked: The GPU, as in the device's YAML: `cuda` (the first one) or `cuda:1`.
        graphs: Replay each network as one CUDA graph instead of launching its kernels from Python.
    """

    name = "torch"
    precisions = tuple(_DTYPES)
    compiles = True
    device_type = "cuda"
    min_warmup_s: ClassVar[float] = 1.0
    """Clocks of GPUs take about a second to rise."""
    cuda: ClassVar[ModuleType] = torch.cuda
    """The seam: all that touches a GPU goes through this module, or through a stand-in for it."""

    def __init__(self, device: Device, *, asked: str = "cuda", graphs: bool = False) -> None:
        super().__init__(device)
        self._index, self._graphs = _index(asked), graphs
        self._index_before = self._index
        self._tf32_before: dict[str, str] = {}

    @classmethod
    def require(cls) -> None:
        """Make sure that PyTorch can use a GPU.

        Raises:
            ProfilingError: If it is built without CUDA, or finds no GPU.
        """
        if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
            problem = f"expected PyTorch with CUDA, found {torch.__version__}"
            raise ProfilingError("device.hardware", problem, "Install a CUDA build of PyTorch, see pytorch.org")
        if not cls.cuda.is_available():
            problem = "expected a GPU that PyTorch can use, found none"
            raise ProfilingError("device.hardware", problem, "Check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES")

    @classmethod
    def hardware(cls, asked: str) -> str:
        """Return the name of the GPU that `cuda` or `cuda:1` asks for.

        Raises:
            ProfilingError: If there is none.
        """
        cls.require()
        index, count = _index(asked), cls.cuda.device_count()
        if index >= count:
            known = ", ".join(f"cuda:{i} ({cls.cuda.get_device_name(i)})" for i in range(count))
            problem = f"expected a GPU that is here, {known}, found '{asked}'"
            raise ProfilingError("device.hardware", problem, "Ask for one of those")
        return cls.cuda.get_device_name(index)

    def __enter__(self) -> Self:
        """Choose the GPU, turn TF32 off, because float32 must be float32, and set the threads.

        Raises:
            ProfilingError: If the process would not run as the device says.
        """
        self.hardware(f"cuda:{self._index}")
        self._index_before, self._tf32_before = self.cuda.current_device(), _tf32()
        try:
            self.cuda.set_device(self._index)
            _set_tf32(dict.fromkeys(_TF32_SWITCHES, "ieee"))
            return super().__enter__()
        except BaseException:
            self._restore()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the process its settings, its GPU and its number of threads back."""
        super().__exit__(kind, error, traceback)
        self._restore()

    def _restore(self) -> None:
        _set_tf32(self._tf32_before)
        self.cuda.set_device(self._index_before)

    def load(self, blocks: Sequence[nn.Module], network: Network) -> LoadedNetwork:
        """Make a network ready to run on a random image, [batch, C, size, size] of its first primitive.

        Raises:
            ProfilingError: If there is not one block for each primitive, one does not run, memory is short, or the
                network cannot be a CUDA graph and is asked to be one.
        """
        with out_of_memory_is_named(self.cuda, network):
            return CudaNetwork(self.cuda, blocks, network, self._prepare(blocks, network), graphs=self._graphs)

    def describe(self) -> dict[str, Any]:
        """Return the facts of PyTorch, CUDA and the GPU that change latencies; None where nothing tells them."""
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        major, minor = self.cuda.get_device_capability(self._index)
        return {
            "gpu": self.cuda.get_device_name(self._index),
            "capability": f"{major}.{minor}",
            "cuda": torch.version.cuda,
            "cudnn": cudnn.version(),  # type: ignore[no-untyped-call]
            "cudnn_benchmark": cudnn.benchmark,
            "fp32_precision": _tf32(),
            "fp16_reduced_precision_reduction": matmul.allow_fp16_reduced_precision_reduction,
            "bf16_reduced_precision_reduction": matmul.allow_bf16_reduced_precision_reduction,
            "graphs": self._graphs,
            **driver_and_clocks(str(self.cuda.get_device_properties(self._index).uuid)),
        }

    @property
    def _place(self) -> torch.device:
        return torch.device(self.device_type, self._index)

    def _convert(self, block: nn.Module) -> None:
        dtype = _DTYPES[self.device.precision]
        block.to(self._place, dtype, memory_format=self._memory_format)  # type: ignore[call-overload] # as in the base

    def _placed(self, image: Tensor) -> Tensor:
        return image.to(self._place, _DTYPES[self.device.precision], memory_format=self._memory_format)

    def _precision_settings(self) -> dict[str, str]:
        return {f"torch.backends.{name}.fp32_precision": found for name, found in _tf32().items()}


def driver_and_clocks(uuid: str) -> dict[str, Any]:
    """Return the driver's version and the clocks, MHz, of the GPU with that UUID, as NVML tells them; else None.

    By UUID, because NVML numbers GPUs otherwise than CUDA does, and knows nothing of CUDA_VISIBLE_DEVICES.
    """
    found = dict.fromkeys(("driver", "sm_clock_mhz", "sm_clock_max_mhz", "memory_clock_mhz", "memory_clock_max_mhz"))
    try:
        import pynvml
    except ImportError:  # the extra `energy` has it
        return found
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return found
    try:
        gpu = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
        sm, memory = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
        return {
            "driver": pynvml.nvmlSystemGetDriverVersion(),
            "sm_clock_mhz": pynvml.nvmlDeviceGetClockInfo(gpu, sm),
            "sm_clock_max_mhz": pynvml.nvmlDeviceGetMaxClockInfo(gpu, sm),
            "memory_clock_mhz": pynvml.nvmlDeviceGetClockInfo(gpu, memory),
            "memory_clock_max_mhz": pynvml.nvmlDeviceGetMaxClockInfo(gpu, memory),
        }
    except pynvml.NVMLError:
        return found
    finally:
        pynvml.nvmlShutdown()


def _index(asked: str) -> int:
    """Return the number of the GPU that `cuda` or `cuda:1` asks for."""
    if not (match := _ASKED.fullmatch(asked.strip().lower())):
        problem = f"expected 'cuda' or 'cuda:' and the number of a GPU, found '{asked}'"
        raise ProfilingError("device.hardware", problem, "Write one of those")
    return int(match["index"] or 0)


def _tf32() -> dict[str, str]:
    """Return how PyTorch computes float32 products on a GPU: `ieee` (or `none`, the same) or `tf32`."""
    return {name: attrgetter(name)(torch.backends).fp32_precision for name in _TF32_SWITCHES}


def _set_tf32(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        attrgetter(name)(torch.backends).fp32_precision = value
