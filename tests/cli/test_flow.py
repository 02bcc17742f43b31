"""The main job through the command line, on latencies measured here."""

import json
import re
import shutil
from pathlib import Path
from random import Random

import pandas as pd
import pytest
import torch
from cli_paths import DEVICE, TABLE
from measured import tiny_space

import latpred
from latpred.cli import main
from latpred.dataset import Dataset
from latpred.genprof import read_prof_dir
from latpred.shipped import shipped_names


def test_genprof_writes_each_primitive_once(profiled):
    networks = read_prof_dir(profiled / "prof").networks
    placed = [p for n in networks for p, role in zip(n.primitives, n.roles, strict=True) if role == "primitive"]
    assert sorted(placed) == sorted(tiny_space().all_primitives())
    assert all(network.assembled for network in networks)


def test_sample_prints_the_same_architectures_for_a_seed(profiled, capsys):
    printed = []
    for seed in ("0", "0", "1"):
        assert main(["sample", f"{profiled}/space.yaml", "-n", "3", "--seed", seed]) == 0
        printed.append(capsys.readouterr().out.splitlines())
    assert printed[0] == printed[1] != printed[2]
    space = latpred.load_space(profiled / "space.yaml")
    for line in printed[0]:
        assert space.primitives(space.from_json(json.loads(line)))


def test_profile_measured_every_network_in_every_round(profiled):
    dataset = Dataset.open(profiled / "cpu")
    networks = [n for folder in ("prof", "sampled") for n in read_prof_dir(profiled / folder).networks]
    visited = dataset.visited()
    assert {(n, r) for n, r in visited if r < 3} == {(n.network_id, r) for n in networks for r in range(3)}
    assert len(visited) <= 84 + 21 + 2  # a quarter for poor ones, and the anchors before each 20 of those
    runs = dataset.read().runs
    assert (runs["round"] < 3).sum() == 84 + 5  # one of three anchors before each 20
    assert (runs["overall"] > 0).all()
    (record,) = dataset.sessions()
    assert len(record["anchors"]) == 3
    assert dataset.validate() == []


