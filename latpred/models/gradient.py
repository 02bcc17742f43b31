"""Predictors that are trained step by step."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import huber_loss

from latpred.errors import TrainingError
from latpred.models.base import LatencyPredictor
from latpred.preprocessing import Batch


class GradientPredictor(LatencyPredictor):
    """A predictor that learns the logarithm of the target with AdamW, weighted by how sure each label is.

    Differences of logarithms are relative errors, so quick and slow networks count alike.

    Args:
        lr: Learning rate at the start; it falls to 0 along a cosine.
        weight_decay: Of AdamW.
        huber: Relative error from which on the loss grows linearly, so that an outlier does not pull.
    """

    def __init__(self, lr: float, weight_decay: float, huber: float) -> None:
        super().__init__()
        for name, value in (("lr", lr), ("huber", huber)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a finite number above 0, got {value}")
        if not (math.isfinite(weight_decay) and weight_decay >= 0):
            raise ValueError(f"weight_decay must be a finite number of at least 0, got {weight_decay}")
        self.lr, self.weight_decay, self.huber = lr, weight_decay, huber

    @property
    def parameters_json(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"lr": self.lr, "weight_decay": self.weight_decay, "huber": self.huber}

    def losses(self, batch: Batch) -> Tensor:
        """Return the weighted loss of each network, [batch]."""
        predicted, target = self.net(batch.ids).log(), batch.target.log()
        return batch.weight * huber_loss(predicted, target, reduction="none", delta=self.huber)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Return the mean loss of a batch.

        Raises:
            TrainingError: If a loss is no finite number, naming the network.
        """
        networks = Batch(*batch)
        losses = self.losses(networks)
        if not torch.isfinite(losses).all():
            self._refuse(networks, losses)
        loss = losses.mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(losses))
        return loss

    def _refuse(self, batch: Batch, losses: Tensor) -> None:
        bad = int((~torch.isfinite(losses)).nonzero()[0])
        network_id = self.data.network_ids("train")[int(batch.row[bad])]
        raise TrainingError(
            f"network {network_id}",
            f"expected a finite loss in epoch {self.current_epoch}, found {float(losses[bad])} "
            f"for a {self.data.metric} of {float(batch.target[bad]):.6g}",
            f"Look at its runs, or lower the learning rate, now {self.lr}",
        )

    def log_validation(self, batch: Batch) -> None:
        """Log the mean loss of validation networks."""
        self.log("val/loss", self.losses(batch).mean(), on_epoch=True, batch_size=len(batch.ids))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW, whose rate falls along a cosine over all steps."""
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
