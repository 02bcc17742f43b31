"""Net steps: what a net sees of a network, by hand."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from latpred.preprocessing import BlockTable, Chain
from latpred.preprocessing.lstm_features import BlockFeatures, LSTMFeatures
from latpred.preprocessing.padding import PaddedBlocks, Padding
from latpred.preprocessing.standardize import Standardize
from latpred.preprocessing.sum_features import ExtractSumFeatures, SumFeatures

NAN = float("nan")
EXPANSION = 2
"""Place of the expansion among the features."""

# ids: 0 and 1 measured, 2 never measured, 3 a token
GEOMETRY = [[4, 8, 6, 3, 16, 2], [8, 8, 1, 5, 8, 1], [8, 16, 3, 3, 8, 2]]
VALUES = [2.0, 0.5, NAN, 0.0]
IDS = tensor([[0, 1, -1, 0], [-1, -1, -1, -1], [3, 1, 3, -1], [0, 2, -1, -1]])


@pytest.fixture
def table() -> BlockTable:
    table = BlockTable(4)
    table.value.copy_(tensor([0.0, *VALUES]))
    table.features.fill_(1.0)  # nothing and tokens have none
    table.features[1:4, :6] = tensor(GEOMETRY, dtype=torch.float32)
    table.features[1:4, 6:] = 1e6  # FLOPs and the like, which are not among the seven
    return table


def test_sum_features_by_hand(table):
    """A token is no block: it adds nothing to the sum, and is not counted."""
    net = SumFeatures(table)
    expected = tensor([[4.5, 3.0], [0.0, 0.0], [0.5, 1.0], [NAN, 2.0]])
    torch.testing.assert_close(net(IDS), expected, equal_nan=True, rtol=0, atol=0)
    assert torch.equal(torch.jit.script(net)(IDS)[:3], expected[:3])


def test_padded_blocks_by_hand(table):
    net = PaddedBlocks(table)
    expected = tensor([[2.0, 0.5, 0.0, 2.0], [0.0] * 4, [0.0, 0.5, 0.0, 0.0], [2.0, NAN, 0.0, 0.0]])
    torch.testing.assert_close(net(IDS), expected, equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(torch.jit.script(net)(IDS), expected, equal_nan=True, rtol=0, atol=0)


def test_standardization_by_hand():
    net = Standardize(2)
    rows = tensor([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
    assert net(rows).isnan().all()  # not fitted
    net.fit(rows)
    assert net.mean.tolist() == [3.0, 5.0]
    # The deviation of 1, 3, 5 is sqrt(8 / 3); that of a constant counts as 1.
    assert net.std.tolist() == pytest.approx([math.sqrt(8 / 3), 1.0])
    unseen = tensor([[[3.0 + math.sqrt(8 / 3), 7.0]]])
    torch.testing.assert_close(net(unseen), tensor([[[1.0, 2.0]]]))
    assert torch.equal(torch.jit.script(net)(unseen), net(unseen))
    net.fit(rows[:1])  # a single row has no deviation
    assert net(rows[:1]).tolist() == [[0.0, 0.0]]


def test_block_features_by_hand(table):
    net = BlockFeatures(table)
    assert net(IDS[:1])[0, 0].isnan().all()  # not fitted
    net.fit(tensor([[0, 1, -1, 0], [1, -1, -1, -1]]))  # twice each: mean and deviation of their two logarithms
    logs = np.log([[*GEOMETRY[0], 2.0], [*GEOMETRY[1], 0.5]])
    half = (logs[0] - logs[1]) / 2
    signs = np.sign(half)  # +1 where the first is greater, 0 where both are equal
    features = net(IDS).numpy()
    assert features.shape == (4, 4, 7)
    np.testing.assert_allclose(features[0, 0], signs, atol=1e-5)
    np.testing.assert_allclose(features[0, 1], -signs, atol=1e-5)
    np.testing.assert_array_equal(features[0, 2], 0.0)
    np.testing.assert_array_equal(features[1], 0.0)
    scale = np.where(half == 0, 1.0, np.abs(half))
    token = -logs.mean(0) / scale  # the logarithms of a token's features and of its value count as 0
    np.testing.assert_allclose(features[2, 0], token, rtol=1e-4, atol=1e-5)
    unmeasured = (np.log(GEOMETRY[2]) - logs.mean(0)[:6]) / scale[:6]
    np.testing.assert_allclose(features[3, 1, :6], unmeasured, rtol=1e-4, atol=1e-5)
    assert np.isnan(features[3, 1, 6])
    assert np.isfinite(features[:3]).all()
    torch.testing.assert_close(torch.jit.script(net)(IDS), net(IDS), equal_nan=True, rtol=0, atol=0)


def test_block_features_count_every_block_of_every_network(table):
    """The statistics are those of blocks, not of primitives: the first one three times, the second once."""
    net = BlockFeatures(table)
    net.fit(tensor([[0, 1, -1, 0], [0, -1, -1, -1]]))
    assert float(net.standardize.mean[EXPANSION]) == pytest.approx(3 * math.log(6) / 4)
    assert float(net.standardize.std[EXPANSION]) == pytest.approx(math.log(6) * math.sqrt(3) / 4)


@pytest.mark.parametrize(
    ("step", "net"), [(ExtractSumFeatures, SumFeatures), (Padding, PaddedBlocks), (LSTMFeatures, BlockFeatures)]
)
def test_a_step_is_found_by_its_name_and_reads_the_given_table(table, step, net):
    front = Chain(["flatten", step.name]).front(table)
    assert type(front) is net
    assert front.table is table


@pytest.mark.parametrize("name", ["extract_lstm_features", "extrace_lstm_features"])
def test_names_of_the_reference_system_stand_for_ours(table, name):
    chain = Chain(["flatten", name])
    assert chain.names == ["flatten", "lstm_features"]
    assert type(chain.front(table)) is BlockFeatures
