"""Makes what ships with latpred from a measured dataset: the dataset in one piece, and its predictor.

`python benchmarks/ship.py DATASET SPACE/HARDWARE/RUNTIME` writes the runs to `datasets/` as one version in one file,
lets `latpred auto` choose among all predictors, scores the chosen one on networks that nothing has seen, and writes it
to `latpred/pretrained` with what is known of the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from latpred.cli.auto import choose_predictor
from latpred.config import write_new
from latpred.dataset import Dataset
from latpred.dataset.schema import SCHEMA
from latpred.dataset.table import RunTable
from latpred.export import export
from latpred.models import load_checkpoint
from latpred.pretrained import SCHEMA_VERSION
from latpred.report.compare import Comparison, compare

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs/runs/auto.yaml"
# Runs of one network side by side: what they repeat (its blocks) is then written once. Readers sort by session anyway.
ORDER = [("network_id", "ascending"), ("session_id", "ascending"), ("sequence", "ascending")]


def in_one_piece(source: Path, target: Path) -> Dataset:
    """Write a dataset's newest version to a new folder as one commit, with its card and its sessions' records."""
    Dataset.open(source)  # commits what a killed session left
    draft = target.with_name(f".{target.name}")
    shutil.copytree(source, draft, ignore=lambda folder, _names: ["runs", "journal"] if Path(folder) == source else [])
    (draft / "journal").mkdir()
    RunTable.create(draft / "runs")
    rows = RunTable(source / "runs").read(SCHEMA.names)
    RunTable(draft / "runs").append(rows.take(pc.sort_indices(rows, ORDER)).combine_chunks().to_batches())
    draft.rename(target)
    return Dataset.open(target)


def machine_of(dataset: Dataset, note: str) -> dict[str, Any]:
    """Return what the sessions' records say of the machine."""
    found = [session["environment"] for session in dataset.sessions()]
    machines = [
        {
            "processor": environment["cpu_model"],
            "cores": environment["cores"],
            "memory_gib": round(environment["memory_kb"]["total"] / 2**20, 1),
            "virtualisation": environment["virtualisation"],
            "system": f"{environment['system']} {environment['kernel']}, {environment['machine']}",
            "note": note,
        }
        for environment in found
    ]
    if any(machine != machines[0] for machine in machines):
        raise SystemExit(f"expected sessions of one machine in {dataset.path}, found several")
    return machines[0]


def measured_in(dataset: Dataset, scored: Comparison) -> dict[str, Any]:
    """Return what was measured, when, and with how much noise."""
    info = dataset.info()
    if info.first_started_at is None or info.last_started_at is None:
        raise SystemExit(f"expected runs in {dataset.path}, found none")
    return {
        "dataset": dataset.path.name,
        "from": info.first_started_at.isoformat(timespec="seconds"),
        "to": info.last_started_at.isoformat(timespec="seconds"),
        "sampled": info.networks_sampled,
        "assembled": info.networks_assembled,
        "runs": info.runs_ok,
        "held_out": scored.networks,
        "label_noise": scored.label_noise,
    }


def ship(dataset: Dataset, target: Path, note: str) -> dict[str, float]:
    """Fit, choose, score and export; returns the errors on networks that nothing has seen."""
    with tempfile.TemporaryDirectory() as runs:
        arguments = ["--config", str(CONFIG), "--data.dataset", str(dataset.path), "--runs", runs]
        checkpoint = choose_predictor(arguments).checkpoint
        scored = compare(dataset, [checkpoint])
        predictor = load_checkpoint(checkpoint)
    errors = scored.rows[0].metrics
    export(predictor.net, predictor.fitted_card.with_errors("test", errors), target.with_suffix(".ts"), ["ts"])
    content = {
        "schema_version": SCHEMA_VERSION,
        "machine": machine_of(dataset, note),
        "measured": measured_in(dataset, scored),
    }
    write_new(target.with_suffix(".json"), json.dumps(content, indent=1, allow_nan=False) + "\n")
    return errors


def main() -> None:
    """Ship one dataset and its predictor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, help="what `latpred profile` measured")
    parser.add_argument("name", help="SPACE/HARDWARE/RUNTIME of the predictor")
    parser.add_argument("--note", required=True, help="what else is to be known of the machine, one sentence")
    options = parser.parse_args()
    target = ROOT / "latpred/pretrained" / options.name
    place = ROOT / "datasets" / options.dataset.resolve().name
    dataset = Dataset.open(place) if place.exists() else in_one_piece(options.dataset, place)
    target.parent.mkdir(parents=True, exist_ok=True)
    errors = ship(dataset, target, options.note)
    print(f"{options.name}: MAPE {100 * errors['mape']:.2f} % on held-out networks")


if __name__ == "__main__":
    main()
