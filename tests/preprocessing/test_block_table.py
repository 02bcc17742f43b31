"""The block table: what is measured, and what is estimated for the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pandas import DataFrame, Series
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from latpred.preprocessing import BlockTable
from latpred.preprocessing.block_table import estimate_blocks, estimate_unmeasured

NAN = float("nan")
COLUMNS = ["network", "position", "primitive", "value"]


def frame(rows):
    """Rows by hand, of which the n-th of a block belongs to the network's n-th run."""
    blocks = DataFrame(rows, columns=COLUMNS)
    number = blocks.groupby(["network", "position"]).cumcount()
    return blocks.assign(run=100 * blocks["network"] + number)


def sums(blocks):
    """Estimates of whole networks that are just what their blocks add up to."""
    return blocks.groupby(["network", "position"])["value"].median().groupby("network").sum()


def fitted(rows, size=3, tokens=(), features=None, wholes=None):
    table, blocks = BlockTable(size), frame(rows)
    wholes = sums(blocks) if wholes is None else Series(wholes)
    table.fit(blocks, np.full((size, 1), NAN) if features is None else features, list(tokens), wholes)
    return table


def test_nothing_is_measured_before_the_fit():
    table = BlockTable(2)
    assert table.value.isnan().all()
    assert not table.measured.any()


def test_a_value_is_the_mean_over_blocks_of_their_medians_over_runs():
    table = fitted(
        [
            (0, 0, 1, 1.0),
            (0, 0, 1, 2.0),
            (0, 0, 1, 30.0),  # median 2
            (0, 4, 1, 11.0),  # the same primitive further back in the same network
            (7, 0, 1, 5.0),
            (7, 1, 0, 0.5),
        ]
    )
    assert table.value.tolist()[:3] == [0.0, 0.5, 6.0]
    assert table.measured.tolist() == [True, True, True, False]


def test_the_blocks_of_a_network_add_up_to_its_estimate():
    """Each run has a burst of 2 in one of three blocks: no block's median holds it, the network's estimate does."""
    bursts = [(0, block, block, 1.0 + block + 2.0 * (run == block)) for run in range(3) for block in range(3)]
    table = fitted(bursts, wholes={0: 9.0, 1: 50.0})
    assert table.value[1:].tolist() == pytest.approx([1.5, 3.0, 4.5])  # 1, 2 and 3 are 6, of 9
    lacking = fitted(bursts[1:], wholes={0: 9.0})  # a run that lacks a block says nothing about the whole
    assert lacking.value[1:].tolist() == pytest.approx([1.0, 2.0, 3.0])


def test_each_network_is_scaled_by_itself():
    blocks = frame(
        [
            (4, 0, 1, 1.0), (4, 0, 1, 3.0), (4, 1, 0, 2.0), (4, 1, 0, 2.0),  # 2 and 2, and the whole takes 5
            (9, 0, 1, 6.0),  # and the whole takes 3
            (2, 0, 0, 1.0), (2, 0, 0, 1.0), (2, 1, 0, 7.0),  # its second run lacks a block
        ]
    )  # fmt: skip
    before, wholes = blocks.copy(), Series({2: 100.0, 4: 5.0, 9: 3.0, 11: 8.0})
    found = estimate_blocks(blocks, wholes)
    expected = [(2, 0, 0, 1.0), (2, 1, 0, 7.0), (4, 0, 1, 2.5), (4, 1, 0, 2.5), (9, 0, 1, 3.0)]
    assert list(found[COLUMNS].itertuples(index=False, name=None)) == expected
    assert blocks.equals(before)
    assert wholes.tolist() == [100.0, 5.0, 3.0, 8.0]


def test_a_network_that_was_run_often_counts_no_more():
    often = [(0, 0, 0, 1.0)] * 9 + [(1, 0, 0, 3.0)]
    assert fitted(often).value[1] == 2.0


def test_looking_up_gives_zero_for_nothing_and_nan_for_the_unmeasured():
    table = fitted([(0, 0, 1, 4.0)], tokens=[2])
    found = table(torch.tensor([[1, -1, 2], [0, 1, 1]]))
    np.testing.assert_array_equal(found, [[4.0, 0.0, 0.0], [NAN, 4.0, 4.0]])
    assert table.measured.tolist() == [True, False, True, True]


