import re
import statistics
import time
from types import SimpleNamespace

import pytest
import torch
from chain_space import Call, ChainSpace, Sleep
from torch import nn

from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling import DeviceConfig, RequestedDevice
from latpred.profiling.runtimes import RUNTIMES, TorchEager


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def runtime(**asked):
    return TorchEager(DeviceConfig(RequestedDevice(**asked)).resolve())


def network(*kinds, channels=3):
    return Network(
        "chain", tuple(Primitive(kind, 8, channels, channels) for kind in kinds), ("primitive",) * len(kinds)
    )


def convs(count, channels=3):
    return [nn.Conv2d(channels, channels, 1).eval() for _ in range(count)]


def test_registered_under_its_own_name():
    assert RUNTIMES["torch"] is TorchEager


def test_the_slow_block_has_the_large_value_at_its_place():
    blocks = [*convs(2), Sleep(0.02), *convs(1)]
    with runtime() as torch_runtime:
        loaded = torch_runtime.load(blocks, network("conv", "conv", "sleep", "conv"))
        passes = [loaded.block_pass().block_ms for _ in range(5)]
    medians = [statistics.median(values) for values in zip(*passes, strict=True)]
    assert len(medians) == 4
    assert medians[2] >= 20
    assert all(0 < ms < 5 for place, ms in enumerate(medians) if place != 2)


def test_more_arithmetic_takes_longer():
    small, large = nn.Conv2d(3, 3, 1), nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(40)))
    with runtime() as torch_runtime:
        loaded = torch_runtime.load([large, small], network("conv", "conv"))
        passes = [loaded.block_pass().block_ms for _ in range(9)]
    ratios = sorted(first / second for first, second in passes)
    assert ratios[4] > 10


def test_blocks_and_overhead_make_up_the_whole_pass(monkeypatch):
    ticks = iter([100, 110, 310, 350, 1350, 1360])
    with runtime() as torch_runtime:
        loaded = torch_runtime.load(convs(2), network("conv", "conv"))
        monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
        stamped = loaded.block_pass()
    assert stamped.block_ms == (200e-6, 1000e-6)
    assert stamped.overhead_ms == pytest.approx(60e-6)
    assert stamped.total_ms == pytest.approx(1260e-6)


def test_plain_pass_counts_wall_and_cpu_time():
    with runtime() as torch_runtime:
        loaded = torch_runtime.load([*convs(1), Sleep(0.05)], network("conv", "sleep"))
        loaded.plain_pass()
        plain = loaded.plain_pass()
    assert 50 <= plain.latency_ms < 1000
    assert 0 < plain.cpu_time_ms < 25
    assert plain.involuntary_switches is None or plain.involuntary_switches >= 0


@pytest.mark.parametrize("lacking", ["thread_cpu_ns", "involuntary_switches"])
def test_counters_that_the_system_lacks_stay_none(monkeypatch, lacking):
    monkeypatch.setattr(f"latpred.profiling.clock.{lacking}", lambda: None)
    with runtime() as torch_runtime:
        plain = torch_runtime.load(convs(1), network("conv")).plain_pass()
    assert plain.latency_ms > 0
    assert (plain.cpu_time_ms is None) == (lacking == "thread_cpu_ns")
    assert (plain.involuntary_switches is None) == (
        lacking == "involuntary_switches" or plain.involuntary_switches is None
    )


def test_with_two_threads_the_callers_counters_tell_nothing():
    with runtime(threads=2) as torch_runtime:
        plain = torch_runtime.load(convs(1), network("conv")).plain_pass()
    assert (plain.cpu_time_ms, plain.involuntary_switches) == (None, None)


def test_threads_are_set_inside_and_restored_after_an_error():
    torch.set_num_threads(1)
    seen = []

    def look_and_fail():
        seen.append(torch.get_num_threads())
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), runtime(threads=2):
        look_and_fail()
    assert seen == [2]
    assert torch.get_num_threads() == 1


def test_threads_that_torch_does_not_grant_are_refused(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    with pytest.raises(ProfilingError, match="expected PyTorch to run with 2 threads, it says 1"), runtime(threads=2):
        pass
    monkeypatch.undo()
    assert torch.get_num_threads() == 1


def test_passes_run_without_gradients_and_leave_the_callers_mode_alone():
    modes = []
    block = Call(lambda x: modes.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled())))
    with runtime() as torch_runtime:
        loaded = torch_runtime.load([block], network("look"))
        loaded.plain_pass()
        loaded.block_pass()
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert modes == [(True, False)] * 2


