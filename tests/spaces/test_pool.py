"""The pool: shared modules whose weights depend on seed and primitive alone and keep signals at their size."""

from __future__ import annotations

from random import Random

import pytest
import torch
from torch import nn

from latpred.errors import PrimitiveError
from latpred.primitive import Primitive
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.pool import BlockPool

CONV = Primitive("conv_3x3", 9, 3, 8, 2, 3)
BLOCK = Primitive(
    "mobilenet_v3_block", 8, 8, 8, 1, 3, '{"activation":"h_swish","affine":true,"expansion":6,"use_se":true}'
)
NARROW = Primitive(  # its depthwise output is one pixel: a single image has no variance there
    "mobilenet_v3_block", 2, 8, 16, 2, 3, '{"activation":"relu","affine":true,"expansion":3,"use_se":false}'
)
PLAIN = Primitive("conv_bn_act", 8, 4, 8, 1, 3, '{"activation":"relu","affine":false}')  # untouched: rms 0.7


@pytest.fixture(scope="module")
def space():
    torch.set_num_threads(1)
    return MNasNetOFA()


def rms(values):
    return float(values.square().mean().sqrt())


def random_image(C, size, images=1):
    return torch.randn(images, C, size, size, generator=torch.Generator().manual_seed(5))


def test_equal_primitives_share_a_module(space):
    pool = BlockPool(space, 0)
    assert pool.block(BLOCK) is pool.block(Primitive(*(getattr(BLOCK, f) for f in Primitive.FIELDS)))
    assert pool.block(BLOCK) is not pool.block(CONV)


def test_modules_are_the_blocks_in_execution_order(space):
    pool, network = BlockPool(space, 0), space.network(space.sample(Random(0)))
    modules = pool.modules(network)
    assert len(modules) == len(network.primitives)
    assert all(module is pool.block(p) for module, p in zip(modules, network.primitives, strict=True))


def test_weights_depend_on_seed_and_primitive_not_on_the_order(space):
    there, back, other = BlockPool(space, 0), BlockPool(space, 0), BlockPool(space, 1)
    order = [CONV, BLOCK, NARROW]
    first = {p: there.block(p).state_dict() for p in order}
    second = {p: back.block(p).state_dict() for p in reversed(order)}
    for primitive in order:
        for name, value in first[primitive].items():
            assert torch.equal(value, second[primitive][name]), name
    assert not torch.equal(other.block(CONV).weight, there.block(CONV).weight)


def test_the_global_generator_is_not_disturbed(space):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    BlockPool(space, 0).block(BLOCK)
    assert torch.equal(torch.rand(4), expected)


def test_modules_are_for_evaluation_without_gradients(space):
    module = BlockPool(space, 0).block(BLOCK)
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("primitive", [CONV, NARROW, PLAIN], ids=str)
def test_random_input_keeps_its_size(space, primitive):
    module = BlockPool(space, 0).block(primitive)
    with torch.inference_mode():
        out = module(random_image(primitive.C, primitive.spatial_size, images=64))
    assert 0.8 < rms(out) < 1.25


def test_a_branch_beside_its_input_is_scaled_to_a_third(space):
    module, features = BlockPool(space, 0).block(BLOCK), random_image(8, 8, images=16)
    with torch.inference_mode():
        branch = module.body(features)
    assert 0.2 < rms(branch) / rms(features) < 0.5


def test_batchnorm_statistics_are_those_of_random_input(space):
    norm = BlockPool(space, 0).block(BLOCK).body.expand_norm
    assert isinstance(norm, nn.BatchNorm2d)
    # 1x1 weights within +-1/sqrt(8), uniform: their variance is 1/24, and a sum over 8 channels has 8/24
    assert float(norm.running_var.mean()) == pytest.approx(1 / 3, rel=0.3)
    assert float(norm.weight.std()) > 0.1
    assert float(norm.bias.std()) > 0.05


def test_the_signal_lives_through_whole_networks(space):
    pool, rng = BlockPool(space, 0), Random(0)
    for _ in range(5):
        features = random_image(3, 112)
        with torch.inference_mode():
            for module in pool.modules(space.network(space.sample(rng))):
                features = module(features)
        assert 0.1 < rms(features) < 50  # untouched weights: 1e-7


def test_pooling_needs_no_weights(space):
    pool = BlockPool(space, 0).block(Primitive("global_avg_pool", 4, 2, 2, 4, 4))
    assert pool(torch.ones(1, 2, 4, 4)).flatten().tolist() == [1.0, 1.0]


def test_a_type_unknown_to_the_space_is_named(space):
    with pytest.raises(
        PrimitiveError, match=r"space mnasnet_ofa: expected a primitive of type .*conv_3x3.*, found 'warp'"
    ):
        BlockPool(space, 0).block(Primitive("warp", 8, 3, 8))
