"""Eager PyTorch on CUDA: with a stand-in for `torch.cuda`, and for real where there is a GPU (mark `gpu`)."""

import contextlib
import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from latpred.device import Device
from latpred.errors import ProfilingError
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling.runtimes import torch_cuda
from latpred.profiling.runtimes.torch_cuda import TorchCuda, driver_and_clocks


class StandIn:
    """Stands for `torch.cuda`: a stream that runs what it is given only when somebody waits for it.

    Launching moves the host on and queues work; `synchronize` works the queue off and gives the events their times. An
    event that is read before has none. During a capture, work goes into the graph instead.
    """

    def __init__(self, *gpus):
        self.gpus = gpus
        self.calls, self.queue, self.captured = [], [], None
        self.now_ms, self.current, self.allocated, self.peak = 0.0, 0, 0, 0

    def launch(self, name, ms, allocates=0):
        """Queue a kernel; its memory is taken at once, as by PyTorch's allocator, and given back after the block."""
        self.calls.append(name)
        self.peak = max(self.peak, self.allocated + allocates)
        (self.queue if self.captured is None else self.captured).append(ms)

    def synchronize(self):
        assert self.captured is None, "CUDA forbids to wait during a capture"
        self.calls.append("synchronize")
        for work in self.queue:
            if isinstance(work, Event):
                work.reached_ms = self.now_ms
            else:
                self.now_ms += work
        self.queue.clear()

    def Event(self, *, enable_timing):  # noqa: N802 - as in torch.cuda
        assert enable_timing, "without, elapsed_time fails"
        return Event(self)

    def Stream(self):  # noqa: N802
        return SimpleNamespace(wait_stream=lambda other: self.calls.append("side waits"))

    def current_stream(self):
        return SimpleNamespace(wait_stream=lambda other: self.calls.append("main waits"))

    @contextlib.contextmanager
    def stream(self, side):
        self.calls.append("side begins")
        yield
        self.calls.append("side ends")

    def CUDAGraph(self):  # noqa: N802
        return Graph(self)

    @contextlib.contextmanager
    def graph(self, graph, *, stream):
        assert stream is not None
        self.calls.append("capture begins")
        self.captured = graph.work
        try:
            yield
        finally:
            self.captured = None
        self.calls.append("capture ends")

    def is_available(self):
        return bool(self.gpus)

    def device_count(self):
        return len(self.gpus)

    def get_device_name(self, index):
        return self.gpus[index]

    def get_device_capability(self, index):
        return 9, 0

    def get_device_properties(self, index):
        return SimpleNamespace(uuid=f"00000000-0000-0000-0000-00000000000{index}")

    def current_device(self):
        return self.current

    def set_device(self, index):
        self.current = index

    def empty_cache(self):
        self.calls.append("empty_cache")

    def memory_allocated(self):
        return self.allocated

    def reset_peak_memory_stats(self):
        self.peak = self.allocated

    def max_memory_allocated(self):
        return self.peak


class Event:
    def __init__(self, cuda):
        self.cuda, self.reached_ms = cuda, None

    def record(self):
        self.cuda.calls.append("record")
        self.reached_ms = None
        self.cuda.queue.append(self)

    def elapsed_time(self, end):
        assert self.reached_ms is not None, "read before the GPU came to the first event"
        assert end.reached_ms is not None, "read before the GPU came to the second event"
        self.cuda.calls.append("read")
        return end.reached_ms - self.reached_ms


class Graph:
    def __init__(self, cuda):
        self.cuda, self.work = cuda, []

    def replay(self):
        self.cuda.calls.append("replay")
        self.cuda.queue.extend(self.work)

    def reset(self):
        self.cuda.calls.append("reset")


class Kernel(nn.Module):
    """A block of one kernel."""

    def __init__(self, cuda, name, *ms, allocates=0):
        super().__init__()
        self.cuda, self.name, self.ms, self.allocates = cuda, name, list(ms), allocates

    def forward(self, x):
        # The last latency stands for all later passes.
        self.cuda.launch(self.name, self.ms.pop(0) if len(self.ms) > 1 else self.ms[0], self.allocates)
        return x


