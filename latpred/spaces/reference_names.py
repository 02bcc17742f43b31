"""The names of the reference system (aw_nas) in all spellings of its versions, and latpred's for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from latpred.spaces.base import SearchSpace
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.ssd_ofa import SSDOFA

SPACES: Mapping[str, type[SearchSpace[Any]]] = MappingProxyType(
    {"ofa": MNasNetOFA, "ofa_mixin": MNasNetOFA, "ssd_ofa": SSDOFA, "ssd_ofa_mixin": SSDOFA}
)
"""latpred's space by the reference's `search_space_type`."""

MODELS: Mapping[str, str] = MappingProxyType(
    {
        "OFAHWObjectiveModel": "table",
        "ofa": "table",
        "lstm": "lstm",
        "mlp": "mlp",
        "regression": "regression",
        "table": "table",
    }
)
"""latpred's predictor by the reference's name of a model."""

PREPROCESSORS: Mapping[str, str] = MappingProxyType(
    {
        "block_sum": "block_sum",
        "extrace_lstm_features": "lstm_features",  # its documentation's spelling
        "extract_lstm_features": "lstm_features",
        "extract_sum_features": "extract_sum_features",
        "flatten": "flatten",
        "padding": "padding",
        "remove_anomaly": "remove_anomaly",
    }
)
"""latpred's preprocessor by the reference's name."""

COMPONENTS = (
    "controller",
    "dataset",
    "evaluator",
    "final_model",
    "final_trainer",
    "objective",
    "search_space",
    "trainer",
    "weights_manager",
)
"""Each has a `_type` and a `_cfg` in the configuration of a search."""
MODEL_WORDS = ("hardware_obj", "hardware_perfmodel", "hwobjmodel", "hwperfmodel")
MODEL_KEYS = tuple(f"{word}_{end}" for word in MODEL_WORDS for end in ("type", "cfg"))
PROFILING_KEYS = ("prof_prims_cfg", "profiling_primitive_cfg")
MIXIN_KEYS = ("mixin_search_space_type", "mixin_search_space_cfg")
HARDWARE_KEYS = (*MIXIN_KEYS, *PROFILING_KEYS, *MODEL_KEYS)
FURTHER_HARDWARE_KEYS = ("hardware_compiler_type", "hardware_compiler_cfg", "profiling_net_cfg")
OBJECTIVE_KEYS = ("hardware_model_path", "hardware_model_paths", "perf_names", "preprocessors", "schedule_cfg")
MODEL_CFG_KEYS = ("perf_name", "preprocessors", "schedule_cfg", *PROFILING_KEYS)

SPACE_KEYS = (
    "depth_choice",
    "expansions",
    "fixed_primitives",
    "image_size_choice",
    "kernel_choice",
    "num_cell_groups",
    "width_choice",
)
HEAD_KEYS = ("head_kernel_choice", "head_width_choice", "num_head")
BLOCK_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "acts": "acts",
        "activation": "acts",
        "base_channels": "base_channels",
        "default_prim_type": "primitive_type",
        "mult_ratio": "mult_ratio",
        "primitive_type": "primitive_type",
        "spatial_size": "spatial_size",
        "stem_stride": "stem_stride",
        "stem_type": "stem_type",
        "strides": "strides",
        "use_se": "use_ses",
        "use_ses": "use_ses",
    }
)
"""latpred's name of each profiling parameter by the reference's spellings."""
WITHOUT_COUNTERPART = ("as_dict", "sample")
REQUIRED = (
    "depth_choice",
    "kernel_choice",
    "width_choice",
    "acts",
    "base_channels",
    "mult_ratio",
    "primitive_type",
    "spatial_size",
    "strides",
    "use_ses",
)
"""What has no default here: its versions have different ones for the choices, and it demands the others."""

BLOCK_TYPES: Mapping[str, str] = MappingProxyType(
    {"mbv2_block": "mobilenet_v2_block", "mbv3_block": "mobilenet_v3_block"}
)
"""The names of older versions."""
