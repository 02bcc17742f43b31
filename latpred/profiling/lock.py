"""The lock that keeps two sessions from measuring on one processor at once, and so each other."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from latpred.errors import ProfilingError

_POLL_S = 0.5
_LOOKS, _LOOK_S = 5, 0.02
"""A look by `holder` takes the lock for an instant, so that one refusal proves nothing."""
_MAX_BYTES, _MAX_LETTERS = 4096, 200


class Holder(NamedTuple):
    """Who measures now, in its own words: any user of the machine may write them."""

    pid: int | None
    """None where it does not say."""
    what: str
    started_at: str
    """UTC, ISO 8601."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what a holder wrote; `unknown` stands for what cannot be read, and control characters are gone."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        values = values if isinstance(values, dict) else {}
        pid = values.get("pid")
        what, started_at = (_printable(values.get(name)) for name in ("what", "started_at"))
        return cls(pid if type(pid) is int else None, what, started_at)

    def __str__(self) -> str:
        """Return the words for an error or a table."""
        process = "another process" if self.pid is None else f"process {self.pid}"
        return f"{process} ({self.what}) since {self.started_at}"


@contextmanager
def measuring_alone(hardware: str, wait: bool, what: str, say: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the lock of a processor: while one session does, no other gets it, whoever's it is.

    The system takes the lock back when the process ends, however it ends (a child that it forked, and that outlives
    it, keeps it). Two processes exclude each other where they have the same folder for temporary files, so not across
    containers. Where the system has no `flock` (Windows), nothing is locked.

    Args:
        hardware: What must not be shared. Two runtimes on one processor disturb each other, so that it names no
            runtime: `hardware_kind` gives it.
        wait: Whether to wait until it is free, instead of raising.
        what: What the others are told, for example the command.
        say: Is told once who holds it, when there is somebody to wait for.

    Raises:
        ProfilingError: If somebody else measures, saying who, or if the lock's file cannot be used.
    """
    handle = _take(hardware, wait, say)
    if handle is None:
        yield
        return
    try:
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        _write(handle, json.dumps({"pid": os.getpid(), "what": what, "started_at": started_at}))
        yield
    finally:
        _write(handle, "")
        _unlock(handle)


def holder(hardware: str) -> Holder | None:
    """Return who holds the lock of a processor; None where nobody does, or where that cannot be told."""
    if not _has_flock():
        return None
    try:
        handle = os.open(lock_path(hardware), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # nobody has ever measured, or nobody who lets us look
        return None
    try:
        return None if _try_flock(handle) else _read(handle)
    except OSError:
        return None
    finally:
        os.close(handle)


def lock_path(hardware: str) -> Path:
    """Return the lock's file: the same for all users who share the folder of temporary files."""
    slug = re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")[:40]
    return Path(tempfile.gettempdir()) / f"latpred-{slug}-{hashlib.sha256(hardware.encode()).hexdigest()[:8]}.lock"


def _take(hardware: str, wait: bool, say: Callable[[str], object] | None) -> int | None:
    """Return the open file whose lock we have; None where the system has none.

    Raises:
        ProfilingError: If somebody else has it and we do not wait, or if its file cannot be locked.
    """
    if not _has_flock():
        return None
    refused = 0
    while True:
        handle = _open(hardware)
        try:
            # Whoever cleans the folder up may have removed the file under a lock: that lock excludes nobody any more.
            if _try_flock(handle) and _is_current(handle, hardware):
                return handle
            found = _read(handle)
        except OSError as error:
            os.close(handle)
            remedy = "Set TMPDIR to a folder on a local disk that all who measure here use"
            raise ProfilingError(str(lock_path(hardware)), f"expected to lock it, found: {error}", remedy) from None
        os.close(handle)
        refused += 1
        if refused >= _LOOKS and not wait:
            stop = "stop it" if found.pid is None else f"stop process {found.pid}"
            problem = f"expected nobody else to measure on it, found {found}"
            raise ProfilingError(hardware, problem, f"Wait for it with --wait, or {stop}")
        if refused == _LOOKS and say is not None:
            say(f"{hardware}: waiting for {found}")
        time.sleep(_LOOK_S if refused < _LOOKS else _POLL_S)


def _open(hardware: str) -> int:
    """Open the lock's file, or make it so that every user may.

    The folder is everybody's, so what stands there may be a trap: links and whatever is no plain file are refused.

    Raises:
        ProfilingError: If it cannot be opened, or is no file of that kind.
    """
    path = lock_path(hardware)
    try:
        handle = _open_or_make(path)
    except OSError as error:
        kind = "a link" if error.errno == errno.ELOOP else error.strerror
        remedy = "Remove it, or set TMPDIR to another folder that all who measure here use"
        raise ProfilingError(str(path), f"expected a file to lock, found: {kind}", remedy) from None
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        os.close(handle)
        raise ProfilingError(str(path), "expected a plain file of one name to lock, found another", "Remove it")
    return handle


def _open_or_make(path: Path) -> int:
    """Open without O_CREAT first: in folders like /tmp, Linux refuses that flag on other users' files.

    See `protected_regular` in https://docs.kernel.org/admin-guide/sysctl/fs.html
    """
    access = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK  # the last one: wait for no pipe's other end
    for attempt in range(_LOOKS):
        try:
            return os.open(path, access)
        except FileNotFoundError:
            pass
        except PermissionError:  # perhaps its maker has not let the others in yet
            if attempt == _LOOKS - 1:
                raise
            time.sleep(_LOOK_S)
            continue
        try:
            handle = os.open(path, access | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:  # another made it meanwhile
            continue
        os.fchmod(handle, 0o666)  # the umask took rights away, and changing it would change it for all threads
        return handle
    return os.open(path, access)


def _has_flock() -> bool:
    try:
        import fcntl  # noqa: F401 - not on Windows
    except ImportError:
        return False
    return True


def _try_flock(handle: int) -> bool:
    """Lock an open file if nobody else has.

    Raises:
        OSError: If its file system has no locks.
    """
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(handle: int) -> None:
    """Unlock and close an open file; closing alone would leave the lock to children that were forked meanwhile."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _is_current(handle: int, hardware: str) -> bool:
    """Tell whether the open file still is the one that the others would open."""
    try:
        return os.path.samestat(os.fstat(handle), lock_path(hardware).lstat())
    except FileNotFoundError:
        return False


def _read(handle: int) -> Holder:
    """Read who wrote into an open file."""
    return Holder.from_json(os.read(handle, _MAX_BYTES).decode(errors="replace"))


def _write(handle: int, text: str) -> None:
    """Replace the content of an open file; on a full disk, the lock holds without it."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)


def _printable(value: object) -> str:
    """Return a short text without control characters, which could write on somebody's terminal what they like."""
    text = "".join(letter if letter.isprintable() else " " for letter in value) if isinstance(value, str) else ""
    return text[:_MAX_LETTERS].strip() or "unknown"