class Fails(Kernel):
    """A kernel that fails after some passes."""

    def __init__(self, cuda, error, after=0):
        super().__init__(cuda, "fails", 1.0)
        self.error, self.after = error, after

    def forward(self, x):
        self.after -= 1
        if self.after < 0:
            raise self.error
        return super().forward(x)


class Look(Kernel):
    """A kernel that shows its input to a function."""

    def __init__(self, cuda, function):
        super().__init__(cuda, "look", 1.0)
        self.function = function

    def forward(self, x):
        self.function(x)
        return super().forward(x)


@pytest.fixture(autouse=True)
def _settings():
    threads, switches = torch.get_num_threads(), torch_cuda._tf32()
    yield
    torch.set_num_threads(threads)
    torch_cuda._set_tf32(switches)


@pytest.fixture
def cuda(monkeypatch):
    """Let the runtime work with the stand-in, on the CPU."""
    cuda = StandIn("GPU A", "GPU B")
    monkeypatch.setattr(TorchCuda, "cuda", cuda)
    monkeypatch.setattr(TorchCuda, "device_type", "cpu")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    return cuda


def device(precision="float32", layout="nchw", batch=1):
    return Device("GPU A", "torch", TorchCuda.version(), precision, 1, batch, layout)


def network(count, channels=3, size=8):
    return Network("chain", (Primitive("conv", size, channels, channels),) * count, ("primitive",) * count)


def load(cuda, blocks, *, graphs=False, made=None):
    with TorchCuda(device(), graphs=graphs) as runtime:
        loaded = runtime.load(blocks, made or network(len(blocks)))
    cuda.calls.clear()
    return loaded


def test_a_plain_pass_is_timed_by_one_pair_of_events_read_after_waiting(cuda):
    loaded = load(cuda, [Kernel(cuda, "a", 1.5), Kernel(cuda, "b", 0.25)])
    assert loaded.plain_pass() == (1.75, None, None)
    assert cuda.calls == ["synchronize", "record", "a", "b", "record", "synchronize", "read"]


def test_work_that_was_queued_before_does_not_count(cuda):
    loaded = load(cuda, [Kernel(cuda, "a", 1.5)])
    cuda.launch("other", 100.0)
    assert loaded.plain_pass().latency_ms == 1.5


def test_shares_of_blocks_are_those_of_stamped_passes(cuda):
    loaded = load(cuda, [Kernel(cuda, "a", 3.0), Kernel(cuda, "b", 1.0), Kernel(cuda, "c", 4.0)])
    assert loaded.block_pass() is None
    shares = loaded.block_shares()
    assert shares.blocks == pytest.approx((3 / 8, 1 / 8, 4 / 8))
    assert (shares.overhead, shares.method) == (0.0, "profile_share")
    assert cuda.calls == []  # they were measured at loading


def test_shares_are_medians_of_the_passes_after_warming_up_and_add_up_to_one(cuda):
    # 3 passes to warm up, then 5: the shares of a are 1/2, 3/4, 1/2, 9/10 and 1/5.
    first = Kernel(cuda, "a", 50.0, 50.0, 50.0, 1.0, 3.0, 1.0, 9.0, 0.25)
    loaded = load(cuda, [first, Kernel(cuda, "b", 1.0)])
    assert loaded.block_shares().blocks == pytest.approx((0.5, 0.5))
    # The medians of three shares need not add up: 1/2, 1/4, 1/4 in two passes, (2, 1, 1) and (0, 4, 0) of 4 in others.
    rows = [(2.0, 1.0, 1.0)] * 3 + [(8.0, 1.0, 1.0), (8.0, 1.0, 1.0), (1.0, 8.0, 1.0), (1.0, 8.0, 1.0), (1.0, 1.0, 8.0)]
    loaded = load(cuda, [Kernel(cuda, name, *ms) for name, ms in zip("abc", zip(*rows, strict=True), strict=True)])
    assert loaded.block_shares().blocks == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_a_stamped_pass_has_an_event_before_and_after_each_block(cuda):
    with TorchCuda(device()) as runtime:
        runtime.load([Kernel(cuda, "a", 3.0), Kernel(cuda, "b", 1.0)], network(2))
    one = ["synchronize", "record", "a", "record", "b", "record", "synchronize", "read", "read"]
    assert cuda.calls == one * 8


