"""block_sum: the sum of a run's blocks, and of a network's in the net."""

from __future__ import annotations

import numpy as np
import torch
from rows import assert_equal, copied, make_rows

from latpred.preprocessing import BlockSum, BlockSumNet, BlockTable

NAN = float("nan")


def test_each_run_gets_the_sum_of_its_own_blocks():
    rows = make_rows(
        [(0, 9.0, [1.0, 2.0, 3.0], [0, 1, 2]), (1, 9.0, [4.0], [0]), (0, 9.0, [0.5, 0.25, 8.0], [0, 1, 2])]
    )
    before = copied(rows)
    summed = BlockSum()(rows)
    assert summed.runs["block_sum"].tolist() == [6.0, 4.0, 8.75]
    assert summed.runs.drop(columns="block_sum").equals(before.runs)
    assert_equal(rows, before)


def test_a_run_with_an_unmeasured_block_has_no_sum():
    rows = make_rows([(0, 9.0, [1.0, NAN], [0, 1]), (0, 9.0, [1.0, 2.0], [0, 1])])
    np.testing.assert_array_equal(BlockSum()(rows).runs["block_sum"], [NAN, 3.0])


def test_no_runs_have_no_sums():
    rows = make_rows([])
    assert BlockSum()(rows).runs["block_sum"].tolist() == []


def make_table(values):
    table = BlockTable(len(values))
    table.value.copy_(torch.tensor([0.0, *values]))
    return table


def test_the_net_sums_over_slots_and_skips_empty_ones():
    net = BlockSum().front(make_table([1.0, 10.0, 100.0]))
    ids = torch.tensor([[0, 1, -1], [2, 2, 2], [-1, -1, -1], [-1, 0, -1]])
    assert net(ids).tolist() == [11.0, 300.0, 0.0, 1.0]


def test_one_bad_network_does_not_spoil_a_batch():
    net = BlockSumNet(make_table([1.0, NAN]))
    assert net(torch.tensor([[0, 0], [0, 1], [-1, 0]])).tolist()[::2] == [2.0, 1.0]
    assert net(torch.tensor([[0, 0], [0, 1], [-1, 0]])).isnan().tolist() == [False, True, False]


def test_the_net_can_be_scripted():
    net = BlockSumNet(make_table([1.0, 10.0]))
    ids = torch.tensor([[0, 1], [1, 1]])
    assert torch.jit.script(net)(ids).tolist() == [11.0, 20.0]
