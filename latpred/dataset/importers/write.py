"""From what a reader of others' measurements returned to datasets."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from latpred.card import library_versions
from latpred.dataset.bulk import VALUES, NetworkColumns
from latpred.dataset.importers.base import Imported, ImportedDevice, ImportedRun
from latpred.dataset.store import Dataset
from latpred.errors import DatasetError


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
