"""What every predictor must do; a new one joins by one line in PREDICTORS."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest
import torch
from fitting import TABLE_CHAIN, fit, in_torch_only_process, make_data, make_trainer
from measured import append_runs, make_measured, measured_runs, network_latency_ms, tiny_space
from synthetic import DEVICE
from torch import Tensor

from latpred.dataset import Dataset
from latpred.errors import ChainError
from latpred.estimator import Estimator
from latpred.export import export
from latpred.genprof import assemble, sampled
from latpred.intervals import quantile
from latpred.models import (
    BlockSumNetPredictor,
    GPPredictor,
    LatencyPredictor,
    LSTMPredictor,
    MLPPredictor,
    RegressionPredictor,
    TablePredictor,
    load_checkpoint,
    predictor_class,
)
from latpred.preprocessing import Chain

PREDICTORS: dict[str, tuple[Callable[[], LatencyPredictor], list[str], int]] = {
    "table": (TablePredictor, TABLE_CHAIN, 1),
    "regression": (RegressionPredictor, [*TABLE_CHAIN, "extract_sum_features"], 1),
    "regression with count": (partial(RegressionPredictor, True), [*TABLE_CHAIN, "extract_sum_features"], 1),
    "mlp": (partial(MLPPredictor, hidden=(8, 8)), [*TABLE_CHAIN, "padding"], 3),
    "gp": (partial(GPPredictor, centers=16), ["block_sum"], 1),
    "block_sum_net": (partial(BlockSumNetPredictor, hidden=(16,)), ["block_sum"], 150),
    "lstm": (partial(LSTMPredictor, hidden=4), [*TABLE_CHAIN, "extrace_lstm_features"], 3),
}
"""How each is made, a chain for it, and its epochs."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("contract") / "data"
    make_measured(path, tiny_space(), networks=40, rounds=3, seed=0)
    return path


