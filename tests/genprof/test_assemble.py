"""Assembly: every primitive once, in networks that run, whatever the space."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from list_space import ListSpace

from latpred.errors import PrimitiveError, UsageError
from latpred.genprof import assemble
from latpred.primitive import Primitive
from latpred.spaces.blocks import PRIMITIVE_TYPES
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.pool import BlockPool


def conv(size, C, C_out, stride=1):
    return Primitive("conv_1x1", size, C, C_out, stride)


def placed(networks):
    return [p for n in networks for p, role in zip(n.primitives, n.roles, strict=True) if role == "primitive"]


def check_runs(space, network):
    """Run `network` as what follows what says; sizes and channels must agree from block to block."""
    first = network.primitives[0]
    features = torch.zeros(1, first.C, first.spatial_size, first.spatial_size)
    assert first.C == 3
    with torch.inference_mode():
        for primitive, module in zip(network.primitives, BlockPool(space, 0).modules(network), strict=True):
            assert (primitive.C, primitive.spatial_size) == tuple(features.shape[1:3])
            features = module(features)


@pytest.mark.parametrize("max_layers", [1, 5, 20, 1000])
def test_each_primitive_of_the_reference_stands_once(max_layers):
    torch.set_num_threads(1)
    space = MNasNetOFA()
    assembly = assemble(space, max_layers)
    assert Counter(placed(assembly.networks)) == Counter(space.all_primitives())
    assert assembly.unplaced == ()
    assert max(len(placed([network])) for network in assembly.networks) <= max_layers
    assert len({network.network_id for network in assembly.networks}) == len(assembly.networks)
    assert all(network.assembled and network.space == "mnasnet_ofa" for network in assembly.networks)


def test_every_network_runs():
    space = MNasNetOFA(
        image_size_choice=(75, 32),
        kernel_choice=(3,),
        width_choice=(3,),
        fixed_primitives=[{"prim_type": "global_avg_pool"}, {"prim_type": "linear", "C_out": 9, "activation": "none"}],
    )
    networks = assemble(space).networks
    assert set(placed(networks)) == space.all_primitives()
    for network in networks:
        check_runs(space, network)


def test_little_glue_is_needed():
    networks = assemble(MNasNetOFA()).networks
    glue = [p for n in networks for p, role in zip(n.primitives, n.roles, strict=True) if role == "glue"]
    assert len(networks) <= 12
    assert len(glue) <= 12


def test_glue_leads_to_a_smaller_size_and_other_channels():
    networks = assemble(ListSpace(conv(8, 16, 16), conv(32, 3, 4, 2))).networks
    # the 32-pixel primitive takes the image itself; one halving leads from its 16 pixels to 8
    (network,) = networks
    assert network.primitives == (conv(32, 3, 4, 2), conv(16, 4, 16, 2), conv(8, 16, 16))
    assert network.roles == ("primitive", "glue", "primitive")


def test_a_network_opens_with_glue_on_an_image_of_twice_the_size_unless_that_is_too_large():
    (network,) = assemble(ListSpace(conv(8, 16, 16), conv(16, 16, 8, 2)), max_layers=20).networks
    # nothing is larger than 16 pixels, so the image is not either: stride 1
    opening = Primitive("conv_3x3", 16, 3, 16, 1, 3)
    assert network.primitives == (opening, conv(16, 16, 8, 2), conv(8, 8, 16), conv(8, 16, 16))
    assert network.roles == ("glue", "primitive", "glue", "primitive")
    small, large = assemble(ListSpace(conv(8, 16, 8), conv(16, 3, 4)), max_layers=1).networks[::-1]
    assert small.primitives[0] == Primitive("conv_3x3", 16, 3, 16, 2, 3)
    assert large.primitives == (conv(16, 3, 4),)


def test_odd_sizes_are_reached_by_the_formula_for_sizes_or_not_at_all():
    reached = assemble(ListSpace(conv(75, 3, 4), conv(19, 4, 4))).networks  # 75 -> 38 -> 19
    assert [p.spatial_size for p in reached[0].primitives] == [75, 75, 38, 19]
    missed = assemble(ListSpace(conv(75, 3, 4), conv(20, 4, 4))).networks
    assert [[p.spatial_size for p in network.primitives] for network in missed] == [[75], [40, 20]]


def test_primitives_that_keep_size_and_channels_come_first():
    down, keep, widen = conv(8, 4, 4, 2), conv(8, 4, 4), Primitive("conv_3x3", 8, 4, 8, 1, 3)
    (network,) = assemble(ListSpace(conv(8, 3, 4), down, keep, widen)).networks
    assert placed([network])[:3] == [conv(8, 3, 4), keep, widen]


def test_what_cannot_run_is_named_with_its_reason():
    broken, liar = Primitive("broken", 8, 4, 4), Primitive("liar", 8, 4, 6)
    unknown, wrong = Primitive("warp", 8, 4, 4), Primitive("conv_3x3", 8, 4, 4, 1, 5)
    assembly = assemble(ListSpace(broken, liar, conv(8, 4, 4), unknown, wrong))
    assert placed(assembly.networks) == [conv(8, 4, 4)]
    reasons = dict(assembly.unplaced)
    assert reasons[broken] == "RuntimeError: no such layer"
    assert reasons[liar] == "its output has the shape (1, 4, 8, 8), its fields say (1, 6, 8, 8)"
    assert "found 'warp'" in reasons[unknown]
    assert "expected kernel_size 3, found 5" in reasons[wrong]
    assert len(reasons) == 4


def test_nothing_to_place_is_no_network():
    assert assemble(ListSpace(Primitive("broken", 8, 4, 4))).networks == ()


def test_the_random_state_is_left_alone_and_does_not_matter():
    space = ListSpace(conv(8, 4, 4), conv(16, 3, 4))
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first = assemble(space)
    assert torch.equal(torch.rand(3), expected)
    assert assemble(space) == first


def test_a_space_without_glue_is_refused():
    class Bare(ListSpace):
        primitive_types = {"linear": PRIMITIVE_TYPES["linear"]}  # noqa: RUF012 - a space of the test's own

    with pytest.raises(PrimitiveError, match="expected a primitive of type linear, found 'conv_1x1'"):
        assemble(Bare(conv(8, 4, 4)))


def test_no_layers_are_refused():
    with pytest.raises(UsageError, match="max_layers: expected at least 1 primitive in a network, found 0"):
        assemble(MNasNetOFA(), max_layers=0)


sizes, channels = st.integers(1, 40), st.integers(1, 5)
primitives = st.builds(Primitive, st.just("conv_1x1"), sizes, channels, channels, st.integers(1, 3))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(primitives, min_size=1, max_size=12, unique=True), st.integers(1, 6))
def test_any_primitives_are_placed_once_in_chains_that_fit(blocks, max_layers):
    space = ListSpace(*blocks)
    assembly = assemble(space, max_layers)
    assert Counter(placed(assembly.networks)) == Counter(blocks)
    largest = max(block.spatial_size for block in blocks)
    for network in assembly.networks:
        assert network.primitives[0].C == 3
        assert network.primitives[0].spatial_size <= largest
        for before, after in zip(network.primitives, network.primitives[1:], strict=False):
            assert (before.out_size, before.C_out) == (after.spatial_size, after.C)
