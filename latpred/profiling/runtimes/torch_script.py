"""PyTorch on the CPU, scripted: traced, frozen, and executed without Python."""

from __future__ import annotations

import io
import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from latpred.device import Device
from latpred.network import Network
from latpred.profiling.runtimes.base import LoadedNetwork
from latpred.profiling.runtimes.check import check_output
from latpred.profiling.runtimes.torch_eager import CpuNetwork, TorchEager, broken_block

_TOLERANCE = 1e-4  # relative to the largest output; folding BatchNorm into convolutions changes it by 2e-6
_OPTIMISING_PASSES = 2  # the executor looks at the shapes in the first one, and compiles in the second


class TorchScript(TorchEager):
    """Runs networks as frozen TorchScript programs: weights are constants, BatchNorm is folded into convolutions.

    A frozen network is one program, in which no border between blocks is left to put a clock at. So the values of
    blocks come from a chain of programs, each of them a block that is frozen by itself (`method` = `isolated`). Such a
    value holds the cost of entering a program, and nothing that a compiler does across borders: the chain takes 8-11 %
    longer than the whole. The latency of the whole is that of the one program.

    `torch.jit.optimize_for_inference` is left out: it moves networks into oneDNN's own layout, whatever `layout` says,
    and was slower than freezing alone (4.2 instead of 2.7 ms for an OFA network of 112 px in nhwc; equal in nchw).
    """

    name = "torchscript"
    compiles = True

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._programs: weakref.WeakKeyDictionary[nn.Module, torch.jit.ScriptModule] = weakref.WeakKeyDictionary()

    def load(self, blocks: Sequence[nn.Module], network: Network) -> LoadedNetwork:
        """Compile a network for a random image, [batch, C, size, size] of its first primitive, and check its output.

        Each distinct block is traced and frozen once, in 30 ms; putting a network together of them and letting the
        executor optimise it takes 0.1 s.

        Raises:
            ProfilingError: If there is not one block for each primitive, one does not run or cannot be traced, or the
                output is not that of eager PyTorch.
        """
        image = self._prepare(blocks, network)
        parts, value = list[torch.jit.ScriptModule](), image
        with torch.inference_mode(), _deprecation_is_known():
            for position, block in enumerate(blocks):
                if block not in self._programs:
                    self._programs[block] = _program(block, value, network, position)
                parts.append(self._programs[block])
                value = _output(block, value, network, position)
            whole = torch.jit.freeze(_loaded_back(torch.jit.script(nn.Sequential(*parts)).eval()))
            _let_optimise(whole, image)
            where = f"network {network.network_id} on {self.name}"
            check_output(whole(image).numpy(), value.numpy(), _TOLERANCE, where)
        return CpuNetwork(whole, parts, network, image, alone=self.device.threads == 1, method="isolated")


def _output(block: nn.Module, value: Tensor, network: Network, position: int) -> Tensor:
    try:
        return block(value)
    except Exception as error:  # a block is anybody's code
        raise broken_block(network, position, "to run", error) from error


def _program(block: nn.Module, value: Tensor, network: Network, position: int) -> torch.jit.ScriptModule:
    """Trace and freeze a block whose input is `value`."""
    _output(block, value, network, position)  # one that does not run is no matter of tracing
    try:
        frozen = torch.jit.freeze(torch.jit.trace(block, value, check_trace=False))  # type: ignore[no-untyped-call]
    except Exception as error:
        raise broken_block(network, position, "to be traced and frozen by torch.jit", error) from error
    program = _loaded_back(frozen)  # only one that was loaded can be a part of another
    _let_optimise(program, value)
    return program


def _loaded_back(program: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Return a copy of `program` that is freed with its last reference.

    What is traced or scripted belongs to one compilation unit for the whole process, and so does what freezing and
    the executor make of it: 3 MB a network would never come back. A program that is loaded has a unit of its own.
    """
    buffer = io.BytesIO()
    torch.jit.save(program, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)  # type: ignore[no-untyped-call]


def _let_optimise(program: torch.jit.ScriptModule, value: Tensor) -> None:
    """Run `program` until the executor has made of it what stays."""
    for _ in range(_OPTIMISING_PASSES):
        program(value)


@contextmanager
def _deprecation_is_known() -> Iterator[None]:
    """Silence PyTorch's warnings that TorchScript is deprecated, and of the tracer: its output is checked."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined] # exported, not by its stub
        yield
