"""The reference system's configurations: read, checked against each other, refused where they are wrong."""

from __future__ import annotations

import re

import pytest
import yaml

from latpred.errors import ConfigError
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.reference_config import read_reference_config
from latpred.spaces.ssd_ofa import SSDOFA

OFA = """
rollout_type: ofa
search_space_type: ofa
search_space_cfg:
  num_cell_groups: [1, 4, 4, 4, 4, 4]
  expansions: [1, 6, 6, 6, 6, 6]
  kernel_choice: [3, 5, 7]
  width_choice: [6, 4, 3]
  depth_choice: [4, 3, 2]
dataset_type: cifar10
dataset_cfg: {cutout: null}
evaluator_type: mepa
evaluator_cfg: {batch_size: 64, mepa_optimizer: {type: SGD, lr: 0.05}}
trainer_type: simple
trainer_cfg: {epochs: 500}
"""
# The reference document's example, the quotation mark that it lacks added.
OFA_HARDWARE = """
mixin_search_space_type: ofa_mixin
mixin_search_space_cfg:
  fixed_primitives: null
prof_prims_cfg:
  sample: null # or int
  as_dict: true # if set false, the return value is a namedtuple
  spatial_size: 300
  base_channels: [16, 16, 24, 32, 64, 96, 160, 960, 1280]
  mult_ratio: 1.
  strides: [1, 2, 2, 2, 1, 2]
  acts: ["relu6", "relu6", "relu6", "h_swish", "h_swish", "h_swish"]
  use_ses: [ False, False, True, False, True, True ]
  stem_stride: 2
  primitive_type: 'mobilenet_v3_block'
hwobjmodel_type: regression
hwobjmodel_cfg:
  perf_name: latency
  preprocessors: ["block_sum", "remove_anomaly", "flatten", "extract_sum_features"]
profiling_net_cfg:
  base_cfg_template: {final_model_cfg: {}}
"""
SSD = """
rollout_type: ssd_ofa
search_space_type: ssd_ofa_mixin
search_space_cfg:
  num_cell_groups: [1, 4, 4, 4, 4, 4]
  expansions: [1, 6, 6, 6, 6, 6]
  image_size_choice: [300]
  head_width_choice: [0.5]
  num_head: 4
  schedule_cfg:
    kernel_choice: {type: value, boundary: [1, 81], value: [[7, 5], [7, 5, 3]]}
    width_choice: {type: value, boundary: [1, 161], value: [[6], [6, 4, 3]]}
    depth_choice: {type: value, boundary: [1, 321], value: [[4], [4, 3, 2]]}
weights_manager_type: det_supernet
weights_manager_cfg:
  head_type: ssd_header
  head_cfg:
    channels: [512, 256, 256, 64]
    aspect_ratios: [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
  num_classes: 80
  feature_levels: [4, 5]
objective_type: container
objective_cfg:
  sub_objectives:
    - objective_type: detection
      objective_cfg: {num_classes: 80}
    - objective_type: hardware
      objective_cfg:
        hardware_perfmodel_type: lstm
        hardware_perfmodel_cfg:
          preprocessors: ["block_sum", "remove_anomaly", "flatten", "extract_lstm_features"]
          prof_prims_cfg:
            primitive_type: 'mobilenet_v3_block'
            spatial_size: 300
            strides: [1, 2, 2, 2, 1, 2]
            base_channels: [16, 16, 24, 32, 64, 96, 160, 960, 1280]
            mult_ratio: 1.0
            use_ses: [False, False, True, False, True, True]
            acts: ["relu6", "relu6", "relu6", "h_swish", "h_swish", "h_swish"]
        hardware_model_paths: ["xavier_latency.pkl"]
        perf_names: ["latency"]
"""
SSD_HARDWARE = (
    OFA_HARDWARE.replace("ofa_mixin", "ssd_ofa_mixin")
    .replace("hwobjmodel_type: regression", "hardware_compiler_type: xavier\nhwperfmodel_type: lstm")
    .replace("hwobjmodel_cfg", "hwperfmodel_cfg")
    .replace("extract_sum_features", "extrace_lstm_features")
)
PAIRS = {"ofa": (OFA, OFA_HARDWARE), "ssd": (SSD, SSD_HARDWARE)}


