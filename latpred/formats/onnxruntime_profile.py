"""The profile that ONNX Runtime writes with `SessionOptions.enable_profiling`: a trace of events, in us."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import ClassVar, NamedTuple

from latpred.errors import ParseError
from latpred.formats.base import Format, Layer, Profile
from latpred.formats.json_text import Record, read_json, records, required, text_of
from latpred.formats.numbers import json_number, positive

_EVENT = re.compile(r'"cat"\s*:\s*"(?:Session|Node)"')
_KERNEL = "_kernel_time"
_OVERHEAD = frozenset({"ReorderInput", "ReorderOutput", "MemcpyToHost", "MemcpyFromHost", "Memcpy"})
"""Operations that ONNX Runtime puts in by itself, between layouts and devices."""
_NESTING = frozenset({"If", "Loop", "Scan"})
_AGAIN = "Profile the network again, and call end_profiling() before copying the file"


class _Run(NamedTuple):
    start: float
    end: float
    nodes: dict[tuple[str, str], float]
    """The latency, us, of each node by its index and name."""


class OnnxRuntimeProfile(Format):
    """Reads one session's profile.

    The first of several runs allocates memory and is left out; a single one is all there is, and is kept.
    """

    name: ClassVar[str] = "onnxruntime"

    def recognizes(self, head: str) -> float:
        """Return 1 for a trace with events of a session and its kernels."""
        if not re.match(r"\s*\[", head) or not _EVENT.search(head):
            return 0.0
        known = ("session_initialization", "model_loading", "model_run", _KERNEL)
        return 1.0 if any(name in head for name in known) else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read a whole file."""
        events = [event for event in records(read_json(text, where), where, "the events") if event.get("ph") != "M"]
        _refuse_several_sessions(events, where)
        runs = _runs(events, where)
        kinds, left_out = _assign(events, runs, where)
        kept = runs[1:] if len(runs) > 1 else runs
        runs_ms = tuple((run.end - run.start) / 1e3 for run in kept)
        return Profile(
            tool=self.name,
            unit="us",
            whole_ms=positive(median(runs_ms), where, "the duration of model_run"),
            statistic="median",
            runs_ms=runs_ms,
            runs=len(kept),
            warmup="excluded" if len(runs) > 1 else "included",
            warmup_runs=len(runs) - len(kept),
            layers=_layers(kept, kinds),
            layer_statistic="median",
            warnings=_warnings(kept, kinds, left_out),
        )


def _refuse_several_sessions(events: Sequence[Record], where: str) -> None:
    starts = sum(event.get("name") == "session_initialization" for event in events)
    processes = len({str(event.get("pid")) for event in events})
    if starts > 1 or processes > 1:
        problem = f"expected the profile of one session, found {starts} sessions of {processes} processes"
        raise ParseError(where, problem, "Give each session a file of its own")


def _span(event: Record, where: str) -> tuple[float, float]:
    """Return when an event began and ended, us since the session's start."""
    start = json_number(required(event, "ts", where), where, "ts")
    return start, start + json_number(required(event, "dur", where), where, "dur")


def _runs(events: Sequence[Record], where: str) -> list[_Run]:
    found = (_Run(*_span(event, where), {}) for event in events if event.get("name") == "model_run")
    runs = sorted(found, key=lambda run: run.start)
    if not runs:
        raise ParseError(where, "expected an event model_run, found none: no run was completed", _AGAIN)
    for run, later in pairwise(runs):
        if later.start < run.end:
            problem = f"expected one run after the other, found one that begins at {later.start:g} us in another"
            raise ParseError(where, problem, "Profile without runs side by side")
    return runs


def _assign(events: Sequence[Record], runs: Sequence[_Run], where: str) -> tuple[dict[tuple[str, str], str], int]:
    """Add each kernel's time to the run that it was part of: events do not tell the run, but when they were.

    Returns:
        The operations of the nodes, and the number of kernels outside of the runs.
    """
    starts = [run.start for run in runs]
    kinds: dict[tuple[str, str], str] = {}
    left_out = 0
    for start, end, event in _kernels(events, where):
        i = bisect_right(starts, start) - 1
        if i < 0 or end > runs[i].end:
            left_out += 1
            continue
        name = text_of(event, "name", where)
        here = f"{where}, node {name!r}"
        details = event.get("args")
        details = details if isinstance(details, dict) else {}
        key = str(details.get("node_index", "")), name.removesuffix(_KERNEL)
        kind = text_of(details, "op_name", here)
        if kinds.setdefault(key, kind) != kind:
            problem = f"expected one operation of that name and index, found {kinds[key]} and {kind}"
            raise ParseError(here, problem, "Give each session a file of its own")
        # In a loop's body the same node runs again and again within a run.
        runs[i].nodes[key] = runs[i].nodes.get(key, 0.0) + end - start
    return kinds, left_out


def _kernels(events: Sequence[Record], where: str) -> list[tuple[float, float, Record]]:
    """Return when each kernel began and ended, us, with its event, in the order in which they began."""
    found = []
    for event in events:
        if event.get("cat") == "Node":
            name = text_of(event, "name", where)
            if name.endswith(_KERNEL):  # older versions also write fences
                found.append((*_span(event, f"{where}, node {name!r}"), event))
    return sorted(found, key=lambda kernel: kernel[0])


def _layers(runs: Sequence[_Run], kinds: Mapping[tuple[str, str], str]) -> tuple[Layer, ...]:
    """Return the nodes in the order of their first run, each with its median over the runs that it was part of."""
    times: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        for key, us in run.nodes.items():
            times.setdefault(key, []).append(us)
    return tuple(_layer(name, kinds[index, name], median(us) / 1e3) for (index, name), us in times.items())


def _layer(name: str, kind: str, latency_ms: float) -> Layer:
    overhead = kind in _OVERHEAD
    return Layer(name, latency_ms, kind, () if overhead or not name else (name,), overhead)


def _warnings(runs: Sequence[_Run], kinds: Mapping[tuple[str, str], str], left_out: int) -> tuple[str, ...]:
    found = []
    if left_out:
        found.append(f"{left_out} kernels belong to no run that was completed")
    nodes = {key for run in runs for key in run.nodes}
    if partial := sum(any(key not in run.nodes for run in runs) for key in nodes):
        found.append(f"{partial} nodes are not part of every run")
    if nesting := sorted(_NESTING & set(kinds.values())):
        found.append(f"the time of {', '.join(nesting)} holds that of the nodes inside, which are listed as well")
    if any(kinds):
        found.append("the whole was measured with the profiler on")
    return tuple(found)
