"""FBNet's space: the public indices, what skipping a layer means, and its block by hand."""

from __future__ import annotations

from random import Random

import pytest
import torch

from latpred.errors import ArchitectureError, PrimitiveError
from latpred.genprof import assemble
from latpred.primitive import Primitive
from latpred.spaces.fbnet import BLOCKS, FBNet, FBNetArchitecture
from latpred.spaces.fbnet_block import ChannelShuffle

SPACE = FBNet()
INDICES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3]
SMALL = FBNet(image_size=8, depths=[1, 2], channels=[16, 24], strides=[1, 2], head_channels=32, classes=5)


def test_public_indices_are_read_and_written():
    architecture = FBNetArchitecture.from_indices(INDICES)
    assert architecture.blocks[:3] == ("k3_e1", "k3_e1_g2", "k3_e3")
    assert architecture.blocks[7:9] == ("k5_e6", "skip")
    assert architecture.to_indices() == INDICES
    assert SPACE.to_json(architecture) == {"blocks": list(architecture.blocks)}


@pytest.mark.parametrize(("index", "found"), [(9, "9"), (-1, "-1"), ("k3_e1", "'k3_e1'"), (0.5, "0.5")])
def test_another_index_is_refused(index, found):
    with pytest.raises(ValueError, match=rf"expected indices\[1\] to be an integer from 0 to 8, found {found}"):
        FBNetArchitecture.from_indices([0, index])


def test_the_layers_of_the_default():
    """A block everywhere: sizes, channels and strides as HW-NAS-Bench has them for CIFAR."""
    primitives = SPACE.primitives(FBNetArchitecture(("k3_e1",) * 22))
    assert len(primitives) == SPACE.slots == 26
    shapes = [(p.spatial_size, p.C, p.C_out, p.stride) for p in primitives]
    assert shapes[0] == (32, 3, 16, 1)
    assert shapes[1:3] == [(32, 16, 16, 1), (32, 16, 24, 1)]
    assert shapes[6:8] == [(32, 24, 32, 2), (16, 32, 32, 1)]
    assert shapes[10] == (16, 32, 64, 2)
    assert shapes[14] == (8, 64, 112, 1)
    assert shapes[18] == (8, 112, 184, 2)
    assert shapes[22:] == [(4, 184, 352, 1), (4, 352, 1504, 1), (4, 1504, 1504, 4), (1, 1504, 100, 1)]


def test_a_skip_is_nothing_or_a_convolution():
    """Of all 22, only the layers that change the shape are left."""
    architecture = FBNetArchitecture(("skip",) * 22)
    layers = SPACE.slot_ids(architecture)[1:23]
    assert [place for place, i in enumerate(layers) if i >= 0] == [1, 5, 9, 13, 17, 21]
    skips = SPACE.primitives(architecture)[1:-3]
    assert {(p.prim_type, p.kernel_size, p.options["activation"]) for p in skips} == {("conv_bn_act", 1, "relu")}
    assert [p.stride for p in skips] == [1, 2, 2, 1, 2, 1]


def test_a_skip_that_only_makes_the_map_smaller_is_a_convolution():
    space = FBNet(image_size=8, depths=[1, 2], channels=[16, 16], strides=[1, 2])
    found = space.primitives(FBNetArchitecture(("skip",) * 3))[1:-3]
    assert [(p.prim_type, p.spatial_size, p.C, p.C_out, p.stride) for p in found] == [("conv_bn_act", 8, 16, 16, 2)]


def test_the_choices_are_what_their_names_say():
    found = {}
    for block in BLOCKS[:-1]:
        primitive = SPACE.primitives(FBNetArchitecture((block,) * 22))[1]
        found[block] = (primitive.kernel_size, primitive.options["expansion"], primitive.options["groups"])
    assert found == {
        "k3_e1": (3, 1, 1), "k3_e1_g2": (3, 1, 2), "k3_e3": (3, 3, 1), "k3_e6": (3, 6, 1),
        "k5_e1": (5, 1, 1), "k5_e1_g2": (5, 1, 2), "k5_e3": (5, 3, 1), "k5_e6": (5, 6, 1),
    }  # fmt: skip


def test_the_cost_of_a_block_by_hand():
    primitive = Primitive("fbnet_block", 8, 4, 6, 2, 3, '{"expansion":3,"groups":2}')
    cost = SPACE.type_of(primitive).cost(primitive)
    weights = 4 * 12 // 2, 12 * 9, 12 * 6 // 2
    assert cost.flops == 2 * (weights[0] * 64 + weights[1] * 16 + weights[2] * 16)
    assert cost.parameters == sum(weights) + 2 * (12 + 12 + 6)
    assert cost.bytes == 4 * (cost.parameters + 4 * 64 + 6 * 16)


