"""What every space must do; a new one joins by one line in SPACES."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from latpred.errors import ArchitectureError
from latpred.primitive import Primitive
from latpred.spaces import load_space, space_names, space_yaml
from latpred.spaces.fbnet import FBNet
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.nasbench201 import NASBench201
from latpred.spaces.ssd_ofa import SSDOFA

ROOT = Path(__file__).parents[2]
SAMPLES = 300


def example_space():
    spec = importlib.util.spec_from_file_location("new_space", ROOT / "examples" / "new_space.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["new_space"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.SmallVGG(image_size=30)


SPACES = {
    "mnasnet_ofa_112": lambda: load_space(ROOT / "configs/spaces/mnasnet_ofa_112.yaml"),
    "mnasnet_ofa_112_head": lambda: load_space(ROOT / "configs/spaces/mnasnet_ofa_112_head.yaml"),
    "mnasnet_ofa_odd": lambda: MNasNetOFA(
        image_size_choice=(300, 75),
        kernel_choice=(5, 3),
        depth_choice=(4, 1),
        mult_ratio=0.5,
        stem_type="conv_bn_act",
        fixed_primitives=[{"prim_type": "max_pool", "stride": 2, "kernel_size": 2}, {"prim_type": "global_avg_pool"}],
    ),
    "mnasnet_ofa_v2": lambda: MNasNetOFA(
        image_size_choice=(64,),
        use_ses=(False,) * 6,
        acts=("relu6",) * 6,
        primitive_type="mobilenet_v2_block",
        affine=False,
    ),
    "ssd_ofa_192": lambda: SSDOFA(image_size_choice=(192,)),
    "ssd_ofa_odd": lambda: SSDOFA(
        image_size_choice=(300, 75),
        width_choice=(3, 4),
        kernel_choice=(3, 5),
        mult_ratio=0.5,
        head_width_choice=(0.25, 1.0),
        head_kernel_choice=(5, 3),
        feature_levels=(3, 4, 5),
        anchors=(1, 2, 3, 4, 5, 6, 7),
        num_classes=3,
        affine=False,
        fixed_primitives=[{"prim_type": "conv_bn_act", "C_out": 64, "activation": "relu", "affine": True}],
    ),
    "fbnet": lambda: load_space(ROOT / "configs/spaces/fbnet.yaml"),
    "fbnet_odd": lambda: FBNet(
        image_size=75, stem_stride=2, depths=[2, 3], channels=[8, 12], strides=[1, 2], head_channels=24, classes=7
    ),
    "nasbench201": lambda: load_space(ROOT / "configs/spaces/nasbench201.yaml"),
    "nasbench201_odd": lambda: NASBench201(image_size=21, channels=6, cells=1, classes=3),
    "example": example_space,
}


@pytest.fixture(scope="module", params=SPACES.values(), ids=SPACES.keys())
def space(request):
    torch.set_num_threads(1)
    return request.param()


@pytest.fixture(scope="module")
def samples(space):
    rng = Random(0)
    return [space.sample(rng) for _ in range(SAMPLES)]


def test_the_real_forward_pass_has_the_sizes_and_channels_of_the_fields(space, samples):
    for architecture in samples[:6]:
        primitives = space.primitives(architecture)
        features = torch.zeros(2, 3, primitives[0].spatial_size, primitives[0].spatial_size)
        network = space.build(architecture).eval()
        with torch.inference_mode():
            for primitive, block in zip(primitives, network, strict=True):
                assert tuple(features.shape) == (2, primitive.C, primitive.spatial_size, primitive.spatial_size)
                features = block(features)
                assert tuple(features.shape) == (2, primitive.C_out, primitive.out_size, primitive.out_size)


def test_stated_flops_and_parameters_are_the_counted_ones(space):
    for primitive in sorted(space.all_primitives()):
        cost, block = space.type_of(primitive).cost(primitive), space.block(primitive).eval()
        image = torch.zeros(1, primitive.C, primitive.spatial_size, primitive.spatial_size)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            output = block(image)
        parameters = sum(parameter.numel() for parameter in block.parameters())
        assert (cost.flops, cost.parameters) == (counter.get_total_flops(), parameters), primitive
        assert cost.bytes == 4 * (parameters + image.numel() + output.numel()), primitive


def test_primitives_of_samples_are_in_the_vocabulary_and_cover_it(space, samples):
    seen = {primitive for architecture in samples for primitive in space.primitives(architecture)}
    assert seen == set(space.vocabulary().primitives)  # 300 samples are many times what these spaces need


def test_encodings_stand_for_the_primitives_in_order(space, samples):
    vocabulary = space.vocabulary()
    for architecture in samples:
        ids = space.slot_ids(architecture)
        assert len(ids) == space.slots
        assert all(-1 <= i < len(vocabulary) for i in ids)
        blocks = [vocabulary.by_id[i] for i in ids if i >= 0]
        assert tuple(block for block in blocks if isinstance(block, Primitive)) == space.primitives(architecture)
        assert space.encode(architecture).tolist() == ids


def test_encode_tells_architectures_apart(space, samples):
    distinct = set(samples)
    assert len({tuple(space.slot_ids(architecture)) for architecture in distinct}) == len(distinct) > 100
    assert len({space.network(architecture).network_id for architecture in distinct}) == len(distinct)


def test_mutate_changes_something_and_stays_legal(space, samples):
    rng = Random(1)
    for architecture in samples[:100]:
        before = space.architecture_json(architecture)
        mutant = space.mutate(architecture, rng)
        assert mutant != architecture
        assert space.architecture_json(architecture) == before
        assert space.from_json(space.to_json(mutant)) == mutant
        assert set(space.primitives(mutant)) <= space.all_primitives()


def test_mutations_reach_everything(space, samples):
    rng, architecture = Random(2), samples[0]
    seen = set()
    for _ in range(3000):
        architecture = space.mutate(architecture, rng)
        seen.update(space.primitives(architecture))
    assert seen == space.all_primitives()


def test_json_form_comes_back_as_the_same_architecture(space, samples):
    for architecture in samples:
        assert space.from_json(space.to_json(architecture)) == architecture


def test_samples_are_those_of_the_seed(space, samples):
    def drawn(seed):
        rng = Random(seed)
        return [space.sample(rng) for _ in range(10)]

    assert drawn(0) == samples[:10]
    assert drawn(1) != samples[:10]


@pytest.mark.parametrize("foreign", [7, None, "net", (1, 2, 3), {"depth": [1]}], ids=repr)
def test_a_foreign_architecture_is_refused_by_name(space, foreign):
    for method in (space.slot_ids, space.primitives, space.encode):
        with pytest.raises(
            ArchitectureError, match=rf"^space {space.name}: expected .*found .*{re.escape(repr(foreign))}"
        ):
            method(foreign)
    with pytest.raises(ArchitectureError, match=f"^space {space.name}: expected "):
        space.from_json(foreign)


def test_parameters_and_yaml_give_the_same_space(space, tmp_path):
    again = type(space)(**space.parameters)
    assert again.card() == space.card()
    assert again.vocabulary() == space.vocabulary()
    assert again.slots == space.slots
    if space.name in space_names():
        (tmp_path / "space.yaml").write_text(space_yaml(space))
        assert load_space(tmp_path / "space.yaml").card() == space.card()
