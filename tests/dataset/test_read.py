from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from synthetic import PRIMITIVES, START, make_dataset, make_network, make_networks, make_record, make_run, make_runs

from latpred.dataset import Dataset, MeasuredNetwork, estimates
from latpred.dataset import table as table_module
from latpred.dataset.networks import read_networks
from latpred.dataset.schema import to_batch
from latpred.dataset.table import RunTable
from latpred.errors import DatasetError, UsageError

ONE, TWO, GLUED = make_network([0, 5]), make_network([3, 3, 7]), make_network([1, 2], assembled=True)
HAND_MADE = [
    make_run(TWO, sequence=3, round=1, overall_latency_ms=4.0, block_latency_ms=(1.0, None, 2.0), cpu_time_ms=None),
    make_run(ONE, sequence=0, overall_latency_ms=2.0, block_latency_ms=None, involuntary_switches=7),
    make_run(ONE, sequence=1, status="failed", reason="out of memory"),
    make_run(GLUED, sequence=2, overall_latency_ms=3.0, block_latency_ms=(1.5, 0.5), involuntary_switches=None),
    make_run(TWO, sequence=5, overall_latency_ms=None, overall_energy_mj=9.0, block_energy_mj=(1.0, 2.0, 3.0)),
]


@pytest.fixture
def hand_made(tmp_path: Path) -> Dataset:
    dataset = make_dataset(tmp_path / "d", HAND_MADE[:3])
    with dataset.session(make_record("r9")) as session:  # sorts before s0
        session.append(make_run(TWO, session_id="r9", sequence=8, round=2, overall_latency_ms=5.0))
    with dataset.session(make_record("t0")) as session:
        for run in HAND_MADE[3:]:
            session.append(make_run(**{name: getattr(run, name) for name in run.__slots__} | {"session_id": "t0"}))
    return dataset


def test_rows_come_back_sorted_with_their_values(hand_made: Dataset) -> None:
    found = hand_made.read()
    order = sorted([ONE, TWO, GLUED], key=lambda network: network.network_id)
    assert found.networks == tuple(MeasuredNetwork(n.network_id, n.architecture, n.primitives, n.roles) for n in order)
    assert [network.assembled for network in found.networks] == [network is GLUED for network in order]
    expected = pd.DataFrame(
        {
            "network": [order.index(network) for network in (TWO, ONE, TWO, GLUED)],
            "session_id": ["r9", "s0", "s0", "t0"],
            "sequence": [8, 0, 3, 2],
            "round": [2, 0, 1, 0],
            "started_at": [START + pd.Timedelta(seconds=s) for s in (8, 0, 3, 2)],
            "overall": [5.0, 2.0, 4.0, 3.0],
            "cpu_time_ms": [make_run(TWO).cpu_time_ms, make_run(ONE).cpu_time_ms, np.nan, make_run(GLUED).cpu_time_ms],
            "involuntary_switches": [0.0, 7.0, 0.0, np.nan],
        }
    )
    expected["started_at"] = expected["started_at"].astype("datetime64[us, UTC]")
    pd.testing.assert_frame_equal(found.runs, expected)
    assert found.block_offsets.tolist() == [0, 3, 5, 8, 10]
    values = [*make_run(TWO).block_latency_ms, np.nan, np.nan, 1.0, np.nan, 2.0, 1.5, 0.5]
    np.testing.assert_array_equal(found.block_values, values)
    assert found.unit == "ms"


def test_block_ids_line_up_with_block_values(hand_made: Dataset) -> None:
    ids = {primitive: i for i, primitive in enumerate(PRIMITIVES)}
    assert hand_made.read().block_ids(ids).tolist() == [3, 3, 7, 0, 5, 3, 3, 7, 1, 2]


def test_another_metric_reads_its_own_runs(hand_made: Dataset) -> None:
    found = hand_made.read("energy_mj")
    assert found.runs["overall"].tolist() == [9.0]
    assert [network.network_id for network in found.networks] == [TWO.network_id]
    assert found.runs["network"].tolist() == [0]
    assert found.block_values.tolist() == [1.0, 2.0, 3.0]
    assert found.unit == "mJ"


def test_a_metric_without_blocks_has_nan_for_each(tmp_path: Path) -> None:
    found = make_dataset(tmp_path / "d", [make_run(TWO, overall_memory_mb=4.5)]).read("memory_mb")
    assert found.runs["overall"].tolist() == [4.5]
    assert np.isnan(found.block_values).tolist() == [True] * 3


def test_an_unknown_metric_is_refused(hand_made: Dataset) -> None:
    with pytest.raises(UsageError, match="expected one of latency_ms, energy_mj, memory_mb, found 'latency'"):
        hand_made.read("latency")


def test_a_dataset_without_rows_reads_as_nothing(tmp_path: Path) -> None:
    found = make_dataset(tmp_path / "d", []).read()
    assert found.networks == ()
    assert len(found.runs) == 0
    assert found.block_offsets.tolist() == [0]
    assert found.runs.columns.tolist()[:6] == ["network", "session_id", "sequence", "round", "started_at", "overall"]
    assert len(estimates(found)) == 0


