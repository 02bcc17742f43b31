"""Blocks: costs and outputs worked out by hand, and the refusals."""

from __future__ import annotations

import pytest
import torch

from latpred.config import canonical_json
from latpred.errors import PrimitiveError
from latpred.primitive import Primitive
from latpred.spaces.blocks import PRIMITIVE_TYPES
from latpred.spaces.mobilenet import inner_channels, make_divisible
from latpred.spaces.primitive_type import LayerCost, conv_cost, total_cost

ACT = {"activation": "relu", "affine": True}
V2 = {**ACT, "expansion": 6}
V3 = {**V2, "use_se": True}


def primitive(prim_type, size, C, C_out, stride=1, kernel=1, **kwargs):
    return Primitive(prim_type, size, C, C_out, stride, kernel, canonical_json(kwargs))


def run(block, features):
    with torch.inference_mode():
        return PRIMITIVE_TYPES[block.prim_type].build(block).eval()(features)


BLOCKS = {
    # FLOPs: 2 * 6*6 output pixels * 4 channels * (3*3*3 weights); parameters: 4*27 weights + 4 biases
    "conv_3x3": (primitive("conv_3x3", 11, 3, 4, 2, 3), 2 * 36 * 4 * 27, 4 * 27 + 4),
    "conv_1x1": (primitive("conv_1x1", 5, 3, 4, 2), 2 * 9 * 4 * 3, 12 + 4),
    "conv_bn_act": (primitive("conv_bn_act", 7, 3, 4, 2, 5, **ACT), 2 * 16 * 4 * 75, 4 * 75 + 8),
    "avg_pool": (primitive("avg_pool", 7, 3, 3, 2, 3), 0, 0),
    "max_pool": (primitive("max_pool", 7, 3, 3, 2, 2), 0, 0),
    "global_avg_pool": (primitive("global_avg_pool", 7, 3, 3, 7, 7), 0, 0),
    "linear": (primitive("linear", 1, 3, 4, activation="none"), 24, 12 + 4),
    # inner 48: expand 7x7 pixels, depthwise 3x3 and projection at 4x4; a BatchNorm for each
    "mobilenet_v2_block": (
        primitive("mobilenet_v2_block", 7, 8, 16, 2, 3, **V2),
        2 * (49 * 8 * 48 + 16 * 48 * 9 + 16 * 48 * 16),
        8 * 48 + 48 * 9 + 48 * 16 + 2 * (48 + 48 + 16),
    ),
    # the same and squeeze-excite 48 -> 16 (12 rounded up: 8 loses more than a tenth) -> 48, with biases
    "mobilenet_v3_block": (
        primitive("mobilenet_v3_block", 7, 8, 16, 2, 3, **V3),
        2 * (49 * 8 * 48 + 16 * 48 * 9 + 16 * 48 * 16 + 2 * 48 * 16),
        8 * 48 + 48 * 9 + 48 * 16 + 2 * (48 + 48 + 16) + 2 * 48 * 16 + 16 + 48,
    ),
}


@pytest.mark.parametrize(("block", "flops", "parameters"), BLOCKS.values(), ids=BLOCKS.keys())
def test_costs_are_those_worked_out_by_hand(block, flops, parameters):
    cost = PRIMITIVE_TYPES[block.prim_type].cost(block)
    moved = block.C * block.spatial_size**2 + block.C_out * block.out_size**2
    assert cost == (flops, parameters, 4 * (parameters + moved))


def test_every_type_is_tested():
    assert sorted(BLOCKS) == sorted(PRIMITIVE_TYPES)


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, 8), (8, 8), (11, 16), (12, 16), (19, 24), (16 * 0.75, 16), (100, 104), (99, 96)]
)
def test_channels_are_rounded_to_multiples_of_eight(channels, expected):
    # 11 -> 8 would lose 27 %, 19 -> 16 would lose 16 %: one step up; 99 -> 96 loses 3 %
    assert make_divisible(channels) == expected


def test_without_an_expansion_the_inner_width_is_the_input_width():
    assert (inner_channels(12, 1), inner_channels(12, 2)) == (12, 24)