def test_profile_has_nothing_to_do_a_second_time(profiled, capsys, tmp_path):
    shutil.copytree(profiled / "cpu", tmp_path / "cpu")
    arguments = ["profile", f"{profiled}/sampled", "--device", DEVICE]
    arguments += ["--dataset", f"{tmp_path}/cpu", "--rounds"]
    before = Dataset.open(tmp_path / "cpu").keys()
    assert main([*arguments, "3"]) == 0
    assert "has all 3 rounds of 24 networks" in capsys.readouterr().out
    assert Dataset.open(tmp_path / "cpu").keys() == before
    networks = read_prof_dir(profiled / "sampled").networks
    left = {(n.network_id, 3) for n in networks} - Dataset.open(tmp_path / "cpu").visited()
    assert main([*arguments, "4"]) == 0
    dataset = Dataset.open(tmp_path / "cpu")
    assert {(n.network_id, r) for n in networks for r in range(4)} <= dataset.visited()
    again = -(-len(left) // 4)
    assert len(left) < len(dataset.keys() - before) <= len(left) + 2 + again + 1


def test_dataset_commands(profiled, capsys, tmp_path):
    assert main(["dataset", "info", f"{profiled}/cpu"]) == 0
    out = capsys.readouterr().out
    for words in ("mnasnet_ofa", "24 sampled", "18 covered of 18 in the space", "latency_ms"):
        assert words in out
    assert main(["dataset", "history", f"{profiled}/cpu"]) == 0
    assert "CREATE" in capsys.readouterr().out
    assert main(["dataset", "validate", f"{profiled}/cpu"]) == 0
    assert "no problems" in capsys.readouterr().out
    runs = len(Dataset.open(profiled / "cpu").read().runs)
    assert main(["dataset", "export", f"{profiled}/cpu", "--out", f"{tmp_path}/runs.parquet"]) == 0
    assert len(pd.read_parquet(tmp_path / "runs.parquet")) == runs
    assert main(["dataset", "export", f"{profiled}/cpu", "--out", f"{tmp_path}/long.parquet", "--long"]) == 0
    assert len(pd.read_parquet(tmp_path / "long.parquet")) > 4 * runs
    assert main(["dataset", "export", f"{profiled}/cpu", "--out", f"{tmp_path}/0.parquet", "--version", "0"]) == 0
    assert len(pd.read_parquet(tmp_path / "0.parquet")) == 0


def test_fit_prints_the_next_commands_and_they_work(profiled, capsys, tmp_path):
    runs = tmp_path / "runs"
    assert main(["fit", "--config", TABLE, "--data.dataset", f"{profiled}/cpu", "--runs", str(runs)]) == 0
    out = capsys.readouterr().out
    (checkpoint,) = runs.glob("checkpoints/mnasnet_ofa-*/table/*/best.ckpt")
    assert f"checkpoint: {checkpoint}" in out.replace("\n", "")
    (score,) = re.findall(r"next: latpred (test .*)", out)
    assert main(score.split()) == 0
    assert "test: table" in capsys.readouterr().out
    assert list(runs.glob("logs/mnasnet_ofa-*/table/*/events.out.tfevents.*"))


@pytest.mark.slow
def test_a_second_fit_leaves_the_first_as_it_is(profiled, tmp_path):
    arguments = ["fit", "--config", TABLE, "--data.dataset", f"{profiled}/cpu", "--runs", str(tmp_path)]
    assert main(arguments) == 0
    (first,) = tmp_path.glob("checkpoints/*/table/*/best.ckpt")
    content = first.read_bytes()
    assert main(arguments) == 0
    assert len(list(tmp_path.glob("checkpoints/*/table/*/best.ckpt"))) == 2
    assert first.read_bytes() == content


def test_validate_prints_what_fit_printed(profiled, fitted, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    score = ["validate", "--config", TABLE, "--data.dataset", f"{profiled}/cpu", "--ckpt_path", str(fitted)]
    assert main(score) == 0
    card = json.loads(torch.load(fitted, weights_only=True)["latpred_card"])
    assert f"{100 * card['errors']['val']['mape']:.2f}" in capsys.readouterr().out
    assert not list(Path().iterdir())  # scoring writes nothing


@pytest.mark.slow
def test_export_and_predict(fitted, capsys, tmp_path):
    assert main(["export", str(fitted), "--out", f"{tmp_path}/table.ts", "--formats", "ts,pt2,onnx"]) == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".onnx", ".pt2", ".ts"]
    capsys.readouterr()
    answers = []
    for suffix in ("ts", "onnx"):
        assert main(["predict", f"{tmp_path}/table.{suffix}", "--sample", "5", "--seed", "1", "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    for ts, onnx in zip(*(answer["answers"] for answer in answers), strict=True):
        assert ts["value"] == pytest.approx(onnx["value"], rel=1e-5)
        assert ts["all_measured"]
    assert (answers[0]["unit"], answers[0]["device"]["runtime"]) == ("ms", "torch")
    architecture = answers[0]["answers"][0]["architecture"]
    (tmp_path / "one.json").write_text(json.dumps(architecture))
    assert main(["predict", f"{tmp_path}/table.ts", "--architecture", f"{tmp_path}/one.json"]) == 0
    out = capsys.readouterr().out
    assert f"{answers[0]['answers'][0]['value']:.3f}" in out
    assert "all measured" in out
    assert "1 thread" in out


def test_the_predictor_in_python_and_without_latpred(fitted, tmp_path):
    assert main(["export", str(fitted), "--out", f"{tmp_path}/table.ts"]) == 0
    estimator = latpred.load(tmp_path / "table.ts")
    architecture = estimator.space.from_json(json.loads('{"depth": [1, 1, 2], "width": [[1], [3], [4, 3]], '
        '"kernel": [[3], [5], [3, 3]], "image_size": 32}'))  # fmt: skip
    ids = torch.from_numpy(estimator.space.encode(architecture))[None]
    assert float(torch.jit.load(tmp_path / "table.ts")(ids)) == estimator(architecture)


SLOW_RUNS = ("lstm", "mlp", "block_sum_net")  # many epochs
OF_OTHERS = ("auto", "ensemble")  # made of other predictors: tests/cli/test_auto.py


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW_RUNS))
        for name in shipped_names("runs")
        if name not in OF_OTHERS
    ],
)
def test_genmodel_is_fit_and_export_in_one_step(profiled, capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    command = ["genmodel", f"{profiled}/space.yaml", f"{profiled}/cpu", "--model", name, "--out", f"{name}.ts"]
    assert main(command) == 0
    estimator = latpred.load(f"{name}.ts")
    assert estimator.card.predictor == name
    assert estimator(estimator.space.sample(Random(0))) > 0
    assert main(command) == 2
    assert f"{name}.ts: expected a path where nothing stands for --out" in capsys.readouterr().err
