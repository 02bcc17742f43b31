from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from random import Random

import numpy as np
import pytest
from synthetic import DEVICE, SPACE, START, make_dataset, make_network, make_networks, make_record, make_run, make_runs

from latpred.dataset import Dataset
from latpred.dataset import session as session_module
from latpred.dataset.journal import Journal
from latpred.dataset.session import fold_leftovers
from latpred.dataset.table import RunTable
from latpred.errors import DatasetError, RunError
from latpred.run import Run

NETWORK, GLUED = make_network([0, 5]), make_network([1, 2], assembled=True)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "d", [make_run(NETWORK)])


def run(network: object = NETWORK, **fields: object) -> Run:
    return make_run(network, **{"session_id": "s1"} | fields)


def test_commits_are_versions_and_nothing_is_left(dataset: Dataset) -> None:
    with dataset.session(make_record("s1")) as session:
        session.append(run(sequence=0))
        session.append(run(sequence=1))
        assert (session.commit(), session.commit(), dataset.version) == (2, 0, 2)
        session.append(run(sequence=2))
    assert dataset.version == 3
    assert dataset.keys() == {("s0", 0), *(("s1", i) for i in range(3))}
    assert not list((dataset.path / "journal").iterdir())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (run(overall_latency_ms=float("nan")), "expected overall_latency_ms to be a finite number > 0, found nan"),
        (run(overall_latency_ms=-1.0), "expected overall_latency_ms to be a finite number > 0, found -1.0"),
        (run(block_latency_ms=(1.0, 0.0)), r"expected block_latency_ms\[1\] to be a finite number > 0, found 0.0"),
        (run(overall_latency_ms="fast"), "expected values of the stated types"),
        (run(status="failed", reason="x", overall_latency_ms=float("nan")), "expected plain finite values"),
        (run(involuntary_switches=2**70), "expected values that fit the columns"),
        (run(block_method=(1, 2)), "expected values that fit the columns"),
        (run(network_id=None), r"expected a value for network_id, found none|architecture|network_id"),
        (run(architecture="{"), "expected values of the stated types"),
        (run(space="fbnet"), "expected a run of space 'synthetic', found 'fbnet'"),
        (run(started_at=START.replace(tzinfo=None)), "expected started_at with its time zone"),
        (run(session_id="s0"), "run 1 of session s0: expected a run of session s1"),
        (run(sequence=0), "run 0 of session s1: expected a new sequence, found 0 again"),
        (
            run(primitives=make_network([0, 6]).primitives),
            f"expected the primitives that network {NETWORK.network_id} has in the dataset, found at 1: .* instead of",
        ),
        (run(replace(NETWORK, roles=("primitive", "glue"))), "expected the roles that network"),
        (
            run(primitives=NETWORK.primitives[:1], role=("glue",), block_latency_ms=None, block_method=None),
            "expected the primitives that .* found 1 of them instead of 2",
        ),
        (run(architecture='{"ids":[9]}'), r"expected the architecture that .* found {'ids': \[9\]} instead of"),
        (run(GLUED, network_id="0" * 16), f"expected the network_id {GLUED.network_id} for these primitives, found 0"),
    ],
)
def test_a_bad_run_is_refused_and_nothing_is_lost(dataset: Dataset, bad: Run, message: str) -> None:
    with dataset.session(make_record("s1")) as session:
        session.append(run(sequence=0))
        with pytest.raises((RunError, DatasetError), match=message):
            session.append(replace(bad, sequence=bad.sequence if "sequence, found" in message else 1))
        session.append(run(sequence=1))
    assert dataset.keys() == {("s0", 0), ("s1", 0), ("s1", 1)}
    assert dataset.validate() == []


def test_a_network_is_checked_against_this_session_too(dataset: Dataset) -> None:
    other = make_network([4, 4])
    with dataset.session(make_record("s1")) as session:
        session.append(run(other, sequence=0))
        with pytest.raises(DatasetError, match="expected the primitives"):
            session.append(run(other, sequence=1, primitives=NETWORK.primitives))


