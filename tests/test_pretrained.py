"""The predictors that come with latpred: each is found by its name, answers, and says where it is from."""

import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from cli_paths import ROOT

import latpred
from latpred import pretrained
from latpred.dataset import Dataset
from latpred.errors import ArtefactError
from latpred.estimator import load_net
from latpred.pretrained import pretrained_names, pretrained_path, read_pretrained, resolve

NAMES = [
    f"{space}/cpu-epyc/{runtime}" for space in ("mnasnet_ofa_112", "ssd_ofa") for runtime in ("onnxruntime", "torch")
]


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Path:
    """A folder of one shipped predictor that a test may damage."""
    folder = tmp_path / "pretrained"
    target = folder / "mnasnet_ofa_112/cpu-epyc"
    target.mkdir(parents=True)
    for suffix in (".ts", ".json"):
        shutil.copy(pretrained_path(NAMES[1]).with_suffix(suffix), target / f"torch{suffix}")
    monkeypatch.setattr(pretrained, "__file__", str(folder / "__init__.py"))
    return target


def test_the_names_are_those_of_the_files():
    assert set(NAMES) <= set(pretrained_names())
    assert pretrained_names() == sorted(pretrained_names())


@pytest.mark.parametrize("name", NAMES)
def test_each_answers_for_its_space_with_intervals(name):
    estimator = latpred.load(name)
    rng = Random(1)
    architectures = [estimator.space.sample(rng) for _ in range(20)]
    values = estimator.predict_batch(architectures)
    read = Dataset.open(ROOT / "datasets" / estimator.card.dataset).read()
    latencies = read.runs["overall"]
    assert (values > latencies.min() / 2).all()
    assert (values < latencies.max() * 2).all()
    assert np.ptp(values) > 0.1 * values.mean()
    assert estimator(architectures[0]) == pytest.approx(values[0], rel=1e-5)
    for architecture, value in zip(architectures[:3], values, strict=False):
        wide, narrow = (estimator.predict_interval(architecture, coverage) for coverage in (0.9, 0.5))
        assert wide.lower < narrow.lower < value < narrow.upper < wide.upper
        assert wide.upper - wide.lower < 0.4 * value
    assert not estimator.explain(architectures[0]).unmeasured


@pytest.mark.parametrize("name", NAMES)
def test_the_card_and_the_note_beside_it_tell_the_machine_and_the_errors(name):
    found = read_pretrained(name)
    net, card = load_net(found.path)
    del net
    assert found.card == card
    space, _hardware, runtime = name.split("/")
    assert latpred.load_space(ROOT / f"configs/spaces/{space}.yaml").card() == card.space
    assert card.device.runtime == runtime
    assert card.device.hardware == found.machine["processor"] == "AMD EPYC"
    assert found.machine["cores"] == 2
    assert found.machine["virtualisation"] == "virtual machine"
    assert "shares its host" in found.machine["note"]
    assert 0 < card.errors["test"]["mape"] < 0.05
    assert 0 < found.measured["label_noise"] < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_it_was_trained_on_the_shipped_dataset_and_scored_on_the_rest_of_it(name):
    found = read_pretrained(name)
    dataset = Dataset.open(ROOT / "datasets" / found.measured["dataset"])
    assert dataset.card.device == found.card.device
    networks = {network.network_id for network in dataset.read().networks if not network.assembled}
    assert len(networks) == found.measured["sampled"]
    trained = set(found.card.training_network_ids)
    assert trained <= networks
    assert found.card.calibration is not None
    assert len(networks) == len(trained) + len(found.card.calibration.scores) + found.measured["held_out"]
    assert found.card.dataset_version == dataset.version
    assert len(dataset.read().runs) == found.measured["runs"]


def test_its_json_is_plain_and_complete():
    values = json.loads(json.dumps(read_pretrained(NAMES[0]).to_json(), allow_nan=False))
    assert values["name"] == NAMES[0]
    assert values["space"] == "mnasnet_ofa"
    assert values["space_parameters"]["image_size_choice"] == [112]
    assert values["device"]["runtime"] == "onnxruntime"
    assert (values["metric"], values["unit"]) == ("latency_ms", "ms")
    assert values["training_networks"] == len(read_pretrained(NAMES[0]).card.training_network_ids) > 100
    assert set(values["errors"]) == {"val", "test"}
    assert values["versions"]["latpred"] == "0.1.0"


def test_an_unknown_name_is_refused_with_those_there_are():
    pattern = (
        r"^mnasnet_ofa_112/cpu-epyc/tvm: expected a file, or the name of a predictor that comes with latpred: "
        r".*mnasnet_ofa_112/cpu-epyc/torch.*; found neither\. Check the path or the name\.$"
    )
    with pytest.raises(ArtefactError, match=pattern):
        latpred.load("mnasnet_ofa_112/cpu-epyc/tvm")


@pytest.mark.parametrize("text", ["runs/cpu/table.ts", "a/b", "a/b/c/d", "/mnasnet_ofa_112/cpu-epyc", "table.onnx"])
def test_what_cannot_be_a_name_is_a_path(text):
    assert resolve(text) == Path(text)
    with pytest.raises(ArtefactError, match="expected") as error:
        latpred.load(text)
    assert "comes with latpred" not in str(error.value)


def test_an_existing_path_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = Path(NAMES[0])
    assert resolve(NAMES[0]) == pretrained_path(NAMES[0])
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert resolve(NAMES[0]) == mine
    with pytest.raises(ArtefactError, match="expected an exported predictor"):
        latpred.load(NAMES[0])


def test_it_is_pickled_as_a_path():
    estimator = latpred.load(NAMES[1])
    again = pickle.loads(pickle.dumps(estimator))  # noqa: S301 - made right here
    assert again.path == pretrained_path(NAMES[1])
    architecture = estimator.space.sample(Random(0))
    assert again(architecture) == estimator(architecture)


def test_a_missing_note_is_named(copied):
    assert pretrained_names() == [NAMES[1]]
    (copied / "torch.json").unlink()
    with pytest.raises(
        ArtefactError, match=r"torch\.ts: expected a predictor .* beside it, torch\.json, got: FileNotF"
    ):
        read_pretrained(NAMES[1])


@pytest.mark.parametrize("key", ["machine", "measured", "schema_version"])
def test_a_missing_key_is_named(copied, key):
    values = json.loads((copied / "torch.json").read_text())
    del values[key]
    (copied / "torch.json").write_text(json.dumps(values))
    with pytest.raises(ArtefactError, match=rf"got: KeyError\('{key}'\)\. Install latpred again"):
        read_pretrained(NAMES[1])


def test_another_version_of_the_note_is_refused(copied):
    values = json.loads((copied / "torch.json").read_text())
    (copied / "torch.json").write_text(json.dumps(values | {"schema_version": 2}))
    with pytest.raises(ArtefactError, match=r"torch\.json: expected schema version 1, found 2\."):
        read_pretrained(NAMES[1])


@pytest.mark.parametrize("content", [b"no zip archive", b""])
def test_a_damaged_file_is_named(copied, content):
    (copied / "torch.ts").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"torch\.ts: expected a predictor with its card .* got: BadZipFile"):
        read_pretrained(NAMES[1])


@pytest.mark.slow
def test_the_wheel_holds_them(tmp_path):
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        files = set(content.namelist())
    for name in pretrained_names():
        assert {f"latpred/pretrained/{name}.ts", f"latpred/pretrained/{name}.json"} <= files
    assert wheel.stat().st_size < 2e6
