"""Runs on disk: the versioned dataset, its journal, its splits and its estimates."""

from __future__ import annotations

from latpred.dataset.estimate import (
    Estimation,
    estimate,
    estimates,
    label_noise,
    label_weights,
    run_columns,
    split_half_noise,
)
from latpred.dataset.info import DatasetInfo
from latpred.dataset.labelled import LabelledNetworks, label
from latpred.dataset.networks import MeasuredNetwork
from latpred.dataset.read import Measurements
from latpred.dataset.session import SessionWriter
from latpred.dataset.split import Part, Split, place_of, split_of
from latpred.dataset.store import Dataset
from latpred.dataset.table import Version

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Estimation",
    "LabelledNetworks",
    "MeasuredNetwork",
    "Measurements",
    "Part",
    "SessionWriter",
    "Split",
    "Version",
    "estimate",
    "estimates",
    "label",
    "label_noise",
    "label_weights",
    "place_of",
    "run_columns",
    "split_half_noise",
    "split_of",
]
