"""Finding predictors by name, and reading them back from checkpoints."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

import torch

from latpred.config import construct
from latpred.errors import ArtefactError, ConfigError
from latpred.models.base import LatencyPredictor
from latpred.models.block_sum_net import BlockSumNetPredictor
from latpred.models.cards import read_card
from latpred.models.ensemble import EnsemblePredictor
from latpred.models.gp import GPPredictor
from latpred.models.lstm import LSTMPredictor
from latpred.models.mlp import MLPPredictor
from latpred.models.regression import RegressionPredictor
from latpred.models.table import TablePredictor

ENTRY_POINTS = "latpred.models"
"""Group of entry points through which installed packages add predictors."""

BUILT_IN: Mapping[str, type[LatencyPredictor]] = MappingProxyType(
    {
        cls.name: cls
        for cls in (
            TablePredictor,
            RegressionPredictor,
            MLPPredictor,
            LSTMPredictor,
            BlockSumNetPredictor,
            GPPredictor,
            EnsemblePredictor,
        )
    }
)


def predictor_class(name: str) -> type[LatencyPredictor]:
    """Return the predictor registered under `name`, built in or from an installed package.

    Raises:
        ConfigError: If there is none, naming those there are.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    installed = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in installed:
        known = ", ".join(sorted(BUILT_IN.keys() | installed.keys()))
        remedy = f"Mend the name, or install the package that registers it under the entry point '{ENTRY_POINTS}'"
        raise ConfigError("predictor", f"unknown predictor '{name}', expected one of {known}", remedy)
    return installed[name].load()


def load_checkpoint(path: Path) -> LatencyPredictor:
    """Read a fitted predictor, in evaluation mode; nothing in the file is executed.

    Raises:
        ArtefactError: If the file is missing or cannot be read.
        CardError: If its card is missing, malformed or of another schema version.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ArtefactError(str(path), "expected a checkpoint, found nothing there", "Check the path") from None
    except (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        problem = f"expected a checkpoint, could not read it: {reason}"
        raise ArtefactError(str(path), problem, "Fit again, or restore the file from a copy") from None
    card = read_card(checkpoint, str(path))
    predictor = construct(predictor_class(card.predictor), card.predictor_parameters, f"{path}: predictor_parameters")
    predictor.restore(card)
    predictor.load_state_dict(checkpoint["state_dict"])
    return predictor.eval()


def installed_packages() -> list[str]:
    """Return the packages that register predictors, whose classes configurations may name."""
    return sorted({point.module.partition(".")[0] for point in entry_points(group=ENTRY_POINTS)})
