"""Mistakes of a user: one line that says what, where and what to do next; nothing is lost."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from cli_paths import DEVICE, ROOT, TABLE
from measured import make_measured, tiny_space
from synthetic import DEVICE as TEST_DEVICE

from latpred.cli import main
from latpred.dataset import Dataset


def error_of(capsys, command: list[str], code: int) -> str:
    """Run a command that must fail with `code`, and return its only line."""
    capsys.readouterr()
    assert main(command) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("latpred: error: ")


def fit_command(dataset: Path, *more: str) -> list[str]:
    return ["fit", "--config", TABLE, "--data.dataset", str(dataset), *more]


@pytest.fixture
def no_files(tmp_path, monkeypatch):
    """Run in an empty folder, which must be empty behind the test."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.glob("runs/checkpoints/*/*/*/*.ckpt"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("space: resnet_ofa", r"space\.yaml: expected one of the spaces .*mnasnet_ofa.*, found 'resnet_ofa'"),
        (
            "space: mnasnet_ofa\nparameters: {widht_choice: [3]}",
            r"unknown key 'widht_choice'.*'width_choice' was meant",
        ),
        ("space: mnasnet_ofa\nparametres: {}", r"unknown key 'parametres'.*'parameters' was meant"),
        ("space: mnasnet_ofa\nparameters: {primitive_type: vgg_block}", r"primitive_type.*vgg_block"),
        ("- mnasnet_ofa", r"space\.yaml: expected a mapping, found list"),
        ("space: [", r"space\.yaml: expected YAML, got: "),
    ],
)
def test_a_wrong_space(capsys, tmp_path, content, message):
    (tmp_path / "space.yaml").write_text(content)
    assert re.search(message, error_of(capsys, ["sample", str(tmp_path / "space.yaml")], 2))


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--data.preprocessors", "[flatten]"], 2, r"data\.preprocessors: predictor 'table' needs the sum of blocks"),
        (["--data.preprocessors", "[block_sum, flaten]"], 2, r"unknown step 'flaten', expected one of block_sum, "),
        (["--model.hiden", "3"], 2, r"Option 'hiden' is not accepted"),
        (["--data.datasett", "x"], 2, r"unrecognized arguments: --data\.datasett"),
        (["--data.version", "99"], 1, r"expected a version from 0 to \d+, found 99\. `latpred dataset history`"),
        (["--data.val", "1.5"], 2, r"val must lie in \[0, 1\), got 1\.5"),
        (["--data.val", "0.0001"], 1, r"expected at least 2 networks in the split 'val', found 0 of 24"),
        (["--data.metric", "latency"], 2, r"unknown metric 'latency', expected one of latency_ms, "),
        (["--data.metric", "energy_mj"], 1, r"expected runs with energy_mj, found only latency_ms and memory_mb"),
        (["--data.batch_size", "0"], 2, r"data\.batch_size: expected an integer >= 1, found 0"),
    ],
)
def test_a_wrong_fit(capsys, profiled, no_files, more, code, message):
    assert re.search(message, error_of(capsys, fit_command(profiled / "cpu", *more), code))


def test_a_class_outside_the_allowlist_is_not_imported(capsys, profiled, no_files, tmp_path, monkeypatch):
    (tmp_path / "hostile.py").write_text("from pathlib import Path\nPath('imported').touch()\nclass Model: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = yaml.safe_load(Path(TABLE).read_text())
    for place, name in (("model", "hostile.Model"), ("model", "os.system"), ("callback", "hostile.Model")):
        content = config | {"model": {"class_path": name}} if place == "model" else dict(config)
        if place == "callback":
            content["trainer"] = config["trainer"] | {"callbacks": [{"class_path": name}]}
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))
        command = ["fit", "--config", str(tmp_path / "run.yaml"), "--data.dataset", str(profiled / "cpu")]
        assert f"Importing '{name}' is not allowed" in error_of(capsys, command, 2)
    assert not (tmp_path / "imported").exists()


def test_uncovered_networks_stop_the_fit_or_are_dropped(capsys, profiled, no_files, tmp_path):
    make_measured(tmp_path / "few", tiny_space(), networks=30, rounds=2, seed=0, assembled=False)
    command = fit_command(tmp_path / "few", "--data.val", "0.7", "--data.test", "0.1", "--runs", str(tmp_path / "x"))
    message = error_of(capsys, command, 1)
    assert re.search(r"few: \d+ of \d+ networks in 'val' hold a primitive that no training network has", message)
    assert "--data.uncovered drop" in message
    assert main([*command, "--data.uncovered", "drop"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"few: \d+ of \d+ networks in 'val' hold a primitive that .* has: left out", told)


def test_a_dataset_that_is_not_there_or_damaged(capsys, profiled, no_files, tmp_path):
    missing = error_of(capsys, fit_command(tmp_path / "no"), 1)
    assert "no: expected a dataset, found no readable card.json there" in missing
    shutil.copytree(profiled / "cpu", tmp_path / "cpu")
    (largest, *_) = sorted((tmp_path / "cpu/runs").rglob("*.parquet"), key=lambda path: -path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:500])
    assert largest.name in error_of(capsys, fit_command(tmp_path / "cpu"), 1)
    assert main(["dataset", "validate", str(tmp_path / "cpu")]) == 1
    assert largest.name in capsys.readouterr().out


def test_a_truncated_line_in_the_middle_of_a_journal(capsys, profiled, tmp_path):
    shutil.copytree(profiled / "cpu", tmp_path / "cpu")
    (tmp_path / "cpu/journal/20260101T000000Z-abcdef.jsonl").write_text('{"session_id": "x", "seq\n{}\n')
    message = error_of(capsys, ["dataset", "info", str(tmp_path / "cpu")], 1)
    assert re.search(r"20260101T000000Z-abcdef\.jsonl.*1", message)


def test_validating_on_trained_networks(capsys, profiled, fitted):
    command = ["test", "--config", TABLE, "--data.dataset", f"{profiled}/cpu", "--ckpt_path", str(fitted)]
    message = error_of(capsys, [*command, "--data.split_seed", "1"], 1)
    assert re.search(r"networks that the predictor was not trained on, found \d+ of \d+ in 'test'", message)
    assert "Use the split it was trained with: {'seed': 0" in message


def test_scoring_without_a_checkpoint(capsys, profiled):
    message = error_of(capsys, ["validate", "--config", TABLE, "--data.dataset", f"{profiled}/cpu"], 2)
    assert message.startswith("--ckpt_path: expected a checkpoint to score, found none")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half"])
def test_a_damaged_checkpoint(capsys, profiled, tmp_path, content):
    (tmp_path / "best.ckpt").write_bytes(content)
    command = ["--config", TABLE, "--data.dataset", f"{profiled}/cpu", "--ckpt_path", f"{tmp_path}/best.ckpt"]
    assert "best.ckpt: expected a checkpoint, could not read it" in error_of(capsys, ["validate", *command], 1)
    export = ["export", f"{tmp_path}/best.ckpt", "--out", f"{tmp_path}/x.ts"]
    assert "best.ckpt: expected a checkpoint, could not read it" in error_of(capsys, export, 1)
    assert not (tmp_path / "x.ts").exists()


def test_a_checkpoint_of_something_else(capsys, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    message = error_of(capsys, ["export", f"{tmp_path}/other.ckpt", "--out", f"{tmp_path}/x.ts"], 1)
    assert "other.ckpt: expected a checkpoint of latpred, found one without a card" in message


def test_a_dataset_of_another_space_or_device(capsys, fitted, tmp_path):
    space = tiny_space()
    other_space = type(space)(**(space.parameters | {"kernel_choice": [3, 7]}))
    make_measured(tmp_path / "space", other_space, networks=20, rounds=2, seed=0)
    make_measured(tmp_path / "device", space, networks=20, rounds=2, seed=0, device=TEST_DEVICE)
    score = ["test", "--config", TABLE, "--ckpt_path", str(fitted), "--data.dataset"]
    message = error_of(capsys, [*score, f"{tmp_path}/space"], 1)
    assert "different spaces: mnasnet_ofa.kernel_choice = [3, 5] against [3, 7]" in message
    message = error_of(capsys, [*score, f"{tmp_path}/device"], 1)
    assert "the dataset is of 'Test CPU, torch 2.13.0, float32, 1 thread, batch 1, nchw'" in message


def test_a_checkpoint_of_another_metric(capsys, profiled, fitted, tmp_path):
    checkpoint = torch.load(fitted, weights_only=True)
    card = json.loads(checkpoint["latpred_card"])
    checkpoint["latpred_card"] = json.dumps(card | {"metric": "energy_mj", "unit": "mJ"})
    torch.save(checkpoint, tmp_path / "energy.ckpt")
    score = ["test", "--config", TABLE, "--ckpt_path", f"{tmp_path}/energy.ckpt", "--data.dataset", f"{profiled}/cpu"]
    message = error_of(capsys, score, 1)
    assert "the checkpoint predicts energy_mj in mJ, the data is latency_ms in ms" in message


def test_profiling_into_a_dataset_of_another_device_or_space(capsys, profiled, tmp_path):
    make_measured(tmp_path / "data", tiny_space(), networks=4, rounds=1, seed=0)
    before = Dataset.open(tmp_path / "data").keys()
    command = ["profile", f"{profiled}/sampled", "--device", DEVICE, "--dataset"]
    message = error_of(capsys, [*command, f"{tmp_path}/data"], 1)
    assert "the dataset is of the device 'Test CPU, torch 2.13.0" in message
    assert Dataset.open(tmp_path / "data").keys() == before
    space = ROOT / "configs/spaces/mnasnet_ofa_112.yaml"
    assert main(["genprof", str(space), "--out", f"{tmp_path}/p", "--num-sample", "1", "--seed", "0"]) == 0
    message = error_of(capsys, ["profile", f"{tmp_path}/p", *command[2:], f"{profiled}/cpu"], 1)
    assert "the dataset and the new runs have different spaces" in message
    message = error_of(capsys, ["profile", f"{profiled}/prof", f"{tmp_path}/p", *command[2:], f"{tmp_path}/y"], 2)
    assert f"{tmp_path}/p: expected the space of {profiled}/prof, found another" in message


def test_genmodel_for_another_space_or_model(capsys, profiled, tmp_path):
    space = ROOT / "configs/spaces/mnasnet_ofa_112.yaml"
    command = ["genmodel", str(space), f"{profiled}/cpu", "--out", f"{tmp_path}/x.ts"]
    assert "expected a dataset of the space" in error_of(capsys, command, 1)
    command[1] = f"{profiled}/space.yaml"
    assert "unknown name 'tabel', expected one of" in error_of(capsys, [*command, "--model", "tabel"], 2)
    assert "expected a path that ends in .ts" in error_of(capsys, [*command[:-1], f"{tmp_path}/x.pt"], 2)
    assert not list(tmp_path.iterdir())


def test_export_to_an_existing_path(capsys, fitted, tmp_path):
    (tmp_path / "x.ts").write_text("mine")
    message = error_of(capsys, ["export", str(fitted), "--out", f"{tmp_path}/x.ts"], 1)
    assert "x.ts: expected a path where nothing stands, found a file" in message
    assert (tmp_path / "x.ts").read_text() == "mine"


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ('{"depth": [1, 9, 1]}', r"one\.json|depth|width"),
        ("{", r"one\.json: expected the JSON of an architecture, got: "),
        ("7", r"mnasnet_ofa"),
    ],
)
def test_predict_for_what_is_no_architecture(capsys, fitted, tmp_path, architecture, message):
    assert main(["export", str(fitted), "--out", f"{tmp_path}/x.ts"]) == 0
    (tmp_path / "one.json").write_text(architecture)
    command = ["predict", f"{tmp_path}/x.ts", "--architecture", f"{tmp_path}/one.json"]
    capsys.readouterr()
    assert main(command) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert "Error:" not in line


def test_predict_needs_one_source_of_architectures(capsys, fitted, tmp_path):
    assert "expected either --architecture FILE or --sample N" in error_of(capsys, ["predict", f"{tmp_path}/x.ts"], 2)


def test_predict_with_a_corrupt_file(capsys, tmp_path):
    (tmp_path / "x.ts").write_bytes(b"PK\x03\x04 no zip")
    message = error_of(capsys, ["predict", f"{tmp_path}/x.ts", "--sample", "1"], 1)
    assert "x.ts: expected TorchScript that latpred exported, could not read it" in message


def test_genprof_never_erases(capsys, profiled):
    before = sorted(path.name for path in (profiled / "prof").rglob("*"))
    command = ["genprof", f"{profiled}/space.yaml", "--out", f"{profiled}/prof"]
    assert f"{profiled}/prof" in error_of(capsys, command, 2)
    assert sorted(path.name for path in (profiled / "prof").rglob("*")) == before