@pytest.fixture
def read(tmp_path):
    """Return a function that reads two texts as a configuration and a hardware-object configuration."""

    def read(config, hardware):
        (tmp_path / "cfg.yaml").write_text(config)
        (tmp_path / "hw.yaml").write_text(hardware)
        return read_reference_config(tmp_path / "cfg.yaml", tmp_path / "hw.yaml")

    return read


def test_a_classifiers_space(read):
    found = read(OFA, OFA_HARDWARE)
    expected = MNasNetOFA(
        image_size_choice=[300],
        width_choice=[6, 4, 3],
        depth_choice=[4, 3, 2],
        base_channels=[16, 16, 24, 32, 64, 96, 160, 960, 1280],
        acts=["relu6", "relu6", "relu6", "h_swish", "h_swish", "h_swish"],
    )
    assert found.space.card() == expected.card()
    assert len(found.space.vocabulary()) == 92
    assert found.model == ("regression", "regression")
    assert found.preprocessors == tuple(
        (name, name) for name in ("block_sum", "remove_anomaly", "flatten", "extract_sum_features")
    )
    assert found.notes == ("image_size_choice is [300], the spatial_size that is profiled",)


def test_a_detectors_space(read, tmp_path):
    found = read(SSD, SSD_HARDWARE)
    expected = SSDOFA(
        image_size_choice=[300],
        width_choice=[6, 4, 3],
        depth_choice=[4, 3, 2],
        kernel_choice=[7, 5, 3],
        head_width_choice=[0.5],
        head_channels=[512, 256, 256, 64],
        num_classes=80,
    )
    assert found.space.card() == expected.card()
    assert found.model == ("lstm", "lstm")
    assert [ours for _, ours in found.preprocessors] == ["block_sum", "remove_anomaly", "flatten", "lstm_features"]
    assert {theirs for theirs, _ in found.preprocessors} > {"flatten"}
    where = f"{tmp_path}/cfg.yaml: search_space_cfg.schedule_cfg"
    assert found.notes == tuple(f"{name}_choice is the last one of {where}" for name in ("depth", "kernel", "width"))


OLD_SPELLING = {
    "prof_prims_cfg": "profiling_primitive_cfg",
    "acts:": "activation:",
    "use_ses": "use_se",
    "hwobjmodel": "hardware_obj",
    "primitive_type: 'mobilenet_v3_block'": "default_prim_type: mbv3_block",
}


def test_older_spellings_mean_the_same(read):
    text = OFA_HARDWARE
    for new, old in OLD_SPELLING.items():
        assert new in text
        text = text.replace(new, old)
    assert read(OFA, text).space.card() == read(OFA, OFA_HARDWARE).space.card()
    assert read(OFA, text).model == ("regression", "regression")


@pytest.mark.parametrize(
    ("theirs", "ours"), [("ofa", "table"), ("OFAHWObjectiveModel", "table"), ("table", "table"), ("mlp", "mlp")]
)
def test_the_models_names(read, theirs, ours):
    assert read(OFA, OFA_HARDWARE.replace("type: regression", f"type: {theirs}")).model == (theirs, ours)


def test_a_file_without_a_model(read):
    content = yaml.safe_load(OFA_HARDWARE)
    del content["hwobjmodel_type"], content["hwobjmodel_cfg"]
    found = read(OFA, yaml.safe_dump(content))
    assert (found.model, found.preprocessors) == (None, ())


def test_the_older_default_of_the_stem_and_a_sample(read, tmp_path):
    text = OFA_HARDWARE.replace("  stem_stride: 2\n", "").replace("sample: null", "sample: 20")
    found = read(OFA, text)
    assert found.space.parameters["stem_stride"] == 2
    note = f"{tmp_path}/hw.yaml: prof_prims_cfg.sample is not kept: latpred profiles every primitive"
    assert note in found.notes


def test_several_image_sizes_of_which_one_was_profiled(read):
    text = OFA.replace("  depth_choice", "  image_size_choice: [224, 300]\n  depth_choice")
    found = read(text, OFA_HARDWARE)
    assert found.space.parameters["image_size_choice"] == [224, 300]
    assert found.notes == ()


def test_choices_in_another_order_agree(read):
    text = OFA_HARDWARE.replace("fixed_primitives: null", "width_choice: [3, 4, 6]")
    assert read(OFA, text).space.parameters["width_choice"] == [6, 4, 3]


