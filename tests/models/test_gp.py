"""gp: its net gives the process's numbers, and it says what blocks cost and how sure it is."""

import re
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from cli_paths import ROOT
from fitting import fit, make_data, make_trainer
from measured import append_runs, block_latency_ms, make_measured, measured_runs, network_latency_ms, tiny_space
from processes import FACTS, exact, fitted, noisy, some_networks
from synthetic import DEVICE, make_run
from torch import nn

from latpred.cli import main
from latpred.dataset import Dataset
from latpred.errors import ArtefactError
from latpred.estimator import Estimator, predict_in_chunks
from latpred.export import export, load_onnx
from latpred.gaussian import block_costs, compress
from latpred.genprof import sampled
from latpred.models import GPPredictor, load_checkpoint
from latpred.models.gp_net import GPNet
from latpred.preprocessing import BlockTable
from latpred.shipped import shipped_config

CHAIN = ["block_sum"]
IDS, COUNTS, LATENCY = some_networks(120)
TEST_IDS, TEST_COUNTS, TEST_LATENCY = some_networks(60, seed=9)


def make_net(posterior, slots=6, centers=256, floor=0.0):
    table = BlockTable(len(FACTS.amounts))
    table.measured.fill_(True)
    table.value.zero_()
    net = GPNet(table, slots)
    net.take(posterior, compress(posterior, centers), block_costs(posterior, IDS), floor)
    return net


@pytest.fixture(scope="module", params=["raw", "logarithmic"])
def posterior(request):
    latency = LATENCY if request.param == "raw" else (2 * (LATENCY - LATENCY.mean()) / LATENCY.std()).exp()
    found = fitted(COUNTS, noisy(latency, 0.01))
    assert found.scale.logarithm == (request.param == "logarithmic")
    return found


@pytest.mark.parametrize("slots", [6, 1])
def test_the_net_gives_the_mean_of_the_process(posterior, slots):
    """Whether blocks are counted or looked up slot by slot; likenesses in float32 change nothing."""
    net = make_net(posterior, slots)
    assert net.dense == (slots == 6)
    expected = posterior.mean(posterior.kernel.networks(TEST_COUNTS))
    torch.testing.assert_close(net(TEST_IDS).double(), expected, rtol=1e-5, atol=0)
    assert net(TEST_IDS).dtype == torch.float32


@pytest.mark.parametrize("slots", [6, 1])
@pytest.mark.parametrize("wide", [1, 1000])
def test_the_spread_is_the_deviation_of_a_measurement(posterior, slots, wide):
    """Of the process and of the noise, which is in proportion to the latency."""
    net = make_net(posterior, slots)
    net.wide = wide
    mean, variance = exact(posterior, posterior.kernel.networks(TEST_COUNTS))
    latency = posterior.scale.latency(mean)
    if posterior.scale.logarithm:
        expected = posterior.stretch * posterior.scale.spread * latency * (variance + posterior.noise).sqrt()
    else:
        noise = posterior.noise * (latency / posterior.scale.centre).square()
        expected = posterior.stretch * posterior.scale.spread * (variance + noise).sqrt()
    torch.testing.assert_close(net.spread(TEST_IDS).double(), expected, rtol=1e-3, atol=0)
    assert net.spread(TEST_IDS).dtype == torch.float32


def test_empty_slots_and_their_places_mean_nothing(posterior):
    net = make_net(posterior)
    wider = torch.cat([torch.full((60, 2), -1), TEST_IDS.flip(1)], 1)
    torch.testing.assert_close(net(wider), net(TEST_IDS))
    torch.testing.assert_close(net.spread(wider), net.spread(TEST_IDS))


def test_nothing_takes_less_than_the_floor(posterior):
    net = make_net(posterior, floor=1e6)
    assert (net(TEST_IDS) == 1e6).all()
    nothing = torch.full((1, 6), -1)
    assert net(nothing).isfinite().all()
    assert net.spread(nothing).isfinite().all()


