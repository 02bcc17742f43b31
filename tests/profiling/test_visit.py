import itertools
import time

import pytest
from chain_space import ChainSpace

from latpred.profiling import Measuring
from latpred.profiling.clock import Timed
from latpred.profiling.energy import EnergyMeter
from latpred.profiling.runtimes import BlockPass, BlockShares, LoadedNetwork
from latpred.profiling.visit import SessionStats, Tally, Visitor, settled, steadiest
from latpred.spaces.pool import BlockPool

SPACE = ChainSpace()


class FakeClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class FakeRuntime:
    """Loads networks whose passes advance the clock by given seconds; `None` is a network that does not run.

    Preemptions are counted per plain pass: none of them, unless `switches` says otherwise.
    """

    min_warmup_s = 0.0

    def __init__(self, clock, seconds, *, compiles=False, blocks=True, shares=None, switches=None):
        self.clock, self.seconds, self.calls = clock, seconds, []
        self.compiles, self.blocks, self.shares = compiles, blocks, shares
        self.switches = itertools.repeat(0) if switches is None else iter(switches)
        self.loaded, self.closed = [], []

    def load(self, blocks, network):
        self.loaded.append(network.network_id)
        if self.seconds is None or "break" in (p.prim_type for p in network.primitives):
            raise RuntimeError("does not load")
        return FakeNetwork(self, network)


class FakeNetwork(LoadedNetwork):
    def __init__(self, runtime, network):
        self.runtime, self.network = runtime, network

    def plain_pass(self):
        return Timed(1e3 * self._pass("plain"), 0.5, next(self.runtime.switches))

    def block_pass(self):
        if not self.runtime.blocks:
            return None
        return BlockPass((1e3 * self._pass("blocks"),) * len(self.network.primitives), 0.25)

    def block_shares(self):
        return self.runtime.shares

    def memory_mb(self):
        self.runtime.calls.append("memory")
        return 7.5

    def close(self):
        self.runtime.closed.append(self.network.network_id)

    def _pass(self, name):
        self.runtime.calls.append(name)
        seconds = next(self.runtime.seconds)
        self.runtime.clock.now += seconds
        return seconds


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def visitor(clock, seconds, tally=None, *, runtime=None, capacity=1, meter=None, **measuring):
    runtime = runtime or FakeRuntime(clock, seconds)
    how = Measuring(**({"memory": False} | measuring))
    subject = Visitor(runtime, BlockPool(SPACE, 0), how, None, tally or Tally(), capacity=capacity, meter=meter)
    return subject, runtime


def test_a_visit_is_warm_up_plain_blocks_plain(clock):
    tally = Tally()
    subject, runtime = visitor(clock, iter([1, 2, 4, 8, 16]), tally, warmup_passes=2)
    measured = subject.visit(SPACE.assembled("conv"))
    assert runtime.calls == ["blocks", "blocks", "plain", "blocks", "plain"]
    assert measured == {
        "overall_latency_ms": 10_000,  # the mean of 4 and 16 s
        "block_latency_ms": (8_000,),
        "block_method": ("timestamp",),
        "overhead_ms": 0.25,
        "cpu_time_ms": 0.5,
        "involuntary_switches": 0,
    }
    assert tally.stats() == SessionStats(31, 0, 1, 0)


def test_a_visit_may_have_no_warm_up(clock):
    subject, runtime = visitor(clock, iter([1, 2, 3]), warmup_passes=0)
    assert subject.visit(SPACE.assembled("conv"))["overall_latency_ms"] == 2000
    assert runtime.calls == ["plain", "blocks", "plain"]


def test_the_pass_that_was_preempted_less_is_the_run(clock):
    runtime = FakeRuntime(clock, iter([0, 4, 8, 16]), switches=[3, 1])
    subject, _ = visitor(clock, None, runtime=runtime)
    measured = subject.visit(SPACE.assembled("conv"))
    assert (measured["overall_latency_ms"], measured["involuntary_switches"]) == (16_000, 1)


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ([Timed(1, 0.9, 0), Timed(3, 0.7, 0)], Timed(2, 0.8, 0)),
        ([Timed(1, 0.9, 2), Timed(9, 8.9, 0)], Timed(9, 8.9, 0)),  # by preemptions, not by what is faster
        ([Timed(1, 0.9, 0), Timed(9, 8.9, 2)], Timed(1, 0.9, 0)),
        ([Timed(1, 0.9, 2), Timed(3, 2.9, 2)], Timed(2, 1.9, 2)),
        ([Timed(1, None, None), Timed(3, None, None)], Timed(2, None, None)),
        ([Timed(1, 0.5, None), Timed(3, 2.5, None)], Timed(2, 1.5, None)),
        ([Timed(1, None, 0), Timed(3, 2.5, 0)], Timed(2, None, 0)),
        ([Timed(5, 1.5, 0), Timed(1, 0.5, 0), Timed(7, 7, 1)], Timed(3, 1.0, 0)),
    ],
)
def test_steadiest_is_the_mean_of_the_passes_that_were_preempted_least(passes, expected):
    assert steadiest(passes) == expected


