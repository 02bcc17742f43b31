"""Calibration inside a fit, and the score of intervals in a test."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

import numpy as np
import pytest
import torch
from fitting import TABLE_CHAIN, fit, make_data, make_trainer
from measured import make_measured, tiny_space
from torch import Tensor

from latpred.estimator import Estimator
from latpred.export import export
from latpred.intervals import Distance, rank
from latpred.models import MLPPredictor, TablePredictor, load_checkpoint
from latpred.models.calibrating import IntervalScores
from latpred.preprocessing import BlockSumNet


class SureNet(BlockSumNet):
    """A sum of blocks that says what it may be wrong by."""

    def spread(self, ids: Tensor) -> Tensor:
        return 0.02 * self.table(ids).sum(1).sqrt()


class SureTable(TablePredictor):
    """A table with a spread, as a Gaussian process has one."""

    def make_net(self, front, table, slots):
        return SureNet(table)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrating") / "data"
    make_measured(path, tiny_space(), networks=60, rounds=2, seed=0, noise=0.02)
    return path


def residuals(predictor, dataset, part, chain=TABLE_CHAIN):
    """Predictions, |errors| and targets of a part, in float64."""
    data = make_data(dataset, chain)
    data.setup("test" if part == "test" else "fit")
    batch = data.batch(part)
    with torch.no_grad():
        predicted = predictor.net(batch.ids).double().numpy()
    target = batch.target.double().numpy()
    return predicted, np.abs(target - predicted), target


def test_the_validation_networks_give_the_scores(dataset, tmp_path):
    predictor = fit(TablePredictor(), dataset, tmp_path)
    predicted, error, _ = residuals(predictor, dataset, "val")
    found = predictor.fitted_card.calibration
    assert found.scale == "root"
    assert found.scores == pytest.approx(np.sort(error / np.sqrt(predicted)))
    assert load_checkpoint(tmp_path / "best.ckpt").fitted_card.calibration == found


def test_the_best_state_has_its_own_scores(dataset, tmp_path):
    """Batches of 4: the scores are of a whole epoch's networks, and of no epoch before."""
    chain = [*TABLE_CHAIN, "padding"]
    torch.manual_seed(0)
    fit(MLPPredictor(hidden=(8,)), dataset, tmp_path, chain=chain, max_epochs=4, batch_size=4)
    best = load_checkpoint(tmp_path / "best.ckpt")
    predicted, error, _ = residuals(best, dataset, "val", chain)
    assert best.fitted_card.calibration.scores == pytest.approx(np.sort(error / np.sqrt(predicted)), rel=1e-4)


def test_validate_calibrates_nothing_anew(dataset, tmp_path):
    fit(TablePredictor(), dataset, tmp_path)
    predictor = load_checkpoint(tmp_path / "best.ckpt")
    before = predictor.fitted_card
    scores = make_trainer().validate(predictor, make_data(dataset), verbose=False)[0]
    assert predictor.fitted_card is before
    assert not [name for name in scores if "90" in name]


def test_the_domain_is_of_training_and_validation_networks(dataset):
    predictor = fit(TablePredictor(), dataset)
    data = make_data(dataset)
    data.setup("fit")
    data.fit_chain()
    card = predictor.fitted_card
    distance = Distance(card.domain, card.vocabulary)
    found = [distance(data.batch(part).ids).max() for part in ("train", "val")]
    assert float(max(found)) == pytest.approx(1, rel=1e-5)
    centers = distance.step[data.batch("train").ids + 1].sum(1).mean(0)
    torch.testing.assert_close(centers, distance.center)


@pytest.mark.parametrize("make", [TablePredictor, SureTable])
def test_a_test_scores_the_intervals(dataset, make):
    predictor = fit(make(), dataset)
    calibration = predictor.fitted_card.calibration
    predicted, error, target = residuals(predictor, dataset, "test")
    unit = (0.02 if make is SureTable else 1.0) * np.sqrt(predicted)
    half = calibration.scores[rank(len(calibration.scores), 0.9) - 1] * unit
    found = make_trainer().test(predictor, make_data(dataset, batch_size=4), verbose=False)[0]
    assert found["test/coverage_90"] == pytest.approx((error <= half).mean())
    assert found["test/width_90"] == pytest.approx((2 * half / target).mean(), rel=1e-5)
    assert not predictor.test_intervals.update_called  # a second test begins anew


def test_too_few_validation_networks_leave_intervals_out(dataset):
    predictor = fit(TablePredictor(), dataset, val=0.12)
    assert len(predictor.fitted_card.calibration.scores) < 9
    found = make_trainer().test(predictor, make_data(dataset, val=0.12), verbose=False)[0]
    assert not [name for name in found if "90" in name]
    assert "test/mape" in found


@pytest.mark.slow
def test_a_net_with_a_spread_uses_it_everywhere(dataset, tmp_path):
    predictor = fit(SureTable(), dataset)
    calibration = predictor.fitted_card.calibration
    assert calibration.scale == "spread"
    predicted, error, _ = residuals(predictor, dataset, "val")
    assert calibration.scores == pytest.approx(np.sort(error / (0.02 * np.sqrt(predicted))), rel=1e-4)
    files = export(predictor.net, predictor.fitted_card, tmp_path / "net", ["ts", "onnx"])
    data = make_data(dataset)
    data.setup("test")
    ids = data.batch("test").ids
    value = predictor.net(ids)
    half = calibration.scores[rank(len(calibration.scores), 0.8) - 1] * 0.02 * value.sqrt()
    for path in files:
        found = Estimator(path).predict_interval_ids(ids.numpy(), 0.8)
        torch.testing.assert_close(torch.from_numpy(found.lower), value - half)
        torch.testing.assert_close(torch.from_numpy(found.upper), value + half)


def test_scores_of_intervals_by_hand():
    """Bounds are inside; the widths are 2/2, 1/4 and 3/1."""
    metric = IntervalScores()
    metric.update(torch.tensor([1.0, 3.5]), torch.tensor([3.0, 4.5]), torch.tensor([2.0, 4.0]))
    metric.update(torch.tensor([2.0]), torch.tensor([5.0]), torch.tensor([1.0]))
    found = metric.compute()
    assert float(found["coverage_90"]) == pytest.approx(2 / 3)
    assert float(found["width_90"]) == pytest.approx((1 + 0.25 + 3) / 3)
    metric.reset()
    metric.update(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 2.0]), torch.tensor([1.0, 2.0]))
    assert float(metric.compute()["coverage_90"]) == 1
