"""The versioned table of runs: all that latpred asks of Delta Lake."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from latpred.dataset.schema import SCHEMA
from latpred.errors import DatasetError

# Without it, old versions vanish together with their logs after 30 days.
_CONFIGURATION = {"delta.enableExpiredLogCleanup": "false"}

# Appends never exclude one another, so a lost race for a version number only means to try the next one.
_COMMIT_RETRIES = 100

# Small batches, few ahead: the primitives of a row of 20 blocks take some 3 kB once they are decoded.
_STREAM_ROWS = 4096
_STREAM_AHEAD = 2


@dataclass(frozen=True)
class Version:
    """A version of the table: what made it, and what it holds."""

    number: int
    timestamp: datetime
    """UTC."""
    operation: str
    """Delta's name of it: `CREATE TABLE`, `WRITE`, ..."""
    runs_added: int
    """Negative where runs were removed."""
    runs_total: int


def _forget_location(log: Path) -> None:
    """Take the folder's path out of the table's first commit: a dataset may be given to others, and moved.

    The path is information for people, as the Delta protocol says of `commitInfo`; nothing reads it.
    """
    actions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    for action in actions:
        action.get("commitInfo", {}).get("operationParameters", {}).pop("location", None)
    log.write_text("".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions), encoding="utf-8")


