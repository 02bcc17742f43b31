"""A predictor from an installed package: fitted, exported and read back by its name."""

import subprocess
import sys

import pytest
import yaml
from cli_paths import ROOT, TABLE
from measured import make_measured, tiny_space

PACKAGE = '''
"""A predictor that adds a tenth to the table."""

from typing import ClassVar

from torch import Tensor, nn

from latpred.models import TablePredictor


class TenthMore(nn.Module):
    def __init__(self, front: nn.Module) -> None:
        super().__init__()
        self.front = front

    def forward(self, ids: Tensor) -> Tensor:
        return 1.1 * self.front(ids)


class TenthMorePredictor(TablePredictor):
    name: ClassVar[str] = "tenth_more"

    def make_net(self, front, table, slots):
        return TenthMore(front)
'''

PROGRAM = """
import sys
from pathlib import Path
import latpred
from latpred.cli import main

config, dataset, table, runs = sys.argv[1:]
assert main(["fit", "--config", table, "--data.dataset", dataset, "--runs", runs]) == 0
assert main(["fit", "--config", config, "--data.dataset", dataset, "--runs", runs]) == 0
answers = {}
for name in ("table", "tenth_more"):
    (checkpoint,) = Path(runs).glob(f"checkpoints/*/{name}/*/best.ckpt")
    assert main(["export", str(checkpoint), "--out", f"{runs}/{name}.ts"]) == 0
    estimator = latpred.load(f"{runs}/{name}.ts")
    assert estimator.card.predictor == name
    from random import Random
    answers[name] = estimator(estimator.space.sample(Random(0)))
assert abs(answers["tenth_more"] / answers["table"] - 1.1) < 1e-5, answers
"""


@pytest.mark.slow
def test_a_predictor_of_an_installed_package(tmp_path):
    site = tmp_path / "site"
    (site / "tenth_more-1.0.dist-info").mkdir(parents=True)
    (site / "tenth_more.py").write_text(PACKAGE)
    (site / "tenth_more-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: tenth-more\nVersion: 1.0\n")
    entry = "[latpred.models]\ntenth_more = tenth_more:TenthMorePredictor\n"
    (site / "tenth_more-1.0.dist-info/entry_points.txt").write_text(entry)
    make_measured(tmp_path / "data", tiny_space(), networks=30, rounds=2, seed=0)
    config = yaml.safe_load((ROOT / "configs/runs/table.yaml").read_text())
    config["model"] = {"class_path": "tenth_more.TenthMorePredictor"}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    arguments = [f"{tmp_path}/run.yaml", f"{tmp_path}/data", TABLE, f"{tmp_path}/runs"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={"PYTHONPATH": f"{site}:{ROOT}", "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
