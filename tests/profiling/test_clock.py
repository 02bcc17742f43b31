import gc
import os
import re
import time

import pytest

from latpred.errors import ProfilingError
from latpred.profiling import clock

needs_two_cpus = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="pinning needs two CPUs"
)


def test_milliseconds_of_a_duration():
    assert clock.milliseconds(1_500_000, "block 3") == 1.5
    assert clock.milliseconds(1, "block 3") == 1e-6


@pytest.mark.parametrize("duration_ns", [0, -7])
def test_no_duration_is_refused_and_never_zero(duration_ns):
    with pytest.raises(ProfilingError, match=f"block 3: expected a duration > 0 ns, the clock gave {duration_ns} ns"):
        clock.milliseconds(duration_ns, "block 3")


def test_cpu_time_counts_work_and_not_sleep():
    before = clock.read_before()
    time.sleep(0.05)
    slept = clock.read_after()
    while time.thread_time_ns() - slept.cpu_ns < 20_000_000:
        pass
    worked = clock.read_after()
    assert slept.wall_ns - before.wall_ns >= 50_000_000
    assert 0 <= slept.cpu_ns - before.cpu_ns < 25_000_000
    assert 20_000_000 <= worked.cpu_ns - slept.cpu_ns < 40_000_000


def test_wall_clock_is_read_next_to_what_it_times(monkeypatch):
    calls = []
    monkeypatch.setattr(time, "perf_counter_ns", lambda: calls.append("wall") or 0)
    monkeypatch.setattr(clock, "thread_cpu_ns", lambda: calls.append("cpu") or 0)
    monkeypatch.setattr(clock, "involuntary_switches", lambda: calls.append("switches") or 0)
    clock.read_before()
    clock.read_after()
    assert calls[2] == calls[3] == "wall"


@pytest.mark.skipif(clock.RUSAGE_THREAD is None, reason="this system does not count switches per thread")
def test_involuntary_switches_never_decrease():
    counts = [clock.involuntary_switches() for _ in range(3)]
    assert counts == sorted(counts)
    assert all(isinstance(count, int) and count >= 0 for count in counts)


def test_counters_that_the_system_lacks_are_none(monkeypatch):
    monkeypatch.setattr(clock, "RUSAGE_THREAD", None)
    monkeypatch.delattr(time, "thread_time_ns")
    reading = clock.read_before()
    assert (reading.cpu_ns, reading.switches) == (None, None)
    assert reading.wall_ns > 0


def test_usable_cpus_without_affinity_are_all(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert clock.usable_cpus() == {0, 1, 2}


@pytest.mark.parametrize(
    ("siblings", "threads", "chosen"),
    [
        (None, 1, {3}),
        (None, 2, {2, 3}),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, 2, {2, 3}),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, 2, {1, 3}),
        ({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, 3, {1, 2, 3}),
        (None, 9, {0, 1, 2, 3}),
    ],
)
def test_whole_cores_are_chosen_before_hyperthreads(tmp_path, siblings, threads, chosen):
    for cpu, text in (siblings or {}).items():
        topology = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(text + "\n")
    assert clock.choose_cpus(threads, frozenset(range(4)), tmp_path) == chosen


@needs_two_cpus
def test_quiet_pins_and_restores_also_after_an_error():
    before = os.sched_getaffinity(0)
    seen = []

    def look_and_fail():
        seen.append((os.sched_getaffinity(0), gc.isenabled()))
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), clock.quiet(frozenset([min(before)])):
        look_and_fail()
    assert seen == [({min(before)}, False)]
    assert os.sched_getaffinity(0) == before
    assert gc.isenabled()


def test_quiet_without_cpus_or_affinity_only_stops_the_collector(monkeypatch):
    before = clock.usable_cpus()
    with clock.quiet(None):
        assert clock.usable_cpus() == before
        assert not gc.isenabled()
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with clock.quiet(frozenset([min(before)])):
        assert clock.usable_cpus() == before
        assert not gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with clock.quiet(None):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_an_impossible_pin_leaves_the_process_as_it_was():
    before = clock.usable_cpus()
    with pytest.raises(OSError, match=re.escape("[Errno 22]")), clock.quiet(frozenset([1023])):
        pass
    assert clock.usable_cpus() == before
    assert gc.isenabled()
