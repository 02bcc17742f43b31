"""Predictors side by side: the same held-out networks for all, and no other."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from compared import make_compared, recarded
from fitting import TABLE_CHAIN, fit
from measured import append_runs, make_measured, measured_runs, network_latency_ms, tiny_space

from latpred.dataset import Dataset, estimates
from latpred.dataset.split import split_of
from latpred.errors import CardError, SplitError, UsageError
from latpred.estimator import Estimator
from latpred.export import export
from latpred.genprof import sampled
from latpred.models import LSTMPredictor, TablePredictor, load_checkpoint
from latpred.report import compare as module
from latpred.report.compare import compare, score


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_TIMED_S", 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_compared(tmp_path_factory.mktemp("compared"))


def exported(checkpoint: Path, out: Path, *formats: str) -> list[Path]:
    predictor = load_checkpoint(checkpoint)
    return export(predictor.net, predictor.fitted_card, out, formats or ["ts"])


def sampled_estimates(dataset: Dataset) -> dict[str, float]:
    """Return the estimate of each sampled network, ms."""
    table = estimates(dataset.read())
    return table[~table["assembled"]].set_index("network_id")["estimate"].to_dict()


def test_scores_are_those_of_the_test_networks_by_hand(folder, tmp_path):
    dataset = Dataset.open(folder / "data")
    found = compare(dataset, [folder / "table.ckpt", folder / "mlp.ckpt"])
    values = sampled_estimates(dataset)
    test = [i for i in values if split_of(i, 0, 0.25, 0.25) == "test"]
    assert (found.networks, found.uncovered) == (len(test), 0)
    assert 5 < len(test) < 30
    measured = np.array([values[i] for i in test])
    true = {network.network_id: network_latency_ms(network) for network in sampled(tiny_space(), 60, 0)}
    np.testing.assert_allclose(measured, [true[i] for i in test], rtol=0.1)  # 4 runs, of 5 % noise each
    architectures = {n.network_id: n.architecture for n in dataset.read().networks}
    for row, name in zip(found.rows, ("table", "mlp"), strict=False):
        estimator = Estimator(exported(folder / f"{name}.ckpt", tmp_path / name)[0])
        predicted = estimator.predict_batch([estimator.space.from_json(architectures[i]) for i in test])
        error = np.abs(predicted - measured) / measured
        assert (row.name, row.path) == (name, folder / f"{name}.ckpt")
        assert row.metrics["mape"] == pytest.approx(error.mean(), rel=1e-4)
        assert row.metrics["within_5"] == pytest.approx((error <= 0.05).mean())
        lower, upper, *_ = estimator.predict_interval_batch([estimator.space.from_json(architectures[i]) for i in test])
        assert row.metrics["coverage_90"] == pytest.approx(((lower <= measured) & (measured <= upper)).mean())
        assert row.metrics["width_90"] == pytest.approx(((upper - lower) / measured).mean(), rel=1e-4)
        assert row.val_mape == estimator.card.errors["val"]["mape"] != row.metrics["mape"]
        assert row.fit_seconds == estimator.card.fit_seconds
        assert 0 < row.us_per_prediction < 1e4

    trained = [value for i, value in values.items() if split_of(i, 0, 0.25, 0.25) == "train"]
    constant = found.rows[2]
    assert constant.path is constant.val_mape is constant.us_per_prediction is constant.fit_seconds is None
    error = np.abs(np.median(trained) - measured) / measured
    assert constant.metrics["mape"] == pytest.approx(error.mean(), rel=1e-4)
    assert constant.metrics["rmspe"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert sorted(constant.metrics) == ["mape", "rmspe", "within_1", "within_10", "within_5"]

    noise = estimates(dataset.read()).set_index("network_id").loc[test, "noise"]
    assert found.label_noise == pytest.approx(noise.mean())
    # Half of the difference of two means of 2 runs: 0.05 / sqrt(2) / sqrt(2), times sqrt(2 / pi) for a mean size.
    assert found.label_noise == pytest.approx(0.05 / 2**0.5 / 2**0.5 * (2 / np.pi) ** 0.5, rel=0.5)


def test_metrics_by_hand():
    metrics = score(np.array([1.1, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    assert metrics == pytest.approx(
        {"mape": 0.35 / 3, "rmspe": np.sqrt((0.01 + 0.0625) / 3), "within_1": 1 / 3, "within_5": 1 / 3}
        | {"within_10": 1 / 3, "spearman": 1.0, "kendall": 1.0},
        rel=1e-5,
    )


def test_only_networks_of_every_predictors_test_count(folder, tmp_path):
    split = {"seed": 1, "val": 0.25, "test": 0.25}
    other = fit(TablePredictor(), folder / "data", tmp_path, split_seed=1)
    assert other.fitted_card.split == split
    dataset = Dataset.open(folder / "data")
    both = [
        i
        for i in sampled_estimates(dataset)
        if split_of(i, 0, 0.25, 0.25) == "test" and split_of(i, 1, 0.25, 0.25) == "test"
    ]
    assert compare(dataset, [folder / "table.ckpt", tmp_path / "best.ckpt"]).networks == len(both) >= 2


def test_a_network_that_a_card_names_as_trained_is_left_out(folder, tmp_path):
    dataset = Dataset.open(folder / "data")
    card = load_checkpoint(folder / "table.ckpt").fitted_card
    seen = next(i for i in sampled_estimates(dataset) if split_of(i, 0, 0.25, 0.25) == "test")
    ids = [*card.training_network_ids, seen]
    knows = recarded(folder / "table.ckpt", tmp_path / "knows.ckpt", training_network_ids=ids)
    before = compare(dataset, [folder / "table.ckpt"]).networks
    assert compare(dataset, [folder / "mlp.ckpt", knows]).networks == before - 1


def test_the_best_is_chosen_by_validation_not_by_test(folder, tmp_path):
    dataset = Dataset.open(folder / "data")
    honest = compare(dataset, [folder / "table.ckpt", folder / "mlp.ckpt"]).rows
    tests = [row.metrics["mape"] for row in honest[:2]]
    worse = "table" if tests[0] > tests[1] else "mlp"
    errors = load_checkpoint(folder / f"{worse}.ckpt").fitted_card.errors
    errors = {**errors, "val": {**errors["val"], "mape": 1e-6}}
    chosen = recarded(folder / f"{worse}.ckpt", tmp_path / "chosen.ckpt", errors=errors)
    better = folder / ("mlp.ckpt" if worse == "table" else "table.ckpt")
    found = compare(dataset, [better, chosen])
    assert found.rows[0].metrics["mape"] < found.rows[1].metrics["mape"]
    assert found.best is found.rows[1]


def test_without_any_validation_error_there_is_no_best(folder, tmp_path):
    bare = recarded(folder / "table.ckpt", tmp_path / "bare.ckpt", errors={})
    found = compare(Dataset.open(folder / "data"), [bare])
    assert found.rows[0].val_mape is None
    assert found.best is None


@pytest.mark.parametrize("name", ["table", "regression", "mlp"])
def test_all_formats_of_a_predictor_score_the_same(folder, tmp_path, name):
    paths = [folder / f"{name}.ckpt", *exported(folder / f"{name}.ckpt", tmp_path / name, "ts", "onnx")]
    rows = compare(Dataset.open(folder / "data"), paths).rows
    assert [row.name for row in rows[:3]] == [name, f"{name} ({name}.ts)", f"{name} ({name}.onnx)"]
    for row in rows[1:3]:
        assert row.metrics == pytest.approx(rows[0].metrics, rel=1e-4)
        assert row.val_mape == rows[0].val_mape


def test_networks_that_one_cannot_answer_for_are_left_out_for_all(tmp_path):
    space = tiny_space()
    dataset = make_measured(tmp_path / "data", space, networks=60, rounds=2, noise=0.05)
    make_measured(tmp_path / "few", space, networks=60, rounds=2, assembled=False)
    fit(TablePredictor(), tmp_path / "data", tmp_path / "all")
    few = fit(TablePredictor(), tmp_path / "few", tmp_path / "some", val=0.7, test=0.25, uncovered="drop")
    known = {p for i, p in enumerate(space.vocabulary().by_id) if i not in few.fitted_card.unmeasured_ids}
    test = [
        network
        for network in dataset.read().networks
        if not network.assembled and split_of(network.network_id, 0, 0.25, 0.25) == "test"
    ]
    covered = [network for network in test if set(network.primitives) <= known]
    assert 2 <= len(covered) < len(test)
    found = compare(dataset, [tmp_path / "all/best.ckpt", tmp_path / "some/best.ckpt"])
    assert (found.networks, found.uncovered) == (len(covered), len(test) - len(covered))
    estimator = Estimator(exported(tmp_path / "all/best.ckpt", tmp_path / "all")[0])
    values = sampled_estimates(dataset)
    measured = np.array([values[network.network_id] for network in covered])
    predicted = estimator.predict_batch([space.from_json(network.architecture) for network in covered])
    mape = (np.abs(predicted - measured) / measured).mean()
    assert found.rows[0].metrics["mape"] == pytest.approx(mape, rel=1e-4)


def test_a_dataset_without_the_training_networks_has_no_constant(folder, tmp_path):
    trained = set(load_checkpoint(folder / "table.ckpt").fitted_card.training_network_ids)
    fresh = [network for network in sampled(tiny_space(), 60, 7) if network.network_id not in trained]
    dataset = Dataset.create(tmp_path / "fresh", tiny_space().card(), Dataset.open(folder / "data").card.device)
    append_runs(dataset, measured_runs(fresh, 1))
    found = compare(dataset, [folder / "table.ckpt"])
    assert [row.name for row in found.rows] == ["table"]
    assert np.isnan(found.label_noise)  # one round has no odd and even half


def test_one_thread_times_and_the_setting_comes_back(folder, monkeypatch):
    threads = []
    original = module.predict_in_chunks
    monkeypatch.setattr(
        module, "predict_in_chunks", lambda *args: threads.append(torch.get_num_threads()) or original(*args)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        compare(Dataset.open(folder / "data"), [folder / "table.ckpt"])
        assert (threads[0], set(threads[1:]), torch.get_num_threads()) == (2, {1}, 2)
        assert len(threads) >= 5  # the answers, one to warm up, three timed
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"space": None}, r"other\.ckpt: the predictor and the dataset have different spaces: .*kernel_choice"),
        ({"device": None}, r"other\.ckpt: the predictor is for 'Test CPU 2, .*', the dataset is of 'Test CPU, "),
        (
            {"metric": "energy_mj", "unit": "mJ"},
            r"other\.ckpt: the predictor is of energy_mj in mJ, the first one of latency_ms in ms\. Compare",
        ),
    ],
)
def test_another_use_is_refused(folder, tmp_path, fields, message):
    card = json.loads(load_checkpoint(folder / "table.ckpt").fitted_card.to_json())
    if "space" in fields:
        parameters = card["space"]["parameters"] | {"kernel_choice": [3, 7]}
        fields = {"space": card["space"] | {"parameters": parameters}}
    if "device" in fields:
        fields = {"device": card["device"] | {"hardware": "Test CPU 2"}}
    other = recarded(folder / "table.ckpt", tmp_path / "other.ckpt", **fields)
    with pytest.raises(CardError, match=message):
        compare(Dataset.open(folder / "data"), [folder / "table.ckpt", other])


def test_each_predictor_once(folder):
    dataset, path = Dataset.open(folder / "data"), folder / "table.ckpt"
    with pytest.raises(UsageError, match=r"predictors: expected each predictor once, at least one, found 0"):
        compare(dataset, [])
    with pytest.raises(UsageError, match=r"expected each predictor once, at least one, found 2"):
        compare(dataset, [path, path])


def test_none_left_is_refused(folder, tmp_path):
    dataset = Dataset.open(folder / "data")
    all_trained = {"seed": 0, "val": 0.25, "test": 0.0}
    path = recarded(folder / "table.ckpt", tmp_path / "none.ckpt", split=all_trained)
    with pytest.raises(SplitError, match=re.escape(f"{folder}/data: expected at least 2 networks") + ".*found 0 of 0 "):
        compare(dataset, [path])


def test_none_left_for_a_recurrent_net(folder, tmp_path):
    """Exported, it reads as far as the longest network, of which there is none."""
    fit(LSTMPredictor(hidden=4), folder / "data", tmp_path, chain=[*TABLE_CHAIN, "lstm_features"])
    split = {"seed": 0, "val": 0.25, "test": 0.0}
    path = exported(recarded(tmp_path / "best.ckpt", tmp_path / "none.ckpt", split=split), tmp_path / "lstm")[0]
    with pytest.raises(SplitError, match=r"found 0 of 0 held-out ones"):
        compare(Dataset.open(folder / "data"), [path])