def test_a_cost_sums_its_layers_and_the_bytes_moved():
    layers = [LayerCost(10, 3), conv_cost(4, 4, 3, 2, groups=4, bias=True)]  # 36 weights, 4 biases, 4 pixels
    assert total_cost(primitive("x", 2, 4, 4), layers) == (10 + 2 * 36 * 4, 3 + 40, 4 * (43 + 16 + 16))


@pytest.mark.parametrize("size", [300, 75, 7, 4, 1])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("prim_type", ["conv_3x3", "conv_bn_act", "avg_pool", "max_pool"])
def test_odd_sizes_give_the_ceiling(prim_type, size, stride):
    block = primitive(prim_type, size, 2, 2, stride, 3, **(ACT if prim_type == "conv_bn_act" else {}))
    out = -(-size // stride)
    assert run(block, torch.zeros(1, 2, size, size)).shape == (1, 2, out, out)
    assert block.out_size == out


@pytest.mark.parametrize("prim_type", ["avg_pool", "max_pool"])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_an_even_window_as_large_as_its_stride_covers_the_border(prim_type, size):
    features = torch.arange(float(size**2)).reshape(1, 1, size, size)
    out = run(primitive(prim_type, size, 1, 1, 2, 2), features)
    corner = features[0, 0, -1, -1] if size % 2 else None  # of an odd map, the last window holds one pixel
    assert out.shape[-1] == -(-size // 2)
    if corner is not None:
        assert out[0, 0, -1, -1] == corner


def test_average_pooling_does_not_count_its_padding():
    out = run(primitive("avg_pool", 5, 1, 1, 2, 3), torch.ones(1, 1, 5, 5))
    torch.testing.assert_close(out, torch.ones(1, 1, 3, 3))


def test_pooling_takes_mean_and_maximum():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert run(primitive("avg_pool", 2, 1, 1, 2, 2), features).item() == 3.0
    assert run(primitive("max_pool", 2, 1, 1, 2, 2), features).item() == 6.0
    assert run(primitive("global_avg_pool", 2, 1, 1, 2, 2), features).item() == 3.0


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", [0.0, 1.0, 8.0]),
        ("relu6", [0.0, 1.0, 6.0]),
        ("h_swish", [-1 / 3, 2 / 3, 8.0]),  # x * clamp(x + 3, 0, 6) / 6
        ("swish", [-1 / (1 + 2.718281828), 1 / (1 + 1 / 2.718281828), 8 / (1 + 2.718281828**-8)]),
        ("none", [-1.0, 1.0, 8.0]),
    ],
)
def test_activations_are_what_their_names_say(activation, expected):
    module = PRIMITIVE_TYPES["linear"].build(primitive("linear", 1, 3, 3, activation=activation)).eval()
    with torch.no_grad():
        module.linear.weight.copy_(torch.eye(3))
        module.linear.bias.zero_()
        out = module(torch.tensor([-1.0, 1.0, 8.0]).reshape(1, 3, 1, 1))
    torch.testing.assert_close(out.flatten(), torch.tensor(expected))


@pytest.mark.parametrize(("C_out", "stride", "adds"), [(8, 1, True), (16, 1, False), (8, 2, False)])
def test_the_input_is_added_where_shapes_agree(C_out, stride, adds):
    module = PRIMITIVE_TYPES["mobilenet_v3_block"].build(primitive("mobilenet_v3_block", 6, 8, C_out, stride, 3, **V3))
    features = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        module.eval().body.project_norm.weight.zero_()
        out = module(features.clone())
    torch.testing.assert_close(out, features if adds else torch.zeros_like(out))