class RunTable:
    """The table of runs at one version, or at its newest.

    Args:
        folder: The table's folder.
        version: The version to read; None for the newest, which may be appended to.

    Raises:
        DatasetError: If there is no such table or version, or it has other columns.
    """

    def __init__(self, folder: Path, version: int | None = None) -> None:
        self.folder = folder
        self.pinned = version is not None
        self._delta = self._load(None)
        if version is not None:
            newest = self._delta.version()
            if not 0 <= version <= newest:
                problem = f"expected a version from 0 to {newest}, found {version}"
                raise DatasetError(str(folder.parent), problem, "`latpred dataset history` lists them")
            self._delta = self._load(version)
        self._check_columns()

    @staticmethod
    def create(folder: Path) -> None:
        """Make an empty table."""
        try:
            DeltaTable.create(folder, SCHEMA, mode="error", configuration=_CONFIGURATION)
        except DeltaError as error:
            raise DatasetError(
                str(folder), f"expected to make a table, got: {_one_line(error)}", "Choose another path"
            ) from error
        _forget_location(folder / "_delta_log" / "00000000000000000000.json")

    @property
    def version(self) -> int:
        """Number of the version that is read."""
        return self._delta.version()

    def refresh(self) -> None:
        """Go to the newest version, unless the table was opened at a given one."""
        if not self.pinned:
            self._delta.update_incremental()

    def append(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Commit rows as one new version.

        Raises:
            DatasetError: If the commit fails; then none of the rows is in the table.
        """
        table = pa.Table.from_batches(batches, SCHEMA).combine_chunks()
        writer = WriterProperties(compression="ZSTD")
        self._write(table, writer, f"{len(batches)} runs", "The journal keeps them: mend the cause, open again")

    def append_stream(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Commit rows as one new version, without holding more than some batches of them.

        Raises:
            DatasetError: If the commit fails; then none of the rows is in the table.
        """
        reader = pa.RecordBatchReader.from_batches(SCHEMA, batches)
        # The writer holds a group before it compresses it; without a limit that would be a million rows.
        writer = WriterProperties(compression="ZSTD", max_row_group_size=_STREAM_ROWS)
        self._write(reader, writer, "a stream of runs", "Mend the cause, and begin again")

    def _write(self, rows: pa.Table | pa.RecordBatchReader, writer: WriterProperties, what: str, remedy: str) -> None:
        try:
            write_deltalake(
                self._delta,
                rows,
                mode="append",
                writer_properties=writer,
                commit_properties=CommitProperties(max_commit_retries=_COMMIT_RETRIES),
            )
        except (DeltaError, OSError) as error:
            problem = f"expected to commit {what}, got: {_one_line(error)}"
            raise DatasetError(str(self.folder), problem, remedy) from error
        self.refresh()

    def fragments(self) -> list[pyarrow.dataset.Fragment]:
        """Return the parquet files of this version."""
        files = pyarrow.fs.SubTreeFileSystem(str(self.folder), pyarrow.fs.LocalFileSystem())
        try:
            return list(self._delta.to_pyarrow_dataset(filesystem=files).get_fragments())
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise self._damaged(self.folder, error) from error

    def batches(
        self,
        columns: Sequence[str],
        *,
        fragments: Sequence[pyarrow.dataset.Fragment] | None = None,
        where: pyarrow.dataset.Expression | None = None,
    ) -> Generator[pa.RecordBatch, None, None]:
        """Stream some columns of the rows; their order is not kept.

        Args:
            columns: Their names.
            fragments: The files to read; all by default.
            where: The rows to read; all by default.

        Raises:
            DatasetError: If a file is missing or damaged, naming it.
        """
        for fragment in self.fragments() if fragments is None else fragments:
            try:
                yield from fragment.to_batches(
                    schema=SCHEMA,
                    columns=list(columns),
                    filter=where,
                    batch_size=_STREAM_ROWS,
                    batch_readahead=_STREAM_AHEAD,
                )
            except (OSError, pa.ArrowException) as error:
                raise self._damaged(self.folder / fragment.path, error) from error

    def read(self, columns: Sequence[str], where: pyarrow.dataset.Expression | None = None) -> pa.Table:
        """Read some columns of the rows; their order is not kept.

        Raises:
            DatasetError: If a file is missing or damaged, naming it.
        """
        schema = pa.schema([SCHEMA.field(name) for name in columns])
        return pa.Table.from_batches(self.batches(columns, where=where), schema)

    def keys(self, session_id: str | None = None) -> set[tuple[str, int]]:
        """Return the (session_id, sequence) of all rows, or of those of one session."""
        where = None if session_id is None else pyarrow.dataset.field("session_id") == session_id
        table = self.read(["session_id", "sequence"], where)
        return set(zip(table["session_id"].to_pylist(), table["sequence"].to_pylist(), strict=True))

    def history(self) -> list[Version]:
        """Return the versions up to this one, the oldest first."""
        versions: list[Version] = []
        # Delta lists the newest commit first, whatever version is open, and numbers them from that version down.
        for number, commit in enumerate(reversed(self._delta.history())):
            if number > self.version:
                break
            operation = str(commit.get("operation", "unknown"))
            before = versions[-1].runs_total if versions else 0
            appended = operation == "WRITE" and commit.get("operationParameters", {}).get("mode") == "Append"
            if appended and versions:
                total = before + int(commit["operationMetrics"]["num_added_rows"])
            else:  # whatever else was done to the table, its files say what is left
                total = self._load(number).count()
            at = datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)
            versions.append(Version(number, at, operation, total - before, total))
        return versions

    def _load(self, version: int | None) -> DeltaTable:
        try:
            return DeltaTable(self.folder, version=version)
        except (DeltaError, OSError) as error:
            raise self._damaged(self.folder, error) from error

    def _check_columns(self) -> None:
        found = pa.schema(self._delta.schema().to_arrow())
        for field in SCHEMA:
            index = found.get_field_index(field.name)
            if index < 0 or not found.field(index).type.equals(field.type):
                problem = f"expected the column {field.name}: {field.type}, found " + (
                    "none" if index < 0 else str(found.field(index).type)
                )
                raise DatasetError(str(self.folder), problem, "The table was made by another program: import it")

    def _damaged(self, path: Path, error: Exception) -> DatasetError:
        problem = f"expected a readable part of the dataset, got: {_one_line(error)}"
        remedy = "Restore the file from a copy, or open an older version (`latpred dataset history`)"
        return DatasetError(str(path), problem, remedy)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
