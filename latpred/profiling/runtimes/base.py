"""The contract of a runtime: what executes networks and reads the clock around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self

from torch import nn

from latpred.device import Device
from latpred.network import Network


class PlainPass(NamedTuple):
    """One pass of a network with nothing between its blocks."""

    latency_ms: float
    cpu_time_ms: float | None
    """CPU time of the calling thread; None where other threads worked too, or the system does not tell."""
    involuntary_switches: int | None
    """Times the calling thread was preempted; None as for `cpu_time_ms`."""


class StampedPass(NamedTuple):
    """One pass of a network with the clock read before and after each block."""

    block_ms: tuple[float, ...]
    overhead_ms: float
    """Time of the pass that belongs to no block: the stamps themselves, and what the runtime does between blocks."""

    @property
    def total_ms(self) -> float:
        """The whole pass."""
        return sum(self.block_ms) + self.overhead_ms


class LoadedNetwork(ABC):
    """A network ready to run, on an input that stays the same."""

    @abstractmethod
    def plain_pass(self) -> PlainPass:
        """Run the network once as its users would, and time it.

        Raises:
            ProfilingError: If the clock gave no positive duration. Errors of the network itself pass through.
        """

    @abstractmethod
    def stamped_pass(self) -> StampedPass:
        """Run the network once and time each of its blocks.

        Raises:
            ProfilingError: If a block does not run, naming it, or if the clock gave no positive duration.
        """


class Runtime(ABC):
    """Executes networks on one device of one kind.

    When each method is called, by `latpred.profiling.session`:

    - `hardware` and `version`: before a session, for the device that its latencies belong to;
    - constructor and `__enter__`: once per session, in the thread that measures; `__exit__` restores what `__enter__`
      changed, also after an error;
    - `describe`: once per session, for its record;
    - `load`: once per visit, so it must be cheap beside a pass;
    - the passes: several times per visit, pinned and without garbage collection (`latpred.profiling.clock.quiet`).

    A new runtime is one file with a subclass, and one entry in `RUNTIMES`. One that works asynchronously, on a GPU,
    waits for the device within its passes, where the clock is read.
    """

    name: ClassVar[str]
    """As in the device's YAML."""
    precisions: ClassVar[tuple[str, ...]]
    """Those it can run in."""
    layouts: ClassVar[tuple[str, ...]]
    """The memory layouts of activations that it can run in."""

    def __init__(self, device: Device) -> None:
        self.device = device

    @classmethod
    @abstractmethod
    def hardware(cls) -> str:
        """Return the name of the processor that would execute the networks."""

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """Return the version of the runtime, as in `Device.runtime_version`."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Prepare the process: threads, precision.

        Raises:
            ProfilingError: If the process would not run as `device` says.
        """

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the process."""

    @abstractmethod
    def load(self, blocks: Sequence[nn.Module], network: Network) -> LoadedNetwork:
        """Make a network ready to run.

        Args:
            blocks: The modules of the network's primitives, in eval mode and in execution order. The runtime may
                convert them in place, so they belong to it from now on; networks may share them.
            network: What the blocks make up.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what a session's record says of the runtime: plain JSON values."""
