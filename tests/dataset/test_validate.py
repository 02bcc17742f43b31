from __future__ import annotations

from pathlib import Path

from synthetic import make_dataset, make_network, make_run

from latpred.dataset import Dataset
from latpred.dataset.schema import to_batch
from latpred.dataset.table import RunTable

NETWORK = make_network([0, 5])


def problems_with(path: Path, *rows: dict[str, object]) -> list[str]:
    """Put rows into the table that no session would take, and validate."""
    make_dataset(path, [make_run(NETWORK)])
    RunTable(path / "runs").append([to_batch(make_run(NETWORK, **{"sequence": 1} | row)) for row in rows])
    return Dataset.open(path).validate()


def test_all_is_well(tmp_path: Path) -> None:
    assert make_dataset(tmp_path / "d").validate() == []


def test_a_run_that_is_there_twice(tmp_path: Path) -> None:
    assert problems_with(tmp_path / "d", {"sequence": 0}) == ["run 0 of session s0: expected it once, found it again"]


def test_a_value_that_cannot_be(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path / "d", {"overall_latency_ms": -2.0})
    assert problem.startswith(f"run 1 of session s0 (network {NETWORK.network_id}): expected overall_latency_ms to be")
    assert "found -2.0" in problem


def test_another_space(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path / "d", {"space": "fbnet"})
    assert "expected a run of space 'synthetic', found 'fbnet'" in problem


def test_a_network_id_with_two_meanings(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path / "d", {"primitives": make_network([0, 6]).primitives})
    assert f"expected the primitives that network {NETWORK.network_id} has in the dataset, found at 1:" in problem


def test_an_unknown_status(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path / "d", {"status": "maybe"})
    assert "expected status to be ok or failed, found 'maybe'" in problem


def test_a_session_without_record(tmp_path: Path) -> None:
    assert problems_with(tmp_path / "d", {"session_id": "x"}) == [
        "session x: expected its record in sessions/, found none"
    ]


def test_a_damaged_record(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d")
    (dataset.path / "sessions" / "s0.json").write_text("[]")
    [problem] = dataset.validate()
    assert "s0.json: expected the record of a session" in problem


def test_a_truncated_file_and_the_rows_of_the_others(tmp_path: Path) -> None:
    problems_with(tmp_path / "d", {"overall_latency_ms": -2.0})
    dataset = Dataset.open(tmp_path / "d")
    bad = next(
        file for file in (tmp_path / "d" / "runs").glob("*.parquet") if file.name in first_commit(tmp_path / "d")
    )
    bad.write_bytes(bad.read_bytes()[:100])
    problems = sorted(dataset.validate())
    assert [bad.name in problem for problem in problems] == [True, False]
    assert "found -2.0" in problems[1]


def first_commit(path: Path) -> str:
    return (path / "runs" / "_delta_log" / "00000000000000000001.json").read_text()


def test_a_leftover_journal_that_was_not_folded_in(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d")
    (dataset.path / "journal" / "s1.jsonl").write_text('{"half')
    assert Dataset.open(dataset.path, fold=False).validate() == [
        f"{dataset.path / 'journal' / 's1.jsonl'}: 0 runs are not committed; open the dataset again when their session "
        "has ended",
        "s1.jsonl: dropped the run in flight, line 1, which was cut short",
    ]
