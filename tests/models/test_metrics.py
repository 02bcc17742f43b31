"""Metrics against scikit-learn, SciPy, NumPy and numbers worked out by hand, in batches of several sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import mean_absolute_percentage_error

from latpred.models.metrics import RootMeanSquarePercentageError, ShareWithin, prediction_metrics

RNG = np.random.default_rng(0)
TARGET = RNG.lognormal(1, 0.5, 60)
PREDICTED = TARGET * RNG.lognormal(0, 0.06, 60)
PREDICTED[10:14] = PREDICTED[14]  # ties
ERROR = np.abs(PREDICTED - TARGET) / TARGET
EXPECTED = {
    "val/mape": mean_absolute_percentage_error(TARGET, PREDICTED),
    "val/rmspe": np.sqrt(np.mean(((TARGET - PREDICTED) / TARGET) ** 2)),
    "val/within_1": np.mean(ERROR <= 0.01),
    "val/within_5": np.mean(ERROR <= 0.05),
    "val/within_10": np.mean(ERROR <= 0.10),
    "val/spearman": spearmanr(TARGET, PREDICTED).statistic,
    "val/kendall": kendalltau(TARGET, PREDICTED, variant="b").statistic,
}


def computed(predicted, target, size, prefix="val/"):
    metrics = prediction_metrics(prefix)
    pairs = zip(torch.tensor(predicted).float().split(size), torch.tensor(target).float().split(size), strict=True)
    for batch in pairs:
        metrics.update(*batch)
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.mark.parametrize("size", [1, 7, 20, 60, 100])
def test_all_metrics_agree_with_the_reference_libraries(size):
    found = computed(PREDICTED, TARGET, size)
    assert found.keys() == EXPECTED.keys()
    assert found == pytest.approx(EXPECTED, rel=1e-5)


def test_by_hand():
    predicted, target = [1.0, 2.1, 3.0, 6.0], [1.0, 2.0, 4.0, 5.0]  # off by 0, 5, 25 and 20 %
    found = computed(predicted, target, 4, "test/")
    assert found["test/mape"] == pytest.approx(0.125)
    assert found["test/rmspe"] == pytest.approx(((0.05**2 + 0.25**2 + 0.2**2) / 4) ** 0.5)
    assert (found["test/within_1"], found["test/within_10"]) == (0.25, 0.5)
    assert found["test/spearman"] == pytest.approx(1.0)


def test_tolerances_that_agree_on_the_first_batch_stay_apart():
    found = computed([1.0, 1.0, 1.03, 1.07], [1.0, 1.0, 1.0, 1.0], 2)
    assert (found["val/within_1"], found["val/within_5"], found["val/within_10"]) == (0.5, 0.75, 1.0)


def test_ranks_are_reversed_where_predictions_are():
    found = computed([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], 2)
    assert (found["val/spearman"], found["val/kendall"]) == pytest.approx((-1.0, -1.0), rel=1e-5)


def test_nothing_stays_after_a_reset():
    metrics = prediction_metrics("val/")
    metrics.update(torch.tensor([9.0, 1.0]), torch.tensor([1.0, 2.0]))
    metrics.reset()
    metrics.update(torch.tensor(PREDICTED).float(), torch.tensor(TARGET).float())
    assert {name: float(value) for name, value in metrics.compute().items()} == pytest.approx(EXPECTED, rel=1e-5)


def test_the_tolerance_is_included():
    share = ShareWithin(0.25)
    share.update(torch.tensor([5.0, 3.0, 5.01, 2.99]), torch.tensor([4.0, 4.0, 4.0, 4.0]))
    assert float(share.compute()) == 0.5


def test_an_unpredicted_network_makes_the_error_nan():
    metric = RootMeanSquarePercentageError()
    metric.update(torch.tensor([float("nan"), 1.0]), torch.tensor([1.0, 1.0]))
    assert metric.compute().isnan()


def test_metrics_know_which_way_is_better():
    better = {name: metric.higher_is_better for name, metric in prediction_metrics("").items()}
    assert [name for name, higher in better.items() if higher is False] == ["mape", "rmspe"]
