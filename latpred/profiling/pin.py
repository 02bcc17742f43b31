"""The pin: which CPUs a session stays on, and why it is not pinned where it cannot be."""

from __future__ import annotations

import os
from typing import NamedTuple

from latpred.errors import ProfilingError
from latpred.profiling.clock import choose_cpus, usable_cpus


class Pin(NamedTuple):
    """Where a session stays."""

    cpus: frozenset[int] | None
    """None where it is not pinned."""
    refusal: str | None = None
    """Why it is not, though it should be."""


def choose_pin(threads: int, wanted: bool) -> Pin:
    """Return where a session of so many threads stays, after a try: some containers forbid to pin.

    Raises:
        ProfilingError: If the threads would have to share CPUs, pinned or not.
    """
    usable = usable_cpus()
    if threads > len(usable):
        problem = f"expected at most {len(usable)}, the CPUs this process may use, found {threads}"
        raise ProfilingError("device.threads", problem, "Ask for fewer threads, or give the process more CPUs")
    if not wanted:
        return Pin(None)
    if not hasattr(os, "sched_setaffinity"):
        return Pin(None, "this system pins no threads")
    cpus = choose_cpus(threads, usable)
    try:
        os.sched_setaffinity(0, cpus)
        os.sched_setaffinity(0, usable)
    except OSError as error:
        return Pin(None, f"the system does not permit it: {error.strerror}")
    return Pin(cpus)
