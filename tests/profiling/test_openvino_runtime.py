"""OpenVINO: the precision that ran, its counters back to blocks, and what it cannot run."""

import json
import re
import sys
from datetime import timedelta
from enum import Enum
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from measured import tiny_space
from torch import nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.graph import BlockGraphs, block_of
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling.clock import usable_cpus
from latpred.profiling.runtimes import RUNTIMES, OpenVINO
from latpred.profiling.runtimes.openvino import check_layers, node_times
from latpred.spaces.pool import BlockPool

openvino = pytest.importorskip("openvino")


def has_bfloat16():
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="the CPU has no bfloat16")


def device(precision="float32", threads=1):
    return Device("cpu", "openvino", OpenVINO.version(), precision, threads, 1, "nchw")


def drawn():
    space = tiny_space()
    network = space.network(space.sample(Random(0)))
    return BlockPool(space, seed=0).modules(network), network


def chain(count, C=3):
    return Network("chain", (Primitive("conv", 8, C, C),) * count, ("primitive",) * count)


def compiled(model, precision):
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "PERF_COUNT": True}
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)


@needs_bfloat16
def test_bfloat16_runs_in_bfloat16_and_is_nearly_pytorchs():
    blocks, network = drawn()
    with OpenVINO(device("bfloat16")) as runtime:
        loaded = runtime.load(blocks, network)
        assert runtime.describe()["inference_precision_hint"] == "bf16"
    assert sum(loaded.block_shares().blocks) == pytest.approx(1, abs=0.05)


@needs_bfloat16
@pytest.mark.parametrize(("asked", "ran"), [("float32", "bf16"), ("bfloat16", "f32")])
def test_layers_that_run_in_another_precision_are_refused(asked, ran):
    blocks, network = drawn()
    model = compiled(BlockGraphs(1).network(network, blocks), ran).get_runtime_model()
    wanted = "f32" if asked == "float32" else "bf16"
    message = rf"device\.precision {asked}: expected OpenVINO to run .*b0.* in {wanted}, it runs it in {ran}"
    with pytest.raises(ProfilingError, match=message):
        check_layers(model, asked)
    check_layers(model, {"bf16": "bfloat16", "f32": "float32"}[ran])


def layer(kind, precision):
    told = {"layerType": SimpleNamespace(value=kind), "runtimePrecision": SimpleNamespace(value=precision)}
    return SimpleNamespace(get_friendly_name=lambda: "b01/Op", get_rt_info=lambda: told)


@pytest.mark.parametrize(
    ("precision", "kind", "runs_in", "right"),
    [
        ("float32", "Convolution", "f32", True),
        ("float32", "Convolution", "bf16", False),
        ("float32", "Convolution", "u8", False),
        ("float32", "Reduce", "bf16", False),
        ("float32", "Reduce", "f16", False),
        ("float32", "Reduce", "i32", True),
        ("bfloat16", "FullyConnected", "bf16", True),
        ("bfloat16", "FullyConnected", "f32", False),
        ("bfloat16", "Reduce", "f32", True),
    ],
)
def test_which_layers_may_run_in_what(precision, kind, runs_in, right):
    model = SimpleNamespace(get_ordered_ops=lambda: [layer("Input", "f32"), layer(kind, runs_in)])
    if right:
        check_layers(model, precision)
    else:
        with pytest.raises(ProfilingError, match=f"to run {kind} b01/Op in .*, it runs it in {runs_in}"):
            check_layers(model, precision)


@needs_bfloat16
def test_a_precision_that_openvino_chose_itself_is_refused(monkeypatch):
    blocks, network = drawn()
    runtime = OpenVINO(device("float32"))
    without = {name: value for name, value in runtime._config.items() if name != "INFERENCE_PRECISION_HINT"}
    monkeypatch.setattr(OpenVINO, "_config", without)  # its own choice is bfloat16
    with (
        pytest.raises(ProfilingError, match="expected OpenVINO to run the network in f32, it runs it in bf16"),
        runtime,
    ):
        runtime.load(blocks, network)


def test_every_executed_node_tells_its_block():
    blocks, network = drawn()
    request = compiled(BlockGraphs(1).network(network, blocks), "f32").create_infer_request()
    request.infer({0: np.ones((1, 3, 32, 32), dtype=np.float32)})
    executed = [node for node in request.profiling_info if node.status == node.Status.EXECUTED]
    assert {block_of(node.node_name) for node in executed} == set(range(len(blocks)))


def test_equal_blocks_run_equal_kernels():
    # With weights that both read, the activation would stay outside of the convolution.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()).eval()
    model = BlockGraphs(1).network(chain(4, C=16), [block] * 4)
    nodes = compiled(model, "f32").get_runtime_model().get_ordered_ops()
    kinds = [(block_of(node.get_friendly_name()), str(node.get_rt_info()["layerType"].value)) for node in nodes]
    assert [kind for kind in kinds if kind[1] == "Convolution"] == [(block, "Convolution") for block in range(4)]
    assert not [kind for kind in kinds if kind[1] in ("Eltwise", "Subgraph")]


class Status(Enum):
    NOT_RUN = 0
    EXECUTED = 2


def told(name, mean_us, status=Status.EXECUTED):
    return SimpleNamespace(node_name=name, real_time=timedelta(microseconds=mean_us), status=status, Status=Status)


def test_means_over_all_runs_become_the_times_of_groups_of_runs():
    # b00 takes 100 us in the first run and 10 in all others, b01 always 4; the means are rounded down.
    means = [
        [told("b00/Conv", (100 + 10 * (count - 1)) // count), told("b00/Relu", 0, Status.NOT_RUN), told("b01/Conv", 4)]
        for count in range(1, 8)
    ]
    groups = node_times(means, 1)
    assert [[node.block for node in group] for group in groups] == [[0, 1]] * 2
    for first, second in groups:
        assert first.us == pytest.approx(10, abs=7 / 3)  # at most a rounding of 1 us in the mean of up to 7 runs
        assert second.us == pytest.approx(4.5)
    # 32 us is the mean of the first 4 runs, 22 that of the first 7.
    assert groups[1][0].us == pytest.approx((7 * 22.5 - 4 * 32.5) / 3)


class Determinant(nn.Module):
    def forward(self, x):
        return x * torch.linalg.det(x)[:, :, None, None]


def test_an_operator_that_it_cannot_run_is_told_on_one_line():
    network = chain(1)
    expected = rf"network {network.network_id} on openvino: expected openvino to run it, got .*Det"
    with pytest.raises(ProfilingError, match=expected) as caught, OpenVINO(device()) as runtime:
        runtime.load([Determinant()], network)
    assert "\n" not in str(caught.value)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    for call in (OpenVINO.require, OpenVINO.version):
        with pytest.raises(ProfilingError, match=re.escape("Run: pip install 'latpred[openvino]'.")):
            call()


@pytest.mark.skipif(len(usable_cpus()) < 2, reason="needs two CPUs")
def test_what_it_says_of_itself():
    OpenVINO.require()
    assert RUNTIMES["openvino"] is OpenVINO
    assert re.fullmatch(r"\d+\.\d+\.\d+", OpenVINO.version())
    assert openvino.__version__.startswith(OpenVINO.version())
    said = OpenVINO(device(threads=2)).describe()
    assert json.loads(json.dumps(said)) == said
    assert said["inference_precision_hint"] == "f32"
    assert (said["inference_num_threads"], said["num_streams"], said["enable_cpu_pinning"]) == (2, 1, False)
    assert said["execution_mode_hint"] == "PERFORMANCE"
