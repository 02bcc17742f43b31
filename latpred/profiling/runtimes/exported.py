"""What the runtimes share that compile a network from its ONNX form."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self

import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.graph import BlockGraphs, block_of
from latpred.network import Network
from latpred.profiling.clock import Timed, timed
from latpred.profiling.heap import bytes_in_use
from latpred.profiling.runtimes.base import BlockPass, BlockShares, LoadedNetwork, Runtime
from latpred.profiling.runtimes.check import check_output
from latpred.profiling.runtimes.inputs import random_image
from latpred.profiling.runtimes.shares import NodeTime, block_shares

_FIRST_RUNS = 3
"""After these a runtime has allocated all that it will: ONNX Runtime plans its memory in the first run."""
_PROFILED_RUNS = 12

Pass = Callable[[], NDArray[Any]]
"""Runs a compiled network once on its image and returns the output."""


class Model(NamedTuple):
    """A network to compile, and what to run it on."""

    serialized: bytes
    """Its ONNX form."""
    image: NDArray[Any]
    """The input, [batch, C, size, size], float32."""
    network: Network
    """What it is the form of."""
    last_block: int
    """Position of the block that makes the output: the last one that computes something."""
    weights_bytes: int
    """Of all its blocks, equal ones included."""


class Profiler(NamedTuple):
    """A network that is compiled with the runtime's own profiler."""

    run: Callable[[], object]
    """Runs it once."""
    node_times: Callable[[int], list[list[NodeTime]]]
    """Ends the profile and returns the nodes of each run in the order of their execution, but for so many first runs.

    Several runs may be put together where the runtime does not tell them apart well."""


class ExportedRuntime(Runtime):
    """A runtime that compiles a network from its ONNX form, fuses across its nodes, and tells its own profile.

    A subclass says how to compile and how to profile; `load` does the rest.
    """

    layouts = ("nchw",)
    compiles = True
    tolerances: ClassVar[Mapping[str, float]]
    """By precision: how far the output may be from PyTorch's float32, relative to its largest value."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._graphs = BlockGraphs(device.batch)
        self._threads_before = device.threads

    @abstractmethod
    def compile(self, model: Model) -> Pass:
        """Compile a network for the device, as its users would."""

    @abstractmethod
    def profiled(self, model: Model) -> AbstractContextManager[Profiler]:
        """Compile a network with the runtime's own profiler, all else the same; what it needs ends with the context."""

    def __enter__(self) -> Self:
        """Give PyTorch, which computes the expected outputs, as many threads as the device has."""
        self.require()
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(self.device.threads)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give PyTorch its threads back."""
        torch.set_num_threads(self._threads_before)

    def load(self, blocks: Sequence[nn.Module], network: Network) -> LoadedNetwork:
        """Compile a network, and make sure that it computes what PyTorch does.

        Raises:
            ProfilingError: If a block has no form in ONNX, the runtime cannot run the network, its output is not
                PyTorch's, or it is not in the device's precision.
        """
        where = f"network {network.network_id} on {self.name}"
        opening = network.primitives[0]
        image = random_image(self.device.batch, opening.C, opening.spatial_size)
        graph = self._graphs.network(network, blocks)
        in_torch = _explained(f"network {network.network_id}", "expected PyTorch to run it", "Mend the blocks")
        with in_torch, torch.inference_mode():
            expected = nn.Sequential(*blocks)(image).numpy()
        serialized = graph.SerializeToString(deterministic=True)
        model = Model(serialized, image.numpy(), network, _last_block(graph.graph), _weights_bytes(graph.graph))
        with _explained(where, f"expected {self.name} to run it", "Measure it with another runtime"):
            return self._compiled(model, expected, where)

    def _compiled(self, model: Model, expected: NDArray[Any], where: str) -> LoadedNetwork:
        """Compile a network twice: to be profiled here, and to be measured as long as it is loaded.

        The profiled one comes first, because what the runtime keeps for good, such as kernels that all networks
        share, would otherwise be counted as the memory of the first network that needs it.
        """
        with self.profiled(model) as profiler:
            for _ in range(_FIRST_RUNS):
                profiler.run()
            before = bytes_in_use()
            run = self.compile(model)
            for _ in range(_FIRST_RUNS):
                found = run()
            after = bytes_in_use()
            check_output(found, expected, self.tolerances[self.device.precision], where)
            alone, plain_us = self.device.threads == 1, list[float]()
            for _ in range(_PROFILED_RUNS):
                profiler.run()
                plain = timed(run, where, alone=alone)
                plain_us.append(1e3 * (plain.latency_ms if plain.cpu_time_ms is None else plain.cpu_time_ms))
            runs = profiler.node_times(_FIRST_RUNS)
        shares = block_shares(runs, len(model.network.primitives), plain_us)
        return _CompiledNetwork(run, where, shares, _megabytes(before, after, model.weights_bytes), alone=alone)


class _CompiledNetwork(LoadedNetwork):
    """A network that a runtime has compiled.

    Args:
        run: Runs it once.
        where: The network and the runtime, for errors.
        shares: What its blocks take.
        memory_mb: What the runtime holds for it.
        alone: Whether the calling thread does all of the work.
    """

    def __init__(
        self, run: Pass, where: str, shares: BlockShares | None, memory_mb: float | None, *, alone: bool
    ) -> None:
        self._run, self._where, self._shares = run, where, shares
        self._memory_mb, self._alone = memory_mb, alone

    def plain_pass(self) -> Timed:
        """Run the network."""
        return timed(self._run, self._where, alone=self._alone)

    def block_pass(self) -> BlockPass | None:
        """Return None: the blocks of a compiled network have no borders to read the clock at."""
        return None

    def block_shares(self) -> BlockShares | None:
        """Return what each block takes, from the runtime's profile; None where a block was fused away."""
        return self._shares

    def memory_mb(self) -> float | None:
        """Return what the runtime holds for the network: weights, activations, and all it keeps beside them."""
        return self._memory_mb


def _last_block(graph: onnx.GraphProto) -> int:
    blocks = [block_of(node.name) for node in graph.node if node.op_type != "Identity"]
    return max((block for block in blocks if block is not None), default=0)


def _weights_bytes(graph: onnx.GraphProto) -> int:
    return sum(len(weight.raw_data) for weight in graph.initializer)


def _megabytes(before: int | None, after: int | None, weights_bytes: int) -> float | None:
    """Return the growth in MB; None where that cannot be all, as the weights alone are more.

    That is so where the runtime does not take its memory from the C library's allocator.
    """
    if before is None or after is None or after - before < weights_bytes:
        return None
    return (after - before) / 1e6


@contextmanager
def _explained(where: str, expected: str, remedy: str) -> Iterator[None]:
    """Turn whatever fails inside into one line that names the network."""
    try:
        yield
    except ProfilingError:
        raise
    except Exception as error:  # of a runtime's own kinds, or a block's
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise ProfilingError(where, f"{expected}, got {found}", remedy) from error
