"""`latpred fit` on energy and memory, and without a session that was disturbed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cli_paths import ROOT
from measured import append_runs, make_measured, measured_runs, network_latency_ms, tiny_space
from synthetic import DEVICE

from latpred.cli import main
from latpred.dataset import Dataset
from latpred.estimator import Estimator
from latpred.export import export
from latpred.genprof import assemble, sampled
from latpred.models import load_checkpoint
from latpred.network import Network

SPACE = tiny_space()
NETWORKS = [*sampled(SPACE, 24, seed=0), *assemble(SPACE).networks]


def with_energy(path: Path, *, blocks: bool, networks: Sequence[Network] = NETWORKS) -> Path:
    """Make a dataset in which a run takes as many mJ as 3 times its ms, and as many MB as 5 times."""
    runs = [
        replace(
            run,
            overall_energy_mj=3 * run.overall_latency_ms,
            block_energy_mj=tuple(3 * value for value in run.block_latency_ms) if blocks else None,
            overall_memory_mb=5 * run.overall_latency_ms,
        )
        for run in measured_runs(networks, 2, noise=0.005)
    ]
    append_runs(Dataset.create(path, SPACE.card(), DEVICE), runs)
    return path


def fit_command(name: str, dataset: Path, runs: Path, *more: str) -> list[str]:
    command = ["fit", "--config", str(ROOT / f"configs/runs/{name}.yaml"), "--data.dataset", str(dataset)]
    return [*command, "--runs", str(runs), *more]


def estimator_of(runs: Path) -> Estimator:
    (checkpoint,) = runs.glob("checkpoints/*/*/*/best.ckpt")
    predictor = load_checkpoint(checkpoint)
    return Estimator(export(predictor.net, predictor.fitted_card, runs / "net", ["ts"])[0])


def errors_of(estimator: Estimator, factor: float) -> list[float]:
    """Return the relative errors on networks that were not measured."""
    fresh = sampled(SPACE, 60, seed=1)
    predicted = estimator.predict_batch([SPACE.from_json(network.architecture) for network in fresh])
    return [abs(p / (factor * network_latency_ms(n)) - 1) for p, n in zip(predicted, fresh, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table", "regression", "mlp"])
def test_energy_is_learned_from_blocks(tmp_path, name):
    dataset = with_energy(tmp_path / "data", blocks=True)
    more = ["--trainer.max_epochs", "2", "--trainer.check_val_every_n_epoch", "1"] if name == "mlp" else []
    assert main(fit_command(name, dataset, tmp_path / "runs", "--data.metric", "energy_mj", *more)) == 0
    estimator = estimator_of(tmp_path / "runs")
    assert (estimator.card.metric, estimator.card.unit) == ("energy_mj", "mJ")
    assert max(errors_of(estimator, 3)) < (0.15 if name == "mlp" else 0.02)


@pytest.mark.parametrize("name", ["table", "regression", "mlp", "lstm"])
def test_energy_is_learned_from_whole_networks(capsys, tmp_path, name):
    dataset = with_energy(tmp_path / "data", blocks=False, networks=sampled(SPACE, 80, seed=0))
    more = ["--trainer.max_epochs", "2", "--trainer.check_val_every_n_epoch", "1"] if name in ("mlp", "lstm") else []
    assert main(fit_command(name, dataset, tmp_path / "runs", "--data.metric", "energy_mj", *more)) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "no block has a value" in line]
    assert re.fullmatch(rf"{dataset}: no block has a value of energy_mj; the table is learned: 18 primitives, .*", line)
    estimator = estimator_of(tmp_path / "runs")
    assert (estimator.card.metric, estimator.card.unit) == ("energy_mj", "mJ")
    assert max(errors_of(estimator, 3)) < (0.15 if more else 0.03)


@pytest.mark.parametrize(
    ("name", "metric", "blocks", "code", "message"),
    [
        (
            "table",
            "memory_mb",
            True,
            2,
            r"step 'block_sum' needs block values, but memory_mb is a peak, which is no sum",
        ),
        ("mlp", "memory_mb", True, 2, r"step 'block_sum' needs block values, but memory_mb is a peak"),
    ],
)
def test_a_metric_that_the_chain_cannot_serve(capsys, tmp_path, name, metric, blocks, code, message):
    dataset = with_energy(tmp_path / "data", blocks=blocks)
    assert main(fit_command(name, dataset, tmp_path / "runs", "--data.metric", metric)) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert not list((tmp_path / "runs").glob("checkpoints/*/*/*/*.ckpt"))


def test_a_session_is_left_out(capsys, tmp_path):
    """In the second session, other programs made every run three times as long, and unevenly."""
    make_measured(tmp_path / "data", SPACE, networks=24, rounds=3, noise=0.002)
    append_runs(Dataset.open(tmp_path / "data"), measured_runs(NETWORKS, 12, session_id="s1", noise=0.8))
    errors = []
    for i, more in enumerate([[], ["--data.exclude_sessions", "[s1]"]]):
        assert main(fit_command("table", tmp_path / "data", tmp_path / f"{i}", *more)) == 0
        errors.append(max(errors_of(estimator_of(tmp_path / f"{i}"), 1)))
    assert errors[1] < 0.01 < 0.05 < errors[0]
    capsys.readouterr()
    assert main(fit_command("table", tmp_path / "data", tmp_path / "2", "--data.exclude_sessions", "[s1, s7]")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"expected sessions of {tmp_path}/data, found 's7'. Take some of s0, s1.")
