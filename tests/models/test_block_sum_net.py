"""block_sum_net: blocks are known by their features, and networks are their sums."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_paths import ROOT
from fitting import fit, make_data, make_trainer
from measured import make_measured, network_latency_ms, tiny_space
from sklearn.linear_model import RidgeCV

from latpred.cli import main
from latpred.errors import ChainError
from latpred.estimator import Estimator
from latpred.export import export
from latpred.genprof import sampled
from latpred.models import BlockSumNetPredictor, load_checkpoint
from latpred.models.block_sum_net import facts_of
from latpred.preprocessing.features import primitive_features
from latpred.primitive import Primitive
from latpred.shipped import shipped_config
from latpred.vocabulary import Vocabulary

CHAIN = ["block_sum"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("block_sum_net") / "data"
    make_measured(path, tiny_space(), networks=60, rounds=2, seed=0, noise=0.001)
    return path


@pytest.fixture(scope="module")
def fitted(dataset, tmp_path_factory) -> tuple[BlockSumNetPredictor, Path]:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    predictor = BlockSumNetPredictor(hidden=(16,))
    trainer = make_trainer(folder, max_epochs=100, check_val_every_n_epoch=20)
    trainer.fit(predictor, datamodule=make_data(dataset, CHAIN, batch_size=16))
    return predictor.eval(), folder / "best.ckpt"


def test_it_learns_sums_to_their_noise(fitted, dataset):
    data = make_data(dataset, CHAIN)
    data.setup("test")
    batch = data.batch("test")
    error = (fitted[0].net(batch.ids) / batch.target - 1).abs().mean()
    assert error < 0.01


def test_an_exported_table_is_what_the_perceptron_says(fitted):
    net = load_checkpoint(fitted[1]).net
    learned = net.learned()
    assert learned[0] == 0
    torch.testing.assert_close(net.table.value[1:], learned[1:], equal_nan=True)
    ids = torch.tensor([[3, 1, 4, 1, -1, -1], [-1, 0, -1, -1, -1, 2]])
    expected = [2 * learned[2] + learned[4] + learned[5], learned[1] + learned[3]]
    torch.testing.assert_close(net(ids), torch.stack(expected))


def test_it_begins_at_the_mean_cost_of_a_block(dataset):
    data = make_data(dataset, CHAIN)
    torch.manual_seed(0)
    predictor = BlockSumNetPredictor(lr=1e-12)
    make_trainer().fit(predictor, data)
    batch = data.batch("train")
    blocks = (batch.ids >= 0).sum(1)
    mean = (batch.target / blocks).log().mean().exp()
    torch.testing.assert_close(predictor.net(batch.ids), blocks * mean, rtol=0.03, atol=0)


@pytest.fixture(scope="module")
def unseen(tmp_path_factory) -> tuple[BlockSumNetPredictor, Path, list[int]]:
    """A predictor whose training networks lack some primitives of the space, its export, and the ids of those."""
    folder = tmp_path_factory.mktemp("unseen")
    make_measured(folder / "data", tiny_space(), networks=10, rounds=2, seed=3, noise=0.0, assembled=False)
    torch.manual_seed(0)
    predictor = fit(BlockSumNetPredictor(hidden=(16,)), folder / "data", folder, chain=CHAIN, max_epochs=100)
    data = make_data(folder / "data", CHAIN)
    data.setup("fit")
    data.fit_chain()
    seen = set(data.batch("train").ids.unique().tolist())
    (ts,) = export(predictor.net, predictor.fitted_card, folder / "net", ["ts"])
    return predictor, ts, sorted(set(range(len(predictor.fitted_card.vocabulary))) - seen)


def test_a_primitive_of_no_training_network_is_answered_for_and_named(unseen):
    predictor, ts, lacking = unseen
    assert lacking
    assert predictor.fitted_card.unmeasured_ids == lacking
    assert predictor.net.deviation[torch.tensor(lacking) + 1].tolist() == [0.0] * len(lacking)
    space, estimator = tiny_space(), Estimator(ts)
    for network in sampled(space, 200, seed=9):
        if not set(network.encoding) & set(lacking):
            continue
        answer = estimator.explain(network.architecture)
        assert answer.value == pytest.approx(network_latency_ms(network), rel=0.3)
        names = {p for p in network.primitives if space.vocabulary().ids[p] in lacking}
        assert set(answer.unmeasured) == names
        assert answer.estimated == bool(names)
        assert Estimator(ts, missing="estimate").explain(network.architecture).value == pytest.approx(answer.value)
        return
    pytest.fail("no network with such a primitive was drawn")


def test_a_block_is_described_by_logarithms_and_facts(unseen):
    predictor, _, lacking = unseen
    net, vocabulary = predictor.net, predictor.fitted_card.vocabulary
    facts = facts_of(vocabulary)
    features = torch.from_numpy(primitive_features(tiny_space(), vocabulary)).float()
    for i, primitive in enumerate(vocabulary.by_id):
        said = {"prim_type": primitive.prim_type} | {k: json.dumps(v) for k, v in primitive.options.items()}
        told = [float(said.get(name) == value) for name, value in facts]
        assert 0 < sum(told) < len(told)
        torch.testing.assert_close(net.described[i + 1], torch.cat([features[i].log(), torch.tensor(told)]))
    seen = torch.tensor([i + 1 for i in range(len(vocabulary)) if i not in lacking])
    torch.testing.assert_close(net.standardize.mean, net.described[seen].mean(0))


def test_held_out_networks_with_such_primitives_are_scored(unseen):
    predictor, _, lacking = unseen
    ids = torch.full((2, tiny_space().slots), -1)
    ids[:, 0] = torch.tensor([lacking[0], 0])
    assert predictor.covered(ids).tolist() == [True, True]


@pytest.mark.slow
def test_features_tell_more_than_counts(tmp_path):
    """With few networks, a ridge on counts of primitives cannot tell what each costs."""
    space = tiny_space()
    make_measured(tmp_path / "data", space, networks=30, rounds=2, seed=1, noise=0.001, assembled=False)
    torch.manual_seed(0)
    predictor = fit(BlockSumNetPredictor(), tmp_path / "data", chain=CHAIN, max_epochs=150)
    data = make_data(tmp_path / "data", CHAIN)
    data.setup("fit")
    data.fit_chain()
    train = data.batch("train")
    fresh = sampled(space, 100, seed=5)
    true = np.array([network_latency_ms(network) for network in fresh])
    ids = np.array([network.encoding for network in fresh])
    ridge = RidgeCV(np.logspace(-3, 2, 11)).fit(counts(train.ids.numpy(), space), train.target.numpy())
    error = np.abs(predictor.net(torch.from_numpy(ids)).detach().numpy() / true - 1).mean()
    assert error < 0.7 * np.abs(ridge.predict(counts(ids, space)) / true - 1).mean()


def counts(ids, space):
    return np.array([np.bincount(row[row >= 0], minlength=len(space.vocabulary())) for row in ids])


def test_the_deviations_cost_what_a_normal_prior_says(dataset):
    predictor = fit(BlockSumNetPredictor(hidden=(4,), deviation=0.1), dataset, chain=CHAIN)
    trainer_data = predictor.data
    batch = trainer_data.batch("train")
    with torch.no_grad():
        predictor.net.deviation.fill_(0.02)
    predictor.log = lambda *_, **__: None
    loss = predictor.losses(batch).mean()
    penalty = len(predictor.net.deviation) * 0.02**2 / (0.1**2 * len(batch.ids))
    assert predictor.training_step(list(batch), 0).item() == pytest.approx(loss.item() * (1 + penalty), rel=1e-5)


def test_a_block_of_equal_features_may_differ_by_its_own_deviation(fitted):
    net = load_checkpoint(fitted[1]).net
    before = net.learned()
    with torch.no_grad():
        net.deviation[3] += math.log(1.1)
    after = net.learned()
    assert float(after[3] / before[3]) == pytest.approx(1.1)
    assert torch.equal(torch.cat([after[:3], after[4:]]), torch.cat([before[:3], before[4:]]))


def test_sure_labels_count_more(fitted, dataset):
    data = make_data(dataset, CHAIN)
    data.setup("fit")
    data.fit_chain()
    batch = data.batch("train")
    weight = torch.ones_like(batch.weight)
    weight[0] = 3.0
    plain = fitted[0].losses(batch._replace(weight=torch.ones_like(weight)))
    weighted = fitted[0].losses(batch._replace(weight=weight))
    torch.testing.assert_close(weighted / plain, weight)


def test_facts_are_what_tells_primitives_apart():
    def primitive(kind, **options):
        return Primitive.from_dict({"prim_type": kind, "spatial_size": 8, "C": 4, "C_out": 4, **options})

    blocks = [
        primitive("a", use_se=True, act="relu"),
        primitive("b", use_se=False, act="relu"),
        primitive("b", act="relu"),
    ]
    vocabulary = Vocabulary(tuple(sorted(blocks)), tokens=("live",))
    assert facts_of(vocabulary) == [("prim_type", "a"), ("prim_type", "b"), ("use_se", "false"), ("use_se", "true")]
    assert facts_of(Vocabulary((blocks[0],))) == []
    assert facts_of(Vocabulary(())) == []


def test_a_peak_is_no_sum(dataset):
    data = make_data(dataset, CHAIN)
    data.setup("fit")
    data.metric = "memory_mb"
    with pytest.raises(ChainError, match=r"step 'block_sum' needs block values, but memory_mb is a peak"):
        make_trainer().fit(BlockSumNetPredictor(), data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": ()}, r"hidden must be widths of at least 1, got \[\]"),
        ({"deviation": 0.0}, r"deviation must be a finite number above 0, got 0\.0"),
        ({"deviation": float("inf")}, r"deviation must be a finite number above 0, got inf"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BlockSumNetPredictor(**arguments)


HELP = ROOT.parent / "shared/data/help"


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not HELP.is_dir(), reason="the public measurements are not here")
@pytest.mark.parametrize(
    ("space", "device", "most"), [("fbnet", "gold_6240", 0.0195), ("ofa_mobilenet_v3", "2080ti_64", 0.023)]
)
def test_it_is_better_than_a_ridge_on_counts(space, device, most, tmp_path):
    """900 of HELP's networks teach, 100 choose the state, and 4,000 are predicted, with the shipped configuration."""
    command = ["import", "help", str(HELP), "--space-name", space, "--devices", device, "--out", str(tmp_path / "help")]
    assert main(command) == 0
    shares = {"val": 0.02, "test": 0.8}
    command = ["fit", "--config", str(shipped_config("runs", "block_sum_net")), "--runs", str(tmp_path)]
    command += ["--data.dataset", str(tmp_path / "help" / device), "--data.val", "0.02", "--data.test", "0.8"]
    assert main(command) == 0
    (checkpoint,) = tmp_path.glob("checkpoints/*/block_sum_net/*/best.ckpt")
    data = make_data(tmp_path / "help" / device, CHAIN, **shares)
    data.setup("fit")
    data.setup("test")
    data.fit_chain()
    train, test = data.batch("train"), data.batch("test")
    predicted = load_checkpoint(checkpoint).net(test.ids).detach()
    error = float((predicted / test.target - 1).abs().mean())
    ridge = RidgeCV(np.logspace(-3, 2, 11)).fit(counts(train.ids.numpy(), data.space), train.target.numpy())
    by_counts = ridge.predict(counts(test.ids.numpy(), data.space)) / test.target.numpy() - 1
    assert error < min(most, float(np.abs(by_counts).mean()))
