"""Writing runs: a session appends to its journal and commits it to the table now and then."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from latpred.dataset.bulk import NetworkColumns, batches_of, check_values, measured
from latpred.dataset.journal import Journal, claimed, read_journal
from latpred.dataset.networks import check_network, read_networks
from latpred.dataset.schema import check_run, to_batch
from latpred.dataset.table import RunTable
from latpred.errors import DatasetError, RunError
from latpred.run import Run

COMMIT_EVERY_S = 30.0
"""Longest time between commits, s."""

# A commit costs 7-70 ms; with short rounds, one after each would take more than some percent of the time.
_ROUND_COMMIT_AFTER_S = 2.0


class SessionWriter:
    """Appends the runs of one session to a dataset; made by `Dataset.session`, used in a `with` block.

    An appended run survives whatever kills the process: runs that it did not commit are folded in when the dataset
    is opened next. `append` takes some 0.5 ms; commits take longer and start threads, so neither belongs into a
    timed loop, and commits come only where the caller asks for them, and at the end of the block.

    Args:
        session_id: The session, whose record is written.
        space: Name of the dataset's space.
        table: The runs.
        journal: The journal file to make.
    """

    def __init__(self, session_id: str, space: str, table: RunTable, journal: Path) -> None:
        self.session_id = session_id
        self._space, self._table = space, table
        self._networks = read_networks(table)
        self._sequences: set[int] = set()
        self._pending: list[tuple[Run, pa.RecordBatch]] = []
        self._last_commit = time.monotonic()
        self._uncertain = False  # whether a commit was begun and its end not seen
        self._journal = Journal(journal)

    def append(self, run: Run) -> None:
        """Store `run`; a run that cannot be a row is refused and changes nothing.

        Raises:
            RunError: If `run` is malformed or of another space.
            DatasetError: If it is of another session, is there already, contradicts the network that its
                network_id stands for, or cannot be written.
        """
        check_run(run, self._space)
        where = f"run {run.sequence} of session {run.session_id}"
        if run.session_id != self.session_id:
            raise DatasetError(where, f"expected a run of session {self.session_id}", "Open a session of that id")
        if run.sequence in self._sequences:
            raise DatasetError(where, f"expected a new sequence, found {run.sequence} again", "Count runs upwards")
        network = check_network(run, self._networks)
        batch = to_batch(run)
        # Before the journal: a signal that ends the session within its fsync must not lose a run that is measured.
        self._pending.append((run, batch))
        self._sequences.add(run.sequence)
        try:
            self._journal.append(run)
        except (DatasetError, RunError):
            self._sequences.discard(run.sequence)
            self._pending.pop()
            raise
        self._networks.setdefault(network.network_id, network)

    def extend(self, networks: NetworkColumns, values: pa.Table) -> int:
        """Store many ok runs at once, as one new version and past the journal, and return how many there were.

        All of them are stored or none: for runs that lie in a file elsewhere and can be read again.

        Args:
            networks: Their networks.
            values: The runs, of the schema `latpred.dataset.bulk.VALUES`.

        Raises:
            RunError: If one of them is malformed or of another space.
            DatasetError: If one is there already, a network_id stands for another network, or the commit fails.
        """
        check_values(networks, values, self.session_id)
        networks.check(self._networks)
        if foreign := next((network for network in networks.networks if network.space != self._space), None):
            problem = f"expected networks of space '{self._space}', found '{foreign.space}'"
            raise RunError(f"session {self.session_id}", problem, "Use another dataset")
        sequences = set(values["sequence"].to_pylist())
        if again := sorted(self._sequences & sequences):
            where = f"run {again[0]} of session {self.session_id}"
            raise DatasetError(where, f"expected a new sequence, found {again[0]} again", "Count runs upwards")
        self.commit()
        if len(values):
            self._table.append_stream(batches_of(networks, values, self.session_id))
        self._sequences |= sequences
        for network_id, network in zip(networks.network_ids, networks.networks, strict=True):
            self._networks.setdefault(network_id, measured(network, network_id))
        return len(values)

    def commit(self) -> int:
        """Move the runs of the journal to the table, as one new version, and return how many there were.

        Raises:
            DatasetError: If the commit fails; the runs stay in the journal.
        """
        if not self._pending:
            return 0
        rows = self._pending
        if self._uncertain:  # an interrupt may have come when the rows were in the table already
            self._table.refresh()
            there = self._table.keys(self.session_id)
            rows = [(run, batch) for run, batch in rows if run.key not in there]
        self._uncertain = True
        if rows:
            self._table.append([batch for _, batch in rows])
        self._journal.clear()
        self._pending = []
        self._uncertain = False
        self._last_commit = time.monotonic()
        return len(rows)

    def commit_if_due(self) -> int:
        """Commit if a round has ended since the last commit, or after 30 s; return how many runs were committed.

        Rounds of less than 2 s share a commit. Call it between runs, outside of anything timed.
        """
        age = time.monotonic() - self._last_commit
        round_ended = bool(self._pending) and self._pending[0][0].round != self._pending[-1][0].round
        if age >= COMMIT_EVERY_S or (round_ended and age >= _ROUND_COMMIT_AFTER_S):
            return self.commit()
        return 0

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit what was appended, after an error too; what cannot be committed stays in the journal."""
        try:
            self.commit()
        finally:
            self._journal.close()


def fold_leftovers(folder: Path, space: str, table: RunTable) -> tuple[str, ...]:
    """Commit the runs of the journals in `folder` whose sessions are dead, and return what was done, in sentences.

    Raises:
        DatasetError: If a journal is damaged; the runs of those before it are committed.
    """
    messages = []
    for path in sorted(folder.glob("*.jsonl")):
        with claimed(path) as ours:
            if not ours:
                continue
            runs, cut = read_journal(path, space)
            table.refresh()  # another process may have committed since the table was loaded
            there = table.keys(path.stem)  # its session may have died between the commit and clearing the journal
            fresh = {run.key: to_batch(run) for run in runs if run.key not in there}
            if fresh:
                table.append(list(fresh.values()))
                messages.append(f"{path.name}: committed {len(fresh)} runs of a session that was killed")
            if cut is not None:
                messages.append(cut)
            path.unlink()
    return tuple(messages)
