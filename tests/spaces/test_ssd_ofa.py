"""SSDOFA: where its heads and predictors stand, what a predictor computes, and what the space refuses."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from latpred.errors import ArchitectureError, ConfigError, PrimitiveError
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces import load_space
from latpred.spaces.mnasnet_architecture import MNasNetArchitecture
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.pool import BlockPool
from latpred.spaces.ssd_architecture import SSDArchitecture
from latpred.spaces.ssd_ofa import SSDOFA
from latpred.spaces.ssd_predictor import SSDPredictor

ROOT = Path(__file__).parents[2]
SMALLEST = SSDArchitecture(
    MNasNetArchitecture(
        depth=(1, 2, 2, 2, 2, 2),
        width=((1,), (3, 4), (3, 3), (6, 3), (3, 3), (3, 6)),
        kernel=((3,), (5, 3), (3, 7), (3, 3), (3, 3), (3, 3)),
        image_size=192,
    ),
    head_width=(0.25, 0.5, 0.75, 0.5),
    head_kernel=(3, 3, 3, 3),
)


@pytest.fixture(scope="module")
def space():
    return SSDOFA(image_size_choice=(192,))


def head(size, C, C_out, expansion):
    kwargs = f'{{"activation":"relu","affine":true,"expansion":{expansion},"use_se":false}}'
    return Primitive("mobilenet_v3_block", size, C, C_out, 2, 3, kwargs)


def predictor(size, C, anchors, classes=21):
    kwargs = f'{{"activation":"relu6","affine":true,"anchors":{anchors},"classes":{classes}}}'
    return Primitive("ssd_predictor", size, C, C, 1, 3, kwargs)


def test_the_shipped_configuration_is_the_default():
    space = load_space(ROOT / "configs/spaces/ssd_ofa.yaml")
    assert space.card() == SSDOFA().card()
    assert len(space.vocabulary()) == 526
    assert space.image_size_choice == (512, 384, 320, 256, 192)


def test_heads_and_predictors_follow_the_backbone(space):
    blocks = space.primitives(SMALLEST)
    # 192 px: the last map of stride 16 has 12 px and 96 channels, that of stride 32 has 6 px and 160
    assert [i for i, block in enumerate(blocks) if block.prim_type == "ssd_predictor"] == [10, 13, 15, 17, 19, 21]
    assert (blocks[9].C_out, blocks[9].out_size) == (96, 12)
    assert blocks[10] == predictor(12, 96, 4)
    assert (blocks[11].C, blocks[11].stride, blocks[12].C_out) == (96, 2, 160)
    assert blocks[13:] == (
        predictor(6, 160, 6),
        head(6, 160, 512, 0.25),
        predictor(3, 512, 6),
        head(3, 512, 256, 0.5),
        predictor(2, 256, 6),
        head(2, 256, 256, 0.75),
        predictor(1, 256, 4),
        head(1, 256, 128, 0.5),
        predictor(1, 128, 4),
    )


def test_one_image_size_has_the_backbones_92_primitives_12_heads_and_6_predictors(space):
    kinds = [block.prim_type for block in space.all_primitives()]
    assert (len(kinds), kinds.count("ssd_predictor"), kinds.count("mobilenet_v3_block")) == (110, 6, 91 + 12)
    detection = {field: getattr(space, field) for field in ("image_size_choice", "base_channels", "acts")}
    assert MNasNetOFA(**detection).all_primitives() < space.all_primitives()


def test_slots_are_positions(space):
    ids = space.slot_ids(SMALLEST)
    assert space.slots == len(ids) == 22 + 6 + 4
    backbone = [0, 1, 2, 3, 6, 7, 10, 11, 14, 15, 19, 20]  # the slots behind 17 are one further than MNasNetOFA's
    assert [slot for slot, i in enumerate(ids) if i >= 0] == sorted([*backbone, 18, *range(23, 32)])


def test_a_predictor_stands_behind_the_fixed_primitives():
    wide = {"prim_type": "conv_bn_act", "C_out": 960, "activation": "h_swish", "affine": True}
    space = SSDOFA(image_size_choice=(192,), fixed_primitives=[wide], num_classes=80)
    blocks = space.primitives(SMALLEST)
    assert blocks[13].prim_type == "conv_bn_act"
    assert blocks[14] == predictor(6, 960, 6, classes=81)
    assert blocks[15] == head(6, 960, 512, 0.25)


def test_other_feature_levels_have_other_maps():
    space = SSDOFA(image_size_choice=(192,), feature_levels=(3, 5), num_head=1, head_channels=(64,), anchors=(1, 2, 3))
    small = replace(SMALLEST, head_width=(0.5,), head_kernel=(3,))
    found = [block for block in space.primitives(small) if block.prim_type == "ssd_predictor"]
    assert found == [predictor(24, 32, 1), predictor(6, 160, 2), predictor(3, 64, 3)]


def test_a_v2_backbone_has_v2_heads():
    space = SSDOFA(image_size_choice=(192,), primitive_type="mobilenet_v2_block", use_ses=(False,) * 6)
    kwargs = '{"activation":"relu","affine":true,"expansion":0.25}'
    assert space.primitives(SMALLEST)[14] == Primitive("mobilenet_v2_block", 6, 160, 512, 2, 3, kwargs)


def test_a_whole_ratio_is_written_without_a_point():
    space = SSDOFA(image_size_choice=(192,), head_width_choice=(1.0, 0.5))
    architecture = replace(SMALLEST, head_width=(1.0, 0.5, 0.5, 0.5))
    assert space.primitives(architecture)[14].options["expansion"] == 1
    assert space.to_json(architecture)["head_width"] == [1, 0.5, 0.5, 0.5]


# What a predictor does


def make_predictor(size=5, C=8, anchors=2, classes=3):
    torch.manual_seed(0)
    primitive = predictor(size, C, anchors, classes)
    return SSDPredictor(primitive, **primitive.options).eval()


def test_a_predictor_gives_scores_and_boxes_for_each_anchor():
    with torch.inference_mode():
        scores, boxes = make_predictor().predict(torch.randn(2, 8, 5, 5))
    assert scores.shape == (2, 2 * 3, 5, 5)
    assert boxes.shape == (2, 2 * 4, 5, 5)


def test_the_map_that_a_predictor_hands_on_depends_on_all_predictions():
    net, features = make_predictor(), torch.randn(2, 8, 5, 5)
    before = features.clone()
    with torch.inference_mode():
        scores, boxes = net.predict(features)
        out = net(features)
        # by hand: the mean over all channels and pixels of an image
        mean = scores.reshape(2, -1).mean(1) + boxes.reshape(2, -1).mean(1)
    torch.testing.assert_close(out, features + mean[:, None, None, None])
    assert torch.equal(features, before)
    assert (mean.abs() > 1e-4).all()


def test_an_exported_predictor_keeps_all_of_its_convolutions():
    graph = torch.export.export(make_predictor(), (torch.randn(1, 8, 5, 5),)).module().graph
    graph.eliminate_dead_code()
    assert sum("conv2d" in str(node.target) for node in graph.nodes) == 4


def test_the_costs_of_a_predictor_by_hand(space):
    cost = space.type_of(predictor(6, 160, 6)).cost(predictor(6, 160, 6))
    # twice 3 x 3 depthwise and a BatchNorm, then 1 x 1 to 6 * 21 and 6 * 4 channels, with bias
    assert cost.parameters == 2 * (160 * 9 + 320) + 160 * 126 + 126 + 160 * 24 + 24
    assert cost.flops == 2 * 36 * (2 * 160 * 9 + 160 * 126 + 160 * 24)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"C_out": 16}, "expected C_out and stride (8, 1), as it hands C on, found (16, 1)"),
        ({"stride": 2}, "expected C_out and stride (8, 1), as it hands C on, found (8, 2)"),
        ({"kernel_size": 2}, "expected an odd kernel_size, found 2"),
        ({"kwargs": '{"activation":"relu6","affine":true,"anchors":0,"classes":21}'}, "anchors to be an integer >= 1"),
        (
            {"kwargs": '{"activation":"relu6","affine":true,"anchors":4,"classes":true}'},
            "classes to be an integer >= 1",
        ),
    ],
)
def test_a_predictor_that_cannot_be_is_refused(space, changes, text):
    wrong = replace(predictor(5, 8, 4), **changes)
    for method in (space.type_of(wrong).build, space.type_of(wrong).cost):
        with pytest.raises(PrimitiveError, match=re.escape(text)):
            method(wrong)


def test_a_pooled_network_keeps_its_signal(space):
    torch.set_num_threads(1)
    network: Network = space.network(SMALLEST)
    features = torch.randn(1, 3, 192, 192, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for block in BlockPool(space, 0).modules(network):
            features = block(features)
            assert 0.05 < float(features.square().mean().sqrt()) < 20


# Architectures


def test_mutation_reaches_both_parts_and_changes_one_choice():
    space = SSDOFA(image_size_choice=(192, 256), head_kernel_choice=(3, 5))
    rng, kinds, architecture = Random(0), set(), SMALLEST
    for _ in range(300):
        mutant = space.mutate(architecture, rng)
        differs = [name for name in SSDArchitecture.__slots__ if getattr(mutant, name) != getattr(architecture, name)]
        assert len(differs) == 1
        kinds.update(differs)
        if differs != ["backbone"]:
            rows = zip(getattr(mutant, differs[0]), getattr(architecture, differs[0]), strict=True)
            assert sum(a != b for a, b in rows) == 1
        architecture = mutant
    assert kinds == {"backbone", "head_width", "head_kernel"}


def test_mutation_where_only_one_part_has_a_choice():
    only_heads = SSDOFA(image_size_choice=(192,), depth_choice=(2,), width_choice=(3,), kernel_choice=(3,))
    only_backbone = SSDOFA(image_size_choice=(192,), head_width_choice=(0.5,))
    for space, part in ((only_heads, "backbone"), (only_backbone, "head_width")):
        architecture = space.sample(Random(0))
        for seed in range(20):
            assert getattr(space.mutate(architecture, Random(seed)), part) == getattr(architecture, part)


def test_a_space_of_one_architecture_cannot_mutate():
    one = {"depth_choice": (2,), "width_choice": (3,), "kernel_choice": (3,), "head_width_choice": (0.5,)}
    space = SSDOFA(image_size_choice=(192,), **one)
    with pytest.raises(
        ArchitectureError, match="space ssd_ofa: expected a choice that could be changed, found a space"
    ):
        space.mutate(space.sample(Random(0)), Random(0))


def test_integers_of_numpy_leave_no_trace(space):
    numbers = replace(SMALLEST, head_width=tuple(np.array(SMALLEST.head_width)), head_kernel=tuple(np.array([3] * 4)))
    assert space.slot_ids(numbers) == space.slot_ids(SMALLEST)
    assert space.architecture_json(numbers) == space.architecture_json(SMALLEST)


def test_space_and_architecture_survive_a_pickle(space):
    again, architecture = pickle.loads(pickle.dumps((space, SMALLEST)))  # noqa: S301 - a search's worker processes
    assert again.slot_ids(architecture) == space.slot_ids(SMALLEST)


def test_the_json_form_is_flat(space):
    value = space.to_json(SMALLEST)
    assert list(value) == ["depth", "width", "kernel", "image_size", "head_width", "head_kernel"]
    assert value["head_width"] == [0.25, 0.5, 0.75, 0.5]


FOREIGN = {
    "width": ({"head_width": (0.25, 0.3, 0.5, 0.5)}, "expected head_width[1] to be one of 0.25, 0.5, 0.75, found 0.3"),
    "kernel": ({"head_kernel": (3, 3, 3, 5)}, "expected head_kernel[3] to be one of 3, found 5"),
    "too few": ({"head_width": (0.5,)}, "expected head_width to have 4 entries, one for each head, found (0.5,)"),
    "none": ({"head_kernel": None}, "expected head_kernel to have 4 entries, one for each head, found None"),
    "backbone": (
        {"backbone": replace(SMALLEST.backbone, image_size=300)},
        "expected image_size to be one of 192, found 300",
    ),
}


@pytest.mark.parametrize(("change", "text"), FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_in_the_space_is_named(space, change, text):
    for method in (space.slot_ids, space.primitives, lambda a: space.mutate(a, Random(0))):
        with pytest.raises(ArchitectureError, match="^" + re.escape(f"space ssd_ofa: {text}. Give an")):
            method(replace(SMALLEST, **change))


def test_a_backbone_alone_is_refused_here_and_a_detector_there(space):
    with pytest.raises(ArchitectureError, match="expected an SSDArchitecture, found MNasNetArchitecture"):
        space.slot_ids(SMALLEST.backbone)
    with pytest.raises(ArchitectureError, match="expected an MNasNetArchitecture, found SSDArchitecture"):
        MNasNetOFA(image_size_choice=(192,)).slot_ids(SMALLEST)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"heads": []}, "expected an architecture with the keys depth, width, kernel, image_size, head_width, head_k"),
        ({"head_width": 0.5}, "expected head_width to be a list of numbers, found 0.5"),
        ({"head_kernel": [3, "3"]}, "expected head_kernel to be a list of numbers, found [3, '3']"),
        ({"head_width": [True] * 4}, "expected head_width to be a list of numbers, found [True, True, True, True]"),
        ({"depth": 3}, "expected depth to be a list of integers, found 3"),
    ],
)
def test_malformed_json_is_named(space, change, text):
    with pytest.raises(ArchitectureError, match=re.escape(f"space ssd_ofa: {text}")):
        space.from_json(space.to_json(SMALLEST) | change)


REFUSED = {
    "heads": ({"num_head": 3}, "head_channels must have 3 entries, as num_head says, got 4: [512, 256, 256, 128]"),
    "no heads": ({"num_head": 0}, "num_head must be an integer >= 1, got 0"),
    "anchors": (
        {"anchors": [4, 6]},
        "anchors must have 6 entries, one for each of feature_levels and each head, got 2: [4, 6]",
    ),
    "width": ({"head_width_choice": [0.5, 0.0]}, "head_width_choice[1] must be a number above 0, got 0.0"),
    "no width": ({"head_width_choice": []}, "head_width_choice must have at least one entry, got none"),
    "width twice": ({"head_width_choice": [0.5, 0.5]}, "head_width_choice must have distinct entries, got [0.5, 0.5]"),
    "kernel": ({"head_kernel_choice": [2]}, "head_kernel_choice[0] must be an odd integer >= 1, got 2"),
    "level": ({"feature_levels": [0, 5]}, "feature_levels[0] must be an integer >= 1, got 0"),
    "absent level": ({"feature_levels": [4, 6]}, "feature_levels[1] must be one of 1, 2, 3, 4, 5, got 6"),
    "early level": (
        {"feature_levels": [3, 4]},
        "feature_levels must ascend and end with the last stage's, got [3, 4]",
    ),
    "descending levels": (
        {"feature_levels": [5, 4]},
        "feature_levels must ascend and end with the last stage's, got [5, 4]",
    ),
    "classes": ({"num_classes": 0}, "num_classes must be an integer >= 1, got 0"),
    "activation": ({"head_activation": "tanh"}, "head_activation must be one of h_swish, none, relu, relu6, swish"),
    "backbone": ({"strides": [1, 2]}, "strides must have 6 entries, one for each entry of num_cell_groups, got 2"),
}


@pytest.mark.parametrize(("parameters", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_parameters_are_refused_with_range_and_value(parameters, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        SSDOFA(**parameters)


def test_a_misspelt_key_of_the_yaml_is_named(tmp_path):
    (tmp_path / "space.yaml").write_text("space: ssd_ofa\nparameters: {head_width_choices: [0.5]}\n")
    with pytest.raises(ConfigError, match=r"unknown key 'head_width_choices', .*Perhaps 'head_width_choice' was meant"):
        load_space(tmp_path / "space.yaml")