def test_two_groups_are_shuffled():
    features = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert ChannelShuffle(2)(features).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert ChannelShuffle(3)(features).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    kwargs = '{{"expansion":1,"groups":{}}}'
    blocks = [SPACE.block(Primitive("fbnet_block", 4, 4, 4, 1, 3, kwargs.format(groups))) for groups in (1, 2)]
    assert [any(isinstance(m, ChannelShuffle) for m in block.modules()) for block in blocks] == [False, True]
    assert [m.groups for m in blocks[1].modules() if isinstance(m, torch.nn.Conv2d)] == [2, 4, 2]


@pytest.mark.parametrize(("C_out", "stride", "adds"), [(4, 1, True), (4, 2, False), (6, 1, False)])
def test_the_input_is_added_where_it_has_the_same_shape(C_out, stride, adds):
    block = SPACE.block(Primitive("fbnet_block", 4, 4, C_out, stride, 3, '{"expansion":1,"groups":1}')).eval()
    features = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    before = features.clone()
    with torch.no_grad():
        found, body = block(features), block.body(features)
    torch.testing.assert_close(found, body + before if adds else body)
    assert torch.equal(features, before)


@pytest.mark.parametrize(
    ("primitive", "message"),
    [
        (
            Primitive("fbnet_block", 8, 4, 5, 1, 3, '{"expansion":1,"groups":2}'),
            r"that 2 groups divide, found \(4, 5\)",
        ),
        (
            Primitive("fbnet_block", 8, 3, 4, 1, 3, '{"expansion":1,"groups":2}'),
            r"that 2 groups divide, found \(3, 4\)",
        ),
        (Primitive("fbnet_block", 8, 4, 4, 1, 4, '{"expansion":1,"groups":1}'), "an odd kernel_size, found 4"),
        (Primitive("fbnet_block", 8, 4, 4, 1, 3, '{"expansion":0,"groups":1}'), "expansion to be an integer >= 1"),
        (Primitive("fbnet_block", 8, 4, 4, 1, 3, '{"expansion":1,"groups":true}'), "groups to be an integer >= 1"),
        (Primitive("fbnet_block", 8, 4, 4, 1, 3, '{"expansion":1}'), "groups is missing"),
    ],
    ids=str,
)
def test_what_cannot_be_a_block_is_refused(primitive, message):
    kind = SPACE.type_of(primitive)
    for method in (kind.build, kind.cost):
        with pytest.raises(PrimitiveError, match=message):
            method(primitive)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (("k3_e1",) * 21, r"expected blocks to have 22 entries, one for each layer, found \('k3_e1'"),
        (("k3_e1",) * 21 + ("k7_e1",), r"expected blocks\[21\] to be one of k3_e1, .*, skip, found 'k7_e1'"),
        (("k3_e1",) * 21 + (["skip"],), r"expected blocks\[21\] to be one of .*, found \['skip'\]"),
        ("k3_e1", "expected blocks to have 22 entries, one for each layer, found 'k3_e1'"),
        (None, "expected blocks to have 22 entries, one for each layer, found None"),
    ],
)
def test_other_choices_are_refused(blocks, message):
    for method in (SPACE.slot_ids, SPACE.to_json, SPACE.primitives):
        with pytest.raises(ArchitectureError, match=f"^space fbnet: {message}"):
            method(FBNetArchitecture(blocks))
    with pytest.raises(ArchitectureError, match=f"^space fbnet: {message}"):
        SPACE.mutate(FBNetArchitecture(blocks), Random(0))


def test_a_json_form_without_a_list_is_refused():
    with pytest.raises(ArchitectureError, match="expected an architecture with the key blocks, a list of choices"):
        SPACE.from_json({"blocks": "k3_e1"})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image_size": 0}, "image_size must be an integer >= 1, got 0"),
        ({"classes": 1.5}, "classes must be an integer >= 1, got 1.5"),
        ({"strides": [1, 2]}, r"strides must have 7 entries, one for each entry of depths, got 2: \[1, 2\]"),
        ({"channels": [16, 24, 32, 64, 112, 184, 0]}, r"channels\[6\] must be an integer >= 1, got 0"),
        ({"channels": [16, 24, 32, 64, 112, 185, 352]}, "channels must be even, .* two groups, got .*185"),
        ({"stem_channels": 15}, r"stem_channels must be even, .* got \[15\]"),
        ({"depths": [], "channels": [], "strides": []}, "depths must have at least one entry, got none"),
    ],
)
def test_a_parameter_out_of_range_is_refused(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        FBNet(**parameters)


def test_the_form_for_imagenet():
    space = FBNet(image_size=224, stem_stride=2, strides=[1, 2, 2, 2, 1, 2, 1], head_channels=1984, classes=1000)
    head = space.primitives(space.sample(Random(0)))[-3:]
    assert [(p.spatial_size, p.C, p.C_out) for p in head] == [(7, 352, 1984), (7, 1984, 1984), (1, 1984, 1000)]


def test_every_primitive_can_be_profiled_by_itself():
    assembly = assemble(SMALL)
    placed = [
        p for n in assembly.networks for p, role in zip(n.primitives, n.roles, strict=True) if role == "primitive"
    ]
    assert sorted(placed) == list(SMALL.vocabulary().primitives)
    assert not assembly.unplaced