def test_shares_of_a_runtime_that_fuses_add_up_to_the_plain_passes(clock):
    shares = BlockShares((0.5, 0.3), 0.2, "profile_share")
    runtime = FakeRuntime(clock, iter([0, 1, 3]), shares=shares)
    subject, _ = visitor(clock, None, runtime=runtime)
    measured = subject.visit(SPACE.assembled("conv", "conv"))
    assert runtime.calls == ["plain", "plain", "plain"]  # no pass of blocks: there is none that would be worth it
    assert measured["overall_latency_ms"] == 2000
    assert measured["block_latency_ms"] == pytest.approx((1000, 600))
    assert measured["overhead_ms"] == pytest.approx(400)
    assert measured["block_method"] == ("profile_share",) * 2


def test_a_runtime_that_knows_no_blocks_gives_the_whole_alone(clock):
    runtime = FakeRuntime(clock, iter([1, 2, 4]), blocks=False)
    subject, _ = visitor(clock, None, runtime=runtime)
    measured = subject.visit(SPACE.assembled("conv"))
    assert runtime.calls == ["plain"] * 3
    assert measured["overall_latency_ms"] == 3000
    assert measured["block_latency_ms"] is measured["block_method"] is measured["overhead_ms"] is None


def test_memory_is_measured_once_per_network_behind_the_passes(clock):
    tally = Tally()
    subject, runtime = visitor(clock, itertools.repeat(1), tally, memory=True)
    first, other = SPACE.assembled("conv"), SPACE.assembled("conv", "conv")
    found = [subject.visit(network).get("overall_memory_mb") for network in (first, other, first)]
    assert found == [7.5, 7.5, None]
    passes = ["blocks", "plain", "blocks", "plain"]
    assert runtime.calls == [*passes, "memory", *passes, "memory", *passes]
    assert tally.stats().passes_s == 12


class FakeMeter(EnergyMeter):
    """Says that the whole machine draws 2 W, by the clock of the passes."""

    name, resolution_s = "fake", 0.5

    def __init__(self, clock):
        self.clock = clock

    def read_mj(self):
        return 2000 * self.clock.now


def test_energy_is_that_of_a_plain_pass(clock):
    tally = Tally()
    subject, runtime = visitor(clock, itertools.repeat(0.25), tally, meter=FakeMeter(clock))
    measured = subject.visit(SPACE.assembled("conv"))
    assert measured["overall_energy_mj"] == pytest.approx(500)  # 2 W for 0.25 s
    assert measured["overall_latency_ms"] == 250
    # 20 readings of 0.5 s: 40 passes of 0.25 s, with one before and one after
    assert runtime.calls == ["blocks", "plain", "blocks", "plain"] + ["plain"] * 42
    assert tally.stats().passes_s == 46 * 0.25


def test_without_a_meter_there_is_no_energy(clock):
    subject, _ = visitor(clock, itertools.repeat(1))
    assert "overall_energy_mj" not in subject.visit(SPACE.assembled("conv"))


def test_a_failure_is_one_line_and_is_counted(clock):
    tally = Tally()
    subject, runtime = visitor(clock, None, tally)
    for _ in range(2):
        assert subject.visit(SPACE.assembled("conv")) == {"status": "failed", "reason": "RuntimeError: does not load"}
    assert tally.stats() == SessionStats(0, 0, 0, 2)
    assert len(runtime.loaded) == 2


def test_an_error_without_words_is_named_by_its_kind(clock):
    subject, runtime = visitor(clock, iter([1]))
    runtime.load = raising(MemoryError())
    assert subject.visit(SPACE.assembled("conv"))["reason"] == "MemoryError"


def raising(error):
    def load(blocks, network):
        raise error

    return load


KINDS = [SPACE.assembled(*["conv"] * count) for count in range(1, 5)]
A, B, C, D = (network.network_id for network in KINDS)


def test_a_runtime_that_compiles_keeps_the_networks_that_were_visited_last(clock):
    runtime = FakeRuntime(clock, itertools.repeat(1), compiles=True)
    subject, _ = visitor(clock, None, runtime=runtime, capacity=2)
    for network in (KINDS[0], KINDS[1], KINDS[0], KINDS[2], KINDS[0], KINDS[1]):
        assert subject.visit(network)["overall_latency_ms"] == 1000
    assert runtime.loaded == [A, B, C, B]
    assert runtime.closed == [B, C]
    subject.close()
    assert sorted(runtime.closed[2:]) == sorted([A, B])
    subject.close()
    assert len(runtime.closed) == 4


