"""Figures: what they show is what was measured and predicted."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from latpred.config import canonical_json
from latpred.primitive import Primitive
from latpred.report.figures import block_errors, error_figure, kind_of, scatter_figure, table_figure
from latpred.vocabulary import Vocabulary

NAN = float("nan")


def block(size=8, C=4, C_out=4, stride=1, kernel=3, **options):
    return Primitive("mobilenet_v3_block", size, C, C_out, stride, kernel, canonical_json(options))


def vocabulary(*primitives, tokens=()):
    assert list(primitives) == sorted(primitives)
    return Vocabulary(tuple(primitives), tuple(tokens))


@pytest.mark.parametrize(
    ("primitive", "kind"),
    [
        (block(kernel=5, expansion=6), "mobilenet_v3_block k5 e6"),
        (block(expansion=3, activation="relu"), "mobilenet_v3_block k3 e3"),
        (Primitive("conv_bn_act", 8, 4, 4, 1, 1, "{}"), "conv_bn_act k1"),
    ],
)
def test_a_kind_is_type_kernel_and_expansion(primitive, kind):
    assert kind_of(primitive) == kind


def test_the_scatter_shows_every_network():
    measured, predicted = np.array([1.0, 4.0, 2.0]), np.array([1.5, 3.0, 2.5])
    axes = scatter_figure(measured, predicted, "mJ", "the title").axes[0]
    (points,) = [c for c in axes.collections if isinstance(c, PathCollection)]
    assert points.get_offsets().tolist() == [[1.0, 1.5], [4.0, 3.0], [2.0, 2.5]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("measured, mJ", "predicted, mJ")
    assert axes.get_title() == "the title"
    (diagonal,) = axes.lines
    assert diagonal.get_xydata().tolist() == [[1.0, 1.0], [4.0, 4.0]]
    (band,) = [c for c in axes.collections if not isinstance(c, PathCollection)]
    corners = {tuple(np.round(vertex, 6)) for vertex in band.get_paths()[0].vertices}
    assert corners == {(1.0, 0.9), (1.0, 1.1), (4.0, 3.6), (4.0, 4.4)}


def test_block_errors_by_hand():
    known = vocabulary(block(expansion=3), block(kernel=5, expansion=6), tokens=["edge"])
    rows = [
        (0, 0, 0, 1.0), (0, 0, 0, 4.0), (0, 0, 0, 2.0),  # three runs, median 2; the table says 3: +50 %
        (0, 1, 1, 10.0), (0, 1, 1, 6.0),  # two runs, median 8; the table says 6: -25 %
        (1, 4, 0, 3.0),  # as the table says, but the network takes twice as long as its block
    ]  # fmt: skip
    blocks = pd.DataFrame(rows, columns=["network", "position", "primitive", "value"])
    blocks["run"] = [0, 1, 2, 0, 1, 3]
    before = blocks.copy()
    wholes = pd.Series({0: 12.0, 1: 6.0})  # of network 0, a run lacks a block: not scaled; network 1 is, by 6 / 3
    errors = block_errors(blocks, wholes, np.array([3.0, 6.0, 0.0]), known)
    kinds = ["mobilenet_v3_block k3 e3", "mobilenet_v3_block k5 e6"]
    assert errors["kind"].tolist() == [kinds[0], kinds[1], kinds[0]]
    assert errors["position"].tolist() == [0, 1, 4]
    assert errors["error"].tolist() == pytest.approx([0.5, -0.25, -0.5])
    pd.testing.assert_frame_equal(blocks, before)


def test_blocks_that_the_table_does_not_know_have_no_error():
    known = vocabulary(block(kernel=3), block(kernel=5))
    blocks = pd.DataFrame({"run": 0, "network": 0, "position": [0, 1], "primitive": [0, 1], "value": [2.0, 2.0]})
    errors = block_errors(blocks, pd.Series({0: 4.0}), np.array([NAN, 3.0]), known)
    assert errors["position"].tolist() == [1]
    assert errors["error"].tolist() == [0.5]


def test_error_boxes_are_in_per_cent_and_counted():
    hundredths = [i / 100 for i in range(21)]
    errors = pd.DataFrame({"position": [10, *[2] * 21], "error": [0.5, *hundredths]})
    axes = error_figure(errors, "position", "the title").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["2 (21)", "10 (1)"]
    lines = [np.round(np.asarray(line.get_xdata()), 6).tolist() for line in axes.lines]
    boxes = [sorted(set(line)) for line in lines if len(line) == 5]
    assert boxes == [[5.0, 15.0], [50.0]]  # quartiles of 0 to 20 and of 50
    assert [10.0, 10.0] in lines  # the median
    assert [5.0, 1.0] in lines  # the whiskers, to 5 and 95 %
    assert [15.0, 19.0] in lines
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first one on top
    assert axes.get_title() == "the title"


def test_the_heat_map_holds_the_table():
    primitives = sorted(
        [
            block(size=8, kernel=3, expansion=3, activation="relu"),
            block(size=8, kernel=3, expansion=3, activation="h_swish"),  # shares the cell of the first
            block(size=16, kernel=3, expansion=3),
            block(size=8, kernel=5, expansion=3),
            block(size=16, kernel=5, expansion=3),
            block(size=8, kernel=3, expansion=6, C_out=8, stride=2),
        ]
    )
    by_hand = {
        (8, 3, 4, "relu"): 1.0, (8, 3, 4, "h_swish"): 2.0, (16, 3, 4, None): 3.0,
        (8, 5, 4, None): NAN, (16, 5, 4, None): 5.0, (8, 3, 8, None): 6.0,
    }  # fmt: skip
    value = [by_hand[p.spatial_size, p.kernel_size, p.C_out, p.options.get("activation")] for p in primitives]
    figure = table_figure(np.array([*value, 0.0]), vocabulary(*primitives, tokens=["edge"]), "ms")
    axes, colors = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "mobilenet_v3_block k3 e3",
        "mobilenet_v3_block k3 e6",
        "mobilenet_v3_block k5 e3",
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16px 4-4 s1", "8px 4-8 s2", "8px 4-4 s1"]
    grid = np.ma.filled(axes.images[0].get_array(), NAN)
    np.testing.assert_array_equal(grid, [[3.0, NAN, 2.0], [NAN, 6.0, NAN], [5.0, NAN, NAN]])
    assert colors.get_ylabel() == "ms"