def test_a_net_is_read_whatever_its_sizes(posterior):
    """Centers and places are as many as were fitted: a state brings its sizes."""
    net = make_net(posterior, centers=20)
    other = nn.Sequential(GPNet(BlockTable(len(FACTS.amounts)), 6))
    other.load_state_dict({f"0.{name}": value for name, value in net.state_dict().items()})
    assert torch.equal(other[0](TEST_IDS), net(TEST_IDS))
    assert len(other[0].centers) == 20
    with pytest.raises(RuntimeError, match="Missing key"):
        GPNet(BlockTable(len(FACTS.amounts)), 6).load_state_dict({})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("gp") / "data"
    make_measured(path, tiny_space(), networks=120, rounds=2, seed=0, noise=0.01)
    return path


@pytest.fixture(scope="module")
def predictor(dataset, tmp_path_factory) -> tuple[GPPredictor, Path]:
    folder = tmp_path_factory.mktemp("checkpoint")
    return fit(GPPredictor(), dataset, folder, chain=CHAIN), folder / "best.ckpt"


def test_it_learns_sums_below_their_noise(predictor, dataset):
    fresh = sampled(tiny_space(), 100, seed=5)
    true = torch.tensor([network_latency_ms(network) for network in fresh])
    answers = predictor[0].net(torch.tensor([network.encoding for network in fresh]))
    assert float((answers / true - 1).abs().mean()) < 0.006


def test_its_own_spread_is_about_its_errors(predictor, dataset):
    data = make_data(dataset, CHAIN)
    data.setup("test")
    batch = data.batch("test")
    net = predictor[0].net
    score = (net(batch.ids) - batch.target) / net.spread(batch.ids)
    assert 0.35 < float(score.abs().median()) < 1.4  # 0.67 of normal values


def test_costs_are_told_with_how_sure_they_are(predictor):
    costs = predictor[0].costs()
    assert list(costs.columns) == ["primitive", "mean", "std", "measured"]
    assert set(costs["primitive"]) == set(tiny_space().vocabulary().primitives)
    assert costs["mean"].is_monotonic_decreasing
    kernels = costs["primitive"].map(lambda primitive: (primitive.spatial_size, primitive.C, primitive.kernel_size))
    optional = costs[kernels == (4, 24, 5)]
    assert len(optional) == 2
    np.testing.assert_allclose(optional["mean"], optional["primitive"].map(block_latency_ms), rtol=0.05)
    assert (optional["std"] < 0.05).all()
    loaded = load_checkpoint(predictor[1]).costs()
    assert loaded.equals(costs)


def test_costs_need_a_fit():
    with pytest.raises(ArtefactError, match="expected a fitted predictor, found one that was neither fitted nor"):
        GPPredictor().costs()


def test_a_fit_says_what_the_variance_comes_from(dataset, capsys):
    predictor = GPPredictor()
    trainer = make_trainer()
    trainer.fit(predictor, make_data(dataset, CHAIN))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gp: ")]
    count = len(predictor.data.network_ids("train"))
    known = f"gp: {count} networks and what their blocks took, "
    assert re.match(rf"{known}(values|logarithms); variance between networks: totals ", lines[0])
    dearest = predictor.costs().query("measured").iloc[0]
    assert lines[1] == f"gp: {dearest['mean']:.4g} +- {dearest['std']:.2g} ms: {dearest['primitive']}"
    shares = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("variance/")}
    assert sum(shares.values()) == pytest.approx(1)
    assert f"totals {100 * shares['variance/totals']:.2g} %" in lines[0]