def test_a_network_is_checked_against_other_processes(dataset: Dataset) -> None:
    other = make_network([4, 4])
    with Dataset.open(dataset.path).session(make_record("s2")) as session:
        session.append(run(other, session_id="s2"))
    with dataset.session(make_record("s1")) as session, pytest.raises(DatasetError, match="expected the primitives"):
        session.append(run(other, primitives=NETWORK.primitives))


def test_times_are_stored_in_utc(dataset: Dataset) -> None:
    local = START.astimezone(timezone(timedelta(hours=5)))
    with dataset.session(make_record("s1")) as session:
        session.append(run(started_at=local))
    assert dataset.read().runs["started_at"].tolist()[1] == START
    assert str(dataset.read().runs["started_at"].dt.tz) == "UTC"


def test_numpy_numbers_are_numbers(dataset: Dataset) -> None:
    with dataset.session(make_record("s1")) as session:
        session.append(run(overall_latency_ms=np.float64(0.25)))
    assert dataset.read().runs["overall"].tolist()[1] == 0.25


def test_what_was_appended_before_an_error_is_committed(dataset: Dataset) -> None:
    def measure() -> None:
        with dataset.session(make_record("s1")) as session:
            session.append(run())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure()
    assert Dataset.open(dataset.path).keys() == {("s0", 0), ("s1", 0)}