def test_many_commits_and_batches_read_like_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = make_runs(make_networks(20), rounds=4)
    at_once, one_by_one = make_dataset(tmp_path / "a", runs), make_dataset(tmp_path / "b", [])
    for i in range(4):
        with one_by_one.session(make_record(f"x{i}")):
            pass
    table = RunTable(tmp_path / "b" / "runs")
    for start in reversed(range(0, len(runs), 16)):
        table.append([to_batch(run) for run in runs[start : start + 16]])
    expected = at_once.read()
    monkeypatch.setattr(table_module, "_STREAM_ROWS", 3)
    found = Dataset.open(tmp_path / "b").read()
    pd.testing.assert_frame_equal(found.runs, expected.runs)
    assert found.networks == expected.networks
    np.testing.assert_array_equal(found.block_values, expected.block_values)
    first = found.block_values[: found.block_offsets[1]].tolist()
    assert first == list(runs[0].block_latency_ms)


def test_the_blocks_of_known_networks_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = make_networks(6)
    make_dataset(tmp_path / "d", make_runs(networks[:4], rounds=1))
    table = RunTable(tmp_path / "d" / "runs")
    for session_id, found in (("s1", networks[:3]), ("s2", networks)):
        table.append([to_batch(run) for run in make_runs(found, rounds=1, session_id=session_id)])
    batches, wide = RunTable.batches, []

    def recorded(self, columns, **options):
        for batch in batches(self, columns, **options):
            wide.extend([batch.num_rows] if "primitives" in columns else [])
            yield batch

    monkeypatch.setattr(RunTable, "batches", recorded)
    assert list(read_networks(table)) == sorted(network.network_id for network in networks)
    assert sum(wide) == 6  # the newest file has all of them and comes first


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "d"
    make_dataset(path)
    file = next((path / "runs").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=f"{file.name}: expected a readable part.*open an older version"):
        Dataset.open(path).read()
    assert Dataset.open(path, version=0).read().networks == ()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d")
    file = next((tmp_path / "d" / "runs").glob("*.parquet"))
    file.unlink()
    with pytest.raises(DatasetError, match=file.name):
        Dataset.open(tmp_path / "d").read()


def test_a_run_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d", [make_run(sequence=4)])
    RunTable(tmp_path / "d" / "runs").append([to_batch(make_run(sequence=4))])
    with pytest.raises(DatasetError, match="expected each run once, found run 4 of session s0 again"):
        Dataset.open(tmp_path / "d").read()


def test_block_values_of_another_number_are_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d", [make_run(ONE)])
    batch = to_batch(make_run(ONE, sequence=6, block_latency_ms=(1.0, 2.0, 3.0)))
    RunTable(tmp_path / "d" / "runs").append([batch])
    with pytest.raises(DatasetError, match="run 6 of session s0: expected 2 block values, found 3"):
        Dataset.open(tmp_path / "d").read()


def test_a_row_without_a_primitive_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d", [make_run(ONE)])
    batch = to_batch(make_run(TWO, sequence=6))
    flat = batch.column("primitives").flatten()
    fields = [pa.array([0] * 3, pa.int64()) if f.name == "C" else flat.field(f.name) for f in flat.type]
    wrong = pa.ListArray.from_arrays([0, 3], pa.StructArray.from_arrays(fields, fields=list(flat.type)))
    RunTable(tmp_path / "d" / "runs").append([batch.set_column(5, batch.schema.field(5), wrong)])
    with pytest.raises(DatasetError, match=f"{TWO.network_id}.*expected C to be an integer >= 1, found 0"):
        Dataset.open(tmp_path / "d").read()


def test_sessions_that_are_left_out_are_as_if_they_were_not_there(hand_made: Dataset) -> None:
    found = hand_made.read(exclude_sessions=["s0"])
    assert found.runs["session_id"].tolist() == ["r9", "t0"]
    assert sorted(network.network_id for network in found.networks) == sorted([TWO.network_id, GLUED.network_id])
    assert found.block_offsets.tolist() == [0, 3, 5]
    assert len(hand_made.read(exclude_sessions=["s0", "t0", "r9"]).runs) == 0
    assert len(hand_made.read(exclude_sessions=()).runs) == 4
    assert hand_made.visited(["s0", "r9"]) == {(GLUED.network_id, 0), (TWO.network_id, 0)}
    assert hand_made.visited(["t0"]) == {(TWO.network_id, 1), (TWO.network_id, 2), (ONE.network_id, 0)}


def test_a_session_that_is_not_there_cannot_be_left_out(hand_made: Dataset) -> None:
    message = rf"^exclude_sessions: expected sessions of {hand_made.path}, found 's1'\. Take some of r9, s0, t0\.$"
    with pytest.raises(UsageError, match=message):
        hand_made.read(exclude_sessions=["s0", "s1"])
