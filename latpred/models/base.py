"""LatencyPredictor: the steps, metrics and checkpoint that all predictors share."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import lightning
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from latpred.card import PredictorCard
from latpred.datamodule import LatencyDataModule
from latpred.dataset import Part
from latpred.errors import ArtefactError, SplitError, UnmeasuredError
from latpred.models.calibrating import HeldOutErrors, IntervalScores, bounds
from latpred.models.cards import CARD_KEY, check_same_use, new_card, read_card
from latpred.models.metrics import prediction_metrics
from latpred.preprocessing import Batch, BlockTable, Chain


class LatencyPredictor(lightning.LightningModule):
    """Trains `net`, a plain module that is all that is exported.

    A predictor states its facts as class attributes and makes its net in `make_net`; how it is trained is in its base,
    `GradientPredictor` or `ClosedFormPredictor`.
    """

    name: ClassVar[str]
    """Registered name, which cards keep."""
    needs: ClassVar[frozenset[str]]
    """What the chain of preprocessors must give."""
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]]
    """The chains that work, as the documentation lists them."""

    batch_chunk: ClassVar[int | None] = None
    """Networks that the net should be asked for at once, for speed; None for as many as there are."""

    net: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.card: PredictorCard | None = None
        self.val_metrics = prediction_metrics("val/")
        self.test_metrics = prediction_metrics("test/")
        self.test_intervals = IntervalScores()

    @property
    def parameters_json(self) -> dict[str, Any]:
        """The constructor's arguments in JSON form, which the card keeps; none by default."""
        return {}

    @abstractmethod
    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> nn.Module:
        """Return the net: ids [batch, slots] to predictions [batch].

        Called before training with fitted parts, and when a checkpoint is loaded with unfitted ones, whose buffers
        are then filled from the checkpoint.

        Args:
            front: The module of the chain's last net step.
            table: The block table, which `front` holds too.
            slots: Length of an encoding.
        """

    def prepare(self, batch: Batch) -> None:
        """Set what the net takes from all training networks at once, such as standardizations; nothing by default."""

    @property
    def fitted_card(self) -> PredictorCard:
        """The card, which a predictor has from its fit or its checkpoint.

        Raises:
            ArtefactError: If it has neither.
        """
        if self.card is None:
            problem = "expected a fitted predictor, found one that was neither fitted nor loaded"
            raise ArtefactError(f"predictor '{self.name}'", problem, "Fit it, or give --ckpt_path .../best.ckpt")
        return self.card

    @property
    def data(self) -> LatencyDataModule:
        """The data module of the running trainer."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, LatencyDataModule):
            raise TypeError(f"expected a LatencyDataModule, got {type(data).__name__}")
        return data

    @property
    def fitting(self) -> bool:
        """Whether the trainer fits; validation runs inside a fit, too."""
        return self.trainer.state.fn == TrainerFn.FITTING

    def setup(self, stage: str) -> None:
        """Build the net before training; for validation and test, it comes with the checkpoint."""
        if stage != "fit":
            return
        data = self.data
        data.chain.check(self.name, self.needs, self.legal_chains, data.metric)
        table = data.fit_chain()
        self.net = self.make_net(data.chain.front(table), table, data.space.slots)
        with torch.no_grad():
            self.prepare(data.batch("train"))
        self.card = new_card(
            data,
            predictor=self.name,
            parameters=self.parameters_json,
            unmeasured_ids=self._unmeasured_ids(),
            batch_chunk=self.batch_chunk,
        )

    def restore(self, card: PredictorCard) -> None:
        """Build an unfitted net from a card; `load_state_dict` then fills it."""
        table = BlockTable(len(card.vocabulary))
        self.net = self.make_net(Chain(card.chain).front(table), table, card.slots)
        self.card = card

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots] to predictions [batch], in the metric's unit."""
        return self.net(ids)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the card beside the weights, with the errors on the validation networks."""
        card = replace(self.fitted_card, fit_seconds=time.monotonic() - self._fit_began)
        checkpoint[CARD_KEY] = card.with_errors("val", self._errors("val/")).to_json()

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Rebuild the net that the card describes."""
        self.restore(read_card(checkpoint, "checkpoint", self.name))

    def _errors(self, prefix: str) -> dict[str, float]:
        metrics = self.trainer.callback_metrics
        wanted = {str(name) for name in self.val_metrics}
        return {name.removeprefix(prefix): float(v) for name, v in metrics.items() if name in wanted}

    def covered(self, ids: Tensor) -> Tensor:
        """Return which networks of `ids`, [batch, slots], have only measured primitives, [batch]."""
        table = self._table()
        if table is None:
            return torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        return table.measured[ids + 1].all(1)

    def _table(self) -> BlockTable | None:
        """Return the net's block table; None for a net that works without."""
        tables = [module for module in self.net.modules() if isinstance(module, BlockTable)]
        return tables[0] if tables else None

    def _unmeasured_ids(self) -> list[int]:
        table = self._table()
        return [] if table is None else (~table.measured[1:]).nonzero().squeeze(1).tolist()

    def on_fit_start(self) -> None:
        """Look at the coverage before anything is trained."""
        self._fit_began = time.monotonic()
        self._held_out = HeldOutErrors()
        self._check_coverage("val")

    def on_validation_start(self) -> None:
        """Refuse to score what is no held-out network of this predictor's space, device and metric."""
        if not self.fitting:
            self._check_use("val")

    def on_test_start(self) -> None:
        """Refuse to score what is no held-out network of this predictor's space, device and metric."""
        self._check_use("test")

    def _check_use(self, split: Part) -> None:
        card, data = self.fitted_card, self.data
        check_same_use(card, data)
        trained = set(card.training_network_ids)
        ids = data.network_ids(split)
        if seen := [network_id for network_id in ids if network_id in trained]:
            raise SplitError(
                str(data.path),
                f"expected networks that the predictor was not trained on, "
                f"found {len(seen)} of {len(ids)} in '{split}' among its training networks, the first is {seen[0]}",
                f"Use the split it was trained with: {card.split}",
            )
        self._check_coverage(split)

    def _check_coverage(self, split: Part) -> None:
        """Refuse or announce held-out networks that cannot be predicted."""
        batch = self.data.batch(split)
        covered = self.covered(batch.ids.to(self.device))
        count = int((~covered).sum())
        if not count:
            return
        found = f"{count} of {len(covered)} networks in '{split}' hold a primitive that no training network has"
        if self.data.uncovered == "stop" or count == len(covered):
            remedy = "Profile the assembled networks of `latpred genprof`, or go on without with --data.uncovered drop"
            raise UnmeasuredError(str(self.data.path), found, remedy)
        print(f"{self.data.path}: {found}: left out")

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """Score a batch of validation networks."""
        networks = self._covered(Batch(*batch))
        predicted = self.net(networks.ids)
        self.val_metrics.update(predicted, networks.target)
        if self.fitting:
            self._held_out.add(self.net, networks, predicted)
        self.log_validation(networks)

    def test_step(self, batch: list[Tensor], index: int) -> None:
        """Score a batch of test networks."""
        networks = self._covered(Batch(*batch))
        predicted = self.net(networks.ids)
        self.test_metrics.update(predicted, networks.target)
        if found := bounds(self.net, self.fitted_card.calibration, networks.ids, predicted):
            self.test_intervals.update(*found, networks.target)

    def log_validation(self, batch: Batch) -> None:
        """Log more about validation networks than the metrics, such as a loss; nothing by default."""

    def _covered(self, batch: Batch) -> Batch:
        """Return those networks of a batch that can be predicted; the others were announced."""
        covered = self.covered(batch.ids)
        return Batch(*(column[covered] for column in batch))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of all validation networks, whose errors a fit keeps for intervals.

        The share of them inside their own intervals is what they were calibrated to, and not worth a line.
        """
        self._log_metrics(self.val_metrics)
        if self.fitting:
            self.card = replace(self.fitted_card, calibration=self._held_out.calibration())

    def on_test_epoch_end(self) -> None:
        """Log the metrics of all test networks, and how good the intervals are."""
        self._log_metrics(self.test_metrics)
        if self.test_intervals.update_called:
            self.log_dict({f"test/{name}": value for name, value in self.test_intervals.compute().items()})
            self.test_intervals.reset()

    def _log_metrics(self, metrics: Any) -> None:  # noqa: ANN401 - torchmetrics has no types
        values = metrics.compute()
        metrics.reset()
        if bad := [name for name, value in values.items() if not torch.isfinite(value)]:
            raise ArtefactError(
                f"predictor '{self.name}'",
                f"expected finite metrics, found {bad[0]} = {float(values[bad[0]])}",
                "Look at the training data: all predictions or all measurements may be equal",
            )
        self.log_dict(values)