def test_an_event_read_too_early_fails_with_the_stand_in(cuda):
    loaded = load(cuda, [Kernel(cuda, "a", 3.0)])
    cuda.synchronize = lambda: None
    with pytest.raises(AssertionError, match="read before the GPU came"):
        loaded.plain_pass()


def test_a_graph_is_captured_in_a_side_stream_after_warming_up(cuda):
    with TorchCuda(device(), graphs=True) as runtime:
        loaded = runtime.load([Kernel(cuda, "a", 3.0)], network(1))
    begin = cuda.calls.index("side waits")
    captured = ["capture begins", "a", "capture ends", "replay"]
    assert cuda.calls[begin:] == ["side waits", "side begins", *"aaa", "side ends", "main waits", *captured]
    cuda.calls.clear()
    assert loaded.plain_pass().latency_ms == 3.0
    assert cuda.calls == ["synchronize", "record", "replay", "record", "synchronize", "read"]


def test_the_shares_of_a_graph_are_those_of_eager_passes(cuda):
    loaded = load(cuda, [Kernel(cuda, "a", 3.0), Kernel(cuda, "b", 1.0)], graphs=True)
    assert loaded.block_shares().blocks == pytest.approx((0.75, 0.25))


def test_closing_frees_the_graph_once(cuda):
    loaded = load(cuda, [Kernel(cuda, "a", 3.0)], graphs=True)
    loaded.close()
    loaded.close()
    assert cuda.calls == ["reset"]
    eager = load(cuda, [Kernel(cuda, "a", 3.0)])
    eager.close()
    assert cuda.calls == []


def test_a_network_that_cannot_be_captured_is_named(cuda):
    made = network(2)
    expected = f"network {made.network_id}: expected to capture it as a CUDA graph, got RuntimeError: not permitted"
    # 3 + 5 stamped passes and 3 in the side stream go well.
    blocks = [Kernel(cuda, "a", 1.0), Fails(cuda, RuntimeError("not\npermitted"), after=11)]
    with TorchCuda(device(), graphs=True) as runtime, pytest.raises(ProfilingError, match=expected):
        runtime.load(blocks, made)


def test_a_block_that_does_not_run_is_named(cuda):
    blocks = [Kernel(cuda, "a", 1.0), Fails(cuda, RuntimeError("3 channels\nwanted"))]
    expected = r"block 1 \(conv 8px 3->3 s1 k1\): expected it to run, got RuntimeError: 3 channels wanted\. Mend"
    with TorchCuda(device()) as runtime, pytest.raises(ProfilingError, match=expected):
        runtime.load(blocks, network(2))


@pytest.mark.parametrize("after", [0, 3, 8, 11], ids=["warm-up", "shares", "graph warm-up", "capture"])
def test_a_network_that_needs_too_much_memory_is_named_and_the_cache_emptied(cuda, after):
    made = network(1)
    error = torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate 9 GiB")
    expected = f"network {made.network_id}: expected it to fit into the GPU's memory, got CUDA out of memory. Tried to"
    with TorchCuda(device(), graphs=True) as runtime:
        with pytest.raises(ProfilingError, match=expected):
            runtime.load([Fails(cuda, error, after)], made)
        assert cuda.calls[-1] == "empty_cache"
        assert runtime.load([Kernel(cuda, "a", 2.0)], network(1)).plain_pass().latency_ms == 2.0


@pytest.mark.parametrize("measure", ["plain_pass", "memory_mb"])
def test_memory_may_run_out_in_any_pass(cuda, measure):
    made = network(1)
    loaded = load(cuda, [Fails(cuda, torch.OutOfMemoryError("CUDA out of memory"), after=8)], made=made)
    with pytest.raises(ProfilingError, match=f"network {made.network_id}: expected it to fit"):
        getattr(loaded, measure)()
    assert cuda.calls[-1] == "empty_cache"


