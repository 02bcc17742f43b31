"""Fitting predictors in tests, as `latpred fit` does but without files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from latpred.datamodule import LatencyDataModule
from latpred.models import LatencyPredictor

TABLE_CHAIN = ["block_sum", "remove_anomaly", "flatten"]


def make_data(dataset: Path, chain: list[Any] | None = None, **options: Any) -> LatencyDataModule:
    """Return the data module of a dataset, with a quarter of the networks in validation and in test each."""
    settings = {"val": 0.25, "test": 0.25} | options
    return LatencyDataModule(str(dataset), chain or TABLE_CHAIN, **settings)


def make_trainer(checkpoints: Path | None = None, **options: Any) -> lightning.Trainer:
    """Return a quiet trainer that saves the best checkpoint to `checkpoints`, if given."""
    callbacks = []
    if checkpoints is not None:
        callbacks.append(ModelCheckpoint(checkpoints, filename="best", monitor="val/mape"))
    settings = {"max_epochs": 1, "num_sanity_val_steps": 0} | options
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=bool(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def fit(
    predictor: LatencyPredictor, dataset: Path, checkpoints: Path | None = None, max_epochs: int = 1, **options: Any
) -> LatencyPredictor:
    """Fit `predictor` on `dataset`, and return it in evaluation mode."""
    make_trainer(checkpoints, max_epochs=max_epochs).fit(predictor, datamodule=make_data(dataset, **options))
    return predictor.eval()


def in_torch_only_process(path: Path, ids: Tensor) -> Tensor:
    """Return what a `.ts` answers in a process that has torch, and in which latpred cannot be imported."""
    program = (
        "import sys, torch\n"
        "sys.modules['latpred'] = None\n"  # an import of it raises
        "net = torch.jit.load(sys.argv[1])\n"
        "torch.save(net(torch.load(sys.argv[2])), sys.argv[3])\n"
        "others = [m for m in sys.modules if m.split('.')[0] in ('lightning', 'pandas', 'torchmetrics')]\n"
        "assert not others, others\n"
    )
    files = [path, path.with_suffix(".in"), path.with_suffix(".out")]
    torch.save(ids, files[1])
    command = [sys.executable, "-W", "ignore", "-I", "-c", program, *map(str, files)]
    subprocess.run(command, check=True, cwd=path.parent)
    return torch.load(files[2], weights_only=True)