def test_a_primitive_of_no_training_network_is_answered_for_less_surely(tmp_path):
    space, lacking = tiny_space(), 4
    known = [network for network in sampled(space, 200, seed=0) if lacking not in network.encoding][:80]
    dataset = Dataset.create(tmp_path / "data", space.card(), DEVICE)
    append_runs(dataset, measured_runs(known, 2, noise=0.003))
    predictor = fit(GPPredictor(), dataset.path, chain=CHAIN)
    assert predictor.fitted_card.unmeasured_ids == [lacking]
    assert predictor.costs().query("~measured")["primitive"].tolist() == [space.vocabulary().by_id[lacking]]
    ids = torch.tensor([network.encoding for network in sampled(space, 300, seed=9)])
    unseen = (ids == lacking).any(1)
    assert predictor.covered(ids).all()
    assert predictor.net(ids).isfinite().all()
    relative = predictor.net.spread(ids) / predictor.net(ids)
    assert relative[unseen].median() > 1.5 * relative[~unseen].median()
    (ts,) = export(predictor.net, predictor.fitted_card, tmp_path / "net", ["ts"])
    estimator = Estimator(ts, missing="estimate")
    torch.testing.assert_close(torch.from_numpy(estimator.predict_ids(ids.numpy())), predictor.net(ids))


def test_measured_blocks_tell_what_few_noisy_networks_do_not(tmp_path):
    """Each primitive is by itself slower or faster than its size says; runs are 5 % off."""
    space, rng = tiny_space(), Random(0)
    factor = {p: rng.lognormvariate(0, 0.5) for p in space.vocabulary().primitives}
    networks, runs = sampled(space, 300, seed=1), []

    def whole(network):  # what the runtime saves, and what it costs to start
        return 0.9 * sum(factor[p] * block_latency_ms(p) for p in network.primitives) + 0.1

    for sequence, network in enumerate(networks):
        blocks = tuple(factor[p] * block_latency_ms(p) * rng.lognormvariate(0, 0.05) for p in network.primitives)
        time = whole(network) * rng.lognormvariate(0, 0.05)
        times = {"overall_latency_ms": time, "block_latency_ms": blocks, "cpu_time_ms": time}
        runs.append(make_run(network, sequence=sequence, **times))
    append_runs(Dataset.create(tmp_path / "data", space.card(), DEVICE), runs)
    ids = torch.tensor([network.encoding for network in networks])
    true, errors = torch.tensor([whole(network) for network in networks]), {}
    for used in (True, False):
        predictor = fit(GPPredictor(block_values=used), tmp_path / "data", chain=CHAIN, val=0.1, test=0.82)
        assert len(predictor.fitted_card.training_network_ids) < 40
        errors[used] = float((predictor.net(ids) / true - 1).abs().mean())
    assert errors[True] < 0.7 * errors[False]


@pytest.mark.slow
def test_exports_have_the_spread(predictor, tmp_path):
    net, card = predictor[0].net, predictor[0].fitted_card
    ts, onnx = export(net, card, tmp_path / "net", ["ts", "onnx"])
    expected = net.spread(TEST_IDS)
    script = torch.jit.load(ts)
    torch.testing.assert_close(script.net.spread(TEST_IDS), expected, rtol=1e-5, atol=0)
    if card.calibration.scale == "spread":
        torch.testing.assert_close(load_onnx(onnx)[0].parts(TEST_IDS)[1], expected, rtol=1e-5, atol=0)


@pytest.mark.slow
def test_no_more_rows_and_centers_than_allowed(dataset, capsys):
    def fitted_with(**options):
        found = fit(GPPredictor(**options), dataset, chain=CHAIN)
        return found, found.net(TEST_IDS)

    found, answers = fitted_with(max_rows=20, centers=5)
    assert "gp: 20 networks and what their blocks took, " in capsys.readouterr().out
    assert len(found.net.centers) == 5
    assert torch.equal(answers, fitted_with(max_rows=20, centers=5)[1])
    assert not torch.equal(answers, fitted_with(max_rows=20, centers=5, seed=1)[1])


def test_it_is_fitted_to_the_training_networks_as_sure_as_they_are(dataset, monkeypatch):
    module, seen = sys.modules["latpred.models.gp"], []
    real = module.fit
    monkeypatch.setattr(module, "fit", lambda *given, **more: seen.append((given, more)) or real(*given, **more))
    predictor = GPPredictor(likelihood_rows=30, seed=4)
    data = make_data(dataset, CHAIN)
    make_trainer().fit(predictor, data)
    batch = data.batch("train")
    (((_, counts, latency, weight), more),) = seen
    assert len(batch.weight.unique()) > 10
    rows = latency.argsort()
    expected = batch.target.argsort()
    assert torch.equal(weight[rows], batch.weight[expected].double())
    assert torch.equal(counts[rows].sum(1), (batch.ids[expected] >= 0).sum(1).double())
    assert more == {"likelihood_rows": 30, "seed": 4}
    assert float(predictor.net.floor) == pytest.approx(float(batch.target.min()) / 2)


