"""What a fit says in words: by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from noisy_runs import chosen, columns, made_up, together
from scipy.stats import t as student

from latpred.estimation import JointFit, fit, quality_of, summarize_networks, summarize_sessions

NAN = float("nan")


def test_networks_by_hand():
    runs = columns([0, 0, 0, 1], [2.0, 2.2, 2.4, 5.0], cpu_time=[2.0, 2.1, 1.2, 5.0], switches=[0, 1, 0, 0])
    found = JointFit(
        level=np.log([2.0, 5.0, NAN]),
        error=np.array([0.01, NAN, NAN]),
        drift=np.zeros(4),
        missed=np.zeros(4),
        weight=np.array([1.0, 0.3, 0.29, 1.0]),
        windows=(None,),
        group=np.array([0]),
    )
    table = summarize_networks(found, runs)
    assert table.columns.tolist() == [
        *("estimate", "low", "high", "half_width", "runs", "used", "preempted", "outlying", "quality")
    ]
    spread = student.ppf(0.975, 3 - 1 + 2) * 0.01  # the law of the noise counts as two runs
    width = np.expm1(spread)
    np.testing.assert_allclose(table["estimate"], [2.0, 5.0, NAN])
    np.testing.assert_allclose(table["low"], [2.0 / (1 + width), 0.0, NAN])
    np.testing.assert_allclose(table["high"], [2.0 * (1 + width), np.inf, NAN])
    np.testing.assert_allclose(table["half_width"], [width, np.inf, NAN])
    assert table["runs"].tolist() == [3, 1, 0]
    assert table["used"].tolist() == [2, 1, 0]
    assert table["outlying"].tolist() == [1, 0, 0]
    assert table["preempted"].tolist() == [2, 0, 0]
    assert table["quality"].tolist() == ["fair", "poor", "poor"]


@pytest.mark.parametrize(
    ("half_width", "quality"),
    [
        (0.0, "good"),
        (0.02, "good"),
        (0.0201, "fair"),
        (0.05, "fair"),
        (0.0501, "poor"),
        (np.inf, "poor"),
        (NAN, "poor"),
    ],
)
def test_quality_is_the_width_of_the_interval(half_width, quality):
    assert quality_of(half_width) == quality


def test_a_run_in_a_burst_is_outlying_and_three_in_a_hundred_clean_ones_at_most():
    made = made_up(40, 24, np.random.default_rng(0))
    burst = np.arange(960) == 500
    runs = replace(made.runs, value=np.where(burst, 3.0, 1.0) * made.runs.value)
    table = summarize_networks(fit(runs, 40), runs)
    assert table["outlying"][made.runs.network[500]] >= 1
    assert 1 <= table["outlying"].sum() <= 0.03 * 960
    assert (table["used"] + table["outlying"]).tolist() == [24] * 40
    assert (table["quality"] == "good").all()


def test_sessions_by_hand():
    runs = columns(
        [0, 0, 0, 1, 0, 1],
        [1.0, 1.1, 1.2, 3.0, 2.0, 6.0],
        [0, 0, 0, 0, 1, 1],
        [1.0, 1.1, 1.2, 3.0, 1.0, 6.0],
    )
    drift, missed = np.log([1.0, 1.1, 1.2, 1.1, 1.5, 1.5]), np.array([0.0, -0.02, 0.01, 0.03, 0.04, 0.0])
    table = summarize_sessions(
        JointFit(np.zeros(2), np.ones(2), drift, missed, np.ones(6), (7, None), np.array([0, 0])), runs
    )
    assert table["runs"].tolist() == [4, 2]
    assert table["preempted"].tolist() == [0.0, 0.5]
    # Network 0 alone was run again in the first session, and none in the second.
    away = np.abs(np.log([1.0, 1.1, 1.2]) - np.log(1.1))
    np.testing.assert_allclose(table["noise_before"], [1.4826 * np.median(away) * 1.5**0.5, NAN])
    # Over both sessions, network 0 has four runs and network 1 two: sizes 0, 0.02, 0.01 and 0.03; 0.04 and 0.
    after = [np.median([0, 0.02 * (4 / 3) ** 0.5, 0.01 * (4 / 3) ** 0.5, 0.03 * 2**0.5]), 0.02 * (4 / 3) ** 0.5]
    np.testing.assert_allclose(table["noise_after"], 1.4826 * np.array(after))
    assert table["window"].tolist() == [7, 0]
    np.testing.assert_allclose(table["level"], [0.1, 0.5])
    low, high = np.quantile(drift[:4], [0.05, 0.95])
    np.testing.assert_allclose(table["swing"], [np.expm1(high - low), 0.0])
    assert table["group"].tolist() == [0, 0]


def test_a_session_of_single_runs_has_no_noise():
    made = made_up(8, 1, np.random.default_rng(0))
    (row,) = summarize_sessions(fit(made.runs, 8), made.runs).to_dict("records")
    assert np.isnan([row["noise_before"], row["noise_after"]]).all()
    assert row["runs"] == 8


def test_the_noise_after_the_fit_is_that_of_the_runs():
    made = made_up(40, 24, np.random.default_rng(0), drift="wild", noise=0.01)
    slower = chosen(made, np.ones(960, bool), session=1, factor=1.3)
    runs = together(made.runs, slower)
    table = summarize_sessions(fit(runs, 40), runs)
    assert (table["noise_before"] > 0.03).all()
    # What neighbours say of the machine is uncertain too: with 7 to 15 of them, by 6 to 12 % of the noise.
    np.testing.assert_allclose(table["noise_after"], 0.011, rtol=0.15)
    assert (1 + table["level"][1]) / (1 + table["level"][0]) == pytest.approx(1.3, rel=0.005)
    span = np.diff(np.quantile(made.drift, [0.05, 0.95]))[0]
    np.testing.assert_allclose(table["swing"], np.expm1(span), rtol=0.05)


def test_nothing_to_summarize():
    runs = columns([], [])
    assert len(summarize_networks(fit(runs, 0), runs)) == 0
    assert summarize_sessions(fit(runs, 0), runs).equals(pd.DataFrame([]))
    assert summarize_networks(fit(runs, 2), runs)["quality"].tolist() == ["poor", "poor"]
