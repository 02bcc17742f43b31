"""What `latpred parse` found: collected, told, and put into a dataset."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from latpred.cli.shown import printable
from latpred.dataset import Dataset
from latpred.hardware import Facts, Hardware, ParsedRun, Refused
from latpred.run import Run

_NAMED = 20
"""Refused files, warnings and kinds of overhead that are told one by one."""


@dataclass
class Found:
    """What results hold; the runs are kept, of the layers only sums."""

    facts: Facts
    """Of the device, as far as it is known."""
    runs: list[tuple[Run, str]] = field(default_factory=list)
    """Each with its digest, not of a session yet."""
    refused: list[Refused] = field(default_factory=list)
    alone: int = 0
    """Runs of primitives by themselves."""
    tools: set[str] = field(default_factory=set)
    notes: Counter[str] = field(default_factory=Counter)
    """What a person should know, and for how many runs."""
    layers_ms: float = 0.0
    overhead_ms: Counter[str] = field(default_factory=Counter)
    by_position_ms: float = 0.0
    fused_ms: float = 0.0

    def add(self, parsed: ParsedRun | Refused) -> None:
        """Take in what a reader yields.

        Raises:
            UsageError: If it is of another device than what came before.
        """
        if isinstance(parsed, Refused):
            self.refused.append(parsed)
            return
        self.facts = self.facts.with_all(parsed.facts.known)
        self.tools.add(parsed.tool)
        self.notes.update(parsed.notes)
        if parsed.run is None:
            self.alone += 1
        else:
            self.runs.append((parsed.run, parsed.digest))
        if (times := parsed.times) is not None:
            self.layers_ms += times.total
            self.overhead_ms.update(times.overhead)
            self.by_position_ms += times.by_position
            self.fused_ms += times.fused


def tell(found: Found) -> None:
    """Print what was read, what was left out and why."""
    ok = [run for run, _ in found.runs if run.status == "ok"]
    networks = len({run.network_id for run, _ in found.runs})
    alone = f", {found.alone} of primitives by themselves" if found.alone else ""
    print(
        f"{len(found.runs)} runs of {networks} networks{alone}, read as {', '.join(sorted(found.tools)) or 'nothing'}"
    )
    valued = sum(run.block_method is not None for run in ok)
    print(f"values per block: {valued} of {len(ok)} runs")
    if found.layers_ms:
        total = found.layers_ms
        overhead, fused = sum(found.overhead_ms.values()) / total, found.fused_ms / total
        print(f"of the layers' time, {1 - overhead:.1%} belongs to blocks, and {overhead:.1%} is overhead")
        print(f"found by position, not by name: {found.by_position_ms / total:.1%}; fused across blocks: {fused:.1%}")
        for kind, ms in found.overhead_ms.most_common(_NAMED):
            print(f"overhead: {printable(kind)}: {ms / total:.1%}")
    _tell_samples(ok)
    for note, count in found.notes.most_common(_NAMED):
        print(f"note: {printable(note)} ({count} runs)")
    for run, _ in found.runs:
        if run.status == "failed":
            print(f"failed: network {run.network_id}: {printable(run.reason or '')}")
    for refused in found.refused[:_NAMED]:
        print(printable(f"not stored: {refused.where}: {refused.reason}"))
    if len(found.refused) > _NAMED:
        print(f"not stored: {len(found.refused) - _NAMED} more")


def _tell_samples(ok: Iterable[Run]) -> None:
    """Print of how many networks the noise is unknown, or cannot be what the runs show."""
    values: dict[str, list[float | None]] = {}
    for run in ok:
        values.setdefault(run.network_id, []).append(run.overall_latency_ms)
    if single := sum(len(found) == 1 for found in values.values()):
        print(f"note: {single} networks have one run: their noise is unknown")
    equal = sum(len(found) > 1 and found[0] is not None and len(set(found)) == 1 for found in values.values())
    if equal:
        print(f"note: {equal} networks have runs that are all equal: a file was copied, or the clock is too coarse")


def fresh(runs: Iterable[tuple[Run, str]], dataset: Dataset | None) -> list[tuple[Run, str]]:
    """Return the runs that are not in the dataset yet, in the order in which they are stored: by round.

    A measurement that was made twice with equal results counts twice, as often as it is there.
    """
    stored: Counter[str] = Counter()
    if dataset is not None:
        keys = dataset.keys()
        for record in dataset.sessions():
            digests = record.get("offline", {}).get("digests", [])
            stored.update(digest for i, digest in enumerate(digests) if (record["session_id"], i) in keys)
    left = []
    for run, digest in sorted(runs, key=lambda item: (item[0].round, item[0].network_id)):
        if stored[digest]:
            stored[digest] -= 1
        else:
            left.append((run, digest))
    return left


def store(runs: list[tuple[Run, str]], dataset: Dataset, hardware: Hardware, metric: str) -> str:
    """Append runs as one session, whose id comes from what was measured; return it."""
    digests = [digest for _, digest in runs]
    content = hashlib.sha256(":".join((metric, *digests)).encode()).hexdigest()[:16]
    known = {record["session_id"] for record in dataset.sessions()}
    # One that was killed right after it began has left its record, and no run.
    names = [f"parse-{hardware.name}-{content}{again}" for again in ("", *(f"-{i}" for i in range(2, 3 + len(known))))]
    session_id = next(name for name in names if name not in known)
    record = {
        "session_id": session_id,
        "started_at": min(run.started_at for run, _ in runs).isoformat(),
        "environment": {},
        "offline": {
            "hardware": hardware.name,
            "parameters": hardware.parameters,
            "metric": metric,
            "digests": digests,
        },
    }
    with dataset.session(record) as writer:
        for sequence, (run, _) in enumerate(runs):
            writer.append(replace(run, session_id=session_id, sequence=sequence))
    return session_id
