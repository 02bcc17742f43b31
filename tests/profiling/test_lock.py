"""One session on a processor at a time, whoever starts the other one, and however the first one ends."""

import errno
import fcntl
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from latpred.errors import ProfilingError
from latpred.profiling import lock
from latpred.profiling.lock import Holder, holder, lock_path, measuring_alone

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A folder for temporary files of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(lock, "_POLL_S", 0.03)
    return tmp_path


def take(hardware="cpu", wait=False):
    with measuring_alone(hardware, wait, "second"):
        return "taken"


def test_the_second_is_told_who_measures():
    with measuring_alone("cpu", False, "latpred profile runs/a"):
        me, now = os.getpid(), holder("cpu").started_at
        expected = (
            f"cpu: expected nobody else to measure on it, found process {me} (latpred profile runs/a) since {now}. "
            f"Wait for it with --wait, or stop process {me}."
        )
        with pytest.raises(ProfilingError) as refused:
            take()
        assert str(refused.value) == expected
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", now)
        assert take("cuda:0") == "taken"


def test_the_holder_is_seen_while_it_measures_only():
    assert holder("cpu") is None
    with measuring_alone("cpu", False, "first"):
        assert holder("cpu")[:2] == (os.getpid(), "first")
        assert holder("cuda:0") is None
    assert holder("cpu") is None
    assert lock_path("cpu").read_text() == ""


def test_it_is_free_again_after_an_error():
    with pytest.raises(RuntimeError, match="inside"), measuring_alone("cpu", False, "first"):
        raise RuntimeError("inside")
    assert take() == "taken"


HOLD = """
import sys
from latpred.profiling.lock import measuring_alone
with measuring_alone("cpu", False, "held elsewhere"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(folder):
    """Another process that measures."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_the_lock_goes_with_a_killed_process(other):
    with pytest.raises(
        ProfilingError, match=rf"found process {other.pid} \(held elsewhere\) since 20.*process {other.pid}"
    ):
        take()
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert "held elsewhere" in lock_path("cpu").read_text()  # it had no time to clear it
    assert holder("cpu") is None
    assert take() == "taken"


def test_waiting_ends_when_the_other_does_and_is_announced_once(other, monkeypatch):
    said, slept, sleep = [], [], time.sleep

    def sleep_then_end_the_other(seconds):
        slept.append(seconds)
        if len(slept) == 8:
            other.stdin.close()
        sleep(seconds)

    monkeypatch.setattr(lock.time, "sleep", sleep_then_end_the_other)
    with measuring_alone("cpu", True, "second", said.append):
        assert holder("cpu").pid == os.getpid()
    assert len(slept) >= 8
    assert slept[:6] == [0.02] * 4 + [lock._POLL_S] * 2
    (text,) = said
    assert text.startswith(f"cpu: waiting for process {other.pid} (held elsewhere) since 20")


def test_no_wait_no_announcement():
    said = []
    with measuring_alone("cpu", True, "first", said.append):
        pass
    assert said == []


def test_a_look_for_an_instant_refuses_nobody(monkeypatch):
    take()
    looking = os.open(lock_path("cpu"), os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_EX)
    slept = []
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: os.close(looking) if not slept.append(seconds) else None)
    assert take() == "taken"
    assert slept == [0.02]


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock():
    with measuring_alone("cpu", False, "first"):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        assert take() == "taken"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_every_user_may_take_it_next(umask):
    before = os.umask(umask)
    try:
        take()
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock_path("cpu").stat().st_mode) == 0o666


def test_another_users_file_is_opened_without_asking_to_make_one(monkeypatch):
    take()
    flags, open_ = [], os.open
    monkeypatch.setattr(os, "open", lambda path, access, *mode: flags.append(access) or open_(path, access, *mode))
    take()
    (access,) = flags
    assert not access & os.O_CREAT


