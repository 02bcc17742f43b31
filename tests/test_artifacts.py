"""Files of each released schema keep loading, and say what they said."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import latpred
from latpred.dataset import Dataset
from latpred.genprof import read_prof_dir
from latpred.models import load_checkpoint

RELEASED = sorted((Path(__file__).parent / "golden/artifacts").iterdir())


@pytest.fixture(params=RELEASED, ids=lambda path: path.name)
def released(request, tmp_path) -> tuple[Path, dict]:
    folder = tmp_path / request.param.name
    shutil.copytree(request.param, folder)  # opening may fold journals in; the released files stay as they are
    return folder, json.loads((folder / "expected.json").read_text())


def test_v1_is_there():
    assert "v1" in [path.name for path in RELEASED]


def test_prof_dir(released):
    folder, expected = released
    networks = read_prof_dir(folder / "prof").networks
    assert sorted(network.network_id for network in networks) == sorted(expected["prof_networks"])


def test_dataset(released):
    folder, expected = released
    dataset = Dataset.open(folder / "dataset")
    assert dataset.version == expected["dataset_version"]
    runs = dataset.read().runs
    assert len(runs) == expected["runs"]
    assert runs["overall"].sum() == pytest.approx(expected["overall_ms"], rel=1e-12)
    assert dataset.validate() == []


def test_checkpoint(released):
    folder, expected = released
    predictor = load_checkpoint(folder / "best.ckpt")
    space = latpred.load(folder / "table.ts").space
    for answer in expected["answers"]:
        ids = torch.from_numpy(space.encode(space.from_json(answer["architecture"])))[None]
        assert float(predictor.net(ids)) == pytest.approx(answer["ms"], rel=1e-6)


@pytest.mark.parametrize("name", ["table.ts", "table.onnx"])
def test_exports(released, name):
    folder, expected = released
    estimator = latpred.load(folder / name)
    for answer in expected["answers"]:
        assert estimator(answer["architecture"]) == pytest.approx(answer["ms"], rel=1e-5)
