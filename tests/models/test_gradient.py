"""Training step by step: what is learned, and what stops it."""

import pytest
import torch
from fitting import TABLE_CHAIN, fit, make_data, make_trainer
from measured import make_measured, tiny_space

from latpred.errors import TrainingError
from latpred.models import LSTMPredictor, MLPPredictor
from latpred.preprocessing import Batch

CHAINS = {MLPPredictor: [*TABLE_CHAIN, "padding"], LSTMPredictor: [*TABLE_CHAIN, "lstm_features"]}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("gradient") / "data"
    make_measured(path, tiny_space(), networks=40, rounds=3, seed=0)
    return path


@pytest.mark.parametrize("cls", CHAINS)
def test_it_begins_at_the_mean_correction_of_the_block_sum(cls, dataset):
    data = make_data(dataset, CHAINS[cls])
    predictor = cls(lr=1e-12)
    make_trainer().fit(predictor, data)
    batch = data.batch("train")
    block_sum = predictor._table()(batch.ids).sum(1)
    correction = (batch.target / block_sum).log().mean().exp()
    torch.testing.assert_close(predictor.net(batch.ids), block_sum * correction, rtol=0.05, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("cls", CHAINS)
def test_it_learns_what_a_sum_of_blocks_cannot(cls, tmp_path):
    """Networks of six blocks take 1.5 times the sum of their blocks: a fusion that a table cannot see."""
    torch.manual_seed(0)
    path, space = tmp_path / "data", tiny_space()
    make_measured(path, space, networks=120, rounds=2, seed=0, noise=0.001)
    data = make_data(path, CHAINS[cls], batch_size=16)
    predictor = cls(hidden=(32, 32) if cls is MLPPredictor else 16, lr=5e-3, weight_decay=0.0)
    data.setup("fit")
    original = data.fit_chain

    def fused():
        table = original()
        for part in ("train", "val"):
            batch = data._batches[part]
            factor = torch.where((batch.ids >= 0).sum(1) == 6, 1.5, 1.0)
            data._batches[part] = batch._replace(target=batch.target * factor)
        return table

    data.fit_chain = fused
    make_trainer(max_epochs=60).fit(predictor, data)
    batch = data.batch("val")
    error = ((predictor.net(batch.ids) - batch.target).abs() / batch.target).mean()
    table_error = ((predictor._table()(batch.ids).sum(1) - batch.target).abs() / batch.target).mean()
    assert error < table_error / 3


def test_a_loss_that_is_no_number_names_the_network(dataset):
    data = make_data(dataset, CHAINS[MLPPredictor], batch_size=4)
    data.setup("fit")
    original = data.fit_chain

    def spoiled():
        table = original()
        data.batch("train").weight[5] = torch.nan
        return table

    data.fit_chain = spoiled
    network_id = data.network_ids("train")[5]
    message = rf"network {network_id}: expected a finite loss in epoch 0, found nan .*learning rate, now 0\.001"
    with pytest.raises(TrainingError, match=message):
        make_trainer().fit(MLPPredictor(), data)


def test_sure_labels_count_more(dataset):
    predictor = fit(MLPPredictor(hidden=(4,)), dataset, chain=CHAINS[MLPPredictor])
    ids = torch.tensor([tiny_space().slot_ids(tiny_space().from_json(a)) for a in [_architecture()] * 2])
    target = predictor.net(ids).detach() * torch.tensor([1.01, 1.01])
    losses = predictor.losses(Batch(ids, target, torch.tensor([2.0, 0.5]), torch.arange(2)))
    assert float(losses[0] / losses[1]) == pytest.approx(4.0)
    # Huber: half the square of the relative error within the bend.
    assert float(losses[0]) == pytest.approx(2.0 * 0.5 * torch.tensor(1.01).log().item() ** 2, rel=1e-3)


def _architecture():
    return {"depth": [1, 1, 1], "width": [[1], [3], [3]], "kernel": [[3], [3], [3]], "image_size": 32}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": 0.0}, r"lr must be a finite number above 0, got 0\.0"),
        ({"huber": float("nan")}, r"huber must be a finite number above 0, got nan"),
        ({"weight_decay": -1.0}, r"weight_decay must be a finite number of at least 0, got -1\.0"),
        ({"hidden": (10, 0)}, r"hidden must be widths of at least 1, got \[10, 0\]"),
        ({"hidden": ()}, r"hidden must be widths of at least 1, got \[\]"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLPPredictor(**arguments)


def test_an_empty_state_is_refused():
    with pytest.raises(ValueError, match=r"hidden must be at least 1, got 0"):
        LSTMPredictor(hidden=0)


def test_the_lstm_reads_blocks_in_order_wherever_the_gaps_are(dataset):
    predictor = fit(LSTMPredictor(hidden=8), dataset, chain=CHAINS[LSTMPredictor])
    ids = torch.tensor([[3, 1, 4, -1, -1, -1], [-1, 3, -1, 1, 4, -1], [-1, -1, -1, 3, 1, 4], [4, 1, 3, -1, -1, -1]])
    answers = predictor.net(ids)
    torch.testing.assert_close(answers[1:3], answers[:1].expand(2))
    assert abs(float(answers[3] - answers[0])) > 1e-6
