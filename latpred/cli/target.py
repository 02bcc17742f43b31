"""The dataset that a command adds runs to."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from latpred.dataset import Dataset
from latpred.device import Device
from latpred.errors import CardError
from latpred.spaces import SearchSpace


def open_target(path: Path, space: SearchSpace[Any], device: Device) -> Dataset | None:
    """Open the dataset at `path`; None if there is none.

    Args:
        path: Of the dataset.
        space: Of the runs that are to be added.
        device: On which they are measured.

    Raises:
        CardError: If it is of another space or device.
    """
    if not path.exists():
        return None
    dataset = Dataset.open(path)
    if difference := dataset.card.space.describe_difference(space.card()):
        problem = f"the dataset and the new runs have different spaces: {difference}"
        raise CardError(str(path), problem, "Take another dataset: each is of one space")
    if dataset.card.device != device:
        problem = f"the dataset is of the device '{dataset.card.device}', the new runs of '{device}'"
        raise CardError(str(path), problem, "Take another dataset: another version of a runtime is another device")
    return dataset


def next_command(path: Path, metric: str) -> str:
    """Return the command that shows best what the dataset at `path` is good for, once it holds runs of a metric."""
    if metric == "memory_mb":  # a peak: a table would add it up
        return f"latpred dataset info {shlex.quote(str(path))}"
    chosen = "" if metric == "latency_ms" else f" --data.metric {metric}"
    return f"latpred fit --config configs/runs/table.yaml --data.dataset {shlex.quote(str(path))}{chosen}"