def test_a_runtime_that_does_not_compile_loads_anew_and_keeps_nothing(clock):
    subject, runtime = visitor(clock, itertools.repeat(1), capacity=2)
    for network in (KINDS[0], KINDS[0]):
        subject.visit(network)
    assert runtime.loaded == [A, A]
    subject.close()
    assert runtime.closed == []


def test_what_does_not_compile_is_not_tried_again(clock):
    tally, broken = Tally(), SPACE.assembled("conv", "break")
    runtime = FakeRuntime(clock, itertools.repeat(1), compiles=True)
    subject, _ = visitor(clock, None, tally, runtime=runtime)
    failed = [subject.visit(broken) for _ in range(3)]
    assert failed == [{"status": "failed", "reason": "RuntimeError: does not load"}] * 3
    assert runtime.loaded == [broken.network_id]
    assert tally.stats() == SessionStats(0, 0, 0, 3)


def test_what_compiled_is_tried_again_after_a_failed_pass(clock):
    runtime = FakeRuntime(clock, iter([]), compiles=True)
    subject, _ = visitor(clock, None, runtime=runtime)
    assert subject.visit(KINDS[0]) == {"status": "failed", "reason": "StopIteration"}
    runtime.seconds = itertools.repeat(1)
    assert "status" not in subject.visit(KINDS[0])
    assert runtime.loaded == [A]


def test_warm_up_ends_when_latencies_have_settled(clock):
    subject, runtime = visitor(clock, iter([1.0] * 6 + [0.01] * 999), min_warmup_s=0.5, max_warmup_s=60)
    subject.warm_up([SPACE.assembled("conv")])
    # after 20 passes the first ten hold six slow ones, after 21 five of ten (median 0.505), after 22 four
    assert runtime.calls == ["plain"] * 22


def test_warm_up_lasts_its_shortest_time(clock):
    subject, runtime = visitor(clock, iter([0.01] * 999), min_warmup_s=1.005, max_warmup_s=60)
    subject.warm_up([SPACE.assembled("conv")])
    assert len(runtime.calls) == 101


def test_warm_up_ends_although_nothing_settles(clock):
    subject, runtime = visitor(clock, (0.1 * 1.1**i for i in range(999)), min_warmup_s=0.5, max_warmup_s=30)
    subject.warm_up([SPACE.assembled("conv")])
    # 0.1 + 0.11 + ... = 1.1^n - 1 seconds after n passes; the first n beyond 30 is 37
    assert len(runtime.calls) == 37


def test_warm_up_can_be_switched_off(clock):
    subject, runtime = visitor(clock, iter([1]), min_warmup_s=0, max_warmup_s=0)
    subject.warm_up([SPACE.assembled("conv")])
    assert runtime.calls == []


def test_warm_up_skips_networks_that_do_not_run_and_counts_its_passes(clock):
    tally = Tally()
    subject, runtime = visitor(clock, iter([0.25] * 4 + [99]), tally, min_warmup_s=0.5, max_warmup_s=1)
    subject.warm_up([SPACE.assembled("break"), SPACE.assembled("conv"), SPACE.assembled("conv", "conv")])
    assert runtime.calls == ["plain"] * 4
    assert tally.stats() == SessionStats(1.0, 0, 0, 0)


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ([1.0] * 19, False),
        ([1.0] * 20, True),
        ([1.0] * 10 + [1.019] * 10, True),
        ([1.0] * 10 + [1.021] * 10, False),
        ([1.021] * 10 + [1.0] * 10, False),
        ([9.0] * 30 + [1.0] * 20, True),
        ([1.0] * 10 + [1.0] * 8 + [50.0] * 2, True),
    ],
)
def test_settled_compares_the_last_two_medians(latencies, expected):
    assert settled(latencies) is expected


def test_share_of_the_time_spent_measuring(clock):
    tally = Tally()
    assert tally.stats().share == 0
    with tally.whole():
        with tally.passes():
            clock.now += 3
        clock.now += 1
        assert tally.stats().share == 0.75
    clock.now += 100
    assert tally.stats() == SessionStats(3, 4, 0, 0)


def test_a_runtime_may_ask_for_a_longer_warm_up(clock):
    runtime = FakeRuntime(clock, itertools.repeat(0.01))
    runtime.min_warmup_s = 2.005
    subject, _ = visitor(clock, None, runtime=runtime, min_warmup_s=0, max_warmup_s=0)
    subject.warm_up([SPACE.assembled("conv")])
    assert len(runtime.calls) == 201
