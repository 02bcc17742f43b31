"""Eager PyTorch on the CPU."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.profiling.clock import Timed, milliseconds, timed
from latpred.profiling.runtimes.base import BlockPass, LoadedNetwork, Runtime

_INPUT_SEED = 0  # one image for all sessions, so that no difference between them comes from it


class TorchEager(Runtime):
    """Runs the blocks one after the other in eager mode, without gradients."""

    name = "torch"
    precisions = ("float32",)
    layouts = ("nchw", "nhwc")

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

    def load(self, blocks: Sequence[nn.Module], network: Network) -> LoadedNetwork:
        """Make a network ready to run on a random image, [batch, C, size, size] of its first primitive.

        Raises:
            ProfilingError: If there is not one block for each primitive.
        """
        if len(blocks) != len(network.primitives):
            problem = f"expected a block for each of {len(network.primitives)} primitives, found {len(blocks)}"
            raise ProfilingError(f"network {network.network_id}", problem, "Mend the space's `build` or `block`")
        if self._memory_format is not torch.contiguous_format:
            for block in blocks:
                if block not in self._converted:  # networks share blocks, and walking their parameters takes time
                    block.to(memory_format=self._memory_format)  # type: ignore[call-overload] # missing in its stub
                    self._converted.add(block)
        opening = network.primitives[0]
        image = self._image(opening.C, opening.spatial_size)
        return _TorchNetwork(blocks, network, image, alone=self.device.threads == 1)

    def describe(self) -> dict[str, Any]:
        """Return the facts of PyTorch that change latencies."""
        return {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
            "openmp": torch.backends.openmp.is_available(),  # type: ignore[no-untyped-call]
        }

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.device.layout == "nhwc" else torch.contiguous_format

    def _image(self, channels: int, size: int) -> Tensor:
        """Return the one image of that shape; drawn once, as drawing takes longer than a small network."""
        if (channels, size) not in self._images:
            generator = torch.Generator().manual_seed(_INPUT_SEED)
            image = torch.randn(self.device.batch, channels, size, size, generator=generator)
            self._images[channels, size] = image.to(memory_format=self._memory_format)
        return self._images[channels, size]

    def _check_precision(self) -> None:
        """Refuse settings under which PyTorch computes float32 networks in something else."""
        onednn = torch.backends.mkldnn
        settings: dict[str, str] = {
            "torch.backends.mkldnn.conv.fp32_precision": onednn.conv.fp32_precision,  # type: ignore[attr-defined]
            "torch.backends.mkldnn.matmul.fp32_precision": onednn.matmul.fp32_precision,  # type: ignore[attr-defined]
            "torch.get_default_dtype()": str(torch.get_default_dtype()),
        }
        if torch.is_autocast_enabled("cpu"):
            settings["torch.autocast('cpu')"] = str(torch.get_autocast_dtype("cpu"))
        for setting, found in settings.items():
            if found not in ("none", "ieee", "torch.float32"):
                problem = f"expected to measure in {self.device.precision}, found {setting} = {found}"
                raise ProfilingError("device.precision", problem, "Undo that setting before measuring")


class _TorchNetwork(LoadedNetwork):
    """A chain of blocks and its input.

    Args:
        blocks: The modules in execution order.
        network: What they make up, for errors.
        image: The input, [batch, C, size, size].
        alone: Whether the calling thread does all of the work, so that its own counters tell the whole.
    """

    def __init__(self, blocks: Sequence[nn.Module], network: Network, image: Tensor, *, alone: bool) -> None:
        self._blocks = tuple(blocks)
        self._whole = nn.Sequential(*blocks)
        self._network, self._image, self._alone = network, image, alone

    def _run(self) -> object:
        return self._whole(self._image)

    def plain_pass(self) -> Timed:
        """Run the blocks as one `nn.Sequential`."""
        with torch.inference_mode():
            return timed(self._run, f"network {self._network.network_id}", alone=self._alone)

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
            raise self._broken_block(len(stamps) // 2, error) from error
        spans = zip(stamps[::2], stamps[1::2], strict=True)
        block_ms = tuple(milliseconds(stop - start, self._block_name(i)) for i, (start, stop) in enumerate(spans))
        total_ms = milliseconds(end - begin, f"network {self._network.network_id}")
        return BlockPass(block_ms, max(total_ms - sum(block_ms), 0.0))  # the sum of rounded values can be 1e-16 more

    def _broken_block(self, position: int, error: Exception) -> ProfilingError:
        found = " ".join(f"{type(error).__name__}: {error}".split())
        return ProfilingError(self._block_name(position), f"expected it to run, got {found}", "Mend the block")

    def _block_name(self, position: int) -> str:
        return f"block {position} ({self._network.primitives[position]})"
