"""What an estimate is made from: the runs as columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_LEAST_CPU_SHARE = 0.95
"""A pass that had the CPU for less of its time was preempted, whatever the system counted."""


@dataclass(frozen=True, eq=False)
class RunColumns:
    """Runs sorted by session and, within it, in the order in which they were made."""

    network: Ints
    """Number of the network, [runs]."""
    session: Ints
    """Number of the session, [runs]."""
    value: Floats
    """What was measured, > 0, [runs]."""
    cpu_time: Floats
    """CPU time in the unit of `value`, [runs]; NaN where it is unknown, or `value` is no time; 0 where the system's
    clock ticks too slowly to tell."""
    switches: Floats
    """Involuntary context switches, [runs]; NaN where unknown."""

    @property
    def preempted(self) -> Flags:
        """Whether something else had the CPU during the run, [runs]; false where nobody counted."""
        with np.errstate(invalid="ignore"):
            lacked_cpu = (self.cpu_time > 0) & (self.cpu_time < _LEAST_CPU_SHARE * self.value)
            return np.asarray((self.switches > 0) | lacked_cpu)

    def own_time(self) -> Floats:
        """Return what the network itself took, [runs]: a preempted run's CPU time where it is known, else the value."""
        with np.errstate(invalid="ignore"):
            return np.where(self.preempted & (self.cpu_time > 0), self.cpu_time, self.value)

    @staticmethod
    def joined(first: RunColumns, second: RunColumns) -> RunColumns:
        """Return the runs of both, one after the other; their numbers of networks and sessions mean the same."""
        pairs = [(getattr(first, field.name), getattr(second, field.name)) for field in fields(RunColumns)]
        return RunColumns(*[np.concatenate(pair) for pair in pairs])

    def of(self, chosen: Flags) -> RunColumns:
        """Return some of the runs."""
        return RunColumns(
            self.network[chosen],
            self.session[chosen],
            self.value[chosen],
            self.cpu_time[chosen],
            self.switches[chosen],
        )
