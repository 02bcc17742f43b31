"""The visit: one network's turn in a round, and what it cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from latpred.errors import LatpredError
from latpred.network import Network
from latpred.profiling.clock import Timed, quiet
from latpred.profiling.config import Measuring
from latpred.profiling.runtimes import BlockPass, LoadedNetwork, Runtime
from latpred.spaces.pool import BlockPool

_SETTLED_PASSES, _SETTLED_WITHIN = 10, 0.02


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
    """

    def __init__(
        self, runtime: Runtime, pool: BlockPool, measuring: Measuring, cpus: frozenset[int] | None, tally: Tally
    ) -> None:
        self._runtime, self._pool, self._measuring = runtime, pool, measuring
        self._cpus, self._tally = cpus, tally

    def visit(self, network: Network, plain_first: bool) -> dict[str, Any]:
        """Measure a network once; return the fields of its run that tell the outcome."""
        try:
            blocks = self._pool.modules(network)
            with quiet(self._cpus):
                loaded = self._runtime.load(blocks, network)
                with self._tally.passes():
                    plain, stamped = self._passes(loaded, plain_first)
        except Exception as error:  # a block is anybody's code, and one network must not end the others' session
            self._tally.runs["failed"] += 1
            return {"status": "failed", "reason": _reason(error)}
        self._tally.runs["ok"] += 1
        return {
            "overall_latency_ms": plain.latency_ms,
            "block_latency_ms": stamped.block_ms,
            "block_method": ("timestamp",) * len(stamped.block_ms),
            "overhead_ms": stamped.overhead_ms,
            "cpu_time_ms": plain.cpu_time_ms,
            "involuntary_switches": plain.involuntary_switches,
        }

    def _passes(self, loaded: LoadedNetwork, plain_first: bool) -> tuple[Timed, BlockPass]:
        for _ in range(self._measuring.warmup_passes):
            loaded.block_pass()  # not the plain one: a block that does not run is named
        if plain_first:
            plain = loaded.plain_pass()
            return plain, loaded.block_pass()
        stamped = loaded.block_pass()
        return loaded.plain_pass(), stamped

    def warm_up(self, networks: Iterable[Network]) -> None:
        """Warm the process up on the first network that runs: caches, clock frequency, the libraries' own set-up."""
        for network in networks:
            try:
                blocks = self._pool.modules(network)
                with quiet(self._cpus), self._tally.passes():
                    self._run_until_settled(self._runtime.load(blocks, network))
            except Exception:  # noqa: S112 - its visit will say why; another network warms up as well
                continue
            return

    def _run_until_settled(self, loaded: LoadedNetwork) -> None:
        begin, latencies_ms = time.perf_counter(), list[float]()
        while (elapsed := time.perf_counter() - begin) < self._measuring.max_warmup_s:
            if elapsed >= self._measuring.min_warmup_s and settled(latencies_ms):
                return
            latencies_ms.append(loaded.plain_pass().latency_ms)


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
    return " ".join(text.split())
