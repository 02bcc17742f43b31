"""Exported tables of the tiny space, whose predictions are the made-up latencies."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from fitting import fit
from measured import make_measured, tiny_space

from latpred.export import export
from latpred.models import TablePredictor


@pytest.fixture(scope="session")
def exports(tmp_path_factory) -> Path:
    """A folder with `cpu.ts`, `cpu.onnx`, and copies whose cards say `energy`, `phone` (device), `deep` (space)."""
    folder = tmp_path_factory.mktemp("search")
    make_measured(folder / "data", tiny_space(), networks=30, rounds=2, noise=0)
    predictor = fit(TablePredictor(), folder / "data")
    card = predictor.fitted_card
    export(predictor.net, card, folder / "cpu.ts", ["ts", "onnx"])
    parameters = card.space.parameters | {"depth_choice": [2]}
    for name, other in {
        "energy": replace(card, metric="energy_mj", unit="mJ"),
        "phone": replace(card, device=replace(card.device, hardware="Test Phone")),
        "deep": replace(card, space=replace(card.space, parameters=parameters)),
    }.items():
        export(predictor.net, other, folder / f"{name}.ts", ["ts"])
    return folder


@pytest.fixture
def architectures() -> list:
    space, rng = tiny_space(), Random(3)
    return [space.sample(rng) for _ in range(8)]
