from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path

import pytest
from synthetic import SPACE, make_dataset, make_network, make_record, make_run, make_runs

from latpred.dataset import Dataset
from latpred.dataset import journal as journal_module
from latpred.dataset.journal import Journal, claimed, read_journal
from latpred.dataset.schema import from_line, to_line
from latpred.errors import DatasetError, RunError

RUNS = make_runs([make_network([0, 5]), make_network([1, 2, 3], assembled=True)], rounds=2)


def leave_journal(dataset: Dataset, runs: list, session_id: str = "dead") -> Path:
    """Leave a journal as a killed process would."""
    path = dataset.path / "journal" / f"{session_id}.jsonl"
    lines = [to_line(make_run(**{n: getattr(r, n) for n in r.__slots__} | {"session_id": session_id})) for r in runs]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_run_survives_its_line() -> None:
    run = make_run(block_latency_ms=(0.1 + 0.2, None), reason="é\n", overall_energy_mj=1 / 3)
    line = to_line(run)
    assert "\n" not in line
    assert from_line(line) == run


@pytest.mark.parametrize("latency", [float("nan"), float("inf")])
def test_a_number_that_is_no_json_is_refused(latency: float) -> None:
    with pytest.raises(RunError, match=r"run 0 of session s0 .*expected plain finite values"):
        to_line(make_run(status="failed", reason="x", overall_latency_ms=latency))


def test_leftover_runs_are_folded_in_with_a_message(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", RUNS[:1])
    leave_journal(dataset, RUNS)
    reopened = Dataset.open(tmp_path / "d")
    assert reopened.leftover == ("dead.jsonl: committed 4 runs of a session that was killed",)
    assert reopened.keys() == {("s0", 0), *(("dead", i) for i in range(4))}
    assert not list((tmp_path / "d" / "journal").iterdir())
    assert Dataset.open(tmp_path / "d").leftover == ()


def test_folded_rows_equal_committed_ones(tmp_path: Path) -> None:
    committed = make_dataset(tmp_path / "a", RUNS)
    leave_journal(make_dataset(tmp_path / "b", []), RUNS, "s0")
    folded = Dataset.open(tmp_path / "b")
    assert folded.read().runs.equals(committed.read().runs)
    assert folded.read().block_values.tolist() == committed.read().block_values.tolist()


def test_runs_that_were_committed_before_the_crash_are_not_added_again(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", RUNS[:3])
    leave_journal(dataset, RUNS, "s0")
    reopened = Dataset.open(tmp_path / "d")
    assert reopened.leftover == ("s0.jsonl: committed 1 runs of a session that was killed",)
    assert sorted(reopened.read().runs["sequence"]) == [0, 1, 2, 3]
    assert reopened.validate() == []


def test_a_cut_last_line_is_the_run_in_flight(tmp_path: Path) -> None:
    path = leave_journal(make_dataset(tmp_path / "d", []), RUNS)
    path.write_bytes(path.read_bytes()[:-40])
    reopened = Dataset.open(tmp_path / "d")
    assert reopened.leftover == (
        "dead.jsonl: committed 3 runs of a session that was killed",
        "dead.jsonl: dropped the run in flight, line 4, which was cut short",
    )
    assert reopened.keys() == {("dead", 0), ("dead", 1), ("dead", 2)}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda line: line[:50], "line 2: expected a run in JSON, found: JSONDecodeError"),
        (lambda line: "{}", "line 2: expected a run in JSON, found: KeyError: 'started_at'"),
        (lambda line: line.replace('"round":0', '"round":-1'), "line 2: .*expected sequence and round >= 0.* and -1"),
        (lambda line: line.replace("dead", "other"), "line 2: .*a run of session other"),
        (lambda line: line.replace("synthetic", "fbnet"), "line 2: .*a run of space 'synthetic', found 'fbnet'"),
        (lambda line: "\udcff", "line 2: .*can't decode byte 0xff"),
    ],
)
def test_any_other_malformed_line_is_named(tmp_path: Path, damage, message: str) -> None:
    path = leave_journal(make_dataset(tmp_path / "d", []), RUNS)
    lines = path.read_text().split("\n")
    lines[1] = damage(lines[1])
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    before = path.read_bytes()
    with pytest.raises(DatasetError, match=f"{path.name} {message}"):
        Dataset.open(tmp_path / "d")
    assert path.read_bytes() == before
    assert Dataset.open(tmp_path / "d", version=0).keys() == set()
    assert [str(path) in problem for problem in Dataset.open(tmp_path / "d", fold=False).validate()] == [True]


def test_the_journal_of_a_living_session_is_left_alone(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", [])
    with dataset.session(make_record("live")) as session:
        session.append(make_run(session_id="live"))
        other = Dataset.open(tmp_path / "d")
        assert other.leftover == ()
        assert other.keys() == set()
        [problem] = other.validate()
        assert "live.jsonl: 1 runs are not committed" in problem
    assert Dataset.open(tmp_path / "d").keys() == {("live", 0)}


def test_a_version_is_opened_without_folding(tmp_path: Path) -> None:
    path = leave_journal(make_dataset(tmp_path / "d", []), RUNS)
    assert Dataset.open(tmp_path / "d", version=0).leftover == ()
    assert path.exists()


def test_a_write_that_fails_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset(tmp_path / "d", [])
    with dataset.session(make_record("s1")) as session:
        session.append(make_run(session_id="s1", sequence=0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda handle, data: os.pwrite(handle, data[:10], 10**4))
            with pytest.raises(DatasetError, match=r"s1.jsonl: expected to write a run, got: only 10 of \d+ bytes"):
                session.append(make_run(session_id="s1", sequence=1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, "disk full")))
            with pytest.raises(DatasetError, match="disk full"):
                session.append(make_run(session_id="s1", sequence=1))
        session.append(make_run(session_id="s1", sequence=1))
        runs, message = read_journal(dataset.path / "journal" / "s1.jsonl", SPACE.name)
        assert ([run.sequence for run in runs], message) == ([0, 1], None)
    assert dataset.keys() == {("s1", 0), ("s1", 1)}


@pytest.mark.parametrize("moment", ["write", "fsync"])
def test_a_signal_while_a_run_is_written_does_not_lose_it(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / "d", [])
    with dataset.session(make_record("s1")) as session:
        session.append(make_run(session_id="s1", sequence=0))
        with monkeypatch.context() as patch:
            patch.setattr(os, moment, lambda *arguments: sys.exit(143))
            with pytest.raises(SystemExit):
                session.append(make_run(session_id="s1", sequence=1))
    assert dataset.keys() == {("s1", 0), ("s1", 1)}
    assert not list((tmp_path / "d" / "journal").iterdir())


def test_a_journal_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "j" / "s0.jsonl", []

    def late(handle: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            path.unlink()
        fcntl_flock(handle, operation)

    fcntl_flock = fcntl.flock
    monkeypatch.setattr(journal_module.fcntl, "flock", late)
    journal = Journal(path)
    journal.append(make_run())
    assert read_journal(path, SPACE.name) == ((make_run(),), None)
    journal.close()
    assert len(calls) == 2


def test_a_journal_that_somebody_else_folded_in_is_not_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.jsonl"
    path.touch()
    fcntl_flock = fcntl.flock
    monkeypatch.setattr(journal_module.fcntl, "flock", lambda *args: (path.unlink(), fcntl_flock(*args)))
    with claimed(path) as ours:
        assert ours is False
    with claimed(tmp_path / "none.jsonl") as ours:
        assert ours is False
