"""The drift: running medians, and the window that the data choose."""

import numpy as np
import pytest

from latpred.estimation.drift import WINDOWS, choose_window, median_of_others, running_median

NAN = float("nan")


def test_a_running_median_by_hand():
    values = np.array([1.0, 5.0, 2.0, 9.0, 3.0])
    # At the ends the windows are shorter: of 1 and 5, of 9 and 3.
    assert running_median(values, 3).tolist() == [3.0, 2.0, 5.0, 3.0, 6.0]
    assert running_median(values, None).tolist() == [3.0] * 5


def test_what_is_unknown_tells_nothing():
    values = np.array([NAN, 2.0, NAN, NAN, NAN, NAN, NAN, 5.0, 7.0])
    # Windows of 3 hold: nothing and 2, 2, 2, then four times nothing, 5, 5 and 7, both; between 2 and 5 lie steps of
    # 3 / 4.
    expected = [2.0, 2.0, 2.0, 2.75, 3.5, 4.25, 5.0, 6.0, 6.0]
    assert running_median(values, 3).tolist() == expected
    assert running_median(values, None).tolist() == [5.0] * 9


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("median", [running_median, median_of_others])
def test_where_nothing_is_known_there_is_no_drift(median, window):
    assert median(np.full(3, NAN), window).tolist() == [0.0, 0.0, 0.0]
    assert median(np.zeros(0), window).tolist() == []


@pytest.mark.parametrize("window", [3, 5, 21])
def test_the_median_of_others_leaves_each_out(window):
    rng = np.random.default_rng(window)
    values = rng.standard_normal(60).round(1)  # with ties
    half = window // 2
    mirrored = [*values[half:0:-1], *values, *values[-2 : -half - 2 : -1]]
    expected = [np.median(mirrored[i : i + half] + mirrored[i + half + 1 : i + window]) for i in range(60)]
    np.testing.assert_allclose(median_of_others(values, window), expected)
    # With gaps, neighbours are those that are known; in the gaps lies what is between.
    holes = np.insert(values, [10, 40], NAN)
    found = median_of_others(holes, window)
    np.testing.assert_allclose(np.delete(found, [10, 41]), expected)
    assert found[10] == pytest.approx((expected[9] + expected[10]) / 2)


@pytest.mark.parametrize(("window", "count"), [(None, 50), (61, 200), (7, 7)])
def test_where_one_value_changes_little_or_few_are_there_none_is_left_out(window, count):
    values = np.random.default_rng(0).standard_normal(count)
    np.testing.assert_array_equal(median_of_others(values, window), running_median(values, window))


def test_noise_alone_has_no_window():
    """By chance, some window often predicts a little better than none, but not by a standard error."""
    found = [choose_window(np.random.default_rng(seed).standard_normal(100)) for seed in range(40)]
    assert found.count(None) >= 39


def test_bursts_alone_have_no_window():
    rng = np.random.default_rng(0)
    values = 0.01 * rng.standard_normal(1000)
    values[rng.permutation(1000)[:100]] += 0.5  # single runs, which say nothing about their neighbours
    assert choose_window(values) is None
    once = 0.01 * rng.standard_normal(1000)
    once[500:512] += 3.0  # one pause of the whole machine is no reason to follow noise everywhere else
    assert choose_window(once) is None


def wave(period, count=2000):
    return 0.05 * np.sin(2 * np.pi * np.arange(count) / period) + 0.01 * np.random.default_rng(0).standard_normal(count)


def test_the_faster_the_drift_the_shorter_the_window():
    found = [choose_window(wave(period)) for period in (12, 60, 300, 2000)]
    assert found[0] == WINDOWS[0]
    assert found == sorted(found)
    assert found[1] < 15 < 31 <= found[2] < found[3] == WINDOWS[-1]


def test_unknown_residuals_are_left_out():
    values = wave(60)
    holes = np.insert(values, np.arange(0, 2000, 3), NAN)
    assert choose_window(holes) == choose_window(values) is not None


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_runs_have_no_window(count):
    assert choose_window(np.linspace(0, 1, count)) is None


def test_windows_are_chosen_on_the_first_runs():
    values = wave(60, 8000)
    assert choose_window(np.concatenate([values, np.zeros(30_000)])) == choose_window(values) is not None
