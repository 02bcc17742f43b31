"""The memory of a network that PyTorch executes on the CPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch._C._profiler import _ExperimentalConfig
from torch.autograd import (  # type: ignore[attr-defined] # exported, though not by its stub
    ProfilerConfig,
    ProfilerState,
    _disable_profiler_legacy,
    _enable_profiler_legacy,
)

_BYTES_PER_MB = 10**6


def peak_memory_mb(run: Callable[[], object], held: Iterable[Tensor]) -> float:
    """Return the peak memory of one call, in MB (10^6 bytes).

    Args:
        run: Executes the network once.
        held: What the network holds all the time: its weights and its input.
    """
    return megabytes(stored_bytes(held) + peak_allocated_bytes(run))


def megabytes(count: int) -> float:
    """Convert bytes to MB, 10^6 bytes."""
    return count / _BYTES_PER_MB


def stored_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes behind `tensors`; tensors that share their storage share its bytes."""
    storages = (tensor.untyped_storage() for tensor in tensors)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def weights_of(module: nn.Module) -> Iterator[Tensor]:
    """Yield the parameters and buffers of `module`; where TorchScript is frozen, they are constants of its graph."""
    yield from module.parameters()
    yield from module.buffers()
    if isinstance(module, torch.jit.ScriptModule):
        for node in module.graph.findAllNodes("prim::Constant"):  # type: ignore[attr-defined] # missing in its stub
            if node.hasAttribute("value") and node.kindOf("value") == "t":
                yield node.t("value")


def peak_allocated_bytes(run: Callable[[], object]) -> int:
    """Return the most bytes that were allocated during one call and not yet freed, in the calling thread.

    That is what PyTorch's allocator was asked for: activations, and workspaces such as the unfolded image of a
    convolution, but nothing that a library underneath allocates past it. What was there before does not count, and
    neither does its release.

    The old profiler records every request in order. The new one (`torch.profiler`) tells the same sizes, but it takes
    a second to start, and prints to stderr each time. Nothing public gives them without writing a trace to a file.
    """
    settings = (False, True, False, False, False)  # shapes no, memory yes; stacks, FLOPs and modules no
    _enable_profiler_legacy(ProfilerConfig(ProfilerState.CPU, *settings, _ExperimentalConfig()))
    try:
        with torch.inference_mode():
            run()
    finally:
        threads = _disable_profiler_legacy()
    events = itertools.chain.from_iterable(threads)
    # PyTorch's stub says that a kind is a number; it is a string.
    changes = (event.cpu_memory_usage() for event in events if str(event.kind()) == "memory_alloc")
    return max(itertools.accumulate(changes, initial=0))
