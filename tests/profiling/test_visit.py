import time

import pytest
from chain_space import ChainSpace

from latpred.profiling import Measuring
from latpred.profiling.clock import Timed
from latpred.profiling.runtimes import BlockPass, LoadedNetwork
from latpred.profiling.visit import SessionStats, Tally, Visitor, settled
from latpred.spaces.pool import BlockPool

SPACE = ChainSpace()


class FakeClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class FakeRuntime:
    """Loads networks whose passes advance the clock by given seconds; `None` is a network that does not run."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.calls = clock, seconds, []

    def load(self, blocks, network):
        if self.seconds is None or "break" in (p.prim_type for p in network.primitives):
            raise RuntimeError("does not load")
        return FakeNetwork(self)


class FakeNetwork(LoadedNetwork):
    def __init__(self, runtime):
        self.runtime = runtime

    def plain_pass(self):
        return Timed(1e3 * self._pass("plain"), 0.5, 2)

    def block_pass(self):
        return BlockPass((1e3 * self._pass("stamped"),), 0.25)

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


def visitor(clock, seconds, tally=None, **measuring):
    runtime = FakeRuntime(clock, seconds)
    pool = BlockPool(SPACE, 0)
    return Visitor(runtime, pool, Measuring(**measuring), None, tally or Tally()), runtime


@pytest.mark.parametrize(
    ("plain_first", "order", "plain_ms", "stamped_ms"),
    [
        (True, ["stamped", "stamped", "plain", "stamped"], 4000, 8000),
        (False, ["stamped", "stamped", "stamped", "plain"], 8000, 4000),
    ],
)
def test_warm_up_passes_then_both_timed_ones(clock, plain_first, order, plain_ms, stamped_ms):
    tally = Tally()
    subject, runtime = visitor(clock, iter([1, 2, 4, 8]), tally, warmup_passes=2)
    measured = subject.visit(SPACE.assembled("conv"), plain_first)
    assert runtime.calls == order
    assert measured == {
        "overall_latency_ms": plain_ms,
        "block_latency_ms": (stamped_ms,),
        "block_method": ("timestamp",),
        "overhead_ms": 0.25,
        "cpu_time_ms": 0.5,
        "involuntary_switches": 2,
    }
    assert tally.stats() == SessionStats(15, 0, 1, 0)


def test_a_visit_may_have_no_warm_up(clock):
    subject, runtime = visitor(clock, iter([1, 2]), warmup_passes=0)
    subject.visit(SPACE.assembled("conv"), True)
    assert runtime.calls == ["plain", "stamped"]


def test_a_failure_is_one_line_and_is_counted(clock):
    tally = Tally()
    subject, _ = visitor(clock, None, tally)
    assert subject.visit(SPACE.assembled("conv"), True) == {"status": "failed", "reason": "RuntimeError: does not load"}
    assert tally.stats() == SessionStats(0, 0, 0, 1)


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
