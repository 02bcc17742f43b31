"""Clocks, and the quiet in which they are read."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from latpred.errors import ProfilingError

try:
    import resource
except ImportError:  # Windows
    RUSAGE_THREAD: int | None = None
else:
    RUSAGE_THREAD = getattr(resource, "RUSAGE_THREAD", None)  # Linux and FreeBSD; macOS counts whole processes only


class Reading(NamedTuple):
    """The counters of the calling thread at one moment."""

    wall_ns: int
    cpu_ns: int | None
    """None where the system has no clock for a thread."""
    switches: int | None
    """Involuntary context switches; None where the system does not count them per thread."""


def read_before() -> Reading:
    """Read the counters at the start of a timed part: the wall clock last, next to what it times."""
    switches, cpu_ns = involuntary_switches(), thread_cpu_ns()
    return Reading(time.perf_counter_ns(), cpu_ns, switches)


def read_after() -> Reading:
    """Read the counters at the end of a timed part: the wall clock first, next to what it times."""
    wall_ns = time.perf_counter_ns()
    return Reading(wall_ns, thread_cpu_ns(), involuntary_switches())


def thread_cpu_ns() -> int | None:
    """Return the CPU time of the calling thread, ns, or None where the system has no such clock."""
    return time.thread_time_ns() if hasattr(time, "thread_time_ns") else None


def involuntary_switches() -> int | None:
    """Return how often the calling thread was preempted so far, or None where the system does not tell."""
    return None if RUSAGE_THREAD is None else resource.getrusage(RUSAGE_THREAD).ru_nivcsw


def milliseconds(duration_ns: int, what: str) -> float:
    """Return a measured duration in ms.

    Raises:
        ProfilingError: If it is not positive: nothing takes no time, so the clock failed.
    """
    if duration_ns <= 0:
        remedy = "Measure again; on a clock this coarse, measure larger blocks"
        raise ProfilingError(what, f"expected a duration > 0 ns, the clock gave {duration_ns} ns", remedy)
    return duration_ns / 1e6


class Timed(NamedTuple):
    """What one call took."""

    latency_ms: float
    """Wall time."""
    cpu_time_ms: float | None
    """CPU time of the calling thread; None where other threads worked too, or the system does not tell."""
    involuntary_switches: int | None
    """Times the calling thread was preempted; None as for `cpu_time_ms`."""


def timed(call: Callable[[], object], what: str, *, alone: bool) -> Timed:
    """Call and read the counters around it.

    Args:
        call: What to time.
        what: Its name, for errors.
        alone: Whether the calling thread does all of the work, so that its own counters tell the whole.

    Raises:
        ProfilingError: If the clock gave no positive duration.
    """
    before = read_before()
    call()
    after = read_after()
    cpu_ms = switches = None
    if alone and before.cpu_ns is not None and after.cpu_ns is not None:
        cpu_ms = (after.cpu_ns - before.cpu_ns) / 1e6
    if alone and before.switches is not None and after.switches is not None:
        switches = after.switches - before.switches
    return Timed(milliseconds(after.wall_ns - before.wall_ns, what), cpu_ms, switches)


def usable_cpus() -> frozenset[int]:
    """Return the CPUs that the calling thread may use; all of them where the system knows no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def choose_cpus(threads: int, usable: frozenset[int], root: Path = Path("/")) -> frozenset[int]:
    """Return the CPUs to pin `threads` threads to, or fewer where `usable` has fewer.

    The highest numbers come first, because many systems serve interrupts on CPU 0, and hyperthreads of a core that
    is chosen already come last.

    Args:
        threads: How many to choose.
        usable: What to choose from.
        root: Where `/sys` lies.
    """
    cores: dict[str, list[int]] = {}
    for cpu in sorted(usable, reverse=True):
        cores.setdefault(_core_of(cpu, root), []).append(cpu)
    by_thread_of_core = sorted((place, -cpu) for cpus in cores.values() for place, cpu in enumerate(cpus))
    return frozenset(-negative for _, negative in by_thread_of_core[:threads])


def _core_of(cpu: int, root: Path) -> str:
    """Return a name that the hyperthreads of one core share; the CPU's own number where the system does not tell."""
    siblings = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        return siblings.read_text(encoding="utf-8").strip()
    except OSError:
        return str(cpu)


@contextmanager
def quiet(cpus: frozenset[int] | None) -> Iterator[None]:
    """Pin the calling thread to `cpus` and stop the garbage collector; afterwards both are as they were.

    Threads that start inside inherit the pin. That is why nobody else's code belongs inside: what a caller starts
    between two visits would share the measured CPU for the rest of its life.

    Args:
        cpus: Where to run; None leaves that to the system, and so does a system without affinity (macOS, Windows).
    """
    collecting = gc.isenabled()
    before = os.sched_getaffinity(0) if cpus is not None and hasattr(os, "sched_setaffinity") else None
    gc.disable()
    try:
        if before is not None and cpus is not None:
            os.sched_setaffinity(0, cpus)
        yield
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
        if collecting:
            gc.enable()
