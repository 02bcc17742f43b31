"""The probe's figures, by hand; and the probe itself, for an instant."""

import hashlib
import os
import time

import pytest

from latpred.profiling import probe as module
from latpred.profiling.clock import Timed, choose_cpus, usable_cpus
from latpred.profiling.probe import Ticks, own_load, probe, summarise

LATENCIES_MS = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.8]  # quartiles 1.25 and 1.75, the last but one 1.9


def repeats(cpu=True, switches=True):
    counts = [0, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0]
    return [
        Timed(ms, 0.9 * ms if cpu else None, count if switches else None)
        for ms, count in zip(LATENCIES_MS, counts, strict=True)
    ]


def test_figures_of_repeats():
    found = summarise(repeats(), (3,), None, {}, 1.0)
    assert (found.repeats, found.median_ms, found.cpus, found.pin_problem) == (11, 1.5, (3,), None)
    assert found.iqr_share == pytest.approx(0.5 / 1.5)
    assert found.p90_ratio == pytest.approx(1.9 / 1.5)
    assert found.cpu_share == pytest.approx(0.9)
    assert (found.switches, found.preempted_share) == (4, pytest.approx(2 / 11))
    assert (found.others_cpus, found.busy_share, found.steal_share) == (None, {}, None)


def test_counters_that_the_system_lacks_are_none():
    found = summarise(repeats(cpu=False, switches=False), (), "no right", {}, 1.0)
    assert (found.cpu_share, found.switches, found.preempted_share) == (None, None, None)
    assert (found.cpus, found.pin_problem) == ((), "no right")


def test_use_of_the_cpus():
    spent = {0: Ticks(busy=30, idle=70, stolen=0), 1: Ticks(busy=95, idle=0, stolen=5), 2: Ticks(0, 0, 0)}
    found = summarise(repeats(), (1,), None, spent, own_cpus=0.75)
    assert found.busy_share == {0: 0.3, 1: 0.95, 2: 0.0}
    assert found.others_cpus == pytest.approx(0.5)  # 0.3 + 0.95, less 0.75 of our own
    assert found.steal_share == pytest.approx(5 / 130)
    assert summarise(repeats(), (1,), None, spent, own_cpus=1.5).others_cpus == 0


BEFORE = (
    "cpu  0 0 0 0\ncpu0 10 10 10 100 10 10 10 10 99 99\ncpu1 1 0 0 50 9 0 0 0 0 0\ncpu2 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
)
AFTER = (
    "cpu  0 0 0 0\ncpu0 11 12 13 120 14 15 16 17 99 99\ncpu1 6 0 0 51 5 0 0 0 0 0\ncpu3 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
)


def test_ticks_are_those_that_passed_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(BEFORE)
    spans = []

    def repeat(work, seconds):
        spans.append((len(work), seconds))
        (tmp_path / "proc/stat").write_text(AFTER)
        return repeats()

    monkeypatch.setattr(module, "_repeat", repeat)
    found = probe([], 2.0, tmp_path)
    # CPU 0: user 1, nice 2, system 3, irq 5, softirq 6 = 17 busy; idle 20 and iowait 4; 7 stolen. CPU 1: iowait went
    # back by 4, more than the idle tick, which counts as no time; 5 busy. CPUs 2 and 3 came and went.
    assert found.busy_share == {0: pytest.approx(17 / 48), 1: 1.0}
    assert found.steal_share == pytest.approx(7 / 29)
    assert spans == [(2**20, pytest.approx(0.2)), (2**20, pytest.approx(1.8))]


def test_this_machine(tmp_path):
    cpus = choose_cpus(1, usable_cpus())
    before = usable_cpus()
    found = probe(cpus, 0.05, tmp_path)
    assert usable_cpus() == before
    assert found.repeats >= 2
    assert found.median_ms > 0
    assert found.iqr_share >= 0
    assert found.p90_ratio >= 1
    assert (found.others_cpus, found.busy_share, found.steal_share) == (None, {}, None)
    if hasattr(os, "sched_setaffinity"):
        assert (found.cpus, found.pin_problem) == (tuple(cpus), None)


def test_the_work_runs_pinned_and_is_the_same_each_time(monkeypatch, tmp_path):
    seen = []
    real = hashlib.sha256

    def sha256(work):
        seen.append((usable_cpus(), len(work), set(work[:3])))
        return real(work)

    monkeypatch.setattr(module.hashlib, "sha256", sha256)
    cpus = choose_cpus(1, usable_cpus())
    probe(cpus, 0.01, tmp_path)
    expected = cpus if hasattr(os, "sched_setaffinity") else usable_cpus()
    assert set(map(repr, seen)) == {repr((expected, 2**20, {0}))}


def test_it_repeats_at_least_twice(tmp_path):
    assert probe(choose_cpus(1, usable_cpus()), 0.0, tmp_path).repeats == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_refused_pin_says_why_and_the_probe_goes_on(tmp_path):
    found = probe([1023], 0.01, tmp_path)
    assert (found.cpus, found.pin_problem) == ((), "Invalid argument")
    assert found.repeats >= 2


def test_a_system_without_affinity(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert probe([0], 0.01, tmp_path).pin_problem == "this system has no affinity of threads"


@pytest.mark.parametrize(("seconds", "load"), [(0.0, 0.0), (60.0, 0.6321205588), (3600.0, 1.0)])
def test_own_share_of_the_load_average(monkeypatch, seconds, load):
    monkeypatch.setattr(time, "process_time", lambda: seconds)
    assert own_load() == pytest.approx(load)
