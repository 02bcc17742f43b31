"""From a profile to shares, by hand."""

import pytest

from latpred.profiling.runtimes.shares import NodeTime, block_shares


def run(*nodes):
    return [NodeTime(block, us) for block, us in nodes]


RUN = run((0, 30.0), (1, 50.0), (1, 20.0))


def test_shares_of_the_nodes_time():
    shares = block_shares([RUN], 2, [100.0])
    assert shares.blocks == pytest.approx((0.3, 0.7))
    assert shares.overhead == 0
    assert shares.method == "profile_share"


def test_a_node_without_a_block_belongs_to_the_one_before_it():
    shares = block_shares([run((0, 30.0), (None, 10.0), (1, 40.0), (None, 20.0))], 2, [100.0])
    assert shares.blocks == pytest.approx((0.4, 0.6))


def test_what_is_before_all_blocks_is_overhead():
    shares = block_shares([run((None, 4.0), (0, 46.0), (1, 50.0))], 2, [100.0])
    assert shares.blocks == pytest.approx((0.46, 0.5))
    assert shares.overhead == pytest.approx(0.04)


def test_an_interruption_of_one_block_in_one_run_counts_for_nothing():
    hit = run((0, 3000.0), (1, 50.0), (1, 20.0))
    assert block_shares([RUN, hit, RUN], 2, [100.0, 100.0, 5000.0]).blocks == pytest.approx((0.3, 0.7))


def test_what_profiling_adds_is_subtracted_from_each_node():
    # 100 us with three nodes, 85 without the profiler: 5 us for each node. (25, 60) / 85.
    assert block_shares([RUN], 2, [85.0]).blocks == pytest.approx((25 / 85, 60 / 85))


def test_what_profiling_adds_to_the_overhead_is_subtracted_too():
    # Four nodes of 100 us, 80 without the profiler: 5 us each, more than the first has. (25, 55) / 80.
    shares = block_shares([run((None, 4.0), (0, 30.0), (1, 46.0), (1, 20.0))], 2, [80.0])
    assert shares.blocks == pytest.approx((25 / 81, 56 / 81))
    assert shares.overhead == 0


def test_profiling_that_seems_to_save_time_adds_nothing():
    assert block_shares([RUN], 2, [130.0]).blocks == pytest.approx((0.3, 0.7))


def test_at_most_half_of_the_smallest_nodes_is_subtracted():
    # 30 us would be for each of three nodes, but those of the second block take 4 us each. (88, 4) / 92.
    assert block_shares([run((0, 90.0), (1, 4.0), (1, 4.0))], 2, [8.0]).blocks == pytest.approx((88 / 92, 4 / 92))


def test_a_block_without_a_node_leaves_the_network_without_shares():
    assert block_shares([run((0, 50.0), (2, 50.0))], 3, [100.0]) is None


def test_a_block_whose_time_is_not_positive_leaves_the_network_without_shares():
    assert block_shares([run((0, 50.0), (1, -0.1))], 2, [100.0]) is None


def test_too_much_time_outside_of_blocks_leaves_the_network_without_shares():
    assert block_shares([run((None, 6.0), (0, 94.0))], 1, [100.0]) is None
    assert block_shares([run((None, 5.0), (0, 95.0))], 1, [100.0]).overhead == pytest.approx(0.05)
