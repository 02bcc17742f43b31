"""The journal: the runs of a session that are not committed yet, one fsynced line each."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latpred.dataset.schema import check_run, from_line, to_line
from latpred.errors import DatasetError, RunError
from latpred.run import Run


class Journal:
    """The journal of a living session; its file is locked as long as the session lives.

    The lock ends with the process, however it dies: it is how others tell a leftover journal from one in use.

    Args:
        path: The file to make.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(exist_ok=True)
        self._handle = _open_locked(path)
        _sync_folder(path.parent)

    def append(self, run: Run) -> None:
        """Write `run`; when this returns, it survives a crash of the process and of the machine.

        Raises:
            DatasetError: If it cannot be written; the journal is then as it was before.
        """
        line = f"{to_line(run)}\n".encode()
        size = self._size()
        try:
            written = os.write(self._handle, line)
            if written < len(line):
                raise OSError(f"only {written} of {len(line)} bytes fitted")
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, size)  # half a line would spoil the lines behind it
            raise DatasetError(str(self.path), f"expected to write a run, got: {error}", "Make room there") from error

    def clear(self) -> None:
        """Forget the runs, which were committed."""
        os.ftruncate(self._handle, 0)

    def close(self) -> None:
        """Release the lock; the file goes, unless it still holds runs for the next to open the dataset."""
        if self._size() == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._handle)

    def _size(self) -> int:
        # Asked for, not counted: a signal within `append` would leave a count that is wrong.
        return os.fstat(self._handle).st_size


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the lock of a journal for the block; False if its session lives or somebody else has folded it in."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield _is_at(handle, path)
    finally:
        os.close(handle)


def read_journal(path: Path, space: str) -> tuple[tuple[Run, ...], str | None]:
    """Read the runs of a journal, and say what was dropped if its writer died within a line.

    Raises:
        DatasetError: If a line is malformed, naming it.
    """
    *lines, tail = path.read_bytes().split(b"\n")
    runs = []
    for number, line in enumerate(lines, start=1):
        try:
            run = from_line(line.decode())
            check_run(run, space)
            if run.session_id != path.stem:
                raise ValueError(f"a run of session {run.session_id}")
        except (ValueError, RunError) as error:
            remedy = "Mend or remove the line, or restore the file from a copy"
            raise DatasetError(
                f"{path} line {number}", f"expected a run in JSON, found: {str(error).rstrip('.')}", remedy
            ) from None
        runs.append(run)
    if not tail:
        return tuple(runs), None
    return tuple(runs), f"{path.name}: dropped the run in flight, line {len(lines) + 1}, which was cut short"


def _open_locked(path: Path) -> int:
    """Open a new or existing file and lock it, so that the locked file is the one at `path`."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, path):  # else somebody found it empty and removed it before it was locked
            return handle
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
