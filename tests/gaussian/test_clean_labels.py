"""Labels of training networks without drift."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting import make_data
from measured import append_runs, measured_runs, network_latency_ms
from processes import SPACE
from synthetic import DEVICE

from latpred.dataset import Dataset
from latpred.errors import ConfigError
from latpred.gaussian import split_error
from latpred.genprof import sampled

NETWORKS = sampled(SPACE, 160, seed=0)
TRUE = {network.network_id: network_latency_ms(network) for network in NETWORKS}
CHAIN = ["block_sum"]


def slowed(runs, factors):
    """Return runs whose machine was slower by these factors, one after the other."""
    found = []
    for run, factor in zip(runs, factors, strict=True):
        blocks = tuple(factor * value for value in run.block_latency_ms)
        overall = factor * run.overall_latency_ms
        found.append(replace(run, overall_latency_ms=overall, cpu_time_ms=overall, block_latency_ms=blocks))
    return found


def make(path, runs):
    dataset = Dataset.create(path, SPACE.card(), DEVICE)
    append_runs(dataset, runs)
    return dataset


def wave(count, deviation=0.08):
    return 1 + deviation * np.sin(np.arange(count) / 10)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    runs = slowed(measured_runs(NETWORKS, 1, noise=0.003), wave(len(NETWORKS)))
    return make(tmp_path_factory.mktemp("drift") / "data", runs).path


def prepared(path, chain=CHAIN, **options):
    data = make_data(path, chain, **options)
    data.setup("fit")
    table = data.fit_chain()
    data.setup("test")
    return data, table


def off(data, part):
    """Relative distances of the labels of a part from the truth."""
    return data.batch(part).target.numpy() / [TRUE[i] for i in data.network_ids(part)] - 1


def test_training_labels_are_clean_and_others_as_measured(path, capsys):
    before, _ = prepared(path)
    assert capsys.readouterr().out == ""
    after, _ = prepared(path, order="measured")
    assert np.std(off(after, "train")) < 0.3 * np.std(off(before, "train"))
    for part in ("val", "test"):
        assert torch.equal(after.batch(part).target, before.batch(part).target)
    printed = capsys.readouterr().out
    count = len(before.network_ids("train"))
    assert f"{path}: drift of " in printed
    assert f" was taken from the labels of {count} training networks, by the order of measuring" in printed


def test_held_out_networks_teach_nothing(path, tmp_path):
    """Whatever they took, and wherever they stood, the training labels are the same."""
    data, _ = prepared(path, order="measured")
    train = set(data.network_ids("train"))
    runs = slowed(measured_runs(NETWORKS, 1, noise=0.003), wave(len(NETWORKS)))
    factors = [1.0 if run.network_id in train else 3.0 for run in runs]
    other, _ = prepared(make(tmp_path / "other", slowed(runs, factors)).path, order="measured")
    assert other.network_ids("train") == sorted(train)
    assert torch.equal(other.batch("train").target, data.batch("train").target)


def test_the_table_is_of_clean_labels(path):
    chain = ["block_sum", "remove_anomaly", "flatten"]
    errors = []
    for order in ("unknown", "measured"):
        data, table = prepared(path, chain, order=order)
        batch = data.batch("train")
        truth = torch.tensor([TRUE[i] for i in data.network_ids("train")])
        errors.append(float((table(batch.ids).sum(1) / truth - 1).abs().mean()))
    assert errors[1] < 0.7 * errors[0]


def test_a_table_that_is_learned_from_wholes_is_of_clean_labels(path, tmp_path, capsys):
    nothing = {"block_latency_ms": None, "block_method": None, "overhead_ms": None}
    runs = slowed(measured_runs(NETWORKS, 1, noise=0.003), wave(len(NETWORKS)))
    dataset = make(tmp_path / "wholes", [replace(run, **nothing) for run in runs])
    errors = []
    for order in ("unknown", "measured"):
        data, table = prepared(dataset.path, ["block_sum", "flatten"], order=order)
        truth = torch.tensor([TRUE[i] for i in data.network_ids("train")])
        errors.append(float((table(data.batch("train").ids).sum(1) / truth - 1).abs().mean()))
    assert errors[1] < 0.7 * errors[0]


def test_sessions_are_far_apart_in_time(tmp_path):
    """The second one, of a slower machine, does not look like a drift of the first one's last networks."""
    half = len(NETWORKS) // 2
    runs = slowed(measured_runs(NETWORKS, 1, noise=0.003), wave(len(NETWORKS), 0.05))
    dataset = make(tmp_path / "two", runs[:half])
    second = [replace(run, session_id="s1", sequence=i) for i, run in enumerate(runs[half:])]
    append_runs(dataset, second)
    data, _ = prepared(dataset.path, order="measured")
    assert np.std(off(data, "train")) < 0.4 * 0.05 / 2**0.5


def test_several_runs_of_each_network_tell_the_drift_themselves(tmp_path):
    path = make(tmp_path / "d", measured_runs(NETWORKS[:40], 2)).path
    data = make_data(path, CHAIN, order="measured")
    data.setup("fit")
    count = len(data.network_ids("train"))
    message = rf"data\.order: expected networks of one run each, found several of each of the {count} training networks"
    with pytest.raises(ConfigError, match=message + rf" of {path}: .*\. Leave data\.order out\."):
        data.fit_chain()


def test_networks_of_several_runs_keep_their_labels(path, tmp_path):
    runs = slowed(measured_runs(NETWORKS, 1, noise=0.003), wave(len(NETWORKS)))
    again = measured_runs(NETWORKS[:20], 1, session_id="s1", noise=0.003)
    dataset = make(tmp_path / "mixed", runs)
    append_runs(dataset, again)
    plain, _ = prepared(dataset.path)
    clean, _ = prepared(dataset.path, order="measured")
    twice = {network.network_id for network in NETWORKS[:20]}
    several = torch.tensor([i in twice for i in plain.network_ids("train")])
    assert 0 < several.sum() < len(several)
    same = plain.batch("train").target == clean.batch("train").target
    assert same[several].all()
    assert not same[~several].any()


def test_an_error_is_split_by_what_the_labels_tell(path):
    data, _ = prepared(path, order="measured")
    parts = data.error_parts(0.08)
    assert parts.drift == pytest.approx(0.08 / 2**0.5, rel=0.5)
    assert parts.noise < 0.02
    assert parts.error**2 == pytest.approx(parts.drift**2 + parts.noise**2 + parts.model**2)


def test_single_runs_without_an_order_tell_nothing(path):
    assert prepared(path)[0].error_parts(0.1) is None


def test_repeats_tell_the_noise_of_labels(tmp_path):
    """Of 16 runs of 3 % each, the median; the drift is taken out, whatever the order."""
    path = make(tmp_path / "d", measured_runs(NETWORKS[:60], 16, noise=0.03)).path
    parts = prepared(path)[0].error_parts(0.1)
    assert parts.drift == 0
    assert 0.03 / 4 < parts.noise < 0.03 / 2


def test_parts_of_an_error_by_hand():
    parts = split_error(0.13, drift=0.03, noise=0.04)
    assert parts.model == pytest.approx(0.12)
    assert str(parts) == "RMSPE 13 %: drift 3 %, noise of runs 4 %, model 12 %"
    assert split_error(0.03, drift=0.03, noise=0.04).model == 0