@pytest.mark.slow
def test_it_is_solved_once(dataset, monkeypatch):
    calls = []
    monkeypatch.setattr(
        sys.modules["latpred.models.gp"], "fit", lambda *a, **k: calls.append(1) or fitted(COUNTS, LATENCY)
    )
    monkeypatch.setattr(
        sys.modules["latpred.models.gp"], "block_costs", lambda *_: block_costs(fitted(COUNTS, LATENCY), IDS)
    )
    make_trainer(max_epochs=3).fit(GPPredictor(), make_data(dataset, CHAIN))
    assert calls == [1]


def test_settings_are_kept_and_those_that_cannot_be_are_refused():
    given = {"likelihood_rows": 5, "max_rows": 6, "centers": 7, "block_values": False, "seed": 8}
    assert GPPredictor(**given).parameters_json == given
    for name in ("likelihood_rows", "max_rows", "centers"):
        with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0$"):
            GPPredictor(**{name: 0})


def test_another_front_is_refused():
    with pytest.raises(TypeError, match="expected the front of block_sum, got Linear"):
        GPPredictor().make_net(nn.Linear(1, 1), BlockTable(1), 1)


HELP = ROOT.parent / "shared/data/help"
needs_help = pytest.mark.skipif(not HELP.is_dir(), reason="the public measurements are not here")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Import one device of a space."""

    def one(space, device):
        out = tmp_path_factory.mktemp("help") / "out"
        assert main(["import", "help", str(HELP), "--space-name", space, "--devices", device, "--out", str(out)]) == 0
        return out / device

    return one


def error_of(path, training, networks, **options):
    """Return the MAPE on those networks that are not among the first of the split."""
    data = make_data(path, CHAIN, val=100 / networks, test=1 - (training + 100) / networks, **options)
    predictor = GPPredictor()
    make_trainer().fit(predictor, data)
    data.setup("test")
    batch = data.batch("test")
    answers = predict_in_chunks(predictor.net, batch.ids.numpy(), 512)
    return float(np.abs(answers / batch.target.numpy() - 1).mean())


@pytest.mark.slow
@pytest.mark.shared
@needs_help
@pytest.mark.parametrize(
    ("space", "device", "training", "most"),
    [
        ("fbnet", "titan_rtx_64", 900, 0.0028),
        ("fbnet", "2080ti_1", 100, 0.0065),
        ("ofa_mobilenet_v3", "2080ti_64", 900, 0.025),
    ],
)
def test_it_is_as_good_as_was_found(space, device, training, most, imported):
    assert error_of(imported(space, device), training, 5000) < most


@pytest.mark.slow
@pytest.mark.shared
@needs_help
@pytest.mark.parametrize(("space", "device"), [("fbnet", "essential_ph_1"), ("ofa_mobilenet_v3", "titan_rtx_1")])
def test_labels_without_drift_teach_no_worse(space, device, imported, capsys):
    """Scored on labels as they were measured, drift and all."""
    path = imported(space, device)
    assert error_of(path, 900, 5000, order="measured") <= error_of(path, 900, 5000)
    assert "taken from the labels of " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.shared
@needs_help
def test_a_fit_prints_what_the_error_is_made_of(imported, tmp_path, capsys):
    path = imported("fbnet", "essential_ph_1")
    command = ["fit", "--config", str(shipped_config("runs", "gp")), "--data.dataset", str(path)]
    command += ["--data.order", "measured", "--data.val", "0.05", "--data.test", "0.85", "--runs", str(tmp_path)]
    assert main(command) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("val: RMSPE")]
    assert ": drift " in line
    assert ", noise of runs " in line
    assert ", model " in line