@pytest.fixture(scope="module", params=PREDICTORS.values(), ids=PREDICTORS.keys())
def fitted(request, dataset, tmp_path_factory) -> tuple[LatencyPredictor, Path]:
    """A fitted predictor and its checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    make, chain, epochs = request.param
    torch.manual_seed(0)
    return fit(make(), dataset, folder, chain=chain, max_epochs=epochs), folder / "best.ckpt"


@pytest.fixture(scope="module")
def ids() -> Tensor:
    space, rng = tiny_space(), Random(1)
    return torch.tensor([space.slot_ids(space.sample(rng)) for _ in range(24)])


def test_predicts_better_than_a_constant(fitted, dataset):
    data = make_data(dataset, fitted[0].fitted_card.chain)
    data.setup("test")
    held_out = data.batch("test")
    error = ((fitted[0].net(held_out.ids) - held_out.target).abs() / held_out.target).mean()
    constant = ((held_out.target.median() - held_out.target).abs() / held_out.target).mean()
    assert error < constant / 2


def test_neighbours_in_the_batch_do_not_change_a_prediction(fitted, ids):
    net = fitted[0].net
    together = net(ids)
    torch.testing.assert_close(torch.cat([net(row[None]) for row in ids]), together)
    torch.testing.assert_close(net(ids.flip(0)).flip(0), together)
    torch.testing.assert_close(torch.cat([net(ids[:8]), net(ids[8:])]), together)


@pytest.mark.slow
def test_it_learns_from_whole_networks_alone(fitted, ids, tmp_path):
    """Without values of blocks, the table is learned; its front, its net and its export are the same."""
    networks = [*sampled(tiny_space(), 80, seed=0), *assemble(tiny_space()).networks]
    dataset = Dataset.create(tmp_path / "data", tiny_space().card(), DEVICE)
    nothing = {"block_latency_ms": None, "block_method": None, "overhead_ms": None}
    append_runs(dataset, [replace(run, **nothing) for run in measured_runs(networks, 3)])
    card = fitted[0].fitted_card
    torch.manual_seed(0)
    predictor = fit(
        type(fitted[0])(**card.predictor_parameters),
        dataset.path,
        chain=card.chain,
        max_epochs=fitted[0].trainer.max_epochs,
    )
    fresh = sampled(tiny_space(), 60, seed=5)
    true = torch.tensor([network_latency_ms(network) for network in fresh])
    answers = predictor.net(torch.tensor([network.encoding for network in fresh]))
    assert ((answers - true).abs() / true).mean() < ((true.median() - true).abs() / true).mean() / 2
    (ts,) = export(predictor.net, predictor.fitted_card, tmp_path / "net", ["ts"])
    estimator = Estimator(ts)
    torch.testing.assert_close(torch.from_numpy(estimator.predict_ids(ids.numpy())), predictor.net(ids))
    assert not estimator.card.unmeasured_ids


def test_an_unmeasured_primitive_gives_nan_for_its_network_alone(fitted, ids):
    predictor = load_checkpoint(fitted[1])
    (table,) = [m for m in predictor.net.modules() if type(m).__name__ == "BlockTable"]
    lost = int(ids[3][ids[3] >= 0][-1])
    table.value[lost + 1] = torch.nan
    table.measured[lost + 1] = False
    uses = (ids == lost).any(1)
    assert not uses.all()
    assert torch.equal(predictor.net(ids).isnan(), uses)
    assert torch.equal(~predictor.covered(ids), uses)


def test_a_checkpoint_gives_the_numbers_of_its_card(fitted, dataset, ids):
    """The best state may be an earlier one than the last, so it is scored anew."""
    predictor, path = fitted
    loaded = load_checkpoint(path)
    card = loaded.fitted_card
    assert type(loaded) is type(predictor)
    assert not loaded.training
    assert torch.equal(loaded.net(ids), load_checkpoint(path).net(ids))
    scores = make_trainer().validate(type(predictor)(**card.predictor_parameters), make_data(dataset, card.chain), path)
    errors = {name.removeprefix("val/"): value for name, value in scores[0].items() if name != "val/loss"}
    assert errors == pytest.approx(card.errors["val"])


@pytest.mark.slow
def test_exports_give_the_numbers_of_the_trained_net(fitted, ids, tmp_path):
    predictor, _ = fitted
    net, card = predictor.net, predictor.fitted_card
    expected = net(ids)
    ts, pt2, onnx = export(net, card, tmp_path / "net", ["ts", "pt2", "onnx"])
    torch.testing.assert_close(in_torch_only_process(ts, ids), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.export.load(pt2).module()(ids), expected, rtol=1e-5, atol=0)
    for path in (ts, onnx):
        estimator = Estimator(path)
        assert estimator.card == card
        answers = torch.from_numpy(estimator.predict_ids(ids.numpy()))
        torch.testing.assert_close(answers, expected, rtol=1e-5, atol=0)
        torch.testing.assert_close(torch.from_numpy(estimator.predict_ids(ids[:1].numpy())), expected[:1])
        check_intervals(estimator, net, ids)


def check_intervals(estimator, net, ids):
    """The bounds are those of the net and the card, and no known network is far."""
    calibration = estimator.card.calibration
    value = net(ids).detach()
    unit = net.spread(ids) if calibration.scale == "spread" else value.sqrt()
    half = quantile(calibration.scores, 0.8, "net") * unit.detach()
    found = estimator.predict_interval_ids(ids.numpy(), 0.8)
    torch.testing.assert_close(torch.from_numpy(found.lower), (value - half).clamp(min=0), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(torch.from_numpy(found.upper), value + half, rtol=1e-5, atol=1e-7)
    assert estimator.explain(estimator.space.sample(Random(0))).distance >= 0


def test_the_same_seed_and_data_give_the_same_numbers(fitted, dataset, ids):
    predictor, _ = fitted
    card = predictor.fitted_card
    torch.manual_seed(0)
    again = fit(type(predictor)(**card.predictor_parameters), dataset, chain=card.chain)
    torch.manual_seed(0)
    once_more = fit(type(predictor)(**card.predictor_parameters), dataset, chain=card.chain)
    assert torch.equal(again.net(ids), once_more.net(ids))


def test_batches_of_every_size_train(fitted, dataset):
    predictor, _ = fitted
    card = predictor.fitted_card
    for size in (1, 3, len(card.training_network_ids)):
        trained = fit(type(predictor)(**card.predictor_parameters), dataset, chain=card.chain, batch_size=size)
        assert trained.fitted_card.training_network_ids == card.training_network_ids


def test_it_is_found_by_its_name(fitted):
    assert predictor_class(fitted[0].name) is type(fitted[0])


def test_its_legal_chains_work_and_another_is_refused(fitted, dataset):
    predictor, _ = fitted
    parameters = predictor.fitted_card.predictor_parameters
    for chain in predictor.legal_chains:
        fit(type(predictor)(**parameters), dataset, chain=list(chain))
    assert Chain(predictor.fitted_card.chain).names == list(predictor.legal_chains[0])
    legal = ", ".join(predictor.legal_chains[0])
    with pytest.raises(ChainError, match=rf"predictor '{predictor.name}' needs .*Legal chains .*\[{legal}\]"):
        fit(type(predictor)(**parameters), dataset, chain=["remove_anomaly"])
