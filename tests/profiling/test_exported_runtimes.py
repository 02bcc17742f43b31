"""What every runtime must do that compiles networks from ONNX; a new one joins by one line in RUNTIMES."""

import gc
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from measured import tiny_space
from torch import nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling.heap import bytes_in_use
from latpred.profiling.runtimes import OnnxRuntime, OpenVINO
from latpred.spaces import load_space
from latpred.spaces.pool import BlockPool

RUNTIMES = (OnnxRuntime, OpenVINO)
CONFIGS = Path(__file__).parents[2] / "configs" / "spaces"
needs_glibc = pytest.mark.skipif(bytes_in_use() is None, reason="the C library has no mallinfo2")


@pytest.fixture(params=RUNTIMES, ids=lambda runtime: runtime.name)
def kind(request):
    pytest.importorskip(request.param.name)
    return request.param


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def device(kind, *, threads=1, batch=1):
    return Device("cpu", kind.name, kind.version(), "float32", threads, batch, "nchw")


def chain(*shapes, size=8):
    return Network("chain", tuple(Primitive("conv", size, *shape) for shape in shapes), ("primitive",) * len(shapes))


def convolutions(*shapes, kernel=1):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [nn.Conv2d(C, C_out, kernel, padding=kernel // 2).eval() for C, C_out in shapes]


def drawn(space=None, seed=0):
    space = space or tiny_space()
    network = space.network(space.sample(Random(seed)))
    return BlockPool(space, seed=0).modules(network), network


def load(kind, blocks, network, **asked):
    with kind(device(kind, **asked)) as runtime:
        return runtime.load(blocks, network)


def with_shares(kind, blocks, network):
    """Load until the profile tells shares: on a busy machine, one may tell nothing."""
    tries = (load(kind, blocks, network) for _ in range(5))
    return next((loaded, loaded.block_shares()) for loaded in tries if loaded.block_shares() is not None)


def test_a_network_of_a_space_runs_and_every_block_has_its_share(kind):
    blocks, network = drawn()
    loaded, shares = with_shares(kind, blocks, network)
    assert len(shares.blocks) == len(blocks)
    assert min(shares.blocks) > 0
    assert sum(shares.blocks) + shares.overhead == pytest.approx(1)
    assert shares.overhead <= 0.05
    assert shares.method == "profile_share"
    assert loaded.block_pass() is None


@pytest.mark.slow
@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_block_of_the_shipped_spaces_has_its_share(kind, config):
    for seed in range(2):
        blocks, network = drawn(load_space(config), seed)
        shares = load(kind, blocks, network).block_shares()
        if shares is None:  # OpenVINO leaves no node of some of its blocks, which hardly compute: nothing is made up
            assert (config.stem, kind.__name__) == ("nasbench201", "OpenVINO")
            continue
        assert min(shares.blocks) > 0
        assert shares.overhead <= 0.05


@pytest.mark.parametrize("large", [0, 1, 2])
def test_the_block_with_far_more_arithmetic_has_the_largest_share(kind, large):
    shapes = [(16, 16)] * 3
    blocks = convolutions(*shapes)
    blocks[large] = convolutions((16, 16), kernel=7)[0]  # 49 times as much
    _, shares = with_shares(kind, blocks, chain(*shapes, size=32))
    assert max(range(3), key=lambda block: shares.blocks[block]) == large
    assert shares.blocks[large] > 0.5


def test_with_one_thread_the_callers_counters_tell_the_whole(kind):
    shapes = [(64, 64)] * 3
    loaded = load(kind, convolutions(*shapes, kernel=7), chain(*shapes, size=32))
    thread_s, process_s = time.thread_time(), time.process_time()
    passes = [loaded.plain_pass() for _ in range(9)]
    thread_s, process_s = time.thread_time() - thread_s, time.process_time() - process_s
    assert thread_s > 0.9 * process_s
    assert sum(run.cpu_time_ms for run in passes) > 0.8 * 1e3 * process_s
    assert all(run.involuntary_switches is None or run.involuntary_switches >= 0 for run in passes)


def test_with_two_threads_the_callers_counters_tell_nothing(kind):
    plain = load(kind, convolutions((3, 3)), chain((3, 3)), threads=2).plain_pass()
    assert plain.latency_ms > 0
    assert (plain.cpu_time_ms, plain.involuntary_switches) == (None, None)


def test_an_output_that_is_not_pytorchs_is_refused(kind):
    blocks, network = drawn()
    with kind(device(kind)) as runtime:
        runtime.load(blocks, network)
        blocks[2].body.expand.weight.mul_(1.5)  # behind the back of the exported block
        message = rf"network {network.network_id} on {kind.name}: expected PyTorch's output within 0\.0001 of"
        with pytest.raises(ProfilingError, match=message):
            runtime.load(blocks, network)


def test_an_output_of_zeros_is_refused_as_it_tells_nothing(kind):
    blocks = convolutions((3, 3))
    nn.init.zeros_(blocks[0].weight)
    nn.init.zeros_(blocks[0].bias)
    with pytest.raises(ProfilingError, match=r"a finite maximum > 0 to compare with, found 0\.0"):
        load(kind, blocks, chain((3, 3)))


class Fails(nn.Module):
    def forward(self, x):
        if torch.is_inference_mode_enabled():  # as it is for PyTorch's own pass
            raise RuntimeError("no such\nweight")
        return x + 1


def test_a_block_that_pytorch_cannot_run_is_told_on_one_line(kind):
    network = chain((3, 3))
    expected = f"network {network.network_id}: expected PyTorch to run it, got RuntimeError: no such weight"
    with pytest.raises(ProfilingError, match=expected):
        load(kind, [Fails()], network)


def test_a_block_that_nothing_is_left_of_has_no_value_and_neither_have_the_others(kind):
    shapes = [(3, 3)] * 3
    loaded = load(kind, [*convolutions((3, 3)), nn.Identity(), *convolutions((3, 3))], chain(*shapes))
    assert loaded.block_shares() is None
    assert loaded.plain_pass().latency_ms > 0


def test_an_empty_block_at_the_end_does_not_take_the_value_of_the_one_before_it(kind):
    blocks = [nn.Sequential(*convolutions((3, 16), (16, 3), kernel=3)), nn.Identity()]
    loaded = load(kind, blocks, chain((3, 3), (3, 3)))
    assert loaded.block_shares() is None


@needs_glibc
def test_memory_is_at_least_the_weights_and_grows_with_them_and_with_the_batch(kind):
    narrow, wide = [(3, 16), (16, 16)], [(3, 512), (512, 512)]
    memory = {
        (width, batch): load(kind, convolutions(*shapes), chain(*shapes, size=16), batch=batch).memory_mb()
        for width, shapes in (("narrow", narrow), ("wide", wide))
        for batch in (1, 8)
    }
    weights_mb = (512 * 512 + 512 * 4) * 4 / 1e6
    activation_mb = 512 * 16 * 16 * 4 / 1e6
    assert memory["wide", 1] - memory["narrow", 1] > weights_mb
    # Seven more images; the convolution reads one such tensor and writes another.
    assert 2 * 7 * activation_mb * 0.9 < memory["wide", 8] - memory["wide", 1] < 6 * 7 * activation_mb


@needs_glibc
def test_memory_is_the_same_each_time_whatever_was_loaded_before(kind):
    blocks, network = drawn()
    others, other = drawn(seed=3)
    assert other != network
    with kind(device(kind)) as runtime:
        first = runtime.load(blocks, network).memory_mb()
        kept = runtime.load(others, other)
        again = runtime.load(blocks, network).memory_mb()
    assert kept.memory_mb() > 0
    assert again == pytest.approx(first, rel=0.02)


@needs_glibc
def test_a_network_that_is_let_go_frees_its_memory_without_garbage_collection(kind):
    shapes = [(3, 512), (512, 512)]
    blocks, network = convolutions(*shapes), chain(*shapes, size=16)
    with kind(device(kind)) as runtime:
        runtime.load(blocks, network)
        gc.disable()
        try:
            before = bytes_in_use()
            loaded = runtime.load(blocks, network)
            held = bytes_in_use() - before
            del loaded
            left = bytes_in_use() - before
        finally:
            gc.enable()
    assert held > 1e6
    assert left < 0.2 * held


@pytest.mark.parametrize("counts", [[None, None], [0, 400]])
def test_memory_that_the_allocator_does_not_tell_is_none(kind, monkeypatch, counts):
    counts = iter(counts)  # 400 bytes cannot be all: the weights alone are 1,088
    monkeypatch.setattr("latpred.profiling.runtimes.exported.bytes_in_use", lambda: next(counts))
    assert load(kind, convolutions((16, 16)), chain((16, 16))).memory_mb() is None


def test_threads_of_pytorch_are_the_devices_inside_and_restored_after_an_error(kind):
    torch.set_num_threads(1)
    with pytest.raises(RuntimeError, match="inside 2"), kind(device(kind, threads=2)):
        raise RuntimeError(f"inside {torch.get_num_threads()}")
    assert torch.get_num_threads() == 1


def test_nothing_is_printed_or_left_in_a_folder_and_no_warning_gets_out(kind, capfd, monkeypatch, tmp_path):
    blocks, network = drawn()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with kind(device(kind)) as runtime:
            runtime.describe()
            runtime.load(blocks, network).plain_pass()
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]


def test_the_input_is_the_image_of_all_runtimes(kind):
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            if torch.is_inference_mode_enabled():
                seen.append(x.clone())
            return x + 1

    load(kind, [Look()], chain((5, 5)), batch=2)
    expected = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=0)
    assert np.isfinite(seen[0].numpy()).all()
