"""What a reader of others' measurements returns, and how it becomes datasets."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from latpred.card import library_versions
from latpred.dataset.bulk import VALUES, NetworkColumns
from latpred.dataset.store import Dataset
from latpred.device import Device
from latpred.errors import ArchitectureError, DatasetError, LatpredError, ParseError, UsageError
from latpred.network import Network
from latpred.run import Values
from latpred.spaces import SearchSpace

UNKNOWN = "unknown"
"""Stands in a device's fields for what the source does not say."""


_LARGEST = 10_000
"""Values in one architecture."""


class ImportedRun(NamedTuple):
    """One measurement of a network, in the order of the source; None where there is none."""

    network: int
    """Place in `Measured.networks`."""
    latency_ms: float | None = None
    block_latency_ms: Values | None = None
    overhead_ms: float | None = None
    energy_mj: float | None = None
    block_energy_mj: Values | None = None
    memory_mb: float | None = None
    block_method: str | None = None
    """How its block values were found."""


@dataclass(frozen=True)
class ImportedDevice:
    """What a source says about one device."""

    name: str
    """What the source calls it; a dataset's folder."""
    device: Device
    runs: Sequence[ImportedRun]
    absent: int = 0
    """Networks that the source knows and that were not measured on this device."""
    refused: Sequence[str] = ()
    """What is no measurement, one line each, with its place in the source."""

    def __post_init__(self) -> None:
        """Refuse a name that would lead out of the folder that datasets are written to."""
        if not re.fullmatch(r"\w[\w.-]*", self.name, re.ASCII):
            problem = f"expected a device's name of letters, digits, '_', '.', '-', found {self.name[:60]!r}"
            raise ParseError("device", problem, "Rename it in the source")


@dataclass(frozen=True)
class Imported:
    """What a source says."""

    format: str
    space: SearchSpace[Any]
    networks: Sequence[Network]
    devices: Sequence[ImportedDevice]
    files: Sequence[Path]
    notes: Sequence[str] = field(default=())
    """What was decided for the user, one line each."""


def unknown_device(hardware: str, **known: Any) -> Device:  # noqa: ANN401 - fields of Device
    """Return a device of which a source tells only its name and what is `known`."""
    fields: dict[str, Any] = {
        "runtime": UNKNOWN,
        "runtime_version": UNKNOWN,
        "precision": UNKNOWN,
        "threads": 1,
        "batch": 1,
        "layout": UNKNOWN,
    }
    return Device(hardware, **(fields | known))


