import warnings

import pytest
import torch
from torch import nn

from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling import DeviceConfig, RequestedDevice
from latpred.profiling.runtimes import TorchEager
from latpred.profiling.runtimes.torch_memory import peak_allocated_bytes, peak_memory_mb, stored_bytes, weights_of
from latpred.profiling.runtimes.torch_script import TorchScript

SIZE = 32 * 32  # pixels of the image


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def loaded(runtime_class, blocks, layout="nchw"):
    device = DeviceConfig(RequestedDevice(layout=layout)).resolve()
    primitives = tuple(Primitive("conv", 32, 2, 2) for _ in blocks)
    network = Network("chain", primitives, ("primitive",) * len(blocks))
    with runtime_class(device) as runtime:
        return runtime.load(blocks, network)


def pointwise(C_in, C_out):
    return nn.Conv2d(C_in, C_out, 1).eval().requires_grad_(False)


def test_activations_live_until_the_next_layer_has_read_them():
    first, second = pointwise(2, 3), pointwise(3, 5)
    image = torch.zeros(1, 2, 32, 32)
    # The input is the caller's; the first layer's output is freed once the second one's is there.
    assert peak_allocated_bytes(lambda: second(first(image))) == 4 * SIZE * (3 + 5)
    assert peak_allocated_bytes(lambda: (first(image), second(first(image)))) == 4 * SIZE * (3 + 3 + 5)


def test_the_peak_is_not_the_last_value():
    image = torch.zeros(1, 2, 32, 32)
    assert peak_allocated_bytes(lambda: image.relu().relu()[0, 0, 0, 0].clone()) == 4 * SIZE * (2 + 2)
    assert peak_allocated_bytes(lambda: None) == 0


def test_the_unfolded_image_of_a_convolution_counts():
    weight, image = torch.zeros(3, 2, 3, 3), torch.zeros(1, 2, 32, 32)
    convolve = torch.ops.aten.thnn_conv2d  # by name, because `conv2d` leaves the choice to the processor
    peak = peak_allocated_bytes(lambda: convolve(image, weight, [3, 3], None, [1, 1], [1, 1]))
    assert peak == 4 * SIZE * (3 + 2 * 3 * 3)  # the output, and a patch of 3 x 3 x 2 for each pixel


def test_what_was_there_before_does_not_count():
    held = [torch.zeros(1000)]
    assert peak_allocated_bytes(lambda: (held.clear(), torch.zeros(10))) == 40


def test_the_profiler_ends_after_an_error():
    with pytest.raises(ZeroDivisionError):
        peak_allocated_bytes(lambda: 1 / 0)
    assert peak_allocated_bytes(lambda: torch.zeros(10)) == 40


def test_shared_storage_counts_once():
    values = torch.zeros(100)
    assert stored_bytes([values, values, values[:50], torch.zeros(3, dtype=torch.float64)]) == 400 + 24


def test_megabytes_are_millions():
    assert peak_memory_mb(lambda: torch.zeros(500_000), [torch.zeros(250_000)]) == 3.0


def test_weights_are_parameters_and_buffers():
    norm = nn.BatchNorm2d(7)  # weight, bias, mean and variance, and a counter of 8 bytes
    assert stored_bytes(weights_of(norm)) == 4 * 7 * 4 + 8


def test_weights_of_a_frozen_program_are_those_left_after_folding():
    layers = nn.Sequential(nn.Conv2d(2, 5, 1, bias=False), nn.BatchNorm2d(5)).eval().requires_grad_(False)
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        frozen = torch.jit.freeze(torch.jit.trace(layers, torch.zeros(1, 2, 8, 8)))
    assert stored_bytes(weights_of(layers)) == 4 * (10 + 4 * 5) + 8
    assert stored_bytes(weights_of(frozen)) == 4 * (10 + 5)  # one convolution with a bias


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("runtime_class", [TorchEager, TorchScript])
def test_a_network_of_two_layers(runtime_class, layout):
    blocks = [pointwise(2, 3), pointwise(3, 5)]
    network = loaded(runtime_class, blocks, layout)
    weights, image, activations = 4 * (2 * 3 + 3 + 3 * 5 + 5), 4 * SIZE * 2, 4 * SIZE * (3 + 5)
    assert network.memory_mb() == pytest.approx((weights + image + activations) / 1e6, rel=1e-12)


def test_a_module_that_stands_twice_holds_its_weights_once():
    block = pointwise(2, 2)
    network = loaded(TorchEager, [block, block])
    assert network.memory_mb() == pytest.approx((4 * 6 + 4 * SIZE * (2 + 2 + 2)) / 1e6, rel=1e-12)


def test_it_measures_without_gradients_and_leaves_the_next_pass_as_it_was():
    network = loaded(TorchEager, [nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)])
    first = network.memory_mb()  # gradients would keep the outputs of all three
    assert network.memory_mb() == first == pytest.approx((4 * 3 * 6 + 4 * SIZE * (2 + 2 + 2)) / 1e6, rel=1e-12)
    assert network.plain_pass().latency_ms > 0


def test_a_block_that_does_not_run_is_an_error():
    network = loaded(TorchEager, [pointwise(2, 2), pointwise(3, 2)])
    with pytest.raises(RuntimeError, match="3 channels"):
        network.memory_mb()
    with pytest.raises(ProfilingError, match=r"block 1 \(conv 32px 2->2 s1 k1\)"):
        network.block_pass()
