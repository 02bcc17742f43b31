"""Predictors side by side, on the same held-out networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latpred.card import PredictorCard
from latpred.dataset import Dataset, Measurements, Split, estimates
from latpred.errors import CardError, SplitError, UsageError
from latpred.estimator import intervals_of, load_net, predict_in_chunks
from latpred.export import with_calibration
from latpred.intervals import fewest_networks
from latpred.models import load_checkpoint
from latpred.models.calibrating import COVERAGE, IntervalScores
from latpred.models.metrics import prediction_metrics
from latpred.spaces import space_from_card

MIN_NETWORKS = 2
"""Fewest networks to compare on: rank correlations need two."""
_RANKS = ("spearman", "kendall")  # which a constant answer does not have
_BATCH, _FEWEST_TIMES, _TIMED_S = 4096, 3, 0.2


@dataclass(frozen=True)
class Row:
    """One line of the comparison."""

    name: str
    path: Path | None
    """None for the constant answer."""
    metrics: dict[str, float]
    """On the held-out networks; fractions."""
    val_mape: float | None
    """On the predictor's own validation networks, from its card."""
    us_per_prediction: float | None
    """Of encodings in batches of 4096, on one thread."""
    fit_seconds: float | None


@dataclass(frozen=True)
class Comparison:
    """All predictors, and what their errors must be held against."""

    rows: tuple[Row, ...]
    networks: int
    """Held-out networks that all predictors were scored on."""
    uncovered: int
    """Held-out networks left out, because some predictor cannot answer for them."""
    label_noise: float
    """Of the held-out networks, a fraction; NaN where none has runs in odd and in even rounds."""

    @property
    def best(self) -> Row | None:
        """The predictor with the least error on validation networks: choosing by the test would flatter it.

        None if no card has that error.
        """
        rows = [row for row in self.rows if row.val_mape is not None]
        return min(rows, key=lambda row: row.val_mape or 0.0) if rows else None


def compare(dataset: Dataset, paths: Sequence[Path]) -> Comparison:
    """Score checkpoints and exports on networks that none of them was trained or chosen on.

    Raises:
        UsageError: If no predictor is given, or one twice.
        CardError: If a predictor is of another space, device or metric than the dataset or the first one.
        SplitError: If fewer than two networks are left.
    """
    if not paths or len(set(paths)) != len(paths):
        raise UsageError(
            "predictors", f"expected each predictor once, at least one, found {len(paths)}", "Mend the list"
        )
    loaded = [_load(path) for path in paths]
    cards = [card for _, card in loaded]
    for path, card in zip(paths, cards, strict=True):
        _check(path, card, dataset, cards[0])
    read = dataset.read(cards[0].metric)
    table = estimates(read)
    held_out = _held_out(read, cards)
    ids = _encode(read, held_out, cards[0])
    answers = [predict_in_chunks(net, ids, card.batch_chunk).astype(np.float64) for net, card in loaded]
    covered = np.logical_and.reduce([np.isfinite(answer) for answer in answers])
    if covered.sum() < MIN_NETWORKS:
        problem = f"expected at least {MIN_NETWORKS} networks that no predictor was trained on and all can answer for"
        found = f"found {covered.sum()} of {len(held_out)} held-out ones"
        raise SplitError(str(dataset.path), f"{problem}, {found}", "Fit with the same split, on more networks")
    target = table["estimate"].loc[held_out].to_numpy()[covered]
    rows = [
        Row(_name(path, card), path, score(answer[covered], target) | interval_score(net, card, ids[covered], target),
            card.errors.get("val", {}).get("mape"),
            _speed(net, ids, card.batch_chunk), card.fit_seconds)
        for (net, card), path, answer in zip(loaded, paths, answers, strict=True)
    ]  # fmt: skip
    trained = table.loc[table["network_id"].isin(cards[0].training_network_ids), "estimate"]
    if len(trained):  # none in a dataset without the first predictor's training networks
        errors = score(np.full(len(target), trained.median()), target)
        errors = {name: value for name, value in errors.items() if name not in _RANKS}
        rows.append(Row("constant (median of training)", None, errors, None, None, None))
    noise = float(table["noise"].loc[held_out][covered].mean())
    return Comparison(tuple(rows), int(covered.sum()), int((~covered).sum()), noise)


