"""Predictors that are quick to fit, and intervals around what they say, by latpred, by crepes and by MAPIE."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from learned_table import learned
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import RidgeCV

from latpred.gaussian import AdditiveKernel, BlockFacts, block_costs, compress, count_blocks, fit
from latpred.intervals import calibrate, quantile
from latpred.models.gp_net import GPNet
from latpred.network import Network
from latpred.preprocessing import BlockTable
from latpred.preprocessing.features import primitive_features
from latpred.spaces import SearchSpace

COVERAGE = 0.9

Column = NDArray[np.float64]


class Predicted(NamedTuple):
    """What a predictor says of all networks of a device, [networks] each."""

    value: Column
    """In ms; NaN where it cannot say."""
    spread: Column | None = None
    """Its own standard deviations, if it has them."""


def by_ridge(space: SearchSpace[Any], networks: list[Network], value: Column, training: NDArray[np.int64]) -> Predicted:
    """Predict by scikit-learn's ridge on which primitive stands in which slot, and on how often each occurs."""
    ids = encodings(networks)
    size = len(space.vocabulary()) + 1
    slots = np.arange(ids.shape[1]) * size
    design = np.zeros((len(ids), ids.shape[1] * size), dtype=np.float32)
    np.put_along_axis(design, slots + ids + 1, 1.0, axis=1)
    counts = design.reshape(len(ids), -1, size).sum(1)
    design = design[:, np.ptp(design[training], axis=0) > 0]
    design = np.concatenate([design, counts[:, np.ptp(counts[training], axis=0) > 0]], axis=1)
    model = RidgeCV(np.logspace(-3, 3, 13)).fit(design[training], value[training], 1 / value[training] ** 2)
    return Predicted(model.predict(design).astype(np.float64))


def by_table(space: SearchSpace[Any], networks: list[Network], value: Column, training: NDArray[np.int64]) -> Predicted:
    """Predict by the table that is learned from whole networks."""
    return Predicted(learned(space, [networks[i] for i in training], value[training], networks)[0])


def by_gp(space: SearchSpace[Any], networks: list[Network], value: Column, training: NDArray[np.int64]) -> Predicted:
    """Predict by the net of `gp`, which knows its spread."""
    vocabulary, ids = space.vocabulary(), torch.from_numpy(encodings(networks)).long()
    counts, latency = count_blocks(ids[training], len(vocabulary)), torch.from_numpy(value[training])
    kernel = AdditiveKernel(BlockFacts.of(space, vocabulary), counts)
    posterior = fit(kernel, counts, latency, torch.ones_like(latency))
    table = BlockTable(len(vocabulary))
    tokens = list(vocabulary.token_ids.values())
    table.fill(np.full(len(vocabulary), np.nan), primitive_features(space, vocabulary), tokens)
    net = GPNet(table, ids.shape[1])
    net.take(posterior, compress(posterior), block_costs(posterior, ids[training]), float(latency.min()) / 2)
    with torch.inference_mode():
        chunks = [(net(chunk), net.spread(chunk)) for chunk in torch.split(ids, 512)]
    return Predicted(*(torch.cat(column).double().numpy() for column in zip(*chunks, strict=True)))


PREDICTORS: Mapping[str, Callable[..., Predicted]] = MappingProxyType(
    {"ridge": by_ridge, "table": by_table, "gp": by_gp}
)


def encodings(networks: list[Network]) -> NDArray[np.int64]:
    """Return the encodings of sampled networks, [networks, slots]."""
    return np.array([network.encoding for network in networks], dtype=np.int64)


class Bounds(NamedTuple):
    """Of one method on one draw: [networks] each."""

    lower: Column
    upper: Column


def ours(predicted: Predicted, value: Column, used: NDArray[np.int64], asked: NDArray[np.int64]) -> Bounds:
    """Return the intervals that an export of latpred gives."""
    spread = predicted.spread
    found = calibrate(predicted.value[used], value[used], None if spread is None else spread[used])
    unit = np.sqrt(np.maximum(predicted.value, 0)) if spread is None or found.scale == "root" else spread
    half = quantile(found.scores, COVERAGE, "benchmark") * unit[asked]
    middle = predicted.value[asked]
    return Bounds(np.maximum(middle - half, 0), middle + half)


def by_crepes(
    predicted: Predicted, value: Column, used: NDArray[np.int64], asked: NDArray[np.int64], difficulty: Column
) -> dict[str, Bounds]:
    """Return the intervals of crepes, by their name."""
    from crepes import ConformalRegressor
    from crepes.extras import binning

    middle, residual = predicted.value[asked], value[used] - predicted.value[used]
    classes, limits = binning(predicted.value[used], bins=3, seed=0)
    options: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "standard": ({}, {}),
        "normalized": ({"sigmas": difficulty[used]}, {"sigmas": difficulty[asked]}),
        "Mondrian": ({"bins": classes}, {"bins": binning(middle, bins=limits)}),
    }
    found = {}
    for name, (fitting, asking) in options.items():
        regressor = ConformalRegressor()
        regressor.fit(residual, **fitting)
        lower, upper = regressor.predict_int(middle, **asking, confidence=COVERAGE, y_min=0).T
        found[name] = Bounds(lower, upper)
    return found


# scikit-learn has no types.
class _Given(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predictions that are there already, for MAPIE: column 0 of what it is asked for."""

    fitted_ = True

    def fit(self, features: Column, value: Column) -> _Given:
        """Do nothing."""
        return self

    def predict(self, features: Column) -> Column:
        """Return the predictions."""
        return features[:, 0]


def by_mapie(
    predicted: Predicted, value: Column, used: NDArray[np.int64], asked: NDArray[np.int64], features: Column
) -> dict[str, Bounds]:
    """Return the intervals of MAPIE, by their name: its scores for a predictor that is given; none if not installed.

    Its absolute scores are crepes' standard ones. `gamma` are relative to the prediction; `residuals` are relative to
    what a linear regression, by default on a quarter of the calibration networks, says of them by their features.
    """
    if importlib.util.find_spec("mapie") is None:
        return {}
    from mapie.conformity_scores import GammaConformityScore, ResidualNormalisedScore
    from mapie.regression import SplitConformalRegressor

    rows = np.concatenate([np.maximum(predicted.value, 1e-9)[:, None], features], axis=1)
    scores = {"gamma": GammaConformityScore(), "residuals": ResidualNormalisedScore(random_state=0)}
    found = {}
    for name, score in scores.items():
        regressor = SplitConformalRegressor(_Given(), confidence_level=COVERAGE, conformity_score=score)
        regressor.conformalize(rows[used], value[used])
        bounds = regressor.predict_interval(rows[asked])[1][:, :, 0]
        found[f"MAPIE {name}"] = Bounds(np.maximum(bounds[:, 0], 0), bounds[:, 1])
    return found


def difficulties(features: Column, predicted: Column, value: Column, training: NDArray[np.int64]) -> Column:
    """Return crepes' estimates of how hard networks are, from the errors of the nearest training networks."""
    from crepes.extras import DifficultyEstimator

    estimator = DifficultyEstimator()
    residuals = np.abs(value - predicted)[training]
    estimator.fit(features[training], residuals=residuals, k=25, scaler=True)
    return np.asarray(estimator.apply(features), dtype=np.float64)
