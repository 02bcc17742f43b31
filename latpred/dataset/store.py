"""The dataset: a folder with a card, the records of its sessions, their journals and the versioned table of runs."""

from __future__ import annotations

import errno
import re
import secrets
import shutil
import tempfile
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latpred.card import DatasetCard, SpaceCard, library_versions
from latpred.config import write_new
from latpred.dataset.export import export_runs
from latpred.dataset.export_awnas import export_awnas
from latpred.dataset.info import DatasetInfo, dataset_info
from latpred.dataset.read import Measurements, outside, read_measurements
from latpred.dataset.records import read_records, write_record
from latpred.dataset.session import SessionWriter, fold_leftovers
from latpred.dataset.table import RunTable, Version
from latpred.dataset.validate import problems_of
from latpred.device import Device
from latpred.errors import DatasetError, UsageError
from latpred.primitive import Primitive

# Delta Lake's library takes paths for URLs here and there: with these it panics, or finds other files.
_FORBIDDEN_IN_PATHS = re.compile(r"[%#?\[\]^|\\\x00-\x1f]")


class Dataset:
    """The versioned runs of one space on one device; made by `create` and `open`."""

    def __init__(self, path: Path, card: DatasetCard, table: RunTable, leftover: tuple[str, ...]) -> None:
        self.path = path
        self.card = card
        self.leftover = leftover
        """What was done on opening about the journals of sessions that were killed, one sentence each."""
        self._table = table

    @classmethod
    def create(cls, path: str | Path, space: SpaceCard, device: Device) -> Dataset:
        """Make an empty dataset.

        Args:
            path: A folder that does not exist or is empty.
            space: The space that all runs are of.
            device: The device that all runs are from.

        Raises:
            DatasetError: If something is there, or the path cannot hold a dataset.
        """
        path = _checked(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise _occupied(path)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        version = library_versions()["latpred"]
        card = DatasetCard(space=space, device=device, created_at=created, latpred_version=version)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        except OSError as error:
            raise DatasetError(str(path), f"expected to make a folder, got: {error}", "Choose another path") from error
        try:
            _fill(draft, card)
            draft.rename(path)  # whole or not at all
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process has filled it meanwhile
                raise _occupied(path) from None
            raise DatasetError(str(path), f"expected to make a dataset, got: {error}", "Mend the cause") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path, version: int | None = None, *, fold: bool = True) -> Dataset:
        """Open a dataset.

        Args:
            path: Its folder.
            version: The version to read; None for the newest, to which runs may be appended.
            fold: Whether to commit the runs that killed sessions left; never done at a given version.

        Raises:
            DatasetError: If there is no dataset, no such version, or a part of it is damaged.
            CardError: If the dataset was made under another schema version.
        """
        path = _checked(path)
        try:
            text = (path / "card.json").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            remedy = "Check the path, or make one with `latpred profile --dataset`"
            raise DatasetError(str(path), "expected a dataset, found no readable card.json there", remedy) from None
        card = DatasetCard.from_json(text, str(path / "card.json"))
        table = RunTable(path / "runs", version)
        leftover = fold_leftovers(path / "journal", card.space.name, table) if fold and version is None else ()
        return cls(path, card, table, leftover)

    @property
    def version(self) -> int:
        """Number of the version that is read; it grows with the commits of this object's own sessions."""
        return self._table.version

    def next_session_id(self) -> str:
        """Return an unused session id: the time (UTC) and a random end."""
        return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"

    def session(self, record: Mapping[str, Any]) -> SessionWriter:
        """Begin a session of measuring; use it in a `with` block.

        Args:
            record: What is known about it, JSON values only; written once. It has at least `session_id`,
                `started_at` (ISO 8601) and `environment`.

        Raises:
            DatasetError: If the record is malformed, the session is there already, or this is an older version.
        """
        if self._table.pinned:
            problem = f"expected the newest version to append to, found the dataset opened at version {self.version}"
            raise DatasetError(str(self.path), problem, "Open it without a version")
        session_id = write_record(self.path / "sessions", record)
        self._table.refresh()
        journal = self.path / "journal" / f"{session_id}.jsonl"
        return SessionWriter(session_id, self.card.space.name, self._table, journal)

    def sessions(self) -> list[dict[str, Any]]:
        """Return the records of all sessions, sorted by session id.

        Raises:
            DatasetError: If a record cannot be read, naming its file.
        """
        return read_records(self.path / "sessions")

    def history(self) -> list[Version]:
        """Return the versions up to this one, the oldest first."""
        return self._table.history()

    def keys(self) -> set[tuple[str, int]]:
        """Return the (session_id, sequence) of every row."""
        return self._table.keys()

    def visited(self, exclude_sessions: Collection[str] = ()) -> set[tuple[str, int]]:
        """Return the (network_id, round) of every row but those of some sessions, failed visits included."""
        rows = self._table.read(["network_id", "round"], outside(exclude_sessions))
        return set(zip(rows["network_id"].to_pylist(), rows["round"].to_pylist(), strict=True))

    def info(self, vocabulary: Collection[Primitive] | None = None) -> DatasetInfo:
        """Count what the dataset holds.

        Args:
            vocabulary: The primitives of the space, to tell how many of them are covered.
        """
        sessions = len(self.sessions())
        return dataset_info(self._table, self.card.device, self.card.space.name, sessions, vocabulary, self.path)

    def read(self, metric: str = "latency_ms", exclude_sessions: Collection[str] = ()) -> Measurements:
        """Read the ok runs that have an overall value of `metric`; there may be none.

        Args:
            metric: One of `METRIC_UNITS`.
            exclude_sessions: Ids of sessions to leave out, such as one that a backup disturbed.

        Raises:
            UsageError: If there is no such metric, or no such session.
            DatasetError: If a file cannot be read, naming it, or rows contradict one another.
        """
        if exclude_sessions:
            known = sorted(session["session_id"] for session in self.sessions())
            if unknown := sorted(set(exclude_sessions) - set(known)):
                problem = f"expected sessions of {self.path}, found '{unknown[0]}'"
                raise UsageError("exclude_sessions", problem, f"Take some of {', '.join(known)}")
        return read_measurements(self._table, metric, self.path, exclude_sessions)

    def validate(self) -> list[str]:
        """Check every row, session and journal; return the problems, one line each, none if all is well.

        Open with `fold=False` to be told about journals too.
        """
        recorded = [path.stem for path in (self.path / "sessions").glob("*.json")]
        problems = problems_of(self._table, self.card.space.name, recorded, self.path / "journal")
        try:
            self.sessions()
        except DatasetError as error:
            problems.append(str(error))
        return problems

    def export(self, out: str | Path, *, long: bool = False) -> None:
        """Write one parquet file with a row per run or, if `long`, per block; the schema's metadata has the card.

        Raises:
            ArtefactError: If `out` exists.
        """
        texts = {"latpred.card": self.card.to_json(), "latpred.dataset_version": str(self.version)}
        export_runs(self._table, Path(out), texts, long=long)

    def export_awnas(self, out: str | Path) -> tuple[int, int]:
        """Write a folder of parsed runs as the reference system (aw_nas) has them, `<network_id>/<run>.yaml`.

        Returns:
            How many runs were written, and how many had no latency to write.

        Raises:
            ArtefactError: If something stands at `out`.
        """
        return export_awnas(self._table, Path(out))


def _fill(folder: Path, card: DatasetCard) -> None:
    """Write an empty dataset into a folder."""
    (folder / "sessions").mkdir()
    (folder / "journal").mkdir()
    RunTable.create(folder / "runs")
    write_new(folder / "card.json", card.to_json())
    folder.chmod(0o755)


def _checked(path: str | Path) -> Path:
    """Return the absolute path; refuse what Delta Lake's library cannot work with."""
    absolute = Path(path).absolute()
    if found := _FORBIDDEN_IN_PATHS.search(str(absolute.resolve())):
        problem = f"expected a path without any of % # ? [ ] ^ | \\, found {found[0]!r} in it"
        raise DatasetError(str(absolute), problem, "Choose another folder")
    return absolute


def _occupied(path: Path) -> DatasetError:
    return DatasetError(
        str(path), "expected a new or empty folder, found something there", "Open it, or choose another"
    )
