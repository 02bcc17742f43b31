from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from synthetic import PRIMITIVES, make_dataset, make_network, make_networks, make_record, make_run, make_runs

from latpred.card import DatasetCard
from latpred.dataset import Dataset, export
from latpred.errors import ArtefactError
from latpred.run import Run


def test_one_row_per_run_in_order(tmp_path: Path) -> None:
    runs = make_runs(make_networks(3), rounds=4)
    dataset = make_dataset(tmp_path / "d", runs)
    with dataset.session(make_record("a")) as session:
        session.append(make_run(session_id="a", sequence=5))
    dataset.export(tmp_path / "new" / "runs.parquet")
    rows = pq.read_table(tmp_path / "new" / "runs.parquet").to_pylist()
    assert [Run.from_row(row) for row in rows] == [make_run(session_id="a", sequence=5), *runs]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["runs.parquet"]


def test_the_card_travels_with_it(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "d")
    for long in (False, True):
        out = tmp_path / f"{long}.parquet"
        dataset.export(out, long=long)
        metadata = pq.read_schema(out).metadata
        assert DatasetCard.from_json(metadata[b"latpred.card"].decode(), "x") == dataset.card
        assert metadata[b"latpred.dataset_version"] == b"1"


def test_long_has_one_row_per_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_GROUP_ROWS", 2)
    runs = [
        make_run(make_network([0, 5]), sequence=0, block_latency_ms=None, block_energy_mj=(3.0, 4.0)),
        make_run(make_network([3, 1, 7], assembled=True), sequence=1, block_latency_ms=(1.0, None, 2.0)),
        make_run(make_network([2]), sequence=2, block_method=None),
    ]
    make_dataset(tmp_path / "d", runs).export(tmp_path / "long.parquet", long=True)
    rows = pq.read_table(tmp_path / "long.parquet").to_pylist()
    assert [(row["sequence"], row["block"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0)]
    primitives = [PRIMITIVES[i] for i in (0, 5, 3, 1, 7, 2)]
    assert [{name: row[name] for name in asdict(primitives[0])} for row in rows] == [asdict(p) for p in primitives]
    assert [row["role"] for row in rows] == ["primitive"] * 4 + ["glue", "primitive"]
    assert [row["block_latency_ms"] for row in rows] == [None, None, 1.0, None, 2.0, runs[2].block_latency_ms[0]]
    assert [row["block_energy_mj"] for row in rows] == [3.0, 4.0, None, None, None, None]
    assert [row["block_method"] for row in rows] == ["timestamp"] * 5 + [None]
    assert [row["overall_latency_ms"] for row in rows] == [runs[i].overall_latency_ms for i in (0, 0, 1, 1, 1, 2)]


def test_an_existing_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, out = make_dataset(tmp_path / "d"), tmp_path / "x.parquet"
    out.write_text("mine")
    with pytest.raises(ArtefactError, match=r"x.parquet: expected a path where nothing is yet, found a file"):
        dataset.export(out)
    monkeypatch.setattr(Path, "exists", lambda path: False)  # as if it came meanwhile
    with pytest.raises(ArtefactError, match=r"x.parquet: expected a path where nothing is yet"):
        dataset.export(out)
    assert out.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "x.parquet"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtefactError, match=r"y.parquet: expected to write there, got: .*"):
        make_dataset(tmp_path / "d").export(tmp_path / "file" / "y.parquet")


def test_an_empty_dataset_and_an_old_version(tmp_path: Path) -> None:
    make_dataset(tmp_path / "d")
    for long in (False, True):
        Dataset.open(tmp_path / "d", version=0).export(tmp_path / f"{long}.parquet", long=long)
        assert len(pd.read_parquet(tmp_path / f"{long}.parquet")) == 0
