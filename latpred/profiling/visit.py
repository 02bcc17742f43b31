"""The visit: one network's turn in a round, and what it cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from latpred.errors import LatpredError
from latpred.network import Network
from latpred.profiling.clock import Timed, quiet
from latpred.profiling.config import Measuring
from latpred.profiling.energy import EnergyMeter, energy_per_pass
from latpred.profiling.runtimes import BlockPass, LoadedNetwork, Runtime
from latpred.spaces.pool import BlockPool

_SETTLED_PASSES, _SETTLED_WITHIN = 10, 0.02

_WINDOWS_OF_ENERGY = 20
"""Readings of a meter that a visit's energy is the sum of: a coarse one needs many passes."""


@dataclass(frozen=True, slots=True)
class SessionStats:
    """Where the time of a session went, so far."""

    passes_s: float
    """Seconds in timed and warm-up passes."""
    whole_s: float
    """Seconds from the first run asked for until now, or until the end; what the caller does in between included."""
    ok: int
    """Runs that were measured."""
    failed: int

    @property
    def share(self) -> float:
        """The fraction of the time spent measuring; 0 before the start."""
        return self.passes_s / self.whole_s if self.whole_s > 0 else 0.0


class Tally:
    """Counts the time and the runs of a session; shared by the generator that measures and the `Session` that tells."""

    def __init__(self) -> None:
        self.runs = {"ok": 0, "failed": 0}
        self._passes_s = 0.0
        self._begin: float | None = None
        self._end: float | None = None

    def stats(self) -> SessionStats:
        """Return the counts so far."""
        now = time.perf_counter() if self._end is None else self._end
        whole_s = 0.0 if self._begin is None else now - self._begin
        return SessionStats(self._passes_s, whole_s, self.runs["ok"], self.runs["failed"])

    def elapsed_s(self) -> float:
        """Return the seconds since the first run was asked for."""
        return self.stats().whole_s

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Enclose the session."""
        self._begin = time.perf_counter()
        try:
            yield
        finally:
            self._end = time.perf_counter()

    @contextmanager
    def passes(self) -> Iterator[None]:
        """Enclose passes, timed or for warming up."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._passes_s += time.perf_counter() - begin


