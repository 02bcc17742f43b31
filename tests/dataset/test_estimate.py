"""From a dataset's runs to labels, by hand and on made-up data, and what each label counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from synthetic import DEVICE, SPACE, START, make_dataset, make_network, make_networks, make_record, make_run, make_runs

from latpred.dataset import (
    Dataset,
    estimate,
    estimates,
    label_noise,
    label_weights,
    run_columns,
    split_half_noise,
)
from latpred.dataset.read import Measurements
from latpred.run import Run

NAN = float("nan")
ONE, TWO, GLUED = make_network([0, 5]), make_network([3, 3, 7]), make_network([1, 2], assembled=True)


def timed(network, value, **fields) -> Run:
    """Return a run of `value` ms that nothing disturbed."""
    return make_run(network, overall_latency_ms=value, cpu_time_ms=value, **fields)


def read(path: Path, *sessions: list[Run], metric: str = "latency_ms") -> Measurements:
    """Return what a dataset of these sessions says."""
    dataset = Dataset.create(path, SPACE, DEVICE)
    for runs in sessions:
        with dataset.session(make_record(runs[0].session_id)) as session:
            for run in runs:
                session.append(run)
    return Dataset.open(path).read(metric)


def by_id(measurements: Measurements) -> pd.DataFrame:
    return estimates(measurements).set_index("network_id")


def test_columns_are_in_the_order_of_the_runs(tmp_path):
    first = [
        timed(TWO, 4.0, session_id="s1", sequence=7, involuntary_switches=3),
        make_run(ONE, session_id="s1", sequence=2, overall_latency_ms=2.0, cpu_time_ms=None, involuntary_switches=None),
    ]
    measurements = read(tmp_path / "d", first, [timed(TWO, 5.0, session_id="r9")])
    columns, session_ids = run_columns(measurements)
    one, two = (
        [network.network_id for network in measurements.networks].index(network.network_id) for network in (ONE, TWO)
    )
    assert session_ids == ["r9", "s1"]
    assert columns.network.tolist() == [two, one, two]
    assert columns.session.tolist() == [0, 1, 1]
    assert columns.value.tolist() == [5.0, 2.0, 4.0]
    np.testing.assert_array_equal(columns.cpu_time, [5.0, NAN, 4.0])
    np.testing.assert_array_equal(columns.switches, [0.0, NAN, 3.0])


def test_cpu_time_is_that_of_the_timed_pass_and_says_nothing_of_energy(tmp_path):
    runs = [make_run(ONE, overall_energy_mj=9.0, cpu_time_ms=0.001, involuntary_switches=5)]
    columns, _ = run_columns(read(tmp_path / "d", runs, metric="energy_mj"))
    assert columns.value.tolist() == [9.0]
    assert np.isnan(columns.cpu_time).all()
    assert not columns.preempted.any()


def test_networks_sessions_and_runs_by_hand(tmp_path):
    """A machine without noise; the second session is 20 % slower, and one of its runs waits for the CPU."""
    first = [timed(network, value, sequence=i) for i, (network, value) in enumerate([(ONE, 2.0), (GLUED, 3.0)] * 3)]
    second = [
        timed(network, 1.2 * value, session_id="s1", sequence=i)
        for i, (network, value) in enumerate([(ONE, 2.0), (TWO, 5.0)] * 3)
    ]
    second[4] = replace(second[4], overall_latency_ms=9.0)
    measurements = read(tmp_path / "d", first, second)
    found = estimate(measurements)
    networks = found.networks.set_index("network_id")
    assert [networks.loc[n.network_id, "estimate"] for n in (ONE, TWO, GLUED)] == pytest.approx([2, 5, 3], rel=1e-6)
    assert [networks.loc[n.network_id, "assembled"] for n in (ONE, TWO, GLUED)] == [False, False, True]
    assert [networks.loc[n.network_id, "runs"] for n in (ONE, TWO, GLUED)] == [6, 3, 3]
    assert networks["preempted"].to_dict() == {ONE.network_id: 1, TWO.network_id: 0, GLUED.network_id: 0}
    assert (networks["quality"] == "good").all()
    assert found.networks.index.tolist() == [0, 1, 2]
    assert found.networks["network_id"].tolist() == [network.network_id for network in measurements.networks]

    assert found.sessions["session_id"].tolist() == ["s0", "s1"]
    np.testing.assert_allclose(found.sessions["level"], [0.0, 0.2], atol=1e-6)
    np.testing.assert_allclose(found.sessions["preempted"], [0.0, 1 / 6])
    assert found.sessions["runs"].tolist() == [6, 6]
    assert found.runs["session_id"].tolist() == ["s0"] * 6 + ["s1"] * 6
    assert found.runs["started_at"].tolist() == [START + pd.Timedelta(seconds=i) for i in [*range(6), *range(6)]]
    np.testing.assert_allclose(found.runs["drift"], [0.0] * 6 + [0.2] * 6, atol=1e-6)
    np.testing.assert_allclose(found.runs["weight"], 1.0, atol=1e-3)


def test_the_drift_is_taken_out(tmp_path):
    """A machine that becomes 20 % slower and faster with every 300 runs, and noise of 1 %."""
    networks, rng = make_networks(40, seed=1), Random(0)
    order = [(r, network) for r in range(12) for network in rng.sample(networks, 40)]
    runs = []
    for i, (round_, network) in enumerate(order):
        machine = (1 + 0.2 * np.sin(2 * np.pi * i / 300)) * rng.lognormvariate(0, 0.01)
        value = make_run(network).overall_latency_ms * machine
        runs.append(timed(network, value, sequence=i, round=round_))
    found = by_id(read(tmp_path / "d", runs))
    true = pd.Series({run.network_id: run.overall_latency_ms for run in make_runs(networks, 1, noise=0.0)})
    ratio = found["estimate"] / true
    error = (ratio / ratio.median() - 1).abs()
    medians = pd.Series([r.overall_latency_ms for r in runs]).groupby([r.network_id for r in runs]).median() / true
    assert error.mean() < 0.005
    assert error.mean() < (medians / medians.median() - 1).abs().mean() / 8


def test_a_peak_of_memory_does_not_drift(tmp_path):
    """It stays what it is, though a session may read it higher: the slower machine is no reason."""
    sessions = [
        [
            replace(timed(n, 1.0, session_id=name, sequence=i), overall_memory_mb=factor * mb)
            for i, (n, mb) in enumerate([(ONE, 10.0), (TWO, 20.0)] * 3)
        ]
        for name, factor in (("s1", 1.0), ("s2", 1.0), ("s3", 1.5))
    ]
    measurements = read(tmp_path / "d", *sessions, metric="memory_mb")
    found = estimate(measurements)
    assert found.networks["estimate"].sort_values().tolist() == pytest.approx([10.0, 20.0], rel=1e-3)
    assert found.runs["drift"].tolist() == [0.0] * 18
    assert (found.runs["weight"] > 0.99).tolist() == [True] * 12 + [False] * 6


def test_the_noise_is_half_of_what_the_halves_differ_by(tmp_path):
    """The odd rounds say 2, 3 and 5.5, the even ones 2, 3.3 and 5: the logs differ by 0, 0.0953 and -0.0953."""
    values = [(ONE, 0, 2.0), (ONE, 1, 2.0), (TWO, 0, 3.3), (TWO, 1, 3.0), (GLUED, 0, 5.0), (GLUED, 1, 5.5)]
    runs = [timed(n, v, sequence=i, round=r) for i, (n, r, v) in enumerate(values)]
    measurements = read(tmp_path / "d", runs)
    found = split_half_noise(measurements)
    expected = [(ONE, 0.0), (TWO, np.log(1.1) / 2), (GLUED, np.log(1.1) / 2)]
    ids = [network.network_id for network in measurements.networks]
    assert found.index.tolist() == [0, 1, 2]
    for network, noise in expected:
        assert found[ids.index(network.network_id)] == pytest.approx(noise, abs=1e-9)
    assert label_noise(measurements) == pytest.approx(np.log(1.1) / 3)
    pd.testing.assert_series_equal(estimates(measurements)["noise"], found, check_names=False)


def test_what_all_networks_differ_by_is_no_noise(tmp_path):
    values = [(ONE, 0, 2.0), (TWO, 0, 3.0), (GLUED, 0, 5.0), (ONE, 1, 2.4), (TWO, 1, 3.6), (GLUED, 1, 6.0)]
    runs = [timed(n, v, sequence=i, round=r) for i, (n, r, v) in enumerate(values)]
    assert split_half_noise(read(tmp_path / "d", runs)).tolist() == pytest.approx([0.0] * 3, abs=1e-9)


def test_one_network_alone_has_all_of_the_difference(tmp_path):
    runs = [timed(ONE, v, sequence=i, round=i) for i, v in enumerate([2.0, 2.2])]
    assert split_half_noise(read(tmp_path / "d", runs)).tolist() == pytest.approx([np.log(1.1) / 2])


def test_a_network_of_one_half_has_no_noise_of_its_own(tmp_path):
    runs = [timed(ONE, 2.0, sequence=i, round=i) for i in range(2)]
    runs += [timed(TWO, 3.0, sequence=2 + i, round=2 * i) for i in range(3)]
    measurements = read(tmp_path / "d", runs)
    noise = by_id(measurements)["noise"]
    assert noise[ONE.network_id] == pytest.approx(0, abs=1e-9)
    assert np.isnan(noise[TWO.network_id])
    assert label_noise(measurements) == pytest.approx(0, abs=1e-9)
    once = read(tmp_path / "once", [timed(ONE, 2.0)])
    assert np.isnan(label_noise(once))


def test_halves_of_sessions_that_have_one_half_only(tmp_path):
    """Killed after the first round, and continued: each session has the runs of one half."""
    networks = make_networks(6)
    first = make_runs(networks, 1, noise=0.0)
    second = [replace(run, session_id="s1", round=1) for run in first]
    noise = split_half_noise(read(tmp_path / "d", first, second))
    assert noise.tolist() == pytest.approx([0.0] * 6, abs=1e-9)


def test_a_dataset_without_runs_estimates_nothing(tmp_path):
    measurements = make_dataset(tmp_path / "d", []).read()
    found = estimate(measurements)
    assert (len(found.networks), len(found.sessions), len(found.runs)) == (0, 0, 0)
    assert np.isnan(label_noise(measurements))


def test_estimating_leaves_what_was_read_as_it_is(tmp_path):
    measurements = read(tmp_path / "d", make_runs(make_networks(5), 3))
    before = measurements.runs.copy()
    first, second = estimates(measurements), estimates(measurements)
    pd.testing.assert_frame_equal(measurements.runs, before)
    pd.testing.assert_frame_equal(first, second)


def test_weights_by_hand():
    width = pd.Series([0.01, np.inf, 0.03, NAN], index=[4, 2, 8, 1])
    # The typical one is 0.02, which stands for the unknown ones and is added to all.
    raw = {4: 1 / (0.0001 + 0.0004), 2: 1 / (0.0004 + 0.0004), 8: 1 / (0.0009 + 0.0004), 1: 1 / (0.0004 + 0.0004)}
    mean = sum(raw.values()) / 4
    assert label_weights(width).to_dict() == pytest.approx({key: value / mean for key, value in raw.items()})
    assert width.tolist()[:3] == [0.01, np.inf, 0.03]


@pytest.mark.parametrize("widths", [[NAN, NAN], [np.inf, NAN], [0.0, 0.0], [0.0, 0.0, 0.5], []])
def test_all_count_alike_where_no_typical_width_is_known(widths):
    weights = label_weights(pd.Series(widths, dtype=float))
    assert weights.tolist() == [1.0] * len(widths)