def test_activations_are_gone_before_the_cache_is_emptied(cuda):
    alive, kept = [], []

    class Holds(nn.Module):
        def forward(self, x):
            activation = torch.zeros(3)
            kept.append(torch.utils.weak.WeakTensorKeyDictionary({activation: None}))
            raise torch.OutOfMemoryError("CUDA out of memory")

    cuda.empty_cache = lambda: alive.append(len(kept[-1]))
    with TorchCuda(device()) as runtime, pytest.raises(ProfilingError):
        runtime.load([Holds()], network(1))
    assert alive == [0]


def test_memory_is_the_peak_without_the_others_and_with_its_own_weights(cuda):
    conv = nn.Conv2d(3, 3, 1).eval().requires_grad_(False)  # 12 weights
    loaded = load(cuda, [nn.Sequential(conv, Kernel(cuda, "a", 1.0, allocates=5000))])
    cuda.allocated, cuda.peak = 10**9, 2 * 10**9  # other networks hold that, and needed that
    image = 4 * 3 * 8 * 8
    assert loaded.memory_mb() == pytest.approx((5000 + 12 * 4 + image) / 1e6, rel=1e-12)
    assert cuda.calls == ["synchronize", "a", "synchronize"]


@pytest.mark.parametrize("graphs", [False, True])
def test_passes_run_without_gradients(cuda, graphs):
    modes = set()
    look = Look(cuda, lambda _: modes.add((torch.is_inference_mode_enabled(), torch.is_grad_enabled())))
    loaded = load(cuda, [look], graphs=graphs)
    loaded.plain_pass()
    loaded.memory_mb()
    assert modes == {(True, False)}


def test_a_pass_that_took_no_time_is_refused(cuda):
    with TorchCuda(device()) as runtime, pytest.raises(ProfilingError, match=r"block 1 .*> 0 ns, the clock gave 0 ns"):
        runtime.load([Kernel(cuda, "a", 1.0), Kernel(cuda, "b", 0.0)], network(2))


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_precision_and_layout_reach_weights_and_input(cuda, precision, layout):
    images, conv = [], nn.Conv2d(3, 3, 3, padding=1).eval()
    with TorchCuda(device(precision, layout, batch=2)) as runtime:
        runtime.load([nn.Sequential(Look(cuda, images.append), conv)], network(1))
    dtype, last = getattr(torch, precision), layout == "nhwc"
    for tensor in (images[0], conv.weight):
        assert tensor.dtype == dtype
        assert tensor.is_contiguous(memory_format=torch.channels_last) == last
    assert images[0].shape == (2, 3, 8, 8)
    assert conv.bias.dtype == dtype


def test_blocks_are_moved_once(cuda):
    moves = []

    class Moving(Kernel):
        def to(self, *args, **kwargs):
            moves.append(args[0])
            return super().to(*args, **kwargs)

    block = Moving(cuda, "a", 1.0)
    with TorchCuda(device(), asked="cuda:1") as runtime:
        for _ in range(2):
            runtime.load([block, block], network(2))
    assert moves == [torch.device("cpu", 1)]  # a stand-in for cuda:1


def test_inside_products_are_float32_on_the_gpu_asked_for_and_afterwards_all_is_as_before(cuda):
    torch.set_num_threads(2)
    before = {"cudnn.conv": "tf32", "cudnn.rnn": "none", "cuda.matmul": "tf32"}
    torch_cuda._set_tf32(before)
    seen = []

    def look_and_fail():
        seen.extend([torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.rnn.fp32_precision])
        seen.extend([torch.backends.cuda.matmul.fp32_precision, cuda.current, torch.get_num_threads()])
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), TorchCuda(device(), asked="cuda:1"):
        look_and_fail()
    assert seen == ["ieee", "ieee", "ieee", 1, 1]
    assert torch_cuda._tf32() == before
    assert cuda.current == 0
    assert torch.get_num_threads() == 2


