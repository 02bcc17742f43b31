"""Every shipped configuration works as it stands."""

import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
import yaml
from chain_space import ChainSpace
from cli_paths import ROOT
from fitting import fit
from measured import make_measured, tiny_space

from latpred.cli import main
from latpred.config import read_yaml
from latpred.errors import ProfilingError
from latpred.export import export
from latpred.models import TablePredictor
from latpred.profiling import load_device, profile
from latpred.profiling.runtimes import TorchCuda
from latpred.search import load_objective
from latpred.shipped import configs_folder, shipped_config, shipped_names
from latpred.spaces import load_space

KINDS = sorted(path.name for path in (ROOT / "configs").iterdir())


def test_every_kind_of_configuration_has_a_test_here():
    assert KINDS == ["devices", "hardware", "runs", "search", "spaces"]  # hardware: tests/hardware


@pytest.mark.parametrize("name", shipped_names("spaces"))
def test_space(name):
    space = load_space(shipped_config("spaces", name))
    architecture = space.sample(Random(0))
    assert set(space.primitives(architecture)) <= space.all_primitives()


def test_the_reference_space_has_92_primitives():
    assert len(load_space(shipped_config("spaces", "mnasnet_ofa_112")).all_primitives()) == 92


@pytest.mark.parametrize("name", [name for name in shipped_names("devices") if name.startswith("cpu_")])
def test_device(name):
    config = load_device(shipped_config("devices", name))
    device = config.resolve()
    assert (f"cpu_{device.runtime}", device.threads) == (name, 1)
    space = ChainSpace()
    quick = replace(config, measuring=replace(config.measuring, min_warmup_s=0, max_warmup_s=0))
    runs = list(profile([space.network(("conv",))], space, quick, 1, session_id="s"))
    assert [(run.status, run.reason) for run in runs] == [("ok", None)]


def test_gpu():
    config = load_device(shipped_config("devices", "gpu_torch"))
    assert config.runtime is TorchCuda
    if not torch.cuda.is_available():
        with pytest.raises(ProfilingError, match=r"device\.hardware: expected"):
            config.resolve()


@pytest.mark.parametrize("name", [name for name in shipped_names("runs") if name not in ("auto", "ensemble")])
def test_run(name, tmp_path):
    """`auto` and `ensemble` are run by tests/cli/test_auto.py."""
    make_measured(tmp_path / "data", tiny_space(), networks=30, rounds=2, seed=0)
    config = shipped_config("runs", name)
    command = ["fit", "--config", str(config), "--data.dataset", f"{tmp_path}/data", "--runs", str(tmp_path)]
    command += ["--trainer.max_epochs", "1"]
    if "check_val_every_n_epoch" in read_yaml(config)["trainer"]:  # 5: one epoch would have no validation, and no best
        command += ["--trainer.check_val_every_n_epoch", "1"]
    assert main(command) == 0
    (checkpoint,) = tmp_path.glob("checkpoints/*/*/*/best.ckpt")
    assert checkpoint.parts[-3] == name  # `genmodel --model NAME` finds the run by the predictor's name


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names("search"))
def test_search(name, tmp_path):
    """Its comments tell what to put beside it: an export of the space that it names."""
    shutil.copytree(configs_folder(), tmp_path / "configs")
    config = tmp_path / "configs" / "search" / f"{name}.yaml"
    (hardware,) = [
        part["parameters"]
        for part in read_yaml(config)["parameters"]["sub_objectives"]
        if part["objective"] == "hardware"
    ]
    space = load_space(config.parent / hardware["space"])
    make_measured(tmp_path / "data", space, networks=10, rounds=1, seed=0, noise=0)
    table = fit(TablePredictor(), tmp_path / "data")
    for metric, path in hardware["estimators"].items():
        assert metric == table.fitted_card.metric
        export(table.net, table.fitted_card, config.parent / path, [Path(path).suffix[1:]])
    objective = load_objective(config, accuracy=lambda _: 0.75)
    architectures = [space.sample(Random(seed)) for seed in range(3)]
    assert objective.perfs(architectures)["accuracy"].tolist() == [0.75] * 3
    assert len(set(objective.fitness(architectures))) == 3


def test_the_configurations_are_found_in_a_checkout():
    assert configs_folder() == ROOT / "configs"


@pytest.mark.slow
def test_the_wheel_holds_them(tmp_path):
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        for path in (ROOT / "configs").rglob("*.yaml"):
            assert f"latpred/{path.relative_to(ROOT)}" in names
        assert "latpred/py.typed" in names
        assert not [name for name in names if name.split("/")[0] not in ("latpred", "latpred-0.1.0.dist-info")]
        text = content.read("latpred/configs/spaces/mnasnet_ofa_112.yaml").decode()
    assert yaml.safe_load(text) == yaml.safe_load(Path(ROOT / "configs/spaces/mnasnet_ofa_112.yaml").read_text())
