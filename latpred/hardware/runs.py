"""From a folder of results to runs: the whole network and its blocks in one row, file by file."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from latpred.config import canonical_json
from latpred.hardware.blocks import LEAST_COVERED, BlockNames, BlockTimes, block_times, spread
from latpred.hardware.compiled_map import Compiled
from latpred.hardware.facts import Facts, facts_of, read_facts_file
from latpred.hardware.profiles import CSV, LATENCY, Reading, Refused, RunProfile, read_profiles
from latpred.hardware.results import DEVICE, RunFiles, find_files
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.run import Run, Values

PRIMITIVE = "prim_"
"""How the id of a primitive that was compiled by itself begins."""


class ParsedRun(NamedTuple):
    """A run, and what was found out on the way."""

    run: Run | None
    """Not of a session yet: its id is empty, its sequence 0. None for a primitive that was measured by itself."""
    digest: str
    paths: tuple[Path, ...]
    facts: Facts
    """What the files say of the device."""
    tool: str
    times: BlockTimes | None
    """What the layers take, where the files have some."""
    notes: tuple[str, ...]
    """What a person should know, a sentence each."""


def known_facts(compiled: Compiled, results: Path, device: Path | None) -> Facts:
    """Return what is known of the device before a result is read.

    Args:
        compiled: What was compiled, and for which device.
        results: The folder of results; there may be a `device.yaml` in it.
        device: A YAML that the user names.

    Raises:
        UsageError: If they contradict each other, or one is malformed.
    """
    hardware = compiled.config.hardware
    own = {"runtime": hardware.runtime, **hardware.device_facts()}
    facts = facts_of(own, f"hardware {hardware.name}").with_all(compiled.config.facts.known)
    for path in (results / DEVICE, device):
        if path is not None and (path is device or path.exists()):
            facts = facts.with_all(read_facts_file(path).known)
    return facts


@dataclass
class ResultReader:
    """Reads results one file after the other; what it holds does not grow with their number.

    Args:
        compiled: The networks that were measured.
        reading: How to read the files.
    """

    compiled: Compiled
    reading: Reading
    _rounds: dict[str, int] = field(default_factory=dict)
    _names: tuple[str, BlockNames] = ("", BlockNames(()))
    """Of the last network: files come sorted by network."""
    _isolated: dict[str, float] = field(default_factory=dict)
    """What primitives take that were measured by themselves, by their id."""

    def read(self, folder: Path) -> Iterator[ParsedRun | Refused]:
        """Yield what is in a folder: first the primitives, then the networks.

        Raises:
            UsageError: If there is nothing in it.
        """
        files, unplaced = find_files(folder)
        yield from (Refused(str(path), problem) for path, problem in unplaced)
        # Files whose path tells no model come before all others; they may hold primitives, too.
        first = [group for group in files if group.model is None or group.model.startswith(PRIMITIVE)]
        waiting, alone = list[RunProfile](), dict[str, list[float]]()
        for item in self._profiles(first):
            if isinstance(item, Refused):
                yield item
            elif not item.model.startswith(PRIMITIVE):
                waiting.append(item)
            elif item.profile.failed or item.profile.whole_ms is None:
                yield Refused(str(item.paths[0]), item.profile.failed or "expected a latency, found none")
            else:
                alone.setdefault(item.model, []).append(item.profile.whole_ms)
                yield self._parsed(item, None, None, ())
        self._isolated = {model: statistics.median(values) for model, values in alone.items()}
        for item in waiting:
            yield self._network(item)
        for item in self._profiles([group for group in files if group not in first]):
            yield item if isinstance(item, Refused) else self._network(item)

    def _profiles(self, groups: list[RunFiles]) -> Iterator[RunProfile | Refused]:
        """Yield the runs of models that were compiled."""
        known = self.compiled.networks.keys() | self.compiled.primitives.keys()
        for group in groups:
            if group.model is not None and group.model not in known:
                yield from (Refused(str(path), _never_compiled(group.model)) for path in group.paths)
                continue
            for item in read_profiles(group, self.reading):
                if isinstance(item, RunProfile) and item.model not in known:
                    yield Refused(str(item.paths[0]), _never_compiled(item.model))
                else:
                    yield item

    def _network(self, item: RunProfile) -> ParsedRun | Refused:
        """Make a run of the profile of a network."""
        network, layers = self.compiled.networks[item.model]
        profile, metric = item.profile, self.reading.metric
        round_ = self._rounds.get(item.model, 0)
        common: dict[str, Any] = {
            "session_id": "",
            "sequence": 0,
            "network_id": item.model,
            "space": network.space,
            "architecture": None if network.assembled else canonical_json(network.architecture),
            "primitives": network.primitives,
            "role": network.roles,
            "round": round_,
            "started_at": item.written_at,
        }
        if profile.failed:
            self._rounds[item.model] = round_ + 1
            return self._parsed(item, Run(**common, status="failed", reason=profile.failed), None, ())
        if profile.whole_ms is None:
            return Refused(", ".join(map(str, item.paths)), _no_whole(len(profile.layers)))
        self._rounds[item.model] = round_ + 1
        times, notes = None, tuple[str, ...]()
        values: dict[str, Any] = {f"overall_{metric}": profile.whole_ms}
        if any(layer.latency_ms is not None for layer in profile.layers):
            if self._names[0] != item.model:
                self._names = (item.model, BlockNames(layers))
            hardware, in_order = self.reading.hardware, profile.tool != CSV
            times = block_times(profile.layers, self._names[1], hardware, len(layers), in_order=in_order)
            found, notes = _block_values(times, profile.whole_ms, metric)
            values |= found
        elif metric == LATENCY and self._isolated:
            values |= self._alone(network)
        return self._parsed(item, Run(**common, **values), times, notes)

    def _alone(self, network: Network) -> dict[str, Any]:
        """Return the values of the blocks that were measured by themselves."""
        ids: Mapping[Primitive, str] = {primitive: key for key, (primitive, _) in self.compiled.primitives.items()}
        found: Values = tuple(self._isolated.get(ids.get(primitive, "")) for primitive in network.primitives)
        if all(value is None for value in found):
            return {}
        return {
            "block_latency_ms": found,
            "block_method": tuple(None if value is None else "isolated" for value in found),
        }

    def _parsed(self, item: RunProfile, run: Run | None, times: BlockTimes | None, notes: tuple[str, ...]) -> ParsedRun:
        profile, hardware = item.profile, self.reading.hardware
        told = {
            "hardware": profile.device if hardware.tells_hardware else None,
            "runtime_version": profile.tool_version,
            "precision": hardware.precision_of(profile.precision) if profile.precision else None,
            "threads": profile.threads,
            "batch": profile.batch,
        }
        facts = facts_of(told, str(item.paths[0]))
        return ParsedRun(run, item.digest, item.paths, facts, profile.tool, times, (*profile.warnings, *notes))


def _block_values(times: BlockTimes, whole: float, metric: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the columns with the blocks' values, and why there are none."""
    covered = sum(times.blocks) / times.total if times.total else 0.0
    found = spread(times, whole)
    if found is None:
        without = [position for position, time in enumerate(times.blocks) if time <= 0]
        reason = f"{covered:.1%} of its layers' time belongs to blocks, less than {LEAST_COVERED:.0%}"
        if covered >= LEAST_COVERED:
            reason = f"block {without[0]} has no layer of its own: another block's does its work"
        return {}, (f"no values per block where {reason}",)
    blocks, overhead = found
    columns: dict[str, Any] = {f"block_{metric}": blocks, "block_method": ("profile_share",) * len(blocks)}
    return columns | ({"overhead_ms": overhead} if metric == LATENCY else {}), ()


def _never_compiled(model: str) -> str:
    return (
        f"expected a network of the compiled folder, found {model}. It was never compiled: remove it, or name its set"
    )


def _no_whole(layers: int) -> str:
    problem = f"expected the whole network, found {layers} layers alone"
    return f"{problem}. Bring the tool's log too, or a CSV with the row `whole`"
