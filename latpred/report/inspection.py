"""What TensorBoard shows of a fit besides its losses and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure

from latpred.errors import UsageError
from latpred.models import LatencyPredictor, load_checkpoint
from latpred.preprocessing import BlockTable
from latpred.report.figures import block_errors, error_figure, scatter_figure, table_figure


class Inspection(Callback):
    """Log, when the fit is done, the best state's figures on the validation networks and its hyper-parameters."""

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write to TensorBoard, if the trainer logs there."""
        logger = trainer.logger
        if not isinstance(logger, TensorBoardLogger) or not isinstance(pl_module, LatencyPredictor):
            return
        best = _best(trainer)
        step = trainer.global_step
        for name, figure in figures(best, pl_module).items():
            logger.experiment.add_figure(name, figure, step)
        card = best.fitted_card
        parameters: dict[str, Any] = {"predictor": card.predictor, "chain": " ".join(map(str, card.chain))}
        parameters |= {name: _plain(value) for name, value in card.predictor_parameters.items()}
        parameters |= {"training_networks": len(card.training_network_ids), "dataset_version": card.dataset_version}
        final = {f"final/{name}": value for name, value in card.errors["val"].items()}
        logger.experiment.add_hparams(parameters, final, run_name=".")
        logger.experiment.flush()


def _best(trainer: lightning.Trainer) -> LatencyPredictor:
    callback = trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint) or not callback.best_model_path:
        problem = "Inspection needs a ModelCheckpoint that saved, found none"
        raise UsageError("trainer.callbacks", problem, "Add one to the YAML, before Inspection")
    return load_checkpoint(Path(callback.best_model_path))


def _plain(value: Any) -> Any:  # noqa: ANN401 - TensorBoard takes numbers, texts and truth values
    return value if isinstance(value, int | float | str | bool) else str(value)


def figures(best: LatencyPredictor, fitting: LatencyPredictor) -> dict[str, Figure]:
    """Return the figures of a predictor by their names in TensorBoard.

    Args:
        best: The predictor to look at.
        fitting: The one whose trainer has the data.
    """
    data, card = fitting.data, best.fitted_card
    batch = data.batch("val")
    covered = best.covered(batch.ids)
    with torch.inference_mode():
        predicted = best.net(batch.ids[covered]).double().numpy()
    measured = batch.target[covered].double().numpy()
    mape = card.errors["val"]["mape"]
    title = f"{card.predictor} on {len(measured)} validation networks, MAPE {100 * mape:.2f} %"
    drawn = {"val/predicted_vs_measured": scatter_figure(measured, predicted, card.unit, title)}
    tables = [module for module in best.net.modules() if isinstance(module, BlockTable)]
    if not tables:
        return drawn
    value = tables[0].value[1:].double().numpy()
    drawn["block_table"] = table_figure(value, card.vocabulary, card.unit)
    errors = block_errors(data.block_rows("val"), data.labelled.estimates, value, card.vocabulary)
    if len(errors):
        drawn["val/block_error_by_primitive_type"] = error_figure(errors, "kind", "table against held-out blocks")
        drawn["val/block_error_by_position"] = error_figure(errors, "position", "table against held-out blocks")
    return drawn
