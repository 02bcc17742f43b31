"""`latpred select` and `latpred transfer`."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from measured import append_runs, make_measured, measured_runs, tiny_space
from synthetic import DEVICE

import latpred
from latpred.cli import main
from latpred.dataset import Dataset
from latpred.genprof import assemble, read_prof_dir
from latpred.spaces import space_yaml
from latpred.transfer import some_networks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two source devices, of 60 networks each, and the space's YAML."""
    folder = tmp_path_factory.mktemp("transfer")
    (folder / "space.yaml").write_text(space_yaml(tiny_space()))
    for i in range(2):
        make_measured(folder / f"s{i}", tiny_space(), networks=60, seed=i, device=replace(DEVICE, hardware=f"CPU {i}"))
    return folder


def run(*words):
    return main([str(word) for word in words])


def last_error(capsys):
    return capsys.readouterr().err.strip().splitlines()[-1].removeprefix("latpred: error: ")


@pytest.mark.slow
def test_from_the_choice_to_the_predictor(folder, tmp_path, capsys):
    sources = ["--sources", folder / "s0", folder / "s1"]
    assert run("select", folder / "space.yaml", *sources, "-k", 6, "--out", tmp_path / "prof", "--seed", 1) == 0
    said = capsys.readouterr().out
    assert f"source: CPU 1, torch 2.13.0, float32, 1 thread, batch 1, nchw: 60 networks of {folder / 's1'}" in said
    assert f"next: latpred profile {tmp_path / 'prof'} --device" in said
    assert f"--sources {folder / 's0'} {folder / 's1'} --dataset" in said
    networks = read_prof_dir(tmp_path / "prof").networks
    assert len(networks) == 6
    dataset = Dataset.create(tmp_path / "new", tiny_space().card(), DEVICE)
    append_runs(dataset, measured_runs(networks, 3, noise=0.001))
    out = ["--dataset", tmp_path / "new", "--out", tmp_path / "new.ts"]
    assert run("transfer", *sources, *out) == 0
    said = capsys.readouterr().out
    assert "6 measured networks of" in said
    assert re.search(
        r"^blocks: \d+ of 18 primitives measured; what a network's blocks add up to is one more", said, re.MULTILINE
    )
    assert "each measured network from the others: MAPE 0." in said
    assert f"wrote {tmp_path / 'new.ts'}" in said
    make_measured(tmp_path / "test", tiny_space(), networks=50, seed=7, noise=0, assembled=False)
    measured = Dataset.open(tmp_path / "test").read()
    estimator = latpred.load(tmp_path / "new.ts")
    predicted = estimator.predict_batch([network.architecture for network in measured.networks])
    actual = measured.runs.groupby("network")["overall"].first().to_numpy()
    np.testing.assert_allclose(predicted, actual, rtol=0.03)
    assert run("predict", tmp_path / "new.ts", "--sample", 2, "--seed", 0) == 0
    assert run("compare", tmp_path / "test", tmp_path / "new.ts") == 0


@pytest.mark.slow
def test_the_choice_depends_on_the_seed_alone(folder, tmp_path):
    chosen, words = {}, ["--candidates", 50, "--seed"]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run("select", folder / "space.yaml", "-k", 5, *words, seed, "--out", tmp_path / name) == 0
        chosen[name] = [network.network_id for network in read_prof_dir(tmp_path / name).networks]
    assert chosen["a"] == chosen["b"] != chosen["c"]


def test_without_sources_the_structure_stands_alone(folder, tmp_path, capsys):
    make_measured(tmp_path / "new", tiny_space(), networks=2, assembled=False)
    assert run("transfer", "--dataset", tmp_path / "new", "--out", tmp_path / "new.ts") == 0
    said = capsys.readouterr().out
    assert "no sources: the structure of the networks stands alone" in said
    assert "warning: known from 2 measured networks only: at least 3 are needed to tell an error" in said
    assert latpred.load(tmp_path / "new.ts").card.predictor_parameters["sources"] == []