def test_the_input_is_the_same_random_image_in_every_session():
    inputs = []
    for _ in range(2):
        torch.manual_seed(len(inputs))
        with runtime(batch=2) as torch_runtime:
            loaded = torch_runtime.load([Call(inputs.append)], network("look"))
            loaded.plain_pass()
            loaded.block_pass()
    assert inputs[0].shape == (2, 3, 8, 8)
    assert inputs[0].std() > 0.5
    assert inputs[0] is inputs[1]
    assert all(torch.equal(inputs[0], image) for image in inputs)


def test_the_input_has_the_channels_of_the_first_primitive():
    inputs = []
    with runtime() as torch_runtime:
        torch_runtime.load([Call(inputs.append)], network("look", channels=5)).plain_pass()
        torch_runtime.load([Call(inputs.append)], network("look", channels=7)).plain_pass()
    assert [tuple(image.shape) for image in inputs] == [(1, 5, 8, 8), (1, 7, 8, 8)]


@pytest.mark.parametrize(("layout", "last"), [("nchw", False), ("nhwc", True)])
def test_layout_reaches_input_and_weights(layout, last):
    inputs, conv = [], nn.Conv2d(4, 4, 3, padding=1)
    with runtime(layout=layout) as torch_runtime:
        for _ in range(2):
            loaded = torch_runtime.load(
                [Call(inputs.append), conv, Call(inputs.append)], network(*["conv"] * 3, channels=4)
            )
            loaded.plain_pass()
    assert [image.is_contiguous(memory_format=torch.channels_last) for image in inputs] == [last] * 4
    assert conv.weight.is_contiguous(memory_format=torch.channels_last) == last


def test_a_block_that_does_not_run_is_named():
    blocks = [*convs(2), *convs(1, channels=4), *convs(1)]
    with runtime() as torch_runtime:
        loaded = torch_runtime.load(blocks, network("conv", "conv", "conv", "conv"))
        expected = r"block 2 \(conv 8px 3->3 s1 k1\): expected it to run, got RuntimeError: .*4.*3"
        with pytest.raises(ProfilingError, match=expected) as caught:
            loaded.block_pass()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("run", ["plain_pass", "block_pass"])
def test_a_clock_that_stands_still_is_refused(monkeypatch, run):
    with runtime() as torch_runtime:
        loaded = torch_runtime.load(convs(1), network("conv"))
        monkeypatch.setattr(time, "perf_counter_ns", lambda: 5)
        with pytest.raises(ProfilingError, match="expected a duration > 0 ns, the clock gave 0 ns"):
            getattr(loaded, run)()


def test_one_block_for_each_primitive():
    expected = "expected a block for each of 2 primitives, found 1"
    with runtime() as torch_runtime, pytest.raises(ProfilingError, match=expected):
        torch_runtime.load(convs(1), network("conv", "conv"))


@pytest.mark.parametrize(("conv", "matmul"), [("bf16", "none"), ("none", "tf32")])
def test_reduced_precision_of_convolutions_or_products_is_refused(monkeypatch, conv, matmul):
    # A stand-in, because PyTorch does not let these settings go back to "none".
    onednn = SimpleNamespace(conv=SimpleNamespace(fp32_precision=conv), matmul=SimpleNamespace(fp32_precision=matmul))
    monkeypatch.setattr(torch.backends, "mkldnn", onednn)
    wrong = "conv.fp32_precision = bf16" if conv == "bf16" else "matmul.fp32_precision = tf32"
    message = re.escape(f"expected to measure in float32, found torch.backends.mkldnn.{wrong}. Undo that setting")
    with pytest.raises(ProfilingError, match=message), runtime():
        pass


def test_another_default_precision_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    message = re.escape("found torch.get_default_dtype() = torch.float64. Undo that setting")
    with pytest.raises(ProfilingError, match=message), runtime():
        pass


def test_autocast_is_refused():
    message = r"found torch.autocast\('cpu'\) = torch.bfloat16. Undo that setting"
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(ProfilingError, match=message), runtime():
        pass


def test_version_and_hardware_are_those_of_the_process():
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", TorchEager.version())
    assert torch.__version__.startswith(TorchEager.version())
    assert TorchEager.hardware("auto").strip()
    assert set(runtime().describe()) == {"cpu_capability", "onednn", "openmp"}


def test_chain_space_is_a_space():
    assert len(ChainSpace().vocabulary()) == 5
