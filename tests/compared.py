"""Fitted predictors to hold side by side, and copies of them with other cards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from fitting import TABLE_CHAIN, fit
from measured import make_measured, tiny_space

from latpred.models import MLPPredictor, RegressionPredictor, TablePredictor


def make_compared(folder: Path) -> Path:
    """Fill `folder` with the dataset `data` and the checkpoints `table.ckpt`, `regression.ckpt` and `mlp.ckpt`."""
    make_measured(folder / "data", tiny_space(), networks=60, rounds=4, seed=0, noise=0.05)
    torch.manual_seed(0)
    for predictor, more in (
        (TablePredictor(), []),
        (RegressionPredictor(), ["extract_sum_features"]),
        (MLPPredictor(hidden=(8,)), ["padding"]),
    ):
        fit(predictor, folder / "data", folder, chain=[*TABLE_CHAIN, *more])
        (folder / "best.ckpt").rename(folder / f"{predictor.name}.ckpt")
    return folder


def recarded(checkpoint: Path, out: Path, **fields: Any) -> Path:
    """Write a copy of `checkpoint` to `out`, whose card has other `fields`, in JSON form."""
    content = torch.load(checkpoint, weights_only=True)
    content["latpred_card"] = json.dumps(json.loads(content["latpred_card"]) | fields)
    torch.save(content, out)
    return out
