"""Rows of a profile -> blocks, whatever a tool has made of the names."""

import pytest

from latpred.formats import Layer
from latpred.hardware import BlockNames, block_times, spread
from latpred.hardware.blocks import Place
from latpred.hardware.onnx_runtime import OnnxRuntime

LAYERS = (
    ("b00/Conv", "b00/Relu"),
    ("b01/body/expand/Conv", "b01/body/expand_act/HardSwish", "b01/Add"),
    ("b02/Conv", "b02/Conv_1", "output"),
)
NAMES = BlockNames(LAYERS)


@pytest.mark.parametrize(
    ("nodes", "block", "fused"),
    [
        (["b00/Conv"], 0, False),
        (["output"], 2, False),
        (["output_nchwc"], 2, False),
        (["b01/body/expand/Conv/WithoutBiases"], 1, False),
        (["b01/output_nchwc"], 1, False),
        (["Convert_2005_abcd_acdb_b01/body/expand/Conv/WithoutBiases"], 1, False),
        (["Reformatting CopyNode for Input Tensor 0 to b02/Conv"], 2, False),
        (["b00/Conv + b00/Relu"], 0, False),
        (["b00/Conv + b01/Add"], 1, False),
        (["b00/Conv;b01/Add;b01/body/expand/Conv"], 1, False),
        (["b00/Conv", "b00/Relu"], 0, False),
        (["b00/Conv", "b01/Add"], 1, True),
        (["b01/Add", "reshape"], 1, False),
        (["PWN(PWN(b01/body/expand_act/HardSwish), b01/Add)"], 1, False),
        (["b02_Conv_1"], 2, False),
        (["model/b01_body_expand_Conv/convolution"], 1, False),
        (["b00_Conv_b02_Conv"], 2, False),
        (["b01_unknown"], None, False),
        (["web02_Conv"], None, False),
        (["b99/Conv"], None, False),
        (["reshape"], None, False),
        ([""], None, False),
        ([], None, False),
    ],
)
def test_place(nodes, block, fused):
    assert NAMES.place(nodes) == Place(block, fused)


def times(*rows, in_order=True):
    layers = [Layer(name, ms, kind) for name, ms, kind in rows]
    return block_times(layers, NAMES, OnnxRuntime(), 3, in_order=in_order)


def test_rows_without_a_block_belong_to_the_one_before_them_and_the_first_ones_to_none():
    found = times(
        ("Convert_12", 0.5, ""),
        ("b00/Conv", 1, "Conv"),
        ("reorder", 0.25, "Reorder"),
        ("b01/Add", 2, "Add"),
        ("x", 3, ""),
    )
    assert found.blocks == (1.25, 5, 0)
    assert found.rows == (2, 2, 0)
    assert found.overhead == {"Convert_N": 0.5}
    assert (found.overhead_rows, found.by_position, found.fused) == (1, 3.25, 0)
    assert found.total == 6.75


def test_without_an_order_they_are_all_overhead():
    found = times(("b00/Conv", 1, ""), ("reorder", 0.25, "Reorder"), ("other", 0.5, "Reorder"), in_order=False)
    assert found.blocks == (1, 0, 0)
    assert (found.overhead, found.overhead_rows, found.by_position) == ({"Reorder": 0.75}, 2, 0)


def test_what_is_fused_across_blocks_is_counted():
    layer = Layer("fused", 2, nodes=("b00/Conv", "b01/Add"))
    found = block_times([layer, Layer("b01/Add", None)], NAMES, OnnxRuntime(), 3, in_order=True)
    assert (found.blocks, found.rows, found.fused) == ((0, 2, 0), (0, 1, 0), 2)


def test_a_whole_that_is_larger_than_the_rows_is_spread_in_proportion():
    found = times(("in", 0.1, ""), ("b00/Conv", 1, ""), ("b01/Add", 2, ""), ("b02/Conv", 0.9, ""))
    blocks, overhead = spread(found, 8.0)
    assert blocks == pytest.approx((2, 4, 1.8))
    assert overhead == pytest.approx(0.2)


def test_what_a_profiler_adds_to_each_row_is_taken_out():
    # 5 rows take 0.2 ms more than they would without a profiler: 0.04 each.
    found = times(
        ("b00/Conv", 1.04, ""), ("b00/Relu", 0.24, ""), ("b01/Add", 2.04, ""), ("b02/Conv", 0.88, ""), ("x", 0, "")
    )
    blocks, overhead = spread(found, 4.0)
    assert blocks == pytest.approx((1.2, 2, 0.8))
    assert overhead == 0


def test_at_most_half_of_a_block_is_taken_out():
    found = times(("b00/Conv", 0.1, ""), ("b01/Add", 5, ""), ("b02/Conv", 5, ""))
    blocks, _ = spread(found, 1.0)  # 9.1 ms too many, 3.03 each, but the first has 0.1 alone
    assert blocks == pytest.approx([x / 9.95 for x in (0.05, 4.95, 4.95)])


@pytest.mark.parametrize(
    "rows",
    [
        [("b00/Conv", 1, ""), ("b01/Add", 1, "")],  # the third block has no row
        [("in", 0.2, ""), ("b00/Conv", 1, ""), ("b01/Add", 1, ""), ("b02/Conv", 1, "")],  # 93.75 % are covered
        [],
    ],
)
def test_what_cannot_be_told_apart_is_not_made_up(rows):
    assert spread(times(*rows), 4.0) is None


def test_95_per_cent_are_enough():
    found = times(("in", 0.15, ""), ("b00/Conv", 1, ""), ("b01/Add", 1, ""), ("b02/Conv", 0.85, ""))
    assert spread(found, 3.0) is not None
