"""MNasNetOFA: the reference configuration block by block, and what it refuses."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest

from latpred.errors import ArchitectureError
from latpred.primitive import Primitive
from latpred.spaces.mnasnet_architecture import MNasNetArchitecture
from latpred.spaces.mnasnet_ofa import MNasNetOFA

SMALLEST = MNasNetArchitecture(
    depth=(1, 2, 2, 2, 2, 2),
    width=((1,), (3, 4), (3, 3), (6, 3), (3, 3), (3, 6)),
    kernel=((3,), (5, 3), (3, 7), (3, 3), (3, 3), (3, 3)),
    image_size=112,
)


@pytest.fixture(scope="module")
def space():
    return MNasNetOFA()


def v3(size, C, C_out, stride, kernel, expansion, activation, use_se):
    use_se = "true" if use_se else "false"
    kwargs = f'{{"activation":"{activation}","affine":true,"expansion":{expansion},"use_se":{use_se}}}'
    return Primitive("mobilenet_v3_block", size, C, C_out, stride, kernel, kwargs)


def test_the_reference_has_92_primitives(space):
    positions = [  # size, C, C_out, stride, activation, squeeze-excite: of the first block and the later ones
        ((56, 16, 24, 2), (28, 24, 24, 1), "relu", False),
        ((28, 24, 32, 2), (14, 32, 32, 1), "relu", True),
        ((14, 32, 64, 2), (7, 64, 64, 1), "h_swish", False),
        ((7, 64, 96, 1), (7, 96, 96, 1), "h_swish", True),
        ((7, 96, 160, 2), (4, 160, 160, 1), "h_swish", True),
    ]
    expected = {Primitive("conv_3x3", 112, 3, 16, 2, 3), v3(56, 16, 16, 1, 3, 1, "relu", False)}
    for first, later, activation, use_se in positions:
        for fields, kernel, width in product((first, later), (3, 5, 7), (3, 4, 6)):
            expected.add(v3(*fields, kernel, width, activation, use_se))
    assert len(expected) == 92
    assert space.all_primitives() == expected


def test_primitives_follow_the_architecture(space):
    assert space.primitives(SMALLEST) == (
        Primitive("conv_3x3", 112, 3, 16, 2, 3),
        v3(56, 16, 16, 1, 3, 1, "relu", False),
        v3(56, 16, 24, 2, 5, 3, "relu", False),
        v3(28, 24, 24, 1, 3, 4, "relu", False),
        v3(28, 24, 32, 2, 3, 3, "relu", True),
        v3(14, 32, 32, 1, 7, 3, "relu", True),
        v3(14, 32, 64, 2, 3, 6, "h_swish", False),
        v3(7, 64, 64, 1, 3, 3, "h_swish", False),
        v3(7, 64, 96, 1, 3, 3, "h_swish", True),
        v3(7, 96, 96, 1, 3, 3, "h_swish", True),
        v3(7, 96, 160, 2, 3, 3, "h_swish", True),
        v3(4, 160, 160, 1, 3, 6, "h_swish", True),
    )


def test_slots_are_positions(space):
    ids = space.slot_ids(SMALLEST)
    assert space.slots == len(ids) == 1 + 1 + 5 * 4
    filled = [slot for slot, i in enumerate(ids) if i >= 0]
    assert filled == [0, 1, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19]


def test_depths_and_widths_are_cut_to_the_limits_of_a_stage():
    space = MNasNetOFA(num_cell_groups=(1, 2, 4, 4, 4, 3), expansions=(1, 5, 6, 6, 6, 2))
    rng, depths, widths = Random(0), [set() for _ in range(6)], [set() for _ in range(6)]
    for _ in range(300):
        architecture = space.sample(rng)
        for i in range(6):
            depths[i].add(architecture.depth[i])
            widths[i].update(architecture.width[i])
    assert depths == [{1}, {2}, {2, 3, 4}, {2, 3, 4}, {2, 3, 4}, {2, 3}]
    assert widths == [{1}, {3, 4, 5}, {3, 4, 6}, {3, 4, 6}, {3, 4, 6}, {2}]
    assert space.slots == 1 + 1 + 2 + 4 + 4 + 4 + 3


def test_channels_are_multiplied_and_rounded_to_eight():
    space = MNasNetOFA(mult_ratio=0.75)
    blocks = space.primitives(space.sample(Random(0)))
    # 16 -> 12 -> 16 (8 would lose a third), 24 -> 18 -> 24 (16 loses 11 %), 32 -> 24, 64 -> 48, 96 -> 72, 160 -> 120
    assert list(dict.fromkeys(block.C_out for block in blocks)) == [16, 24, 48, 72, 120]


@pytest.mark.parametrize(("image_size", "sizes"), [(300, [150, 75, 38, 19, 10]), (75, [38, 19, 10, 5, 3])])
def test_odd_sizes_are_rounded_up(image_size, sizes):
    space = MNasNetOFA(image_size_choice=(300, 75))
    architecture = replace(space.sample(Random(0)), image_size=image_size)
    assert sorted({block.out_size for block in space.primitives(architecture)}, reverse=True) == sizes


def test_each_image_size_has_its_primitives():
    assert len(MNasNetOFA(image_size_choice=(112, 224)).all_primitives()) == 2 * 92


def test_blocks_that_no_architecture_has_are_no_primitives():
    space = MNasNetOFA(depth_choice=(1,), width_choice=(3,), kernel_choice=(3,))
    assert len(space.all_primitives()) == 7  # the stem and one first block for each stage


def test_the_stem_can_be_normalized_and_v2_has_no_squeeze_excite():
    space = MNasNetOFA(
        stem_type="conv_bn_act", stem_stride=1, primitive_type="mobilenet_v2_block", use_ses=(False,) * 6, affine=False
    )
    stem, first, *_ = space.primitives(space.sample(Random(0)))
    assert stem == Primitive("conv_bn_act", 112, 3, 16, 1, 3, '{"activation":"relu","affine":false}')
    kwargs = '{"activation":"relu","affine":false,"expansion":1}'
    assert first == Primitive("mobilenet_v2_block", 112, 16, 16, 1, 3, kwargs)


HEAD = [
    {"prim_type": "conv_bn_act", "C_out": 960, "activation": "h_swish", "affine": True},
    {"prim_type": "global_avg_pool"},
    {"prim_type": "linear", "C_out": 10, "activation": "none", "C": 960},
]


def test_fixed_primitives_are_completed_for_each_image_size():
    space = MNasNetOFA(image_size_choice=(112, 224), fixed_primitives=HEAD)
    architecture = space.sample(Random(0))
    for image_size, size in ((112, 4), (224, 7)):
        assert space.primitives(replace(architecture, image_size=image_size))[-3:] == (
            Primitive("conv_bn_act", size, 160, 960, 1, 1, '{"activation":"h_swish","affine":true}'),
            Primitive("global_avg_pool", size, 960, 960, size, size),
            Primitive("linear", 1, 960, 10, 1, 1, '{"activation":"none"}'),
        )
    assert space.slots == 22 + 3
    assert -1 not in space.slot_ids(architecture)[-3:]


def test_the_callers_parameters_stay_as_they_are_and_are_not_shared():
    head, choice = copy.deepcopy(HEAD), [112]
    space = MNasNetOFA(image_size_choice=choice, fixed_primitives=head)
    before = space.parameters
    space.parameters["fixed_primitives"][0]["C_out"] = 1
    head[0]["C_out"] = 2
    choice.append(7)
    assert space.parameters == before
    assert before["fixed_primitives"] == HEAD


def test_mutation_changes_exactly_one_choice():
    space = MNasNetOFA(image_size_choice=(112, 224))
    rng, kinds = Random(0), set()
    architecture = space.sample(rng)
    for _ in range(500):
        mutant = space.mutate(architecture, rng)
        changed = {name for name in ("depth", "image_size") if getattr(mutant, name) != getattr(architecture, name)}
        kinds |= changed
        if "depth" in changed:
            (i,) = [i for i in range(6) if mutant.depth[i] != architecture.depth[i]]
            kept = min(mutant.depth[i], architecture.depth[i])
            assert mutant.width[i][:kept] == architecture.width[i][:kept]
            assert mutant.kernel[i][:kept] == architecture.kernel[i][:kept]
            others = [j for j in range(6) if j != i]
            assert all(mutant.width[j] == architecture.width[j] for j in others)
            assert changed == {"depth"}
        else:
            pairs = [
                (name, a, b)
                for name in ("width", "kernel")
                for left, right in zip(getattr(architecture, name), getattr(mutant, name), strict=True)
                for a, b in zip(left, right, strict=True)
                if a != b
            ]
            assert len(pairs) + len(changed) == 1
            kinds |= {name for name, _, _ in pairs}
        architecture = mutant
    assert kinds == {"depth", "image_size", "width", "kernel"}


def test_a_space_of_one_architecture_cannot_mutate():
    space = MNasNetOFA(depth_choice=(2,), width_choice=(3,), kernel_choice=(3,))
    with pytest.raises(ArchitectureError, match="expected a choice that could be changed, found a space of one"):
        space.mutate(space.sample(Random(0)), Random(0))


def test_integers_of_numpy_leave_no_trace(space):
    numbers = MNasNetArchitecture(
        tuple(np.array(SMALLEST.depth)),
        tuple(tuple(np.array(row)) for row in SMALLEST.width),
        tuple(tuple(np.array(row)) for row in SMALLEST.kernel),
        np.int64(112),
    )
    assert space.slot_ids(numbers) == space.slot_ids(SMALLEST)
    assert space.architecture_json(numbers) == space.architecture_json(SMALLEST)


def test_space_and_architecture_survive_a_pickle(space):
    again, architecture = pickle.loads(pickle.dumps((space, SMALLEST)))  # noqa: S301 - a search's worker processes
    assert again.slot_ids(architecture) == space.slot_ids(SMALLEST)


FOREIGN = {
    "image_size": (replace(SMALLEST, image_size=113), "expected image_size to be one of 112, found 113"),
    "depth": (replace(SMALLEST, depth=(1, 5, 2, 2, 2, 2)), "expected depth[1] to be one of 2, 3, 4, found 5"),
    "stages": (
        replace(SMALLEST, depth=(1, 2, 2)),
        "expected depth to have 6 entries, one for each stage, found (1, 2, 2)",
    ),
    "no stages": (replace(SMALLEST, kernel=3), "expected kernel to have 6 entries, one for each stage, found 3"),
    "width": (
        replace(SMALLEST, width=((1,), (3, 5), *SMALLEST.width[2:])),
        "expected width[1][1] to be one of 3, 4, 6, found 5",
    ),
    "first kernel": (
        replace(SMALLEST, kernel=((5,), *SMALLEST.kernel[1:])),
        "expected kernel[0][0] to be one of 3, found 5",
    ),
    "too few": (
        replace(SMALLEST, width=((1,), (3,), *SMALLEST.width[2:]), kernel=((3,), (3,), *SMALLEST.kernel[2:])),
        "expected width[1] to have 2 entries, as depth[1] says, found (3,)",
    ),
    "uneven": (
        replace(SMALLEST, kernel=((3,), (3, 3, 3), *SMALLEST.kernel[2:])),
        "expected kernel[1] to have 2 entries, as depth[1] says, found (3, 3, 3)",
    ),
    "none": (replace(SMALLEST, width=None), "expected width to have 6 entries, one for each stage, found None"),
    "unhashable": (replace(SMALLEST, image_size=[112]), "expected image_size to be one of 112, found [112]"),
}


@pytest.mark.parametrize(("architecture", "text"), FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_not_in_the_space_is_named(space, architecture, text):
    for method in (space.slot_ids, space.primitives, lambda a: space.mutate(a, Random(0))):
        with pytest.raises(ArchitectureError, match="^" + re.escape(f"space mnasnet_ofa: {text}. Give an")):
            method(architecture)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"image_size": None, "imagesize": 1},
            "expected an architecture with the keys depth, width, kernel, image_size",
        ),
        ({"depth": 3}, "expected depth to be a list of integers, found 3"),
        ({"depth": [1, "2"]}, "expected depth to be a list of integers, found [1, '2']"),
        ({"width": [1]}, "expected width to be a list of one list of integers for each stage, found [1]"),
        ({"image_size": "112"}, "expected image_size to be one of 112, found '112'"),
    ],
)
def test_malformed_json_is_named(space, change, text):
    with pytest.raises(ArchitectureError, match=re.escape(text)):
        space.from_json(space.to_json(SMALLEST) | change)


REFUSED = {
    "empty": ({"image_size_choice": []}, "image_size_choice must have at least one entry, got none"),
    "negative": ({"image_size_choice": [112, -1]}, "image_size_choice[1] must be an integer >= 1, got -1"),
    "true": ({"depth_choice": [True]}, "depth_choice[0] must be an integer >= 1, got True"),
    "twice": ({"width_choice": [3, 3]}, "width_choice must have distinct entries, got [3, 3]"),
    "even": ({"kernel_choice": [3, 4]}, "kernel_choice[1] must be an odd integer >= 1, got 4"),
    "stride": ({"strides": [1, 2, 2, 2, 1, 0]}, "strides[5] must be an integer >= 1, got 0"),
    "stem_stride": ({"stem_stride": 0}, "stem_stride must be an integer >= 1, got 0"),
    "short": (
        {"strides": [1, 2]},
        "strides must have 6 entries, one for each entry of num_cell_groups, got 2: [1, 2]",
    ),
    "long": (
        {"acts": ["relu"] * 7},
        "acts must have 6 entries, one for each entry of num_cell_groups, got 7: ['relu',",
    ),
    "channels": (
        {"base_channels": [16] * 6},
        "base_channels must have at least 7 entries, the stem's and one for each entry of num_cell_groups, got 6",
    ),
    "activation": (
        {"acts": ["relu"] * 5 + ["tanh"]},
        "acts[5] must be one of h_swish, none, relu, relu6, swish, got 'tanh'",
    ),
    "stem": ({"stem_type": "conv_5x5"}, "stem_type must be one of conv_3x3, conv_bn_act, got 'conv_5x5'"),
    "block": (
        {"primitive_type": "conv_3x3"},
        "primitive_type must be one of mobilenet_v2_block, mobilenet_v3_block, got 'conv_3x3'",
    ),
    "ratio": ({"mult_ratio": 0.0}, "mult_ratio must lie above 0 and be at most 16, got 0.0"),
    "large ratio": ({"mult_ratio": 17.0}, "mult_ratio must lie above 0 and be at most 16, got 17.0"),
    "v2": (
        {"primitive_type": "mobilenet_v2_block"},
        "use_ses must be false throughout for mobilenet_v2_block, got [False, False, True, False, True, True]",
    ),
    "head's channels": (
        {"fixed_primitives": [{**HEAD[0], "C": 320}]},
        "fixed_primitives[0].C must be 160, as what precedes it, got 320",
    ),
    "head's size": (
        {"fixed_primitives": [HEAD[0], {"prim_type": "max_pool", "spatial_size": 7}]},
        "fixed_primitives[1].spatial_size must be 4, as what precedes it, got 7",
    ),
    "head without width": (
        {"fixed_primitives": [{"prim_type": "conv_1x1"}]},
        "fixed_primitives[0]: expected a primitive with C_out",
    ),
    "head without type": (
        {"fixed_primitives": [{"C_out": 1}]},
        "fixed_primitives[0]: expected a primitive with prim_type",
    ),
    "head of another type": (
        {"fixed_primitives": [{"prim_type": "warp", "C_out": 1}]},
        "fixed_primitives: space mnasnet_ofa: expected a primitive of type",
    ),
    "head with another argument": (
        {"fixed_primitives": [{**HEAD[0], "colour": 1}]},
        "expected the arguments activation, affine, found also colour",
    ),
}


@pytest.mark.parametrize(("parameters", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_parameters_are_refused_with_range_and_value(parameters, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        MNasNetOFA(**parameters)
