"""`SessionWriter.extend`: many runs as one version, refused as single runs would be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from measured import tiny_space
from synthetic import DEVICE, SPACE, make_network, make_networks, make_record, make_run

from latpred.dataset import Dataset, bulk
from latpred.dataset.bulk import VALUES, NetworkColumns
from latpred.errors import DatasetError, LatpredError, RunError
from latpred.genprof import assemble, sampled
from latpred.run import Run

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def values(**columns):
    """Return a table of `VALUES`: what is not given is null, but the columns that every run has."""
    count = len(columns["network"])
    given = {"sequence": range(count), "round": [0] * count, "started_at": [NOW] * count} | columns
    arrays = [pa.array(given[f.name], f.type) if f.name in given else pa.nulls(count, f.type) for f in VALUES]
    return pa.table(arrays, schema=VALUES)


@pytest.fixture
def dataset(tmp_path):
    return Dataset.create(tmp_path / "d", SPACE, DEVICE)


def stored_runs(dataset, tmp_path) -> list[Run]:
    dataset.export(tmp_path / "all.parquet")
    rows = pa.parquet.read_table(tmp_path / "all.parquet").to_pylist()
    return [Run.from_row(row) for row in rows]


def test_the_rows_are_those_of_single_runs(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "_ROWS", 2)
    networks = [*make_networks(3), make_network([1, 2, 3], assembled=True)]
    order = [3, 0, 0, 2, 1]
    expected = [
        make_run(networks[place], sequence=i, started_at=NOW, round=i % 2, overall_energy_mj=None if i else 2.5)
        for i, place in enumerate(order)
    ]
    expected[1] = replace(expected[1], block_latency_ms=None, block_method=None)
    names = [field.name for field in VALUES if field.name != "network"]
    with dataset.session(make_record()) as session:
        rows = {name: [run.to_row()[name] for run in expected] for name in names}
        assert session.extend(NetworkColumns(networks), values(network=order, **rows)) == 5
        session.append(make_run(sequence=5))  # and the session goes on
    assert stored_runs(dataset, tmp_path) == [*expected, make_run(sequence=5)]
    assert Dataset.open(dataset.path).validate() == []
    assert [version.runs_added for version in Dataset.open(dataset.path).history()] == [0, 5, 1]


def test_ids_are_those_of_the_networks():
    space = tiny_space()
    networks = [*sampled(space, 20, 0), *assemble(space).networks, make_network([0]), make_network([1], assembled=True)]
    assert NetworkColumns(networks).network_ids == [network.network_id for network in networks]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"overall_latency_ms": [1.0, 0.0]},
            "run 1 of session s0 (network {1}): expected overall_latency_ms to be a "
            "finite number > 0, found 0.0. Mend the run.",
        ),
        ({"overall_latency_ms": [float("nan"), 1.0]}, "run 0 of session s0 (network {0}): expected overall_latency_ms"),
        ({"overall_latency_ms": [float("inf"), 1.0]}, "to be a finite number > 0, found inf"),
        (
            {"overall_latency_ms": [1.0, None]},
            "run 1 of session s0 (network {1}): expected an overall latency, energy or memory, found None",
        ),
        ({"sequence": [0, 0]}, "session s0: expected each sequence once, found one again"),
        ({"sequence": [0, -1]}, "run -1 of session s0 (network {1}): expected sequence to be a number >= 0, found -1"),
        ({"round": [0, -2]}, "expected round to be a number >= 0, found -2"),
        ({"network": [0, 2]}, "run 1 of session s0: expected network to be a place below 2, found 2"),
        ({"network": [-1, 0]}, "run 0 of session s0: expected network to be a place below 2, found -1"),
        ({"overhead_ms": [0.0, -0.5]}, "expected overhead_ms to be a number >= 0, found -0.5"),
        (
            {"block_latency_ms": [[1.0, 2.0], [1.0]]},
            "run 1 of session s0 (network {1}): expected block_latency_ms to have an entry for each block, found [1.0]",
        ),
        (
            {"block_latency_ms": [[1.0, None], [0.0, 1.0]]},
            "run 1 of session s0 (network {1}): expected block_latency_ms to be finite numbers > 0, found [0.0, 1.0]",
        ),
        ({"block_method": [["timestamp"], None]}, "expected block_method to have an entry for each block"),
        ({"started_at": [None, NOW]}, "run 0 of session s0 (network {0}): expected a value for started_at, found None"),
    ],
)
def test_a_run_that_cannot_be_a_row_is_named_and_nothing_is_stored(dataset, columns, message):
    networks = [make_network([0, 1]), make_network([2, 3])]
    given = {"network": [0, 1], "overall_latency_ms": [1.0, 2.0]} | columns
    with dataset.session(make_record()) as session, pytest.raises(RunError) as error:
        session.extend(NetworkColumns(networks), values(**given))
    assert message.format(*(network.network_id for network in networks)) in str(error.value)
    assert dataset.version == 0


def test_another_space_another_table_and_networks_that_contradict(dataset):
    network = make_network([0, 1])
    table = values(network=[0], overall_latency_ms=[1.0])
    with dataset.session(make_record()) as session:
        with pytest.raises(RunError, match="expected networks of space 'synthetic', found 'other'"):
            session.extend(NetworkColumns([replace(network, space="other")]), table)
        with pytest.raises(RunError, match=r"session s0: expected the columns .* of VALUES"):
            session.extend(NetworkColumns([network]), table.drop_columns(["round"]))
        with pytest.raises(DatasetError, match=f"network {network.network_id}: expected distinct networks, found it"):
            session.extend(NetworkColumns([network, network]), table)
        assert session.extend(NetworkColumns([network]), table) == 1
        with pytest.raises(DatasetError, match="run 0 of session s0: expected a new sequence, found 0 again"):
            session.extend(NetworkColumns([network]), table)
        # Roles are not in the id, so the same id can stand for another network.
        other = replace(network, roles=("primitive", "glue"))
        with pytest.raises(DatasetError, match=f"network {network.network_id}: expected the blocks that it has in"):
            session.extend(NetworkColumns([other]), values(network=[0], sequence=[1], overall_latency_ms=[1.0]))
        with pytest.raises(LatpredError, match="expected a new sequence, found 0 again"):
            session.append(make_run(network, sequence=0))
    assert len(dataset.keys()) == 1


def test_what_is_in_the_journal_comes_first(dataset):
    with dataset.session(make_record()) as session:
        session.append(make_run(sequence=0))
        session.extend(NetworkColumns([make_network([2])]), values(network=[0], sequence=[1], overall_latency_ms=[1.0]))
        assert dataset.keys() == {("s0", 0), ("s0", 1)}
    assert list((dataset.path / "journal").iterdir()) == []


def test_no_runs_make_no_version(dataset):
    with dataset.session(make_record()) as session:
        assert session.extend(NetworkColumns([]), values(network=[])) == 0
    assert dataset.version == 0


def test_columns_take_any_order():
    networks = make_networks(4)
    taken = NetworkColumns(networks).take(np.array([2, 0, 2]))
    assert taken["network_id"].to_pylist() == [networks[i].network_id for i in (2, 0, 2)]
    assert [len(row) for row in taken["primitives"].to_pylist()] == [len(networks[i].primitives) for i in (2, 0, 2)]
