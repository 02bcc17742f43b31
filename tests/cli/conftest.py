"""Fixtures of the command line: a small space, profiled for real once."""

from pathlib import Path

import pytest
from cli_paths import DEVICE, TABLE
from measured import tiny_space

from latpred.cli import main
from latpred.spaces import space_yaml


@pytest.fixture(scope="session")
def profiled(tmp_path_factory) -> Path:
    """A folder with `space.yaml`, `prof`, `sampled` and the dataset `cpu`, measured on this machine.

    Tests read it, and write elsewhere.
    """
    folder = tmp_path_factory.mktemp("profiled")
    (folder / "space.yaml").write_text(space_yaml(tiny_space()))
    commands = [
        ["genprof", f"{folder}/space.yaml", "--out", f"{folder}/prof"],
        ["genprof", f"{folder}/space.yaml", "--out", f"{folder}/sampled", "--num-sample", "24", "--seed", "0"],
        ["profile", f"{folder}/prof", f"{folder}/sampled", "--device", DEVICE, "--dataset", f"{folder}/cpu"],
    ]
    commands[-1] += ["--rounds", "3", "--seed", "0"]
    for command in commands:
        assert main(command) == 0
    return folder


@pytest.fixture(scope="session")
def fitted(profiled, tmp_path_factory) -> Path:
    """The checkpoint of a table on `profiled`."""
    runs = tmp_path_factory.mktemp("fitted")
    assert main(["fit", "--config", TABLE, "--data.dataset", f"{profiled}/cpu", "--runs", str(runs)]) == 0
    (checkpoint,) = runs.glob("checkpoints/*/table/*/best.ckpt")
    return checkpoint
