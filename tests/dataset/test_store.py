from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from synthetic import (
    DEVICE,
    PRIMITIVES,
    SPACE,
    START,
    make_dataset,
    make_network,
    make_networks,
    make_record,
    make_run,
    make_runs,
)

from latpred.dataset import Dataset, Version
from latpred.errors import CardError, DatasetError

RUNS = make_runs(make_networks(3), rounds=2)


def test_a_new_dataset_is_empty_and_says_what_it_is(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    Dataset.create(tmp_path / "deep" / "d", SPACE, DEVICE)
    dataset = Dataset.open(tmp_path / "deep" / "d")
    assert (dataset.card.space, dataset.card.device) == (SPACE, DEVICE)
    assert before <= datetime.fromisoformat(dataset.card.created_at) <= datetime.now(UTC)
    assert (dataset.version, dataset.leftover, dataset.sessions(), dataset.keys()) == (0, (), [], set())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["d"]
    configuration = DeltaTable(tmp_path / "deep" / "d" / "runs").metadata().configuration
    assert configuration == {"delta.enableExpiredLogCleanup": "false"}


def test_nothing_is_made_where_something_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert Dataset.create(tmp_path / "empty", SPACE, DEVICE).version == 0
    with pytest.raises(DatasetError, match="empty: expected a new or empty folder, found something there"):
        Dataset.create(tmp_path / "empty", SPACE, DEVICE)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match="file: expected a new or empty folder"):
        Dataset.create(tmp_path / "file", SPACE, DEVICE)
    with pytest.raises(DatasetError, match=r"file/d: expected to make a folder, got: .*File exists"):
        Dataset.create(tmp_path / "file" / "d", SPACE, DEVICE)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_a_folder_that_fills_up_meanwhile_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def late(draft: Path, target: Path) -> Path:
        (target / "theirs").mkdir(parents=True)
        return rename(draft, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(DatasetError, match="expected a new or empty folder"):
        Dataset.create(tmp_path / "d", SPACE, DEVICE)
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "theirs"]


@pytest.mark.parametrize("name", ["a%20b", "a#b", "a?b", "a[b", "a|b"])
def test_paths_that_delta_lake_cannot_take_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=rf"expected a path without any of .*, found '\{name[1]}' in it"):
        Dataset.create(tmp_path / name, SPACE, DEVICE)
    assert not list(tmp_path.iterdir())


def test_paths_with_spaces_and_letters_work(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "un jeu é+(1) ~", RUNS)
    assert len(dataset.read().runs) == 6
    assert len(dataset.history()) == 2


def test_no_dataset_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"^{tmp_path}: expected a dataset, found no readable card.json there"):
        Dataset.open(tmp_path)


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    card = Dataset.create(tmp_path / "d", SPACE, DEVICE).path / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"schema_version": 2}))
    with pytest.raises(CardError, match=r"card.json: expected schema version 1, found 2. Update latpred."):
        Dataset.open(tmp_path / "d")


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = Dataset.create(tmp_path / "d", SPACE, DEVICE).path
    for file in sorted((path / "runs").rglob("*.json")):
        file.unlink()
    DeltaTable.create(path / "runs", pa.schema([("session_id", pa.string()), ("sequence", pa.string())]))
    with pytest.raises(DatasetError, match="runs: expected the column sequence: int64, found string"):
        Dataset.open(path)


@pytest.mark.parametrize("version", [2, -1])
def test_an_unknown_version_is_refused_with_those_that_exist(tmp_path: Path, version: int) -> None:
    make_dataset(tmp_path / "d", RUNS)
    with pytest.raises(DatasetError, match=f"expected a version from 0 to 1, found {version}.*dataset history"):
        Dataset.open(tmp_path / "d", version=version)


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", RUNS)
    log = dataset.path / "runs" / "_delta_log" / "00000000000000000001.json"
    log.write_text(log.read_text()[:30])
    with pytest.raises(DatasetError, match="d/runs: expected a readable part of the dataset"):
        Dataset.open(dataset.path).read()


