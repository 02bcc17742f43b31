"""The datasets and the checkpoints that come with a clone."""

from random import Random

import pytest
from cli_paths import ROOT

import latpred
from latpred.dataset import Dataset
from latpred.models import load_checkpoint
from latpred.spaces import load_space

DATASETS = {
    "mnasnet_ofa_112-amd_epyc-onnxruntime": ("mnasnet_ofa_112", 92, 7280),
    "mnasnet_ofa_112-amd_epyc-torch_eager": ("mnasnet_ofa_112", 92, 5822),
    "ssd_ofa-amd_epyc-onnxruntime": ("ssd_ofa", 526, 2158),
    "ssd_ofa-amd_epyc-torch_eager": ("ssd_ofa", 526, 2142),
}
"""The configuration of the space, its primitives, all of them covered, and the runs."""
PREDICTORS = sorted((ROOT / "checkpoints").glob("*/*.ckpt"))


@pytest.mark.parametrize(("name", "facts"), DATASETS.items(), ids=DATASETS)
def test_dataset(name, facts):
    config, primitives, runs = facts
    path = ROOT / "datasets" / name
    dataset = Dataset.open(path)
    assert dataset.leftover == ()
    assert dataset.validate() == []
    space = load_space(ROOT / f"configs/spaces/{config}.yaml")
    assert dataset.card.space.describe_difference(space.card()) is None
    info = dataset.info(space.vocabulary().primitives)
    assert info.primitives_covered == info.primitives_in_space == primitives
    assert info.runs_ok == runs
    assert dataset.version == 1  # in one piece: the table's making, and all runs
    assert sum(file.stat().st_size for file in path.rglob("*")) <= 1.6e6


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
        assert 2 < estimator(estimator.space.sample(rng)) < 12  # ms: 3.8 to 7.1 were measured


def test_there_are_some():
    assert sorted(path.name for path in (ROOT / "datasets").iterdir() if path.is_dir()) == sorted(DATASETS)
    assert [path.stem for path in PREDICTORS] == ["mlp", "table"]


@pytest.mark.parametrize("folder", ["datasets", "checkpoints", "latpred/pretrained", "tests/golden"])
def test_no_file_names_the_folder_it_was_made_in(folder):
    for path in (ROOT / folder).rglob("*"):
        if path.is_file() and path.suffix in (".json", ".onnx", ".ts", ".ckpt", ".parquet", ".yaml"):
            content = path.read_bytes()
            for place in (b"file:///", b"/site-packages/", b"/home/", b"/tmp/"):
                assert place not in content, (path, place)