def test_after_a_refusal_all_is_as_before(cuda, monkeypatch):
    before = torch_cuda._tf32()
    monkeypatch.setattr(torch, "get_default_dtype", lambda: torch.float64)
    message = re.escape("found torch.get_default_dtype() = torch.float64. Undo")
    with pytest.raises(ProfilingError, match=message), TorchCuda(device(), asked="cuda:1"):
        pass
    assert torch_cuda._tf32() == before
    assert cuda.current == 0


def test_tf32_that_cannot_be_turned_off_is_refused(cuda, monkeypatch):
    monkeypatch.setattr(torch_cuda, "_set_tf32", lambda values: None)
    monkeypatch.setattr(torch_cuda, "_tf32", lambda: {"cudnn.conv": "tf32"})
    message = re.escape("expected to measure in float32, found torch.backends.cudnn.conv.fp32_precision = tf32")
    with pytest.raises(ProfilingError, match=message), TorchCuda(device()):
        pass


@pytest.mark.parametrize(("asked", "name"), [("cuda", "GPU A"), ("cuda:0", "GPU A"), ("CUDA:1", "GPU B")])
def test_hardware_is_the_name_of_the_gpu(cuda, asked, name):
    assert TorchCuda.hardware(asked) == name


def test_a_gpu_that_is_not_there_is_refused(cuda):
    expected = re.escape("expected a GPU that is here, cuda:0 (GPU A), cuda:1 (GPU B), found 'cuda:2'")
    with pytest.raises(ProfilingError, match=expected):
        TorchCuda.hardware("cuda:2")
    with pytest.raises(ProfilingError, match=expected), TorchCuda(device(), asked="cuda:2"):
        pass


@pytest.mark.parametrize("asked", ["cuda:x", "cuda:-1", "gpu", "cuda:", "cuda1"])
def test_a_name_that_is_no_gpu_is_refused(cuda, asked):
    expected = f"expected 'cuda' or 'cuda:' and the number of a GPU, found '{asked}'"
    with pytest.raises(ProfilingError, match=expected):
        TorchCuda.hardware(asked)
    with pytest.raises(ProfilingError, match=expected):
        TorchCuda(device(), asked=asked)


def test_without_a_gpu_the_driver_is_to_be_checked(cuda):
    cuda.gpus = ()
    for use in (TorchCuda.require, lambda: TorchCuda.hardware("cuda")):
        with pytest.raises(ProfilingError, match=r"expected a GPU that PyTorch can use, found none\. Check the driver"):
            use()