def test_squeeze_excite_scales_each_channel_by_a_number_from_all_means():
    module = PRIMITIVE_TYPES["mobilenet_v3_block"].build(primitive("mobilenet_v3_block", 4, 8, 8, 1, 3, **V3))
    excite = module.body.squeeze_excite
    features = torch.randn(1, 48, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        squeeze, expand = excite.gate[1], excite.gate[3]
        squeezed = torch.relu(squeeze.weight[:, :, 0, 0] @ features.mean((0, 2, 3)) + squeeze.bias)
        gate = ((expand.weight[:, :, 0, 0] @ squeezed + expand.bias + 3) / 6).clamp(0, 1)
        torch.testing.assert_close(excite(features), features * gate[None, :, None, None])
    assert squeezed.shape == (16,)


def test_layers_stand_in_the_order_of_the_paper():
    build = PRIMITIVE_TYPES["mobilenet_v3_block"].build
    norms = ["expand", "expand_norm", "expand_act", "depthwise", "depthwise_norm", "depthwise_act"]
    names = [*norms, "squeeze_excite", "project", "project_norm"]
    assert [n for n, _ in build(primitive("mobilenet_v3_block", 4, 8, 8, 1, 3, **V3)).body.named_children()] == names
    plain = {**V3, "expansion": 1, "use_se": False}
    short = build(primitive("mobilenet_v3_block", 4, 8, 8, 1, 3, **plain))
    assert [name for name, _ in short.body.named_children()] == [*names[3:6], *names[7:]]


REFUSED = {
    "unknown argument": (
        primitive("conv_3x3", 8, 3, 8, 1, 3, bias=True),
        "expected the arguments none, found also bias",
    ),
    "missing argument": (
        primitive("conv_bn_act", 8, 3, 8, affine=True),
        "expected the arguments activation, affine, activation is missing",
    ),
    "misspelt arguments": (
        primitive("mobilenet_v3_block", 8, 8, 8, 1, 3, **V2, use_sse=True),
        "expected the arguments activation, affine, expansion, use_se, found also use_sse",
    ),
    "squeeze-excite in v2": (primitive("mobilenet_v2_block", 8, 8, 8, 1, 3, **V3), "found also use_se"),
    "unknown activation": (
        primitive("linear", 1, 3, 8, activation="tanh"),
        "expected activation to be one of h_swish, none, relu, relu6, swish, found 'tanh'",
    ),
    "no flag": (
        primitive("conv_bn_act", 8, 3, 8, activation="relu", affine=1),
        "expected affine to be true or false, found 1",
    ),
    "two spellings of one number": (
        primitive("mobilenet_v2_block", 8, 8, 8, 1, 3, **{**V2, "expansion": 6.0}),
        "expected expansion to be a number > 0, without a point where it is whole, found 6.0",
    ),
    "negative expansion": (primitive("mobilenet_v2_block", 8, 8, 8, 1, 3, **{**V2, "expansion": -1}), "found -1"),
    "true as a number": (primitive("mobilenet_v2_block", 8, 8, 8, 1, 3, **{**V2, "expansion": True}), "found True"),
    "even kernel": (primitive("mobilenet_v3_block", 8, 8, 8, 1, 4, **V3), "expected an odd kernel_size, found 4"),
    "even kernel of conv": (primitive("conv_bn_act", 8, 8, 8, 1, 2, **ACT), "expected an odd kernel_size, found 2"),
    "wrong kernel": (primitive("conv_3x3", 8, 8, 8, 1, 5), "expected kernel_size 3, found 5"),
    "wrong kernel of 1x1": (primitive("conv_1x1", 8, 8, 8, 1, 3), "expected kernel_size 1, found 3"),
    "pooling that widens": (primitive("max_pool", 8, 8, 16, 2, 2), "expected C_out 8 as C, found 16"),
    "even window off its stride": (
        primitive("avg_pool", 8, 8, 8, 1, 2),
        "expected kernel_size to be odd or the stride, found 2",
    ),
    "global pooling of a part": (
        primitive("global_avg_pool", 8, 8, 8, 8, 3),
        r"expected stride and kernel_size (8, 8), its spatial_size, found (8, 3)",
    ),
    "global pooling that widens": (primitive("global_avg_pool", 8, 8, 9, 8, 8), "expected C_out 8 as C, found 9"),
    "linear on a map": (
        primitive("linear", 4, 3, 8, activation="none"),
        "expected spatial_size, stride and kernel_size (1, 1, 1), found (4, 1, 1)",
    ),
}


@pytest.mark.parametrize(("block", "text"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("face", ["build", "cost"])
def test_what_a_type_cannot_be_is_refused_by_module_and_cost(block, text, face):
    with pytest.raises(PrimitiveError) as error:
        getattr(PRIMITIVE_TYPES[block.prim_type], face)(block)
    assert error.value.where == f"primitive {block}"
    assert text in error.value.problem