def test_a_network_that_failed_and_one_that_is_off_are_told_of(folder, tmp_path, capsys):
    runs = measured_runs(some_networks(tiny_space(), 12, seed=99), 1)
    nothing = dict.fromkeys(("overall_latency_ms", "block_latency_ms", "block_method", "cpu_time_ms"))
    runs[0] = replace(runs[0], status="failed", reason="out of memory", overhead_ms=None, **nothing)
    slow = runs[1] = replace(runs[1], overall_latency_ms=500.0, cpu_time_ms=500.0)
    append_runs(Dataset.create(tmp_path / "new", tiny_space().card(), DEVICE), runs)
    out = ["--out", tmp_path / "new.ts"]
    assert run("transfer", "--sources", folder / "s0", "--dataset", tmp_path / "new", *out) == 0
    said = capsys.readouterr().out
    assert "11 measured networks of" in said
    assert "left out: 1 networks without a successful run" in said
    assert f"note: network {slow.network_id} has " in said


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (
            ["--sources", "s0", "s0"],
            2,
            "s0: expected each dataset once, found this one as a source and",
        ),
        (
            ["--sources", "new"],
            2,
            "new: expected each dataset once, found this one as a source and",
        ),
        (["--sources", "nothing"], 1, "nothing: "),
        (
            ["--metric", "energy_mj"],
            1,
            "new: expected at least 1 network with a measured energy_mj, found only",
        ),
        (["--formats", "pickle"], 2, "--formats: expected some of ts,pt2,onnx, found 'pickle'"),
        (["--formats", ""], 2, "--formats: expected some of ts,pt2,onnx, found 'nothing'"),
        (["--source-rows", "0"], 2, "--source-rows: expected a number of at least 1, found 0"),
        (
            ["--dataset", "assembled"],
            1,
            "found 4 assembled ones only, which are no architectures. Measure some",
        ),
    ],
    ids=lambda value: None if isinstance(value, int) else (" ".join(value) if isinstance(value, list) else ""),
)
def test_a_mistake_is_one_line(folder, words, code, expected, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    if not Path("new").exists():
        make_measured(Path("new"), tiny_space(), networks=4, assembled=False)
    if not Path("assembled").exists():
        dataset = Dataset.create(Path("assembled"), tiny_space().card(), DEVICE)
        append_runs(dataset, measured_runs(assemble(tiny_space()).networks, 1))
    assert run("transfer", "--dataset", "new", "--out", "no.ts", *words) == code
    assert expected in last_error(capsys)
    assert not Path("no.ts").exists()


def test_a_file_that_stands_is_kept_unless_told(folder, tmp_path, capsys):
    make_measured(tmp_path / "new", tiny_space(), networks=4, assembled=False)
    (tmp_path / "new.ts").write_text("mine")
    words = ["transfer", "--dataset", tmp_path / "new", "--out", tmp_path / "new.ts"]
    assert run(*words) == 2
    assert "new.ts: expected a path where nothing stands" in last_error(capsys)
    assert (tmp_path / "new.ts").read_text() == "mine"
    assert run(*words, "--overwrite") == 0
    assert len(latpred.load(tmp_path / "new.ts").card.training_network_ids) == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-k", "0"], "-k: expected a number from 1 to --candidates, 400, found 0"),
        (["-k", "9", "--candidates", "8"], "-k: expected a number from 1 to --candidates, 8, found 9"),
        (["--out", "."], "expected a path where nothing stands for --out, found one"),
    ],
    ids=["none", "too many", "stands"],
)
def test_a_choice_that_cannot_be_is_refused(folder, words, expected, capsys, tmp_path):
    assert run("select", folder / "space.yaml", "--out", tmp_path / "prof", *words) == 2
    assert expected in last_error(capsys)
    assert not (tmp_path / "prof").exists()


def test_a_small_space_has_fewer_candidates_than_asked(folder, tmp_path, capsys):
    words = ["--candidates", "5000", "-k", "450", "--out", tmp_path / "prof"]
    assert run("select", folder / "space.yaml", *words) == 2
    assert "-k: expected a number from 1 to that of the candidates, " in last_error(capsys)
