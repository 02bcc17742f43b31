"""`latpred auto`: fits a list of candidates, and keeps the best or their ensemble."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jsonargparse import ArgumentParser
from numpy.typing import NDArray

from latpred.cli.attempts import attempt_fit, fit_all
from latpred.cli.fit import new_folder, run_place
from latpred.cli.parser import command_parser, refuse_existing, seconds
from latpred.config import write_new
from latpred.datamodule import LatencyDataModule
from latpred.errors import ConfigError, TrainingError
from latpred.estimator import predict_in_chunks
from latpred.models import load_checkpoint
from latpred.preprocessing import Batch
from latpred.report.choice import Attempt, Choice, choose
from latpred.report.tables import print_choice
from latpred.shipped import shipped_config

ENSEMBLE = "ensemble"
"""Name of the ensemble among the candidates."""

_OF_CANDIDATES = {"preprocessors", "batch_size"}
"""Arguments of the data module that each candidate's own configuration gives."""


class Chosen(NamedTuple):
    """What `latpred auto` came to."""

    name: str
    checkpoint: Path
    """A copy of the chosen one, in the folder of this run of `latpred auto`."""
    choice: Choice


def run(arguments: list[str]) -> int:
    """Fit all predictors of a list, and keep the best or their ensemble."""
    options = _parser().parse_args(arguments)
    if options.json is not None:
        refuse_existing(options.json, "--json")
    began = time.monotonic()
    found = _choose(options)
    print_choice(found.choice)
    if options.json is not None:
        content = _to_json(found, time.monotonic() - began)
        write_new(options.json, json.dumps(content, indent=1, allow_nan=False) + "\n")
    print(f"checkpoint: {found.checkpoint}")
    print(f"next: latpred compare {options.data.dataset} {found.checkpoint}")
    print(f"      latpred export {found.checkpoint} --out runs/auto.ts")
    return 0


def choose_predictor(arguments: list[str]) -> Chosen:
    """Fit and choose as `latpred auto` with these arguments does."""
    return _choose(_parser().parse_args(arguments))


def _parser() -> ArgumentParser:
    parser = command_parser("auto", run)
    parser.add_argument("--config", action="config", help="YAML of what follows: configs/runs/auto.yaml")
    parser.add_argument("--candidates", type=list[str], required=True, help="shipped runs by name, or files beside it")
    parser.add_argument("--budget", default="10min", help="time for all fits, such as 90s, 10min or 2h")
    parser.add_argument("--ensemble", type=str | None, help="run configuration of the ensemble; null for none")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for checkpoints and logs")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    parser.add_class_arguments(LatencyDataModule, "data", skip=_OF_CANDIDATES)
    return parser


def _choose(options: Any) -> Chosen:  # noqa: ANN401 - jsonargparse's own namespace
    """Fit the candidates, choose, and copy the chosen checkpoint to a new folder's `best.ckpt`.

    Raises:
        UsageError: If the list is empty, names a configuration that is not there, or the budget is no duration.
        TrainingError: If no candidate could be fitted.
    """
    beside = Path(str(options.config[-1])).parent if options.config else Path()
    configs = _configs(options.candidates, beside)
    weighting = None if options.ensemble is None else _config(options.ensemble, beside)
    budget = seconds(options.budget, "--budget")
    data = LatencyDataModule(**vars(options.data), preprocessors=["block_sum"])
    data.setup("fit")
    folder = new_folder(options.runs / "checkpoints" / run_place(data.card, "auto"))
    # All see one version of the dataset, even if somebody adds to it meanwhile.
    values = vars(options.data) | {"version": data.version_read}
    shared = [f"--data.{key}={_text(value)}" for key, value in values.items() if value is not None]
    shared += ["--runs", str(folder / "candidates")]
    attempts = fit_all(configs, shared, budget)
    if all(attempt.checkpoint is None for attempt in attempts):
        reasons = "; ".join(f"{attempt.name}: {attempt.reason}" for attempt in attempts)
        problem = f"expected at least one candidate to be fitted, found none of {len(attempts)} ({reasons})"
        raise TrainingError(str(data.path), problem, "Mend what they lack, or add others")
    batch = data.batch("val")
    errors = [None if attempt.checkpoint is None else _errors(attempt.checkpoint, batch) for attempt in attempts]
    choice = choose(attempts, errors, batch.weight.double().numpy(), ensemble=weighting is not None)
    if weighting is not None and choice.left_out is not None:
        choice = _with_ensemble(choice, weighting, shared)
    shutil.copyfile(choice.chosen.checkpoint or "", folder / "best.ckpt")
    return Chosen(choice.chosen.name, folder / "best.ckpt", choice)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _configs(candidates: Sequence[str], beside: Path) -> dict[str, Path]:
    """Return the run configurations by name, in their order."""
    if not candidates:
        problem = "expected names of run configurations, found an empty list"
        raise ConfigError("candidates", problem, "Name some, such as table and block_sum_net")
    found: dict[str, Path] = {}
    for candidate in candidates:
        path = _config(candidate, beside)
        if path.stem in found or path.stem == ENSEMBLE:
            problem = f"expected single predictors, each name once, found '{path.stem}'"
            problem += " twice" if path.stem in found else ", which has its own key"
            raise ConfigError("candidates", problem, "Mend the list")
        found[path.stem] = path
    return found


def _config(candidate: str, beside: Path) -> Path:
    """Return the path of a run configuration: a shipped one by its name, or a file beside the list."""
    if Path(candidate).suffix not in (".yaml", ".yml"):
        return shipped_config("runs", candidate)
    path = beside / candidate
    if not path.is_file():
        raise ConfigError(str(path), "expected a run configuration, found no file there", "Mend the list")
    return path


def _errors(checkpoint: Path, batch: Batch) -> NDArray[np.float64]:
    """Return the relative errors of a predictor on networks, [networks]; NaN where it cannot answer."""
    predictor = load_checkpoint(checkpoint)
    answers = predict_in_chunks(predictor.net, batch.ids.numpy(), predictor.fitted_card.batch_chunk)
    return answers.astype(np.float64) / batch.target.double().numpy() - 1


def _with_ensemble(choice: Choice, config: Path, shared: Sequence[str]) -> Choice:
    """Return the choice with a line for the ensemble, which is fitted if it is to be taken."""
    attempt = Attempt(name=ENSEMBLE, config=str(config), status="not taken")
    if len(choice.members) > 1:
        members = json.dumps([str(member.checkpoint) for member in choice.members])
        attempt = attempt_fit(ENSEMBLE, config, [*shared, f"--model.members={members}"])
    attempt = replace(attempt, mape=choice.left_out, reason=attempt.reason or choice.reason)
    chosen = choice.chosen if attempt.checkpoint is None else attempt
    return choice._replace(attempts=(*choice.attempts, attempt), chosen=chosen)


def _to_json(found: Chosen, spent: float) -> dict[str, Any]:
    choice = found.choice
    return {
        "chosen": found.name,
        "checkpoint": str(found.checkpoint),
        "members": [member.name for member in choice.members],
        "networks": choice.networks,
        "seconds": spent,
        "rows": [attempt.to_json() for attempt in choice.attempts],
    }
