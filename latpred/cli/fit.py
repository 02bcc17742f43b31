"""`latpred fit`, `latpred validate` and `latpred test`: LightningCLI on our predictor and data module."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jsonargparse
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from latpred.card import DatasetCard
from latpred.cli.parser import OneLineErrors
from latpred.datamodule import LatencyDataModule
from latpred.dataset import Dataset
from latpred.errors import ArtefactError, UsageError
from latpred.models import LatencyPredictor, load_checkpoint
from latpred.models.checkpoint import installed_packages
from latpred.report.tables import print_errors


class FitResult(NamedTuple):
    """What a fit made."""

    checkpoint: Path
    errors: dict[str, float]
    """Metrics on the validation networks, fractions."""
    data: LatencyDataModule
    """What it was fitted on."""


class _Parser(OneLineErrors, LightningArgumentParser):
    """LightningCLI's parser, with mistakes in one line."""


class _CLI(LightningCLI):
    """LightningCLI whose fits each write into a folder of their own."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for checkpoints and logs")

    def before_fit(self) -> None:
        """Point checkpoints and logs to a new folder: a second fit into one would keep the old best.ckpt."""
        data, model = self.datamodule, self.model
        card = Dataset.open(data.path, data.version).card
        runs = Path(self.config["fit"]["runs"])
        place = run_place(card, model.name)
        folder = new_folder(runs / "checkpoints" / place)
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined] # Lightning sets it, untyped
            if isinstance(callback, ModelCheckpoint):
                callback.dirpath = str(folder)
        logger = TensorBoardLogger(save_dir=runs / "logs" / place, name="", version=folder.name)
        self.trainer.loggers = [logger]

    def before_validate(self) -> None:
        """Score without writing anything."""
        self.trainer.loggers = []
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined] # Lightning sets it, untyped
        callbacks[:] = [callback for callback in callbacks if not isinstance(callback, ModelCheckpoint)]

    before_test = before_validate


def run_place(card: DatasetCard, name: str) -> Path:
    """Return where runs of `name` on that space and device lie, below `checkpoints` and `logs`."""
    return Path(f"{card.space.name}-{card.device.key}") / name


def new_folder(parent: Path) -> Path:
    """Make a folder named by the time, one that nobody else has."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise ArtefactError(str(parent), "expected a free folder name, found 999 taken", "Try again in a second")


@contextmanager
def _settings() -> Iterator[None]:
    """Let configurations name classes of latpred, lightning, torch and installed predictors only; hush Lightning."""
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=["latpred", "lightning", "torch", "torchmetrics", *installed_packages()],
    )
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    threads = torch.get_num_threads()
    # The nets are small: a second thread gains nothing, and on a busy machine waiting for it took 20 times as long.
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            # main() is called by tests and other commands, whose own arguments are in sys.argv.
            warnings.filterwarnings("ignore", r".*LightningCLI's args parameter.*")
            # Lightning 2.6 with jsonargparse 4.53 and torch 2.13.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"lightning\.pytorch\.cli")
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")
            # The callbacks of the fit are not needed to score.
            warnings.filterwarnings("ignore", r".*callbacks used to create the checkpoint need to be provided.*")
            # A predictor in closed form takes statistics in training_step and has no optimizer, on purpose.
            warnings.filterwarnings("ignore", r".*`training_step` returned `None`.*")
            warnings.filterwarnings("ignore", r".*configure_optimizers.*returned `None`.*")
            # All data is in memory as one tensor: worker processes would only cost.
            warnings.filterwarnings("ignore", r".*does not have many workers.*")
            warnings.filterwarnings("ignore", r".*number of training batches.*is smaller than the logging interval.*")
            yield
    finally:
        torch.set_num_threads(threads)


def _run(command: str, arguments: list[str]) -> _CLI:
    with _settings():
        return _CLI(
            LatencyPredictor,
            LatencyDataModule,
            subclass_mode_model=True,
            parser_class=_Parser,
            save_config_callback=None,
            auto_configure_optimizers=False,
            args=[command, *arguments],
            parser_kwargs={"prog": "latpred", "description": None},
        )


def fit_predictor(arguments: list[str]) -> FitResult:
    """Train a predictor as `latpred fit` with these arguments does."""
    cli = _run("fit", arguments)
    callback = cli.trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint) or not callback.best_model_path:
        raise UsageError(
            "trainer.callbacks", "expected a ModelCheckpoint, found none that saved", "Add one to the YAML"
        )
    best = Path(callback.best_model_path)
    return FitResult(best, load_checkpoint(best).fitted_card.errors["val"], cli.datamodule)


def _errors(cli: _CLI, prefix: str) -> dict[str, float]:
    metrics: dict[str, Any] = cli.trainer.callback_metrics
    return {name.removeprefix(prefix): float(v) for name, v in metrics.items() if name.startswith(prefix)}


def fit(arguments: list[str]) -> int:
    """Train a predictor on a dataset."""
    result = fit_predictor(arguments)
    print_errors({f"val: {result.checkpoint.parent.parent.name}": result.errors})
    if parts := result.data.error_parts(result.errors["rmspe"]):
        print(f"val: {parts}")
    print(f"checkpoint: {result.checkpoint}")
    print(f"next: latpred test {' '.join(arguments)} --ckpt_path {result.checkpoint}")
    print(f"      latpred export {result.checkpoint} --out runs/{result.checkpoint.parent.parent.name}.ts")
    return 0


def validate(arguments: list[str]) -> int:
    """Score a predictor on the validation networks."""
    return _score("validate", "val", arguments)


def test(arguments: list[str]) -> int:
    """Score a predictor on the held-out test networks."""
    return _score("test", "test", arguments)


def _score(command: str, split: str, arguments: list[str]) -> int:
    if not {"-h", "--help"} & set(arguments):
        load_checkpoint(_ckpt_path(arguments))  # a damaged file is refused here, before Lightning meets it
    cli = _run(command, [*arguments, "--verbose", "false"])  # our table instead of Lightning's
    print_errors({f"{split}: {cli.model.name}": _errors(cli, f"{split}/")})
    return 0


def _ckpt_path(arguments: list[str]) -> Path:
    """Return the value of --ckpt_path.

    Raises:
        UsageError: If there is none.
    """
    for i, word in enumerate(arguments):
        if word == "--ckpt_path" and i + 1 < len(arguments):
            return Path(arguments[i + 1])
        if word.startswith("--ckpt_path="):
            return Path(word.partition("=")[2])
    raise UsageError("--ckpt_path", "expected a checkpoint to score, found none", "Give --ckpt_path .../best.ckpt")
