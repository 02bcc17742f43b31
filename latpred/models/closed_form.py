"""Predictors that are solved at once, without gradients."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from latpred.models.base import LatencyPredictor
from latpred.preprocessing import Batch


class ClosedFormPredictor(LatencyPredictor):
    """A predictor that is solved from statistics of the training batches.

    `accumulate` sees each training batch once; `solve` then sets the net's buffers. Run it with `max_epochs: 1` and
    `num_sanity_val_steps: 0`.
    """

    def accumulate(self, batch: Batch) -> None:
        """Take the statistics of a training batch; nothing by default."""

    @abstractmethod
    def solve(self) -> None:
        """Set the net's buffers from the statistics."""

    def training_step(self, batch: list[Tensor], index: int) -> None:
        """Take statistics; there is no loss."""
        self.accumulate(Batch(*batch))

    def configure_optimizers(self) -> None:
        """Return nothing: there are no steps to optimise."""

    def on_validation_start(self) -> None:
        """Solve before the validation of a fit, which Lightning runs before `on_train_epoch_end`."""
        super().on_validation_start()
        if self.fitting:
            self.solve()