def label(text: str) -> str:
    """Return the name of a file or folder as that of its only device."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-.") or "device"


def with_facts(imported: Imported, facts: Mapping[str, Any]) -> Imported:
    """Return `imported` with what the user knows about its devices: fields of `Device` by name."""
    devices = [replace(found, device=replace(found.device, **facts)) for found in imported.devices]
    return replace(imported, devices=devices)


class Networks:
    """Collects the distinct networks of a source, each built once.

    Args:
        space: Theirs.
        read: Reads an architecture as the source writes it; by default in the space's JSON form.
    """

    def __init__(self, space: SearchSpace[Any], read: Callable[[Any], Any] | None = None) -> None:
        self.space = space
        self._read = read or space.from_json
        self._places: dict[str, int] = {}
        self.networks: list[Network] = []

    def place(self, written: Any, where: str) -> int:  # noqa: ANN401 - as sources write architectures
        """Return the place of the network of an architecture as the source writes it.

        Raises:
            ParseError: If it is no architecture of the space, naming `where`.
        """
        try:
            if not _is_small(written):
                problem = f"expected an architecture, found more than {_LARGEST} values"
                raise ArchitectureError(f"space {self.space.name}", problem, "Correct the source")
            architecture = self._read(written)
            key = self.space.architecture_json(architecture)
        except LatpredError as error:
            raise ParseError(f"{where}: {error.where}", error.problem, error.remedy) from None
        if key not in self._places:
            self._places[key] = self.add(self.space.network(architecture))
        return self._places[key]

    def add(self, network: Network) -> int:
        """Return the place of a network that is not among them yet."""
        self.networks.append(network)
        return len(self.networks) - 1


def _is_small(written: object) -> bool:
    """Return whether an architecture has few values: lists that hold themselves, or one another, never end."""
    left, count = [written], 0
    while left:
        value = left.pop()
        count += 1
        if count > _LARGEST:
            return False
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value[: _LARGEST + 1]
    return True


def value_of(written: object, where: str, what: str, factor: float = 1.0) -> float:
    """Return a measured value in the unit of the dataset.

    Raises:
        ParseError: If it is no finite number > 0.
    """
    if isinstance(written, int | float) and not isinstance(written, bool) and 0 < written < 1e300:
        return float(written) * factor
    found = repr(written) if isinstance(written, int | float | None) else f"a {type(written).__name__}"
    remedy = "Measure it again, or leave such values out with --skip"
    raise ParseError(where, f"expected {what} to be a number > 0, found {found[:60]}", remedy)


def select(names: Sequence[str], wanted: Sequence[str] | None, where: str) -> list[str]:
    """Return those of `names` that are wanted; all of them by default.

    Raises:
        UsageError: If one is not there.
    """
    if not wanted or list(wanted) == ["all"]:
        return list(names)
    for name in wanted:
        if name not in names:
            remedy = f"Take some of {', '.join(names)}, or all" if names else "Check the path"
            raise UsageError("--devices", f"expected devices of {where}, found '{name}'", remedy)
    return [name for name in names if name in wanted]


def check_targets(targets: Iterable[Path]) -> None:
    """Refuse to import where something stands already.

    Raises:
        DatasetError: Naming the first such folder; nothing has been written.
    """
    for target in targets:
        if target.exists():
            remedy = "It may have been imported before: open it, or choose another --out or --devices"
            raise DatasetError(str(target), "expected nothing there yet, found something", remedy)


def write_dataset(
    target: Path, imported: Imported, found: ImportedDevice, columns: NetworkColumns, *, order_is_time: bool
) -> int:
    """Write the dataset of one device, whole or not at all, and return how many runs it has.

    Args:
        target: The folder to make.
        imported: The source.
        found: The device.
        columns: The networks of `imported`.
        order_is_time: Whether the source has the runs in the order in which they were measured.

    Raises:
        DatasetError: If something stands at `target`, or it cannot be written.
        RunError: If a run cannot be a row.
    """
    check_targets([target])
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        dataset = Dataset.create(draft, imported.space.card(), found.device)
        record = _record(dataset.next_session_id(), imported, found, order_is_time)
        with dataset.session(record) as session:
            count = session.extend(columns, _values(found.runs, columns, datetime.now(UTC)))
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return count


def _record(session_id: str, imported: Imported, found: ImportedDevice, order_is_time: bool) -> dict[str, Any]:
    files = [{"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in imported.files]
    return {
        "session_id": session_id,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": {"measured": "elsewhere", "libraries": library_versions()},
        "import": {
            "format": imported.format,
            "device": found.name,
            "files": files,
            # When the runs were measured is unknown: their started_at is the time of the import.
            "order_is_time": order_is_time,
            "absent": found.absent,
            "refused": len(found.refused),
        },
    }


def _values(runs: Sequence[ImportedRun], columns: NetworkColumns, now: datetime) -> pa.Table:
    """Return the runs as columns; the n-th one of a network belongs to round n."""
    seen: dict[int, int] = {}
    rounds = []
    for run in runs:
        rounds.append(seen.get(run.network, 0))
        seen[run.network] = rounds[-1] + 1
    methods = [
        None if run.block_method is None else [run.block_method] * int(columns.lengths[run.network]) for run in runs
    ]
    given: dict[str, Any] = {
        "network": [run.network for run in runs],
        "sequence": np.arange(len(runs)),
        "round": rounds,
        "started_at": [now] * len(runs),
        "overall_latency_ms": [run.latency_ms for run in runs],
        "block_latency_ms": [run.block_latency_ms for run in runs],
        "block_method": methods,
        "overhead_ms": [run.overhead_ms for run in runs],
        "overall_energy_mj": [run.energy_mj for run in runs],
        "block_energy_mj": [run.block_energy_mj for run in runs],
        "overall_memory_mb": [run.memory_mb for run in runs],
    }
    arrays = [
        pa.array(given[column.name], column.type) if column.name in given else pa.nulls(len(runs), column.type)
        for column in VALUES
    ]
    return pa.table(arrays, schema=VALUES)
