"""The probe: how steadily this machine repeats one piece of work now."""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from latpred.profiling.clock import Timed, quiet, timed

_WORK_BYTES = 1 << 20  # hashed in 0.6 to 6 ms; fits a second-level cache, so that neighbours are felt as a network does
_WARMUP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Probe:
    """What the repeats of a fixed piece of work told."""

    repeats: int
    median_ms: float
    iqr_share: float
    """Distance of the quartiles / median."""
    p90_ratio: float
    """90th percentile / median."""
    cpu_share: float | None
    """CPU time / wall time; None where the system has no clock for a thread."""
    switches: int | None
    """Involuntary context switches; None where the system does not count them per thread."""
    preempted_share: float | None
    """Share of the repeats with such a switch."""
    cpus: tuple[int, ...]
    """Where it ran; empty where it could not be pinned."""
    pin_problem: str | None
    """Why it could not."""
    others_cpus: float | None
    """CPUs' worth of time that other programs took meanwhile, machine-wide; None where the system does not tell."""
    busy_share: dict[int, float]
    """By CPU, the share of time it was busy, the probe included; empty where the system does not tell."""
    steal_share: float | None
    """Share of the busy and stolen time that the hypervisor gave to other machines; None as above."""


class Ticks(NamedTuple):
    """Time of one CPU since its start, in the kernel's ticks (10 ms)."""

    busy: int
    idle: int
    stolen: int


def probe(cpus: Collection[int], seconds: float = 1.5, root: Path = Path("/")) -> Probe:
    """Repeat a fixed piece of work that touches memory, pinned, without garbage collection.

    Args:
        cpus: Where to run: those that a session would choose.
        seconds: How long; the first tenth only warms up.
        root: Where `/proc` lies.
    """
    pinned, pin_problem = _can_pin(frozenset(cpus))
    work = bytes(_WORK_BYTES)
    before, begin, begin_cpu = _cpu_ticks(root), time.perf_counter(), time.process_time()
    with quiet(frozenset(cpus) if pinned else None):
        _repeat(work, _WARMUP_SHARE * seconds)
        repeats = _repeat(work, (1 - _WARMUP_SHARE) * seconds)
    own_cpus = (time.process_time() - begin_cpu) / (time.perf_counter() - begin)
    spent = _between(before, _cpu_ticks(root))
    return summarise(repeats, tuple(sorted(cpus)) if pinned else (), pin_problem, spent, own_cpus)


def own_load() -> float:
    """Return what this process adds to the load average of the last minute, if it has been busy until now.

    The kernel lets a minute's average approach the number of running threads as 1 - exp(-t / 60 s).
    """
    return 1 - math.exp(-time.process_time() / 60)


def _repeat(work: bytes, seconds: float) -> list[Timed]:
    """Time the work again and again; at least twice."""
    found, begin = list[Timed](), time.perf_counter()
    while len(found) < 2 or time.perf_counter() - begin < seconds:
        found.append(timed(lambda: hashlib.sha256(work).digest(), "probe", alone=True))
    return found


def summarise(
    repeats: Sequence[Timed],
    cpus: tuple[int, ...],
    pin_problem: str | None,
    spent: dict[int, Ticks],
    own_cpus: float,
) -> Probe:
    """Return the probe's figures.

    Args:
        repeats: Of the work.
        cpus: Where they ran; empty where they were not pinned.
        pin_problem: Why they were not.
        spent: By CPU, the ticks that passed meanwhile; empty where the system does not tell.
        own_cpus: CPU time of this process / wall time meanwhile.
    """
    quartile, median, upper, p90 = np.percentile([repeat.latency_ms for repeat in repeats], [25, 50, 75, 90])
    cpu_ms = [repeat.cpu_time_ms for repeat in repeats if repeat.cpu_time_ms is not None]
    switches = [repeat.involuntary_switches for repeat in repeats if repeat.involuntary_switches is not None]
    busy = {cpu: ticks.busy / max(ticks.busy + ticks.idle + ticks.stolen, 1) for cpu, ticks in spent.items()}
    stolen, wanted = sum(ticks.stolen for ticks in spent.values()), sum(t.busy + t.stolen for t in spent.values())
    return Probe(
        repeats=len(repeats),
        median_ms=float(median),
        iqr_share=float((upper - quartile) / median),
        p90_ratio=float(p90 / median),
        cpu_share=sum(cpu_ms) / sum(repeat.latency_ms for repeat in repeats) if cpu_ms else None,
        switches=sum(switches) if switches else None,
        preempted_share=sum(count > 0 for count in switches) / len(switches) if switches else None,
        cpus=cpus,
        pin_problem=pin_problem,
        others_cpus=max(sum(busy.values()) - own_cpus, 0.0) if busy else None,
        busy_share=busy,
        steal_share=stolen / max(wanted, 1) if spent else None,
    )


def _can_pin(cpus: frozenset[int]) -> tuple[bool, str | None]:
    """Tell whether a thread can be pinned, and why not."""
    if not hasattr(os, "sched_setaffinity"):
        return False, "this system has no affinity of threads"
    try:
        with quiet(cpus):
            return True, None
    except OSError as error:
        return False, error.strerror or str(error)


def _cpu_ticks(root: Path) -> dict[int, Ticks]:
    """Read how each CPU spent its time; empty where the system does not tell.

    Source: https://docs.kernel.org/filesystems/proc.html, `/proc/stat`
    """
    try:
        text = (root / "proc/stat").read_text(encoding="utf-8")
    except OSError:
        return {}
    found = {}
    for cpu, columns in re.findall(r"^cpu(\d+) ([\d ]+)$", text, re.MULTILINE):
        user, nice, system, idle, iowait, irq, softirq, stolen = (int(word) for word in columns.split()[:8])
        found[int(cpu)] = Ticks(user + nice + system + irq + softirq, idle + iowait, stolen)
    return found


def _between(before: dict[int, Ticks], after: dict[int, Ticks]) -> dict[int, Ticks]:
    """Return what passed between two readings; a CPU that was switched off or on meanwhile is left out."""
    both = before.keys() & after.keys()
    # iowait may decrease, says the kernel's documentation.
    return {cpu: Ticks(*(max(b - a, 0) for a, b in zip(before[cpu], after[cpu], strict=True))) for cpu in sorted(both)}
