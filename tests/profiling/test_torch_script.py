import os
import statistics
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling import DeviceConfig, RequestedDevice
from latpred.profiling.runtimes import torch_script
from latpred.profiling.runtimes.torch_script import TorchScript


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def runtime(**asked):
    return TorchScript(DeviceConfig(RequestedDevice(**asked)).resolve())


def network(count, channels=3):
    return Network("chain", (Primitive("conv", 8, channels, channels),) * count, ("primitive",) * count)


def norm_block(seed=0, channels=3):
    """A convolution and a BatchNorm that does something."""
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), norm, nn.ReLU()).eval().requires_grad_(False)


class Wrong(nn.Module):
    """Answers otherwise when it is traced."""

    def forward(self, x):
        return x + 1 if torch.jit.is_tracing() else x


class Counting(nn.Module):
    """Counts how often Python runs it."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * 2


class Untraceable(nn.Module):
    def forward(self, x):
        if torch.jit.is_tracing():
            raise TypeError("not in a trace")
        return x


def kinds(program):
    return [node.kind() for node in program.graph.nodes() if node.kind().startswith("aten::")]


def test_a_network_is_one_program_with_batchnorm_folded():
    blocks = [norm_block(0), norm_block(1)]
    with runtime() as script:
        loaded = script.load(blocks, network(2))
    assert kinds(loaded._whole) == ["aten::_convolution", "aten::relu"] * 2
    image = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(loaded._whole(image), blocks[1](blocks[0](image)))


def test_blocks_are_programs_of_their_own_and_say_so():
    block = norm_block()
    with runtime() as script:
        loaded = script.load([block, block], network(2))
        stamped = loaded.block_pass()
    assert stamped.method == "isolated"
    assert len(stamped.block_ms) == 2
    assert all(ms > 0 for ms in stamped.block_ms)
    first, second = loaded._blocks
    assert first is second
    assert kinds(first) == ["aten::_convolution", "aten::relu"]


def test_a_block_is_traced_once_for_all_networks():
    block = Counting().eval()
    with runtime() as script:
        script.load([block], network(1))
        once = block.calls
        for _ in range(3):
            script.load([block, block], network(2))
    # Before, in and after the trace; from then on each load runs it for the output that is expected, and nothing else.
    assert once == 3
    assert block.calls == 3 + 3 * 2


def test_the_passes_run_without_python():
    block = Counting().eval()
    with runtime() as script:
        loaded = script.load([block], network(1))
        calls = block.calls
        assert loaded.plain_pass().latency_ms > 0
        loaded.block_pass()
    assert block.calls == calls


def test_the_executor_has_optimised_before_the_first_pass():
    with runtime() as script:
        loaded = script.load([norm_block()], network(1))
    for program in (loaded._whole, *loaded._blocks):
        assert len(program.get_debug_state().execution_plans) == 1  # an internal error of PyTorch's before that


def test_the_slow_block_has_the_large_value():
    large = nn.Sequential(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(40))).eval().requires_grad_(False)
    with runtime() as script:
        loaded = script.load([norm_block(), large, nn.Conv2d(3, 3, 1).eval()], network(3))
        passes = [loaded.block_pass().block_ms for _ in range(9)]
    medians = [statistics.median(values) for values in zip(*passes, strict=True)]
    assert medians[1] > 5 * max(medians[0], medians[2])


@pytest.mark.parametrize(("layout", "last"), [("nchw", False), ("nhwc", True)])
def test_layout_reaches_the_activations(layout, last):
    with runtime(layout=layout) as script:
        loaded = script.load([norm_block(channels=4)], network(1, channels=4))
    output = loaded._whole(loaded._image)
    assert output.is_contiguous(memory_format=torch.channels_last) == last
    assert output.is_contiguous() != last


@pytest.mark.parametrize("batch", [1, 2])
def test_the_input_has_the_batch(batch):
    with runtime(batch=batch) as script:
        loaded = script.load([norm_block()], network(1))
    assert loaded._image.shape == (batch, 3, 8, 8)


@pytest.mark.parametrize("blocks", [[Wrong()], [norm_block(), Wrong()]], ids=["alone", "behind another"])
def test_a_wrong_output_is_an_error(blocks):
    made = network(len(blocks))
    expected = f"network {made.network_id} on torchscript: expected PyTorch's output within 0.0001"
    with runtime() as script, pytest.raises(ProfilingError, match=expected):
        script.load([block.eval() for block in blocks], made)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells how much memory a process has")
def test_networks_that_are_dropped_are_freed():
    def resident_mb():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    blocks = [norm_block(seed) for seed in range(30)]
    with runtime() as script:
        for _ in range(3):
            script.load(blocks, network(30))
        before = resident_mb()
        for _ in range(20):
            script.load(blocks, network(30))
        assert resident_mb() - before < 15  # 36 if they stay in the compilation unit of the process


def test_a_block_that_does_not_run_is_named():
    blocks = [norm_block(), norm_block(channels=4)]
    expected = r"block 1 \(conv 8px 3->3 s1 k1\): expected it to run, got RuntimeError: .*4.*3"
    with runtime() as script, pytest.raises(ProfilingError, match=expected) as caught:
        script.load(blocks, network(2))
    assert "\n" not in str(caught.value)


def test_a_block_that_cannot_be_traced_is_named():
    expected = r"block 1 \(conv .*\): expected it to be traced and frozen by torch.jit, got TypeError: not in a trace"
    with runtime() as script, pytest.raises(ProfilingError, match=expected):
        script.load([norm_block(), Untraceable().eval()], network(2))


def test_one_block_for_each_primitive():
    with runtime() as script, pytest.raises(ProfilingError, match="a block for each of 2 primitives, found 1"):
        script.load([norm_block()], network(2))


def test_no_warning_of_deprecation_reaches_the_user():
    class Branching(nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() < 1e9 else x  # the tracer warns that it follows one branch only

    with warnings.catch_warnings(), runtime() as script:
        warnings.simplefilter("error")
        script.load([norm_block(), Branching().eval()], network(2))
        with pytest.raises(DeprecationWarning):
            torch.jit.script(nn.ReLU())  # the filters are as they were


def test_it_is_a_device_of_its_own_that_compiles():
    assert (TorchScript.name, TorchScript.compiles) == ("torchscript", True)
    assert TorchScript.precisions == ("float32",)
    assert TorchScript.layouts == ("nchw", "nhwc")
    assert torch.__version__.startswith(TorchScript.version())
    assert torch_script._OPTIMISING_PASSES >= 2
