"""Measurements that others made and published, as datasets of latpred."""

from __future__ import annotations

from latpred.dataset.importers.awnas import read_awnas
from latpred.dataset.importers.base import (
    Imported,
    ImportedDevice,
    ImportedRun,
    unknown_device,
    with_facts,
)
from latpred.dataset.importers.csv_file import read_csv
from latpred.dataset.importers.help_files import read_help
from latpred.dataset.importers.hw_nas_bench import read_hw_nas_bench
from latpred.dataset.importers.latbench import read_latbench
from latpred.dataset.importers.nn_meter import read_nn_meter
from latpred.dataset.importers.write import check_targets, write_dataset

__all__ = [
    "Imported",
    "ImportedDevice",
    "ImportedRun",
    "check_targets",
    "read_awnas",
    "read_csv",
    "read_help",
    "read_hw_nas_bench",
    "read_latbench",
    "read_nn_meter",
    "unknown_device",
    "with_facts",
    "write_dataset",
]