def test_an_interrupt_after_a_commit_does_not_commit_twice(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    append = RunTable.append

    def interrupted(*args: object) -> None:
        append(*args)
        monkeypatch.undo()
        raise KeyboardInterrupt

    with dataset.session(make_record("s1")) as session:
        session.append(run(sequence=0))
        monkeypatch.setattr(RunTable, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.commit()
    assert len(dataset.read().runs) == 2
    assert not list((dataset.path / "journal").iterdir())


def test_a_commit_that_fails_keeps_the_journal(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DatasetError("runs", "disk full", "Make room")

    with monkeypatch.context() as patch:
        patch.setattr(RunTable, "append", fail)
        with pytest.raises(DatasetError, match="disk full"), dataset.session(make_record("s1")) as session:
            session.append(run())
    assert Dataset.open(dataset.path).leftover == ("s1.jsonl: committed 1 runs of a session that was killed",)


def test_a_crash_between_commit_and_clearing_does_not_duplicate(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, dataset.session(make_record("s1")) as session:
        patch.setattr(Journal, "clear", lambda self: None)
        session.append(run())
    assert (dataset.path / "journal" / "s1.jsonl").stat().st_size > 0
    reopened = Dataset.open(dataset.path)
    assert (reopened.leftover, len(reopened.read().runs), reopened.version) == ((), 2, 2)
    assert not list((dataset.path / "journal").iterdir())


def test_folding_sees_what_was_committed_since_the_table_was_loaded(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded_before = RunTable(dataset.path / "runs")
    with monkeypatch.context() as patch, dataset.session(make_record("s1")) as session:
        patch.setattr(Journal, "clear", lambda self: None)
        session.append(run())
    assert fold_leftovers(dataset.path / "journal", SPACE.name, loaded_before) == ()
    assert len(Dataset.open(dataset.path).read().runs) == 2


def test_commits_come_when_due(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(session_module.time, "monotonic", lambda: now[0])
    with dataset.session(make_record("s1")) as session:
        session.append(run(sequence=0, round=0))
        now[0] += 29.9
        assert session.commit_if_due() == 0
        now[0] += 0.2
        assert session.commit_if_due() == 1  # 30 s
        session.append(run(sequence=1, round=0))
        now[0] += 3
        assert session.commit_if_due() == 0
        session.append(run(sequence=2, round=1))
        assert session.commit_if_due() == 2  # a round has ended
        session.append(run(sequence=3, round=1))
        session.append(run(sequence=4, round=2))
        now[0] += 1.9
        assert session.commit_if_due() == 0  # too soon
        now[0] += 0.2
        assert session.commit_if_due() == 2


def test_two_writers_at_once(tmp_path: Path) -> None:
    first = Dataset.create(tmp_path / "d", SPACE, DEVICE)
    second = Dataset.open(tmp_path / "d")
    networks = make_networks(4)
    with first.session(make_record("a")) as one, second.session(make_record("b")) as two:
        for run_a, run_b in zip(
            make_runs(networks, 3, session_id="a"), make_runs(networks, 3, session_id="b"), strict=True
        ):
            for session, run in ((one, run_a), (two, run_b)):
                session.append(run)
                session.commit()
    assert Dataset.open(tmp_path / "d").keys() == {(name, i) for name in "ab" for i in range(12)}
    assert first.validate() == []


# Waits for lines `path session_id count`; for each it forks a child that appends and commits, and prints its pid, then
# the number of each run once it is safe. Forking saves an import per child; no thread is running in the parent.
# A count of 0 makes it wait until the child, which was killed, is gone with its lock, and print a line `end`.
WRITERS = """
import os, sys
from pathlib import Path
from latpred.dataset import Dataset
from synthetic import make_networks, make_record, make_runs
for line in sys.stdin:
    path, session_id, count = line.rsplit(maxsplit=2)
    if count == "0":
        os.wait()
        os.write(1, b"all end 0\\n")
    if count == "0" or os.fork():
        continue
    with Dataset.open(path).session(make_record(session_id)) as session:
        os.write(1, f"{session_id} pid {os.getpid()}\\n".encode())
        for run in make_runs(make_networks(3), int(count) // 3, session_id=session_id):
            session.append(run)
            os.write(1, f"{session_id} run {run.sequence}\\n".encode())
            if run.sequence % 6 == 5:
                session.commit()
    os.write(1, f"{session_id} end 0\\n".encode())
    os._exit(0)
"""


@pytest.fixture
def writers():
    path = [*sys.path, str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    environment = {"PYTHONPATH": ":".join(filter(None, path)), "PATH": ""}
    command = [sys.executable, "-c", WRITERS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.stdin.close()


@pytest.mark.slow
def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path, writers: subprocess.Popen) -> None:
    path, rng = tmp_path / "d", Random(0)
    Dataset.create(path, SPACE, DEVICE)
    acknowledged: set[tuple[str, int]] = set()
    for kill in range(15):
        writers.stdin.write(f"{path} k{kill} 300\n")
        writers.stdin.flush()
        pid = int(writers.stdout.readline().split()[2])
        time.sleep(rng.uniform(0.0, 0.15))
        os.kill(pid, signal.SIGKILL)
        writers.stdin.write(f"{path} none 0\n")
        writers.stdin.flush()
        while (line := writers.stdout.readline().split())[1] != "end":
            if line[1] == "run":
                acknowledged.add((line[0], int(line[2])))
        found = Dataset.open(path)
        keys = found.keys()
        assert acknowledged <= keys
        assert len(keys) <= len(acknowledged) + kill + 1  # at most the run in flight of each
    assert len(acknowledged) > 30
    assert len(found.read().runs) == len(keys)
    assert found.validate() == []


@pytest.mark.slow
def test_processes_that_write_at_once(tmp_path: Path, writers: subprocess.Popen) -> None:
    Dataset.create(tmp_path / "d", SPACE, DEVICE)
    for name in "abc":
        writers.stdin.write(f"{tmp_path / 'd'} {name} 24\n")
    writers.stdin.flush()
    ends = 0
    while ends < 3:
        ends += " end " in writers.stdout.readline()
    assert Dataset.open(tmp_path / "d").keys() == {(name, i) for name in "abc" for i in range(24)}