def test_a_pytorch_without_cuda_says_so(cuda, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    expected = re.escape(f"expected PyTorch with CUDA, found {torch.__version__}. Install a CUDA build")
    with pytest.raises(ProfilingError, match=expected):
        TorchCuda.hardware("cuda")


def test_it_tells_what_changes_latencies(cuda):
    with TorchCuda(device(), asked="cuda:1", graphs=True) as runtime:
        facts = runtime.describe()
    assert (facts["gpu"], facts["capability"], facts["graphs"]) == ("GPU B", "9.0", True)
    assert facts["fp32_precision"] == {"cudnn.conv": "ieee", "cudnn.rnn": "ieee", "cuda.matmul": "ieee"}
    assert facts["cuda"] == torch.version.cuda
    assert {"cudnn", "cudnn_benchmark", "driver", "sm_clock_mhz", "memory_clock_max_mhz"} <= set(facts)


class Nvml:
    """Stands for `pynvml`."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2

    class NVMLError(Exception):
        pass

    def __init__(self, fails=None):
        self.fails, self.open, self.asked = fails, 0, []

    def __getattr__(self, name):
        return lambda *args: self._call(name, args)

    def _call(self, name, args):
        if name == self.fails:
            raise self.NVMLError("Not Found")
        self.open += {"nvmlInit": 1, "nvmlShutdown": -1}.get(name, 0)
        self.asked.append(args)
        clocks = {"nvmlDeviceGetClockInfo": 1000, "nvmlDeviceGetMaxClockInfo": 2000}
        return clocks[name] + args[1] if name in clocks else "580.1"


@pytest.mark.parametrize("uuid", ["12-34", "GPU-12-34"])
def test_nvml_is_asked_by_uuid_and_closed(monkeypatch, uuid):
    nvml = Nvml()
    monkeypatch.setitem(__import__("sys").modules, "pynvml", nvml)
    clocks = {"sm_clock_mhz": 1001, "sm_clock_max_mhz": 2001, "memory_clock_mhz": 1002, "memory_clock_max_mhz": 2002}
    assert driver_and_clocks(uuid) == {"driver": "580.1", **clocks}
    assert ("GPU-12-34",) in nvml.asked
    assert nvml.open == 0


@pytest.mark.parametrize(
    "nvml", [None, Nvml("nvmlInit"), Nvml("nvmlDeviceGetHandleByUUID"), Nvml("nvmlDeviceGetClockInfo")]
)
def test_without_nvml_clocks_are_unknown(monkeypatch, nvml):
    monkeypatch.setitem(__import__("sys").modules, "pynvml", nvml)  # None: the import fails
    facts = driver_and_clocks("12-34")
    assert set(facts) == {"driver", "sm_clock_mhz", "sm_clock_max_mhz", "memory_clock_mhz", "memory_clock_max_mhz"}
    assert set(facts.values()) == {None}
    assert nvml is None or nvml.open == 0


def conv_blocks(count=4, channels=64):
    torch.manual_seed(0)
    return [nn.Conv2d(channels, channels, 3, padding=1).eval().requires_grad_(False) for _ in range(count)]


def on_gpu(precision="float32", layout="nchw", **how):
    name = TorchCuda.hardware("cuda")
    return TorchCuda(Device(name, "torch", TorchCuda.version(), precision, 1, 2, layout), **how)


@pytest.mark.gpu
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_a_gpu_measures(precision, graphs):
    made = network(4, channels=64, size=56)
    with on_gpu(precision, graphs=graphs) as runtime:
        loaded = runtime.load(conv_blocks(), made)
        latencies = [loaded.plain_pass().latency_ms for _ in range(20)]
        shares = loaded.block_shares()
        memory_mb = loaded.memory_mb()
        loaded.close()
    assert all(0 < ms < 1000 for ms in latencies)
    assert sum(shares.blocks) + shares.overhead == pytest.approx(1)
    width = 4 if precision == "float32" else 2
    activation = width * 2 * 64 * 56 * 56
    weights = width * 4 * (64 * 64 * 9 + 64)
    assert memory_mb >= (weights + 3 * activation) / 1e6 - 0.01
    assert runtime.describe()["gpu"] == torch.cuda.get_device_name(0)


@pytest.mark.gpu
def test_float32_is_float32_on_a_gpu():
    image = torch.randn(1, 64, 56, 56, generator=torch.Generator().manual_seed(0))
    conv = conv_blocks(1)[0]
    exact = nn.functional.conv2d(image.double(), conv.weight.double(), conv.bias.double(), padding=1)
    with on_gpu():
        found = conv.cuda()(image.cuda()).cpu().double()
    assert float((found - exact).norm() / exact.norm()) < 1e-5  # TF32 is near 3e-4


@pytest.mark.gpu
def test_a_larger_block_has_the_larger_share_on_a_gpu():
    small, large = conv_blocks(1), conv_blocks(30)
    made = network(2, channels=64, size=112)
    with on_gpu() as runtime:
        shares = runtime.load([nn.Sequential(*large), *small], made).block_shares()
    assert shares.blocks[0] > 5 * shares.blocks[1]


@pytest.mark.gpu
def test_running_out_of_memory_leaves_the_gpu_usable():
    class Greedy(nn.Module):
        def forward(self, x):
            return x.repeat(1, 1, 10_000, 10_000)

    with on_gpu() as runtime:
        with pytest.raises(ProfilingError, match="expected it to fit into the GPU's memory"):
            runtime.load([Greedy()], network(1, channels=64, size=56))
        assert runtime.load(conv_blocks(1), network(1, channels=64, size=56)).plain_pass().latency_ms > 0
