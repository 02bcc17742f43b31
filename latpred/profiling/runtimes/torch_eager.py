"""PyTorch in eager mode on the CPU, and what all of PyTorch's runtimes share."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.profiling.clock import Timed, milliseconds, timed
from latpred.profiling.runtimes.base import BlockPass, LoadedNetwork, Runtime
from latpred.profiling.runtimes.inputs import random_image
from latpred.profiling.runtimes.torch_memory import peak_memory_mb, weights_of

_FULL_PRECISION = ("none", "ieee", "torch.float32")


class TorchRuntime(Runtime):
    """What PyTorch's runtimes share: threads, precision, and blocks in the layout of the device."""

    layouts = ("nchw", "nhwc")
    device_type: ClassVar[str] = "cpu"
    """As PyTorch calls it."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._threads_before = device.threads
        self._images: dict[tuple[int, int], Tensor] = {}
        self._converted: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    @classmethod
    def version(cls) -> str:
        """Return PyTorch's version without the build's label: `2.13.0`, not `2.13.0+cpu`."""
        return str(torch.__version__).partition("+")[0]

    def __enter__(self) -> Self:
        """Set the threads, and make sure that float32 is float32.

        Raises:
            ProfilingError: If the process would not run as the device says.
        """
        self._check_precision()
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(self.device.threads)
        if (found := torch.get_num_threads()) != self.device.threads:
            torch.set_num_threads(self._threads_before)
            problem = f"expected PyTorch to run with {self.device.threads} threads, it says {found}"
            raise ProfilingError("device.threads", problem, "Ask for that many, or use a build of PyTorch with OpenMP")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the process its number of threads back."""
        torch.set_num_threads(self._threads_before)

    def _prepare(self, blocks: Sequence[nn.Module], network: Network) -> Tensor:
        """Convert the blocks as the device asks, each once; return their input, [batch, C, size, size].

        Raises:
            ProfilingError: If there is not one block for each primitive.
        """
        if len(blocks) != len(network.primitives):
            problem = f"expected a block for each of {len(network.primitives)} primitives, found {len(blocks)}"
            raise ProfilingError(f"network {network.network_id}", problem, "Mend the space's `build` or `block`")
        for block in blocks:
            if block not in self._converted:  # networks share blocks, and walking their parameters takes time
                self._convert(block)
                self._converted.add(block)
        opening = network.primitives[0]
        return self._image(opening.C, opening.spatial_size)

    def _convert(self, block: nn.Module) -> None:
        if self._memory_format is not torch.contiguous_format:
            block.to(memory_format=self._memory_format)  # type: ignore[call-overload] # missing in its stub

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.device.layout == "nhwc" else torch.contiguous_format

    def _image(self, channels: int, size: int) -> Tensor:
        """Return the one image of that shape; drawn once, as drawing takes longer than a small network."""
        if (channels, size) not in self._images:
            self._images[channels, size] = self._placed(random_image(self.device.batch, channels, size))
        return self._images[channels, size]

    def _placed(self, image: Tensor) -> Tensor:
        """Return an input where and how the blocks want it."""
        return image.to(memory_format=self._memory_format)

    def _precision_settings(self) -> dict[str, str]:
        """Return the settings that let PyTorch compute float32 networks in something else."""
        onednn = torch.backends.mkldnn
        return {
            "torch.backends.mkldnn.conv.fp32_precision": onednn.conv.fp32_precision,  # type: ignore[attr-defined]
            "torch.backends.mkldnn.matmul.fp32_precision": onednn.matmul.fp32_precision,  # type: ignore[attr-defined]
        }

    def _check_precision(self) -> None:
        """Refuse settings under which the networks would run in another precision than the device's."""
        settings = self._precision_settings() | {"torch.get_default_dtype()": str(torch.get_default_dtype())}
        if torch.is_autocast_enabled(self.device_type):
            settings[f"torch.autocast('{self.device_type}')"] = str(torch.get_autocast_dtype(self.device_type))
        for setting, found in settings.items():
            if found not in _FULL_PRECISION:
                problem = f"expected to measure in {self.device.precision}, found {setting} = {found}"
                raise ProfilingError("device.precision", problem, "Undo that setting before measuring")


