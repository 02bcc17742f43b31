"""ONNX Runtime: its trace back to blocks, at every level of its optimizations."""

import json
import re
from pathlib import Path
from random import Random

import onnxruntime
import pytest
import torch
from measured import tiny_space
from torch import nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.graph import BlockGraphs
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling.runtimes import RUNTIMES, OnnxRuntime
from latpred.profiling.runtimes.onnx_runtime import node_times
from latpred.profiling.runtimes.shares import NodeTime, block_shares
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.pool import BlockPool

LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_LAYOUT", "ORT_ENABLE_ALL")


def device(threads=1):
    return Device("cpu", "onnxruntime", OnnxRuntime.version(), "float32", threads, 1, "nchw")


def space_with_a_head():
    """Squeeze-and-excite, every activation, and linear layers, whose HardSwish ONNX Runtime takes apart."""
    return MNasNetOFA(
        image_size_choice=[32],
        width_choice=[3],
        depth_choice=[2],
        kernel_choice=[3],
        num_cell_groups=[1, 2, 2],
        expansions=[1, 6, 6],
        base_channels=[16, 16, 24, 32],
        strides=[1, 2, 2],
        acts=["relu", "relu", "h_swish"],
        use_ses=[False, True, True],
        fixed_primitives=[
            {"prim_type": "conv_bn_act", "C_out": 64, "activation": "h_swish", "affine": True},
            {"prim_type": "global_avg_pool"},
            {"prim_type": "linear", "C_out": 32, "activation": "h_swish"},
            {"prim_type": "conv_1x1", "C_out": 16},
        ],
    )


def traced(model, level, runs, folder):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "trace")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    image = torch.ones(1, 3, 32, 32).numpy()
    for _ in range(runs):
        session.run(None, {"image": image})
    return json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("space", [tiny_space, space_with_a_head])
def test_every_block_is_found_in_the_trace_at_every_level(space, level, tmp_path):
    space = space()
    network = space.network(space.sample(Random(0)))
    blocks = len(network.primitives)
    model = BlockGraphs(1).network(network, BlockPool(space, seed=0).modules(network))
    runs = node_times(traced(model, level, 3, tmp_path), blocks - 1)
    assert len(runs) == 3
    for run in runs:
        found = [node.block for node in run if node.block is not None]
        assert set(found) == set(range(blocks))
        assert found == sorted(found)  # so a node without a name lies within the block of the one before it
        assert all(node.us >= 0.5 for node in run)
    assert block_shares(runs, blocks, [1e9]).overhead == 0


def kernel(name, us):
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {}}


def test_a_trace_is_read_run_by_run():
    trace = [
        {"cat": "Session", "name": "model_loading_array", "dur": 900},
        kernel("b00/Conv_output_0_nchwc", 7),
        {"cat": "Node", "name": "b00/Conv_fence_before", "dur": 4, "args": {}},
        kernel("ReorderOutput_token_3", 2),
        kernel("output_nchwc", 0),
        {"cat": "Session", "name": "SequentialExecutor::Execute", "dur": 30},
        {"cat": "Session", "name": "model_run", "dur": 31},
        kernel("b01/body/Relu", 5),
        kernel("output", 1),
        {"cat": "Session", "name": "model_run", "dur": 12},
    ]
    assert node_times(trace, last_block=4) == [
        [NodeTime(0, 7.5), NodeTime(None, 2.5), NodeTime(4, 0.5)],
        [NodeTime(1, 5.5), NodeTime(4, 1.5)],
    ]


class DoubleConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1).double().eval()

    def forward(self, x):
        return self.conv(x.double()).float()


def test_an_operator_that_it_cannot_run_is_told_on_one_line():
    network = Network("chain", (Primitive("conv", 8, 3, 3),), ("primitive",))
    expected = (
        rf"network {network.network_id} on onnxruntime: expected onnxruntime to run it, got NotImplemented: .*Conv"
    )
    with pytest.raises(ProfilingError, match=expected) as caught, OnnxRuntime(device()) as runtime:
        runtime.load([DoubleConvolution()], network)
    assert "\n" not in str(caught.value)
    assert "b00/conv/Conv" in str(caught.value)


def test_its_warnings_stay_inside(capfd, monkeypatch):
    network = Network("chain", (Primitive("conv", 8, 3, 3),), ("primitive",))
    with OnnxRuntime(device()) as runtime:
        stitched = runtime._graphs.network

        def with_a_weight_that_nobody_reads(*arguments):
            model = stitched(*arguments)
            model.graph.initializer.add(name="unread", data_type=1, dims=[1], raw_data=bytes(4))
            return model

        monkeypatch.setattr(runtime._graphs, "network", with_a_weight_that_nobody_reads)
        runtime.load([nn.Conv2d(3, 3, 1).eval()], network)
    assert capfd.readouterr() == ("", "")


def test_what_it_says_of_itself():
    assert RUNTIMES["onnxruntime"] is OnnxRuntime
    assert re.fullmatch(r"\d+\.\d+\.\d+", OnnxRuntime.version())
    assert onnxruntime.__version__.startswith(OnnxRuntime.version())
    said = OnnxRuntime(device(threads=2)).describe()
    assert json.loads(json.dumps(said)) == said
    assert said["providers"] == ["CPUExecutionProvider"]
    assert said["graph_optimization_level"] == "ORT_ENABLE_ALL"
    assert (said["intra_op_num_threads"], said["inter_op_num_threads"]) == (2, 1)
