"""The card inside a checkpoint: how it begins, how it is read, and what it forbids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from latpred.card import METRIC_UNITS, PredictorCard, library_versions
from latpred.datamodule import LatencyDataModule
from latpred.errors import CardError
from latpred.intervals import fit_domain

CARD_KEY = "latpred_card"
"""Where a checkpoint keeps its card, as JSON text."""


def new_card(
    data: LatencyDataModule,
    *,
    predictor: str,
    parameters: dict[str, Any],
    unmeasured_ids: list[int],
    batch_chunk: int | None,
) -> PredictorCard:
    """Return the card of a predictor that is about to be trained on `data`.

    Args:
        data: After `fit_chain`.
        predictor: Registered name.
        parameters: Its constructor's arguments, in JSON form.
        unmeasured_ids: Ids of primitives without a measurement.
        batch_chunk: Encodings that its net should be asked for at once; None for all.
    """
    training, held_out = (data.batch(part).ids.numpy() for part in ("train", "val"))
    return PredictorCard(
        predictor=predictor,
        predictor_parameters=parameters,
        chain=data.preprocessors,
        metric=data.metric,
        unit=METRIC_UNITS[data.metric],
        space=data.card.space,
        device=data.card.device,
        vocabulary=data.vocabulary,
        unmeasured_ids=unmeasured_ids,
        slots=data.space.slots,
        batch_chunk=batch_chunk,
        dataset=data.path.name,
        dataset_version=data.version_read,
        split=asdict(data.split),
        training_network_ids=data.network_ids("train"),
        errors={},
        fit_seconds=0.0,
        versions=library_versions(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        domain=fit_domain(data.vocabulary, training, held_out),
    )


def read_card(checkpoint: Mapping[str, Any], where: str, predictor: str | None = None) -> PredictorCard:
    """Return the card in a checkpoint.

    Raises:
        CardError: If there is none, or it belongs to another predictor than `predictor`.
    """
    if CARD_KEY not in checkpoint:
        raise CardError(where, "expected a checkpoint of latpred, found one without a card", "Fit a predictor first")
    card = PredictorCard.from_json(checkpoint[CARD_KEY], where)
    if predictor is not None and card.predictor != predictor:
        problem = f"expected a checkpoint of predictor '{predictor}', found one of '{card.predictor}'"
        raise CardError(where, problem, "Take the configuration it was fitted with")
    return card


def check_same_use(card: PredictorCard, data: LatencyDataModule) -> None:
    """Refuse to use a predictor on a dataset of another space, device or metric.

    Raises:
        CardError: Naming both.
    """
    where, remedy = str(data.path), "Take a dataset and a checkpoint that belong together"
    if difference := card.space.describe_difference(data.card.space):
        raise CardError(where, f"the checkpoint and the dataset have different spaces: {difference}", remedy)
    if card.device != data.card.device:
        problem = f"the checkpoint is for the device '{card.device}', the dataset is of '{data.card.device}'"
        raise CardError(where, problem, remedy)
    if card.metric != data.metric:
        problem = (
            f"the checkpoint predicts {card.metric} in {card.unit}, "
            f"the data is {data.metric} in {METRIC_UNITS[data.metric]}"
        )
        raise CardError(where, problem, remedy)
