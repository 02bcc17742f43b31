"""The objective that asks predictors for latency, energy or memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latpred.card import METRIC_UNITS, PredictorCard
from latpred.device import Device
from latpred.errors import CardError, SearchError, UsageError
from latpred.search.objective import Column, Objective, as_column, shown
from latpred.spaces import SearchSpace


class BatchPredictor(Protocol):
    """What `HardwareObjective` needs of a predictor; `Estimator` is one, and has a card that can be checked too."""

    def predict_batch(self, architectures: Sequence[Any]) -> NDArray[Any]:
        """Return the predictions for `architectures`, [batch]."""


class HardwareObjective(Objective):
    """What architectures cost on one device, by predictors; reward and loss are 0, for a container to weigh.

    Args:
        estimators: A predictor for each performance. The name of a performance is its metric, or ends in one
            (`latency_ms`, `phone_latency_ms`), so that its unit can be read; an estimator of another metric or unit is
            refused. Estimators of two devices or spaces make two objectives.
        space: Refuse estimators of another space.
        device: Refuse estimators of another device.

    Raises:
        CardError: If an estimator is not what its name, `space` or `device` asks for; naming both.
        UsageError: If there is no estimator, a name has no metric, or a predictor without a card cannot be checked.
    """

    def __init__(
        self,
        estimators: Mapping[str, BatchPredictor],
        *,
        space: SearchSpace[Any] | None = None,
        device: Device | None = None,
    ) -> None:
        if not estimators:
            raise UsageError("estimators", "expected at least one estimator, found none", "Give one by its metric")
        self.estimators = dict(estimators)
        self.perf_names = tuple(self.estimators)
        expected_space, expected_device = None if space is None else space.card(), device
        for name, estimator in self.estimators.items():
            where, card = _where(name, estimator), _card(estimator)
            if card is None:
                if space is not None or device is not None:
                    problem = f"expected an estimator whose card tells its space and device, found {shown(estimator)}"
                    raise UsageError(where, problem, "Leave out space and device, or give what `latpred.load` returns")
                continue
            _check_metric(name, where, card)
            expected_space = expected_space or card.space
            if difference := expected_space.describe_difference(card.space):
                problem = f"expected an estimator of the asked space, found another: {difference}"
                raise CardError(where, problem, "Give an estimator of that space")
            expected_device = expected_device or card.device
            if card.device != expected_device:
                problem = f"expected an estimator of the device '{expected_device}', found one of '{card.device}'"
                raise CardError(where, problem, "Give an estimator of that device, or make an objective for each")
        self.space, self.device = expected_space, expected_device

    def perfs(self, architectures: Sequence[Any]) -> dict[str, Column]:
        """Predict `architectures`, in the unit that each name tells.

        Raises:
            SearchError: If a prediction is no finite number, naming the architecture.
        """
        return {name: self._predict(name, estimator, architectures) for name, estimator in self.estimators.items()}

    def _predict(self, name: str, estimator: BatchPredictor, architectures: Sequence[Any]) -> Column:
        column = as_column(estimator.predict_batch(architectures), architectures, name)
        if not (finite := np.isfinite(column)).all():
            place = int(finite.argmin())
            problem = f"expected a finite prediction for {shown(architectures[place])}, found {column[place]}"
            raise SearchError(name, problem, 'Profile what is unmeasured, or load with missing="estimate"')
        return column


def _where(name: str, estimator: BatchPredictor) -> str:
    path = getattr(estimator, "path", None)
    return name if path is None else f"{name} ({path})"


def _card(estimator: BatchPredictor) -> PredictorCard | None:
    card = getattr(estimator, "card", None)
    return card if isinstance(card, PredictorCard) else None


def _check_metric(name: str, where: str, card: PredictorCard) -> None:
    """Refuse an estimator of another metric or unit than the performance's name tells."""
    metric = next((metric for metric in METRIC_UNITS if name == metric or name.endswith(f"_{metric}")), None)
    if metric is None:
        problem = f"expected a name that is or ends in one of {', '.join(METRIC_UNITS)}, found '{name}'"
        raise UsageError("estimators", problem, f"Call it {card.metric}")
    if (card.metric, card.unit) != (metric, METRIC_UNITS[metric]):
        expected, found = f"{metric} in {METRIC_UNITS[metric]}", f"{card.metric} in {card.unit}"
        raise CardError(where, f"expected an estimator of {expected}, found one of {found}", "Give one of that metric")
