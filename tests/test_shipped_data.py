"""The dataset and the predictors that come with a clone."""

from random import Random

import pytest
from cli_paths import ROOT

import latpred
from latpred.dataset import Dataset
from latpred.models import load_checkpoint
from latpred.spaces import load_space

DATASETS = [path for path in sorted((ROOT / "datasets").iterdir()) if path.is_dir()]
PREDICTORS = sorted((ROOT / "checkpoints").glob("*/*.ckpt"))


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.name)
def test_dataset(path):
    dataset = Dataset.open(path)
    assert dataset.leftover == ()
    assert dataset.validate() == []
    space = load_space(ROOT / "configs/spaces/mnasnet_ofa_112.yaml")
    assert dataset.card.space.describe_difference(space.card()) is None
    info = dataset.info(space.vocabulary().primitives)
    assert info.primitives_covered == info.primitives_in_space == 92
    assert sum(file.stat().st_size for file in path.rglob("*")) <= 2e6


@pytest.mark.parametrize("path", PREDICTORS, ids=lambda path: path.stem)
def test_predictor(path):
    predictor = load_checkpoint(path)
    card = predictor.fitted_card
    dataset = Dataset.open(ROOT / "datasets" / card.dataset, card.dataset_version)
    assert dataset.card.device == card.device
    assert set(card.training_network_ids) <= {network.network_id for network in dataset.read().networks}
    rng = Random(0)
    for suffix in (".ts", ".onnx"):
        estimator = latpred.load(path.with_suffix(suffix))
        assert estimator.card.training_network_ids == card.training_network_ids
        assert 2 < estimator(estimator.space.sample(rng)) < 20  # ms: 4 to 10 were measured


def test_there_are_some():
    assert DATASETS
    assert [path.stem for path in PREDICTORS] == ["mlp", "table"]


@pytest.mark.parametrize("folder", ["datasets", "checkpoints", "tests/golden"])
def test_no_file_names_the_folder_it_was_made_in(folder):
    for path in (ROOT / folder).rglob("*"):
        if path.is_file() and path.suffix in (".json", ".onnx", ".ts", ".ckpt", ".parquet", ".yaml"):
            content = path.read_bytes()
            for place in (b"file:///", b"/site-packages/", b"/home/", b"/tmp/"):
                assert place not in content, (path, place)
