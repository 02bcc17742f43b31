"""The contract of a runtime: what executes networks and reads the clock around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self

from torch import nn

from latpred.device import Device
from latpred.network import Network
from latpred.profiling.clock import Timed
from latpred.profiling.environment import cpu_model

AUTO = "auto"
"""Stands in a device's YAML for the name that the processor gives itself."""


class BlockPass(NamedTuple):
    """What each block of a network took."""

    block_ms: tuple[float, ...]
    overhead_ms: float
    """Time that belongs to no block: the stamps themselves, and what the runtime does between blocks."""
    method: str = "timestamp"
    """How the values were found, as in `Run.block_method`."""

    @property
    def total_ms(self) -> float:
        """The whole pass."""
        return sum(self.block_ms) + self.overhead_ms


class BlockShares(NamedTuple):
    """What each block takes of a whole pass, from the runtime's own profile of several passes."""

    blocks: tuple[float, ...]
    """Fractions; together with `overhead` they add up to 1."""
    overhead: float
    """The fraction that belongs to no block."""
    method: str = "profile_share"
    """As in `Run.block_method`."""


class LoadedNetwork(ABC):
    """A network ready to run, on an input that stays the same."""

    @abstractmethod
    def plain_pass(self) -> Timed:
        """Run the network once as its users would, and time it.

        Raises:
            ProfilingError: If the clock gave no positive duration. Errors of the network itself pass through.
        """

    @abstractmethod
    def block_pass(self) -> BlockPass | None:
        """Run the network once and time each of its blocks; None where the runtime tells shares alone.

        Raises:
            ProfilingError: If a block does not run, naming it, or if the clock gave no positive duration.
        """

    def block_shares(self) -> BlockShares | None:
        """Return what each block takes of a whole pass, measured once, when the network was loaded; None without."""
        return None

    def memory_mb(self) -> float | None:
        """Measure the peak memory of one pass, weights included, in MB (10^6 bytes); None where nothing tells it.

        Called outside of everything that is timed, once per network and session.
        """
        return None

    def close(self) -> None:  # noqa: B027 - most networks are gone with their last reference
        """Free what the network holds; it is not run again."""


class Runtime(ABC):
    """Executes networks on one device of one kind.

    When each method is called, by `latpred.profiling.session`:

    - `hardware` and `version`: before a session, for the device that its latencies belong to;
    - constructor and `__enter__`: once per session, in the thread that measures; `__exit__` restores what `__enter__`
      changed, also after an error;
    - `describe`: once per session, for its record;
    - `load`: once per visit, so it must be cheap beside a pass; where `compiles` is true, once per group of rounds;
    - the passes: several times per visit, pinned and without garbage collection (`latpred.profiling.clock.quiet`).

    A new runtime is one file with a subclass, and one entry in `RUNTIMES`; what it needs beyond PyTorch is imported
    where it is used, so that the others work without it. One that works asynchronously, on a GPU, waits for the device
    within its passes, where the clock is read.
    """

    name: ClassVar[str]
    """As in the device's YAML."""
    precisions: ClassVar[tuple[str, ...]]
    """Those it can run in."""
    layouts: ClassVar[tuple[str, ...]]
    """The memory layouts of activations that it can run in."""
    compiles: ClassVar[bool] = False
    """Whether loading a network takes longer than some passes, so that a session keeps networks loaded."""
    min_warmup_s: ClassVar[float] = 0.0
    """Shortest warm-up before the first visit that its hardware needs, whatever the user asks for."""

    def __init__(self, device: Device) -> None:
        self.device = device

    @classmethod
    def require(cls) -> None:
        """Make sure that the runtime can be used here.

        Raises:
            ProfilingError: If it is not installed, naming the extra of latpred that installs it.
        """
        return  # PyTorch is always there

    @classmethod
    def hardware(cls, asked: str) -> str:
        """Return the name of the processor that would execute the networks: here the CPU's, or what the user calls it.

        Args:
            asked: As in the device's YAML: `auto`, a name, or what the runtime understands, such as `cuda:1`.
        """
        return cpu_model() if asked == AUTO else asked

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

        Raises:
            ProfilingError: If the runtime cannot run the network, or its output is not PyTorch's.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what a session's record says of the runtime: plain JSON values."""