def score(predicted: NDArray[np.float64], target: NDArray[np.float64]) -> dict[str, float]:
    """Return the metrics of predictions, [networks] both."""
    metrics = prediction_metrics("")
    metrics.update(torch.from_numpy(predicted), torch.from_numpy(target))
    return {name: float(value) for name, value in metrics.compute().items()}


def interval_score(
    net: Callable[[Tensor], Tensor], card: PredictorCard, ids: NDArray[np.int64], target: NDArray[np.float64]
) -> dict[str, float]:
    """Return how good the intervals of encodings [networks, slots] are; nothing for a net that has none."""
    calibration = card.calibration
    if calibration is None or card.domain is None or len(calibration.scores) < fewest_networks(COVERAGE):
        return {}
    found = intervals_of(net, card, ids, COVERAGE, card.predictor)
    metric = IntervalScores()
    metric.update(torch.from_numpy(found.lower), torch.from_numpy(found.upper), torch.from_numpy(target))
    return {name: float(value) for name, value in metric.compute().items()}


def _load(path: Path) -> tuple[Callable[[Tensor], Tensor], PredictorCard]:
    if path.suffix == ".ckpt":
        predictor = load_checkpoint(path)
        return with_calibration(predictor.net, predictor.fitted_card), predictor.fitted_card
    return load_net(path)


def _name(path: Path, card: PredictorCard) -> str:
    return card.predictor if path.suffix == ".ckpt" else f"{card.predictor} ({path.name})"


def _check(path: Path, card: PredictorCard, dataset: Dataset, first: PredictorCard) -> None:
    if difference := card.space.describe_difference(dataset.card.space):
        problem = f"the predictor and the dataset have different spaces: {difference}"
        raise CardError(str(path), problem, "Compare predictors of the dataset's space")
    if card.device != dataset.card.device:
        problem = f"the predictor is for '{card.device}', the dataset is of '{dataset.card.device}'"
        raise CardError(str(path), problem, "Compare predictors of the dataset's device")
    if card.metric != first.metric:
        problem = f"the predictor is of {card.metric} in {card.unit}, the first one of {first.metric} in {first.unit}"
        raise CardError(str(path), problem, "Compare predictors of one metric")


def _held_out(read: Measurements, cards: Sequence[PredictorCard]) -> list[int]:
    """Return the codes of the architectures that are in the test of every predictor's split."""
    splits = [Split(**card.split) for card in cards]
    trained = {network_id for card in cards for network_id in card.training_network_ids}
    return [
        code
        for code, network in enumerate(read.networks)
        if not network.assembled
        and network.network_id not in trained
        and all(split.part_of(network.network_id) == "test" for split in splits)
    ]


def _encode(read: Measurements, codes: Sequence[int], card: PredictorCard) -> NDArray[np.int64]:
    space = space_from_card(card.space)
    rows = [space.slot_ids(space.from_json(read.networks[code].architecture)) for code in codes]
    return np.array(rows, dtype=np.int64).reshape(len(rows), card.slots)


def _speed(net: Callable[[Tensor], Tensor], ids: NDArray[np.int64], chunk: int | None) -> float:
    """Return the us that an encoding takes in batches of 4096, on one thread."""
    batch = np.tile(ids, (_BATCH // len(ids) + 1, 1))[:_BATCH]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        predict_in_chunks(net, batch, chunk)
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < _FEWEST_TIMES or time.perf_counter() - begin < _TIMED_S:
            start = time.perf_counter()
            predict_in_chunks(net, batch, chunk)
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return 1e6 * float(np.median(times)) / _BATCH
