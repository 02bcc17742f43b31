"""Checking a dataset row by row: everything that is wrong with it, one line each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from latpred.dataset.journal import read_journal
from latpred.dataset.networks import MeasuredNetwork, check_network
from latpred.dataset.schema import SCHEMA, check_run
from latpred.dataset.table import RunTable
from latpred.errors import DatasetError, LatpredError
from latpred.run import Run


def problems_of(table: RunTable, space: str, session_ids: Collection[str], journals: Path) -> list[str]:
    """Return what is wrong, one line for each problem; nothing if all is well.

    Args:
        table: The runs.
        space: Name of the space that all of them must be of.
        session_ids: The sessions that have a record.
        journals: Folder of the runs that are not committed yet.
    """
    problems: list[str] = []
    seen: set[tuple[str, int]] = set()
    networks: dict[str, MeasuredNetwork] = {}
    for fragment in table.fragments():
        try:
            for batch in table.batches(SCHEMA.names, fragments=[fragment]):
                for row in batch.to_pylist():
                    problems += _problems_of_row(row, space, seen, networks)
        except DatasetError as error:
            problems.append(str(error))
    without = sorted({session_id for session_id, _ in seen} - set(session_ids))
    problems += [f"session {session_id}: expected its record in sessions/, found none" for session_id in without]
    return problems + list(_problems_of_journals(journals, space))


def _problems_of_row(
    row: dict[str, object], space: str, seen: set[tuple[str, int]], networks: dict[str, MeasuredNetwork]
) -> Iterator[str]:
    """Yield what is wrong with a row, and add its key to `seen` and its network to `networks`."""
    try:
        run = Run.from_row(row)
    except (LatpredError, TypeError, ValueError) as error:
        yield f"run {row['sequence']} of session {row['session_id']}: expected a run, found: {error}"
        return
    if run.key in seen:
        yield f"run {run.sequence} of session {run.session_id}: expected it once, found it again"
    seen.add(run.key)
    try:
        check_run(run, space)
        network = check_network(run, networks)
        networks.setdefault(network.network_id, network)
    except LatpredError as error:
        yield str(error)


def _problems_of_journals(folder: Path, space: str) -> Iterator[str]:
    """Yield a line for each journal: its session is alive, or the dataset was opened without folding it in."""
    for path in sorted(folder.glob("*.jsonl")):
        try:
            runs, message = read_journal(path, space)
        except DatasetError as error:
            yield str(error)
            continue
        yield f"{path}: {len(runs)} runs are not committed; open the dataset again when their session has ended"
        if message is not None:
            yield message