def test_two_that_make_the_file_at_once_share_it(monkeypatch):
    open_, raced = os.open, []

    def open_after_another(path, access, *mode):
        if access & os.O_EXCL and not raced:
            raced.append(path)
            os.close(open_(path, os.O_RDWR | os.O_CREAT, 0o666))
        return open_(path, access, *mode)

    monkeypatch.setattr(os, "open", open_after_another)
    assert take() == "taken"
    assert raced


def plant_link(path, victim):
    path.symlink_to(victim)
    return "a link"


def plant_name(path, victim):
    path.hardlink_to(victim)
    return "another"


def plant_folder(path, victim):
    path.mkdir()
    return "Is a directory"


def plant_pipe(path, victim):
    os.mkfifo(path)
    return "another"


@pytest.mark.parametrize("plant", [plant_link, plant_name, plant_folder, plant_pipe])
def test_what_another_user_planted_is_refused_and_left_alone(folder, plant):
    victim = folder / "victim"
    victim.write_text("precious")
    victim.chmod(0o600)
    found = plant(lock_path("cpu"), victim)
    with pytest.raises(
        ProfilingError, match=rf"^{re.escape(str(lock_path('cpu')))}: expected .* to lock, found:? {found}\."
    ):
        take()
    assert holder("cpu") is None
    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("precious", 0o600)


def test_a_file_that_was_removed_under_the_lock_excludes_nobody(monkeypatch):
    try_flock, removed = lock._try_flock, []

    def flock_then_remove(handle):
        if not removed:
            removed.append(lock_path("cpu").unlink())
        return try_flock(handle)

    monkeypatch.setattr(lock, "_try_flock", flock_then_remove)
    with measuring_alone("cpu", False, "first"):
        assert holder("cpu").what == "first"
        with pytest.raises(ProfilingError, match="found process"):
            take()
    assert removed


def test_a_file_nobody_may_open_is_named(monkeypatch):
    slept = []
    monkeypatch.setattr(lock.time, "sleep", slept.append)

    def refuse(path, access, *mode):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ProfilingError, match=r"lock: expected a file to lock, found: Permission denied\. Remove it"):
        take()
    assert len(slept) == 4  # its maker may just be about to let others in


def test_a_file_system_without_locks_is_named(monkeypatch):
    def flock(handle, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    closed, close = [], os.close
    monkeypatch.setattr(os, "close", lambda handle: closed.append(handle) or close(handle))
    with pytest.raises(
        ProfilingError, match=r"expected to lock it, found: \[Errno \d+\] No locks available\. Set TMPDIR"
    ):
        take()
    assert len(closed) == 1
    assert holder("cpu") is None
    assert len(closed) == 2


def test_on_a_full_disk_the_lock_holds_without_words(monkeypatch):
    def pwrite(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with measuring_alone("cpu", False, "first"):
        assert holder("cpu") == Holder(None, "unknown", "unknown")
        expected = r"found another process \(unknown\) since unknown\. Wait for it with --wait, or stop it\."
        with pytest.raises(ProfilingError, match=expected):
            take()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Holder(None, "unknown", "unknown")),
        ("[1]", Holder(None, "unknown", "unknown")),
        ('{"pid": true, "what": 7}', Holder(None, "unknown", "unknown")),
        (json.dumps({"pid": 7, "what": "a\x1b[2Jb\nc", "started_at": "now"}), Holder(7, "a [2Jb c", "now")),
        (json.dumps({"pid": 7, "what": "x" * 999, "started_at": "t"}), Holder(7, "x" * 200, "t")),
        ("[" * 4000, Holder(None, "unknown", "unknown")),
    ],
)
def test_what_a_holder_says_is_not_trusted(text, expected):
    assert Holder.from_json(text) == expected


def test_without_flock_nothing_is_locked(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with measuring_alone("cpu", False, "first"):
        assert take() == "taken"
        assert holder("cpu") is None
    assert list(folder.iterdir()) == []


def test_the_file_is_named_after_the_processor(folder):
    path = lock_path("cuda:1")
    assert path.parent == folder
    assert re.fullmatch(r"latpred-cuda-1-[0-9a-f]{8}\.lock", path.name)
    assert path != lock_path("cuda.1")