def test_a_second_fit_forgets_the_first():
    table = fitted([(0, 0, 1, 4.0)])
    table.fit(frame([(0, 0, 2, 6.0)]), np.full((3, 1), NAN), [], Series({0: 6.0}))
    np.testing.assert_array_equal(table.value, [0.0, NAN, NAN, 6.0])


def test_fitting_leaves_its_arguments_as_they_are():
    rows = frame([(0, 0, 1, 4.0), (0, 1, 0, 1.0)])
    features, tokens, wholes = np.array([[1.0], [2.0], [3.0]]), [2], Series({0: 7.0})
    before = rows.copy(), features.copy(), list(tokens)
    BlockTable(3).fit(rows, features, tokens, wholes)
    assert wholes.to_dict() == {0: 7.0}
    assert rows.equals(before[0])
    np.testing.assert_array_equal(features, before[1])
    assert tokens == before[2]


def test_values_from_elsewhere_are_taken_as_they_are():
    """One is known, one is a token, one has an estimate of its own, and one gets the regression's."""
    table = BlockTable(4)
    value, features = np.array([3.0, NAN, NAN, NAN]), np.array([[1.0], [NAN], [2.0], [5.0]])
    table.fill(value, features, [1], np.array([NAN, NAN, 7.0, NAN]))
    np.testing.assert_array_equal(table.value, [0.0, 3.0, 0.0, NAN, NAN])
    assert table.measured.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(table.estimate, [NAN, NAN, NAN, 7.0, 3.0], rtol=1e-6)
    assert table.features.tolist() == [[1.0] * 9, [1.0] * 9, [1.0] * 9, [2.0] * 9, [5.0] * 9]
    np.testing.assert_array_equal(value, [3.0, NAN, NAN, NAN])


def test_buffers_travel_with_the_state():
    table, other = fitted([(0, 0, 1, 4.0)]), BlockTable(3)
    other.load_state_dict(table.state_dict())
    for name in ("value", "measured", "estimate"):
        assert torch.equal(getattr(table, name).nan_to_num(-1), getattr(other, name).nan_to_num(-1))


def test_an_estimate_is_ridge_regression_of_logarithms():
    rng = np.random.default_rng(0)
    features = rng.lognormal(2, 1, (9, 4))
    features[:, 3] = 5.0  # says nothing
    features[8] = NAN  # a token
    value = rng.lognormal(0, 1, 9)
    value[[2, 5]] = NAN
    value[8] = 0.0
    known = [0, 1, 3, 4, 6, 7]
    scaler = StandardScaler().fit(np.log(features[known]))
    ridge = Ridge(alpha=1e-2 * len(known)).fit(scaler.transform(np.log(features[known])), np.log(value[known]))
    expected = np.full(9, NAN)
    expected[[2, 5]] = np.exp(ridge.predict(scaler.transform(np.log(features[[2, 5]]))))
    np.testing.assert_allclose(estimate_unmeasured(value, features), expected, rtol=1e-9)


def test_an_estimate_follows_a_power_law():
    flops = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    value = np.array([3.0, 6.0, NAN, 24.0, 48.0])
    assert estimate_unmeasured(value, flops)[2] == pytest.approx(12.0, rel=1e-6)


def test_the_table_keeps_estimates_apart_from_values():
    features = np.array([[1.0], [4.0], [2.0]])
    table = fitted([(0, 0, 0, 1.0), (0, 1, 1, 4.0)], features=features)
    assert table.estimate[3].item() == pytest.approx(2.0, rel=0.01)
    assert table.estimate[:3].isnan().all()
    assert table.value[3].isnan()
    assert table(torch.tensor([[2]])).isnan().all()


@pytest.mark.parametrize(
    ("value", "features"),
    [
        ([NAN, NAN], [[1.0], [2.0]]),  # nothing to learn from
        ([1.0, 2.0], [[1.0], [2.0]]),  # nothing to estimate
        ([1.0, NAN], [[1.0], [NAN]]),  # nothing known of it
    ],
)
def test_no_estimate_without_grounds(value, features):
    assert np.isnan(estimate_unmeasured(np.array(value), np.array(features))).all()


def test_what_is_worth_nothing_teaches_nothing():
    assert estimate_unmeasured(np.array([0.0, 3.0, NAN]), np.array([[1.0], [2.0], [4.0]]))[2] == pytest.approx(3.0)


def test_one_measured_primitive_is_the_estimate_of_all_others():
    assert estimate_unmeasured(np.array([3.0, NAN]), np.array([[1.0], [2.0]]))[1] == pytest.approx(3.0)