WRONG = {
    "key of the configuration": (
        "ofa",
        ("cfg", "dataset_cfg", "data_cfg"),
        "cfg.yaml: unknown key 'data_cfg', expected one of",
    ),
    "key of the space": (
        "ofa",
        ("cfg", "kernel_choice", "kernel_choices"),
        "cfg.yaml: search_space_cfg: unknown key 'kernel_choices', expected one of",
    ),
    "key of a head in a classifier": (
        "ofa",
        ("cfg", "kernel_choice: [3, 5, 7]", "num_head: 4"),
        "cfg.yaml: search_space_cfg: unknown key 'num_head', expected one of",
    ),
    "key of a schedule": (
        "ssd",
        ("cfg", "    depth_choice", "    depths"),
        "cfg.yaml: search_space_cfg.schedule_cfg: unknown key 'depths', expected one of",
    ),
    "key of the hardware": (
        "ofa",
        ("hw", "profiling_net_cfg", "prof_net_cfg"),
        "hw.yaml: unknown key 'prof_net_cfg', expected one of",
    ),
    "key of the primitives": (
        "ofa",
        ("hw", "strides", "stride"),
        "hw.yaml: prof_prims_cfg: unknown key 'stride', expected one of",
    ),
    "key of the model": (
        "ofa",
        ("hw", "perf_name", "perf"),
        "hw.yaml: hwobjmodel_cfg: unknown key 'perf', expected one of",
    ),
    "key of an objective": (
        "ssd",
        ("cfg", "perf_names", "performances"),
        "cfg.yaml: objective_cfg.sub_objectives[1].objective_cfg: unknown key 'performances', expected one of",
    ),
    "two spellings": (
        "ofa",
        ("hw", "hwobjmodel_type", "hwperfmodel_type: mlp\nhwobjmodel_type"),
        "hw.yaml: expected one of hwobjmodel_type and hwperfmodel_type, which mean the same, found both. Remove one.",
    ),
    "lacking": (
        "ofa",
        ("hw", "  spatial_size: 300\n", ""),
        "cfg.yaml and {folder}/hw.yaml: expected 'spatial_size' in one of them, found it in neither. Add it.",
    ),
    "lacking choice": (
        "ofa",
        ("cfg", "  depth_choice: [4, 3, 2]\n", ""),
        "cfg.yaml and {folder}/hw.yaml: expected 'depth_choice' in one of them, found it in neither. Add it.",
    ),
    "no space": (
        "ofa",
        ("cfg", "search_space_type: ofa\n", ""),
        "cfg.yaml: expected the key 'search_space_type', found ",
    ),
    "another space": (
        "ofa",
        ("cfg", "search_space_type: ofa", "search_space_type: nasbench-201"),
        "cfg.yaml: search_space_type: expected one of ofa, ofa_mixin, ssd_ofa, ssd_ofa_mixin, found 'nasbench-201'.",
    ),
    "spaces that disagree": (
        "ofa",
        ("hw", "ofa_mixin", "ssd_ofa_mixin"),
        "hw.yaml: mixin_search_space_type: expected a space of ofa, as search_space_type in {folder}/cfg.yaml says, "
        "found ssd_ofa_mixin. Make them agree.",
    ),
    "choices that disagree": (
        "ofa",
        ("hw", "fixed_primitives: null", "width_choice: [3, 6]"),
        "hw.yaml: mixin_search_space_cfg.width_choice: expected [6, 4, 3], as {folder}/cfg.yaml: "
        "search_space_cfg.width_choice says, found [3, 6]. Make them agree: what is profiled must be what is searched.",
    ),
    "the shipped pair's relu and relu6": (
        "ssd",
        ("cfg", '"relu6", "relu6", "relu6"', '"relu", "relu", "relu"'),
        "cfg.yaml: objective_cfg.sub_objectives[1].objective_cfg.hardware_perfmodel_cfg.prof_prims_cfg.acts: expected "
        "['relu6', 'relu6', 'relu6', 'h_swish', 'h_swish', 'h_swish'], as {folder}/hw.yaml: prof_prims_cfg.acts says, "
        "found ['relu', 'relu', 'relu', 'h_swish', 'h_swish', 'h_swish']. Make them agree",
    ),
    "models that disagree": (
        "ssd",
        ("hw", "hwperfmodel_type: lstm", "hwperfmodel_type: mlp"),
        "cfg.yaml: objective_cfg.sub_objectives[1].objective_cfg.hardware_perfmodel_type: expected mlp, "
        "as {folder}/hw.yaml: hwperfmodel_type says, found lstm.",
    ),
    "image sizes that disagree": (
        "ssd",
        ("cfg", "image_size_choice: [300]", "image_size_choice: [192, 256]"),
        "hw.yaml: prof_prims_cfg.spatial_size: expected spatial_size to be one of [192, 256], as {folder}/cfg.yaml: "
        "search_space_cfg.image_size_choice says, found 300.",
    ),
    "model": (
        "ofa",
        ("hw", "type: regression", "type: forest"),
        "hw.yaml: hwobjmodel_type: expected one of OFAHWObjectiveModel, lstm, mlp, ofa, regression, table, "
        "found 'forest'. Correct the name.",
    ),
    "preprocessor": (
        "ofa",
        ("hw", "extract_sum_features", "sum_features"),
        "hw.yaml: hwobjmodel_cfg.preprocessors: expected one of block_sum, extrace_lstm_features, "
        "extract_lstm_features, extract_sum_features, flatten, padding, remove_anomaly, found 'sum_features'.",
    ),
    "schedule": (
        "ssd",
        ("cfg", "depth_choice: {type: value", "depth_choice: {type: add"),
        "cfg.yaml: search_space_cfg.schedule_cfg.depth_choice: expected a schedule with type 'value' and a list",
    ),
    "no mapping": (
        "ofa",
        ("hw", "hwobjmodel_type: regression\nhwobjmodel_cfg:\n", "hwobjmodel_cfg: [1]\nprofiling_primitive_cfg:\n"),
        "hw.yaml: expected one of prof_prims_cfg and profiling_primitive_cfg, which mean the same, found both.",
    ),
    "a list of settings": (
        "ofa",
        (
            "cfg",
            "search_space_type: ofa\nsearch_space_cfg:\n",
            "search_space_type: ofa\nsearch_space_cfg: [1]\ntrainer_cfg:\n",
        ),
        "cfg.yaml: search_space_cfg: expected a mapping, found list. Mend it.",
    ),
    "aspect ratios": (
        "ssd",
        ("cfg", "aspect_ratios: [[2], [2, 3], [2, 3], [2, 3], [2], [2]]", "aspect_ratios: [2, 3]"),
        "cfg.yaml: weights_manager_cfg.head_cfg.aspect_ratios: expected a list of one list for each feature map, "
        "found [2, 3].",
    ),
    "value": (
        "ofa",
        ("hw", "strides: [1, 2, 2, 2, 1, 2]", "strides: [1, 2]"),
        "cfg.yaml and {folder}/hw.yaml: strides must have 6 entries, one for each entry of num_cell_groups, got 2",
    ),
    "activation": (
        "ofa",
        ("hw", '"relu6", "relu6", "relu6"', '"relu6", "tanh", "relu6"'),
        "cfg.yaml and {folder}/hw.yaml: acts[1] must be one of h_swish, none, relu, relu6, swish, got 'tanh'",
    ),
    "no YAML": ("ofa", ("hw", "prof_prims_cfg:", "prof_prims_cfg: {"), "hw.yaml: expected YAML, got: "),
}


@pytest.mark.parametrize(("pair", "change", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named_with_its_file(read, tmp_path, pair, change, message):
    texts = dict(zip(("cfg", "hw"), PAIRS[pair], strict=True))
    which, old, new = change
    assert old in texts[which]
    texts[which] = texts[which].replace(old, new, 1)
    expected = f"{tmp_path}/{message.replace('{folder}', str(tmp_path))}"
    with pytest.raises(ConfigError, match="^" + re.escape(expected)) as error:
        read(texts["cfg"], texts["hw"])
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: expected a YAML file, found nothing there"):
        read_reference_config(tmp_path / "nowhere.yaml", tmp_path / "nowhere.yaml")


def test_a_file_executes_nothing(read, tmp_path):
    text = OFA.replace("epochs: 500", f'epochs: !!python/object/apply:os.mkdir ["{tmp_path}/made"]')
    with pytest.raises(ConfigError, match=r"cfg\.yaml: expected YAML, got: could not determine a constructor"):
        read(text, OFA_HARDWARE)
    assert not (tmp_path / "made").exists()
