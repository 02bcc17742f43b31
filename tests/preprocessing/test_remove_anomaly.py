"""remove_anomaly: which runs stay."""

from __future__ import annotations

import pytest
from rows import assert_equal, copied, make_rows

from latpred.preprocessing import BlockSum, RemoveAnomaly

NAN = float("nan")


def overall(*runs):
    """Return rows of (network, overall value) without measured blocks."""
    return make_rows([(network, value, [NAN], [0]) for network, value in runs])


def kept(rows, tolerance=0.1):
    runs = RemoveAnomaly(tolerance)(rows).runs
    return list(zip(runs["network"], runs["overall"], strict=True))


def test_runs_far_from_their_networks_median_go():
    rows = overall((0, 1.0), (1, 10.0), (0, 1.05), (0, 1.2), (1, 10.5), (1, 30.0), (0, 0.95), (0, 0.5))
    before = copied(rows)
    assert kept(rows) == [(0, 1.0), (1, 10.0), (0, 1.05), (1, 10.5), (0, 0.95)]
    assert_equal(rows, before)


def test_one_outlier_of_three_does_not_take_the_others_along():
    assert kept(overall((0, 1.0), (0, 1.01), (0, 9.0))) == [(0, 1.0), (0, 1.01)]


def test_of_two_runs_far_apart_the_lower_stays():
    assert kept(overall((0, 3.0), (0, 1.0))) == [(0, 1.0)]
    assert kept(overall((0, 1.0), (0, 3.0), (0, 2.0), (0, 4.0))) == [(0, 2.0)]  # the lower median


def test_the_tolerance_is_a_share_of_the_median_and_included():
    rows = overall((0, 4.0), (0, 4.0), (0, 5.0), (0, 3.0), (0, 5.01), (0, 2.99))
    assert kept(rows, tolerance=0.25) == [(0, 4.0), (0, 4.0), (0, 5.0), (0, 3.0)]


def test_runs_are_judged_by_their_blocks_where_all_runs_of_the_network_have_them():
    rows = make_rows(
        [
            (0, 100.0, [1.0, 1.0], [0, 1]),
            (0, 1.0, [1.0, 1.1], [0, 1]),
            (0, 1.0, [1.0, 2.0], [0, 1]),
            (1, 5.0, [1.0], [0]),  # judged by its overall value: another run of its network has no blocks
            (1, 5.0, [NAN], [0]),
            (1, 9.0, [1.0], [0]),
        ]
    )
    assert kept(BlockSum()(rows)) == [(0, 100.0), (0, 1.0), (1, 5.0), (1, 5.0)]


def test_a_single_run_and_no_run_stay():
    assert kept(overall((3, 7.0))) == [(3, 7.0)]
    assert kept(BlockSum()(make_rows([]))) == []


@pytest.mark.parametrize("tolerance", [0, 1, -0.1, 10, NAN])
def test_a_tolerance_that_is_no_share_is_refused(tolerance):
    with pytest.raises(ValueError, match=f"tolerance must lie between 0 and 1, got {tolerance}"):
        RemoveAnomaly(tolerance)