class TorchEager(TorchRuntime):
    """Runs the blocks one after the other in eager mode, without gradients."""

    name = "torch"
    precisions = ("float32",)

    def load(self, blocks: Sequence[nn.Module], network: Network) -> LoadedNetwork:
        """Make a network ready to run on a random image, [batch, C, size, size] of its first primitive.

        Raises:
            ProfilingError: If there is not one block for each primitive.
        """
        image = self._prepare(blocks, network)
        return CpuNetwork(nn.Sequential(*blocks), blocks, network, image, alone=self.device.threads == 1)

    def describe(self) -> dict[str, Any]:
        """Return the facts of PyTorch that change latencies."""
        return {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
            "openmp": torch.backends.openmp.is_available(),  # type: ignore[no-untyped-call]
        }


class TorchNetwork(LoadedNetwork):
    """A network's blocks and input, and what errors call them.

    Args:
        blocks: The modules in execution order.
        network: What they make up.
        image: The input, [batch, C, size, size].
    """

    def __init__(self, blocks: Sequence[nn.Module], network: Network, image: Tensor) -> None:
        self._blocks, self._network, self._image = tuple(blocks), network, image
        self._where = f"network {network.network_id}"


class CpuNetwork(TorchNetwork):
    """A network on the CPU.

    Args:
        whole: The network as its users would run it.
        blocks: The same as a chain of blocks.
        network: What they make up.
        image: The input, [batch, C, size, size].
        alone: Whether the calling thread does all of the work, so that its own counters tell the whole.
        method: How the values of the blocks are found, as in `Run.block_method`.
    """

    def __init__(
        self,
        whole: nn.Module,
        blocks: Sequence[nn.Module],
        network: Network,
        image: Tensor,
        *,
        alone: bool,
        method: str = "timestamp",
    ) -> None:
        super().__init__(blocks, network, image)
        self._whole, self._alone, self._method = whole, alone, method

    def _run(self) -> object:
        return self._whole(self._image)

    def plain_pass(self) -> Timed:
        """Run the network as one module."""
        with torch.inference_mode():
            return timed(self._run, self._where, alone=self._alone)

    def block_pass(self) -> BlockPass:
        """Run the blocks one by one, the clock in between; no hooks, which cost 24-43 % of a network's latency."""
        clock, stamps, value = time.perf_counter_ns, list[int](), self._image
        try:
            with torch.inference_mode():
                begin = clock()
                for block in self._blocks:
                    stamps.append(clock())
                    value = block(value)
                    stamps.append(clock())
                end = clock()
        except Exception as error:  # a block is anybody's code
            raise broken_block(self._network, len(stamps) // 2, "to run", error) from error
        spans = zip(stamps[::2], stamps[1::2], strict=True)
        block_ms = tuple(milliseconds(b - a, block_name(self._network, i)) for i, (a, b) in enumerate(spans))
        total_ms = milliseconds(end - begin, self._where)
        # The sum of rounded values can be 1e-16 more.
        return BlockPass(block_ms, max(total_ms - sum(block_ms), 0.0), self._method)

    def memory_mb(self) -> float:
        """Measure the peak of activations, workspaces, weights and the input of a plain pass, in MB (10^6 bytes)."""
        return peak_memory_mb(self._run, [self._image, *weights_of(self._whole)])


def broken_block(network: Network, position: int, expected: str, error: Exception) -> ProfilingError:
    """Return the error of a block from which something was expected, such as `to run`."""
    found = " ".join(f"{type(error).__name__}: {error}".split())
    return ProfilingError(block_name(network, position), f"expected it {expected}, got {found}", "Mend the block")


def block_name(network: Network, position: int) -> str:
    """Return what errors call a block."""
    return f"block {position} ({network.primitives[position]})"
