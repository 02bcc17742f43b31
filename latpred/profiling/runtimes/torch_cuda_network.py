"""A network on a CUDA GPU: what is recorded in its stream, and when the clock is read."""

from __future__ import annotations

import itertools
import statistics
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor, nn

from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.profiling.clock import Timed, milliseconds
from latpred.profiling.runtimes.base import BlockShares
from latpred.profiling.runtimes.torch_eager import TorchNetwork, block_name, broken_block
from latpred.profiling.runtimes.torch_memory import megabytes, stored_bytes, weights_of

_WARMUP_PASSES = 3  # cuDNN chooses its kernels, cuBLAS takes its workspace, the allocator fills its cache
_SHARE_PASSES = 5


class CudaNetwork(TorchNetwork):
    """A network on the current GPU; loading it runs it, so that a block that cannot run is found there.

    Args:
        cuda: `torch.cuda`, or a stand-in for it.
        blocks: The modules in execution order, on the GPU.
        network: What they make up.
        image: The input, [batch, C, size, size], on the GPU.
        graphs: Whether plain passes replay a CUDA graph.
    """

    def __init__(
        self, cuda: ModuleType, blocks: Sequence[nn.Module], network: Network, image: Tensor, *, graphs: bool
    ) -> None:
        super().__init__(blocks, network, image)
        self._cuda, self._whole = cuda, nn.Sequential(*blocks)
        self._shares = self._measure_shares()
        self._start, self._end = (cuda.Event(enable_timing=True) for _ in range(2))
        self._graph = self._capture() if graphs else None

    def plain_pass(self) -> Timed:
        """Run the network as one `nn.Sequential`, or replay its graph, between two events in an idle stream.

        The latency is that of the stream. A small network at batch 1 leaves the GPU waiting for Python to launch the
        next kernel; those gaps lie between the two events and count, as they do for everybody who runs the network
        like this, and a graph is what takes them away. What the host's clock would add is its waking up after the
        last kernel, 10 us and more that depend on the host's load alone: it is not read.
        """
        with out_of_memory_is_named(self._cuda, self._network), torch.inference_mode():
            self._cuda.synchronize()  # with work in front of it, the launches would be hidden behind that
            self._start.record()
            self._run()
            self._end.record()
            self._cuda.synchronize()
        return Timed(_elapsed_ms(self._start, self._end, self._where), None, None)

    def block_pass(self) -> None:
        """Return nothing: events between blocks slow a pass down, so that only their shares are used."""
        return

    def block_shares(self) -> BlockShares:
        """Return what each block took of passes with events between the blocks: eager ones, also where graphs are on.

        A block lasts from the event before it to the one after it, so no time is left over: where the GPU waits for
        a launch, it waits for one of the block that comes next, and that block has the time.
        """
        return self._shares

    def memory_mb(self) -> float:
        """Measure the peak of an eager pass in PyTorch's allocator, with weights and input, in MB (10^6 bytes).

        The allocator counts activations and workspaces in steps of 512 bytes. A graph keeps as much to itself.
        """
        cuda = self._cuda
        with out_of_memory_is_named(cuda, self._network), torch.inference_mode():
            cuda.synchronize()
            others = cuda.memory_allocated()  # and what this network holds, which is added below
            cuda.reset_peak_memory_stats()
            self._whole(self._image)
            cuda.synchronize()
            peak = cuda.max_memory_allocated()
        return megabytes(peak - others + stored_bytes([self._image, *weights_of(self._whole)]))

    def close(self) -> None:
        """Free the graph; weights belong to all networks."""
        if self._graph is not None:
            self._graph.reset()
            self._graph = None

    def _run(self) -> None:
        if self._graph is not None:
            self._graph.replay()
        else:
            self._whole(self._image)

    def _measure_shares(self) -> BlockShares:
        """Take the median share of each block in several passes, after some to warm up."""
        events = [self._cuda.Event(enable_timing=True) for _ in range(len(self._blocks) + 1)]
        for _ in range(_WARMUP_PASSES):
            self._stamped_ms(events)
        passes = [self._stamped_ms(events) for _ in range(_SHARE_PASSES)]
        rows = ([ms / sum(row) for ms in row] for row in passes)
        shares = [statistics.median(values) for values in zip(*rows, strict=True)]
        return BlockShares(tuple(share / sum(shares) for share in shares), 0.0)

    def _stamped_ms(self, events: Sequence[torch.cuda.Event]) -> list[float]:
        """Run the blocks one by one, an event before the first and after each; return their latencies, ms."""
        value, position = self._image, 0
        try:
            with torch.inference_mode():
                self._cuda.synchronize()
                events[0].record()
                for position, block in enumerate(self._blocks):
                    value = block(value)
                    events[position + 1].record()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a block is anybody's code
            raise broken_block(self._network, position, "to run", error) from error
        self._cuda.synchronize()
        pairs = enumerate(itertools.pairwise(events))
        return [_elapsed_ms(start, end, block_name(self._network, i)) for i, (start, end) in pairs]

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Record the network's kernels as a graph, which has to happen in a stream of its own.

        https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
        """
        cuda, graph = self._cuda, self._cuda.CUDAGraph()
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        try:
            with torch.inference_mode():
                with cuda.stream(side):
                    for _ in range(_WARMUP_PASSES):
                        self._whole(self._image)
                cuda.current_stream().wait_stream(side)
                with cuda.graph(graph, stream=side):
                    self._whole(self._image)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a block is anybody's code
            found = " ".join(f"{type(error).__name__}: {error}".split())
            problem = f"expected to capture it as a CUDA graph, got {found}"
            raise ProfilingError(self._where, problem, "Measure it without measuring.cuda_graphs") from error
        graph.replay()  # the first replay uploads the graph
        return graph


@contextmanager
def out_of_memory_is_named(cuda: ModuleType, network: Network) -> Iterator[None]:
    """Turn the GPU's running out of memory into an error of that network, and give back what it took.

    Raises:
        ProfilingError: If the GPU ran out of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        traceback.clear_frames(error.__traceback__)  # their activations would stay for as long as the error does
        cuda.empty_cache()
        found = " ".join(str(error).split())
        problem = f"expected it to fit into the GPU's memory, got {found}"
        raise ProfilingError(f"network {network.network_id}", problem, "Lower device.batch, or leave it out") from error


def _elapsed_ms(start: torch.cuda.Event, end: torch.cuda.Event, what: str) -> float:
    """Return the time between two events that a synchronisation has followed, in ms."""
    return milliseconds(round(start.elapsed_time(end) * 1e6), what)