def test_a_version_is_read_as_it_was_after_more_was_appended(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", RUNS)
    before = dataset.read()
    old = Dataset.open(dataset.path, version=dataset.version)
    with dataset.session(make_record("later")) as session:
        for run in make_runs(make_networks(5, seed=1), rounds=3, session_id="later", seed=1):
            session.append(run)
    assert (old.version, dataset.version, len(dataset.read().runs)) == (1, 2, 21)
    for again in (old, Dataset.open(dataset.path, version=1)):
        assert again.read().runs.equals(before.runs)
        assert again.read().networks == before.networks
        assert again.read().block_values.tolist() == before.block_values.tolist()
        assert [v.number for v in again.history()] == [0, 1]
        assert again.info().versions == 2


def test_an_old_version_is_not_appended_to(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d", RUNS)
    with pytest.raises(DatasetError, match=r"expected the newest version .* opened at version 0. Open it without"):
        Dataset.open(tmp_path / "d", version=0).session(make_record("s1"))
    assert [record["session_id"] for record in Dataset.open(tmp_path / "d").sessions()] == ["s0"]


def test_history_counts_the_runs(tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    dataset = make_dataset(tmp_path / "d", RUNS)
    with dataset.session(make_record("s1")) as session:
        session.append(make_run(session_id="s1"))
    DeltaTable(dataset.path / "runs").delete("session_id = 's0' and sequence < 2")
    history = Dataset.open(dataset.path).history()
    assert [replace(version, timestamp=start) for version in history] == [
        Version(0, start, "CREATE TABLE", 0, 0),
        Version(1, start, "WRITE", 6, 6),
        Version(2, start, "WRITE", 1, 7),
        Version(3, start, "DELETE", -2, 5),
    ]
    assert start <= history[0].timestamp <= history[3].timestamp <= datetime.now(UTC)


def test_keys_and_visits(tmp_path: Path) -> None:
    networks = make_networks(2)
    runs = [
        make_run(networks[0], sequence=0, round=0),
        make_run(networks[1], sequence=1, round=4, status="failed", reason="out of memory"),
    ]
    dataset = make_dataset(tmp_path / "d", runs)
    assert dataset.keys() == {("s0", 0), ("s0", 1)}
    assert dataset.visited() == {(networks[0].network_id, 0), (networks[1].network_id, 4)}


def test_info_counts_what_is_there(tmp_path: Path) -> None:
    glued = make_network([4, 7], assembled=True)
    runs = [
        make_run(make_network([0, 5]), sequence=0, block_latency_ms=(1.0, None)),
        make_run(make_network([0, 6]), sequence=1, overall_latency_ms=None, overall_energy_mj=5.0),
        make_run(glued, sequence=2),
        make_run(make_network([9]), sequence=7, status="failed", reason="no"),
    ]
    info = make_dataset(tmp_path / "d", runs).info(PRIMITIVES[:5])
    assert (info.version, info.versions, info.sessions) == (1, 2, 1)
    assert (info.networks_sampled, info.networks_assembled, info.runs_ok, info.runs_failed) == (3, 1, 3, 1)
    assert (info.primitives_measured, info.primitives_covered, info.primitives_in_space) == (3, 2, 5)  # 0, 4, 7
    assert info.metrics == ("latency_ms", "energy_mj")
    assert (info.space, info.device) == ("synthetic", DEVICE)
    assert ((info.first_started_at - START).seconds, (info.last_started_at - START).seconds) == (0, 7)


def test_info_of_nothing(tmp_path: Path) -> None:
    info = Dataset.create(tmp_path / "d", SPACE, DEVICE).info()
    assert (info.versions, info.sessions, info.runs_ok, info.metrics) == (1, 0, 0, ())
    assert (info.first_started_at, info.primitives_covered, info.primitives_measured) == (None, None, 0)


def test_session_records_are_kept_as_given(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "d", SPACE, DEVICE)
    record = make_record("b") | {"environment": {"load": [0.5, None]}, "seed": None}
    given = copy.deepcopy(record)
    for session_id in ("b", "a"):
        with dataset.session(record | {"session_id": session_id}):
            pass
    assert record == given
    assert dataset.sessions() == [record | {"session_id": "a"}, record]
    assert dataset.version == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environment": ...}, "expected the keys session_id, started_at, environment, found session_id, started_at"),
        ({"session_id": "../x"}, "expected a session_id of letters, digits, '_', '.', '-', found '../x'"),
        ({"session_id": "sé"}, "expected a session_id of .*, found 'sé'"),
        ({"session_id": 3}, "expected a session_id of .*, found 3"),
        ({"environment": {"load": float("nan")}}, "record of session s1: expected plain JSON values"),
        ({"environment": {"path": Path()}}, "record of session s1: expected plain JSON values"),
        ({"session_id": "s0"}, "s0.json: expected a new session, found its record. Take another id."),
    ],
)
def test_bad_records_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    dataset = make_dataset(tmp_path / "d", RUNS)
    record = {key: value for key, value in (make_record("s1") | changes).items() if value is not ...}
    with pytest.raises(DatasetError, match=message):
        dataset.session(record)
    assert dataset.sessions() == [make_record("s0")]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d", RUNS)
    (dataset.path / "sessions" / "s0.json").write_text('{"session_id": "s0"')
    with pytest.raises(DatasetError, match=r"s0.json: expected the record of a session"):
        dataset.sessions()


def test_session_ids_are_the_time_and_differ(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "d", SPACE, DEVICE)
    ids = {dataset.next_session_id() for _ in range(20)}
    assert len(ids) == 20
    begun = datetime.strptime(min(ids)[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - begun).total_seconds()) < 60


def test_a_dataset_holds_no_path_of_the_machine_it_was_made_on(tmp_path):
    make_dataset(tmp_path / "data")
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path