class Visitor:
    """Visits networks, one at a time.

    Args:
        runtime: What executes them, entered.
        pool: Holds their blocks.
        measuring: How to measure.
        cpus: Where to run; None leaves that to the system.
        tally: Where to count.
        capacity: Networks to keep loaded, where loading takes long; the one that was visited longest ago goes first.
        meter: Of the energy; None measures none.
    """

    def __init__(
        self,
        runtime: Runtime,
        pool: BlockPool,
        measuring: Measuring,
        cpus: frozenset[int] | None,
        tally: Tally,
        *,
        capacity: int = 1,
        meter: EnergyMeter | None = None,
    ) -> None:
        self._runtime, self._pool, self._measuring = runtime, pool, measuring
        self._cpus, self._tally, self._capacity, self._meter = cpus, tally, capacity, meter
        self._loaded: dict[str, LoadedNetwork] = {}
        self._refused: dict[str, str] = {}
        self._weighed: set[str] = set()

    def visit(self, network: Network) -> dict[str, Any]:
        """Measure a network once; return the fields of its run that tell the outcome."""
        network_id = network.network_id
        if network_id in self._refused:  # compiling it again would take long and end the same way
            self._tally.runs["failed"] += 1
            return {"status": "failed", "reason": self._refused[network_id]}
        try:
            blocks = self._pool.modules(network)
            with quiet(self._cpus):
                loaded = self._load(network, blocks)
                with self._tally.passes():
                    found = self._passes(loaded, len(blocks))
                    found |= self._energy(loaded)
            if self._measuring.memory and network_id not in self._weighed:
                self._weighed.add(network_id)
                found["overall_memory_mb"] = loaded.memory_mb()
        except Exception as error:  # a block is anybody's code, and one network must not end the others' session
            self._tally.runs["failed"] += 1
            if self._runtime.compiles and network_id not in self._loaded:
                self._refused[network_id] = _reason(error)
            return {"status": "failed", "reason": _reason(error)}
        self._tally.runs["ok"] += 1
        return found

    def _load(self, network: Network, blocks: Sequence[nn.Module]) -> LoadedNetwork:
        """Return the network ready to run: loaded just now, or kept from an earlier visit."""
        if not self._runtime.compiles:
            return self._runtime.load(blocks, network)
        loaded = self._loaded.pop(network.network_id, None) or self._runtime.load(blocks, network)
        while len(self._loaded) >= self._capacity:
            self._loaded.pop(next(iter(self._loaded))).close()
        self._loaded[network.network_id] = loaded  # at the end: the dict is in the order of the visits
        return loaded

    def _passes(self, loaded: LoadedNetwork, blocks: int) -> dict[str, Any]:
        """Return what a plain pass before and one after that of the blocks tell, after the warm-up."""
        shares = loaded.block_shares()
        for _ in range(self._measuring.warmup_passes):
            if shares is None and loaded.block_pass() is not None:  # rather than a plain pass: it names a broken block
                continue
            loaded.plain_pass()
        before = loaded.plain_pass()
        stamped = loaded.block_pass() if shares is None else None
        plain = steadiest([before, loaded.plain_pass()])
        if shares is not None:
            values = tuple(share * plain.latency_ms for share in shares.blocks)
            stamped = BlockPass(values, shares.overhead * plain.latency_ms, shares.method)
        return {
            "overall_latency_ms": plain.latency_ms,
            "block_latency_ms": None if stamped is None else stamped.block_ms,
            "block_method": None if stamped is None else (stamped.method,) * blocks,
            "overhead_ms": None if stamped is None else stamped.overhead_ms,
            "cpu_time_ms": plain.cpu_time_ms,
            "involuntary_switches": plain.involuntary_switches,
        }

    def _energy(self, loaded: LoadedNetwork) -> dict[str, float]:
        if self._meter is None:
            return {}
        window_s = _WINDOWS_OF_ENERGY * self._meter.resolution_s
        return {"overall_energy_mj": energy_per_pass(self._meter, loaded.plain_pass, window_s)}

    def close(self) -> None:
        """Let go of all networks."""
        for loaded in self._loaded.values():
            loaded.close()
        self._loaded.clear()

    def warm_up(self, networks: Iterable[Network]) -> None:
        """Warm the process up on the first network that runs: caches, clock frequency, the libraries' own set-up."""
        for network in networks:
            try:
                blocks = self._pool.modules(network)
                with quiet(self._cpus), self._tally.passes():
                    self._run_until_settled(self._load(network, blocks))
            except Exception:  # noqa: S112 - its visit will say why; another network warms up as well
                continue
            return

    def _run_until_settled(self, loaded: LoadedNetwork) -> None:
        begin, latencies_ms = time.perf_counter(), list[float]()
        least_s = max(self._measuring.min_warmup_s, self._runtime.min_warmup_s)
        while (elapsed := time.perf_counter() - begin) < max(self._measuring.max_warmup_s, least_s):
            if elapsed >= least_s and settled(latencies_ms):
                return
            latencies_ms.append(loaded.plain_pass().latency_ms)


def steadiest(passes: Sequence[Timed]) -> Timed:
    """Return the mean of those passes that were preempted least: by how often, not by how long they took."""
    fewest = min((one.involuntary_switches or 0) for one in passes)
    kept = [one for one in passes if (one.involuntary_switches or 0) == fewest]
    cpu_times = [one.cpu_time_ms for one in kept if one.cpu_time_ms is not None]
    return Timed(
        statistics.fmean(one.latency_ms for one in kept),
        statistics.fmean(cpu_times) if len(cpu_times) == len(kept) else None,
        kept[0].involuntary_switches,
    )


def settled(latencies_ms: Sequence[float]) -> bool:
    """Tell whether a warm-up may end: the median of the last 10 passes is within 2 % of the 10 passes' before."""
    if len(latencies_ms) < 2 * _SETTLED_PASSES:
        return False
    last = statistics.median(latencies_ms[-_SETTLED_PASSES:])
    before = statistics.median(latencies_ms[-2 * _SETTLED_PASSES : -_SETTLED_PASSES])
    return abs(last - before) <= _SETTLED_WITHIN * before


def _reason(error: Exception) -> str:
    """Return the one line that a failed run keeps; latpred's own errors are one already."""
    text = str(error) if isinstance(error, LatpredError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split()).removesuffix(":")  # MemoryError says nothing more
