import copy
import errno
import gc
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from chain_space import ChainSpace

from latpred.dataset import Dataset
from latpred.errors import ProfilingError, UsageError
from latpred.estimation import RunColumns, fit, summarize_networks
from latpred.network import Network
from latpred.profiling import (
    DeviceConfig,
    EarlierRuns,
    Goal,
    Measuring,
    RequestedDevice,
    new_session_record,
    profile,
)
from latpred.profiling import (
    session as session_module,
)
from latpred.profiling.clock import choose_cpus, usable_cpus
from latpred.profiling.energy import EnergyMeter, NotMeasurable
from latpred.profiling.lock import holder, measuring_alone
from latpred.profiling.pin import choose_pin
from latpred.profiling.runtimes import TorchScript

QUICK = Measuring(min_warmup_s=0, max_warmup_s=0)


def device(**asked):
    return DeviceConfig(RequestedDevice(**asked), QUICK)


@pytest.fixture
def space():
    return ChainSpace()


@pytest.fixture
def networks(space):
    return [space.network(kinds) for kinds in (("conv",), ("conv", "conv"), ("conv", "conv", "conv"))]


def measure(networks, space, rounds=2, **arguments):
    with profile(networks, space, device(), rounds, **({"session_id": "s"} | arguments)) as session:
        return list(session)


def test_each_network_is_visited_once_a_round(networks, space):
    runs = measure(networks, space, rounds=3, seed=0)
    visits = Counter((run.network_id, run.round) for run in runs)
    assert visits == {(network.network_id, round_): 1 for network in networks for round_ in range(3)}
    assert [run.round for run in runs] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [run.key for run in runs] == [("s", sequence) for sequence in range(9)]


def test_runs_are_rows_that_tell_the_network_and_its_blocks(networks, space):
    by_id = {network.network_id: network for network in [*networks, space.assembled("conv", "sleep")]}
    for run in measure(list(by_id.values()), space):
        run.check()
        network = by_id[run.network_id]
        assert (run.space, run.primitives, run.role) == ("chain", network.primitives, network.roles)
        assert run.architecture == (
            None if network.assembled else json.dumps(network.architecture, separators=(",", ":"))
        )
        assert (run.status, run.reason) == ("ok", None)
        assert len(run.block_latency_ms) == len(network.primitives)
        assert run.block_method == ("timestamp",) * len(network.primitives)
        assert run.overhead_ms >= 0
        assert run.cpu_time_ms > 0
        if network.assembled:  # the second block sleeps 10 ms
            assert run.block_latency_ms[1] >= 10
            assert run.overall_latency_ms >= 10
            assert run.cpu_time_ms < run.overall_latency_ms


def test_times_are_those_of_the_visits(networks, space):
    runs = measure(networks, space)
    assert [run.started_at for run in runs] == sorted(run.started_at for run in runs)
    assert abs(time.time() - runs[-1].started_at.timestamp()) < 60
    assert {run.started_at.utcoffset().total_seconds() for run in runs} == {0}


def test_nothing_is_measured_before_it_is_asked_for(networks, space):
    session = profile(networks, space, device(), 2, session_id="s")
    assert space.built == []
    assert (session.total, session.stats.ok, session.stats.share) == (6, 0, 0)
    assert holder("cpu") is None
    next(session)
    assert session.stats.ok == 1
    session.close()
    assert list(session) == []
    session.close()


def test_blocks_are_built_once_for_all_networks_and_visits(networks, space):
    measure(networks, space, rounds=3)
    assert space.built == ["conv"]


def test_a_network_that_occurs_twice_is_measured_once(networks, space):
    assert len(measure([*networks, networks[0]], space, rounds=1)) == 3


def test_finished_visits_are_left_out(networks, space):
    done = {(networks[0].network_id, 0), (networks[1].network_id, 1), ("another", 0)}
    runs = measure(networks, space, done=done)
    expected = {(network.network_id, round_) for network in networks for round_ in range(2)} - done
    assert {(run.network_id, run.round) for run in runs} == expected
    assert [run.sequence for run in runs] == [0, 1, 2, 3]


def test_nothing_left_to_do_measures_nothing(networks, space):
    done = [(network.network_id, 0) for network in networks]
    assert measure(networks, space, rounds=1, done=done) == []
    assert space.built == []


def test_a_network_that_fails_says_why_and_the_others_go_on(networks, space):
    runs = measure([*networks, space.network(("conv", "break"))], space, rounds=2)
    failed = [run for run in runs if run.status == "failed"]
    assert [run.round for run in failed] == [0, 1]
    assert len(runs) - len(failed) == 6
    for run in failed:
        run.check()
        assert run.reason == (
            "block 1 (break 8px 3->3 s1 k1): expected it to run, "
            "got RuntimeError: mat1 and mat2 do not fit. Mend the block."
        )
        assert run.overall_latency_ms is run.block_latency_ms is run.overhead_ms is None


def test_a_network_that_cannot_be_built_fails_alone(networks, space, monkeypatch):
    build = space.block

    def block(primitive):
        if primitive.prim_type == "look":
            raise MemoryError("not enough\nof it")
        return build(primitive)

    monkeypatch.setattr(space, "block", block)
    runs = measure([space.network(("look",)), *networks], space, rounds=1)
    assert [run.reason for run in runs if run.status == "failed"] == ["MemoryError: not enough of it"]
    assert sum(run.status == "ok" for run in runs) == 3


@pytest.mark.parametrize(
    ("exhaust", "reason"),
    [
        (lambda x: bytearray(1 << 62), r"block 1 \(look .*got MemoryError"),
        (
            lambda x: torch.empty(1 << 58),
            r"block 1 \(look .*got RuntimeError: .*can't allocate memory: you tried to all",
        ),
    ],
)
def test_memory_that_runs_out_in_one_network_fails_that_one_alone(networks, space, monkeypatch, exhaust, reason):
    monkeypatch.setattr(space, "_look", exhaust)
    runs = measure([space.network(("conv", "look")), *networks], space, rounds=2)
    failed = [run for run in runs if run.status == "failed"]
    assert [run.round for run in failed] == [0, 1]
    assert all(re.search(reason, run.reason) and "\n" not in run.reason for run in failed)
    assert sum(run.status == "ok" for run in runs) == 6


def test_a_network_that_always_fails_is_not_measured_again(networks, space):
    with profile([*networks, space.network(("break",))], space, device(), 4, session_id="s") as session:
        failed = [run.round for run in session if run.status == "failed"]
    assert failed == [0, 1, 2, 3]


class Spin(torch.nn.Module):
    """Computes for some CPU time, however often it is preempted."""

    def __init__(self, ms):
        super().__init__()
        self.ns = ms * 1e6

    def forward(self, x):
        begin = time.thread_time_ns()
        while time.thread_time_ns() - begin < self.ns:
            pass
        return x


@pytest.mark.slow
def test_a_network_a_hundred_times_slower_does_not_spoil_the_others(space, monkeypatch):
    build = space.block
    spinning = {"sleep": Spin(0.4), "look": Spin(40)}
    monkeypatch.setattr(space, "block", lambda primitive: spinning.get(primitive.prim_type) or build(primitive))
    networks = [space.network(("sleep",) * count) for count in (1, 2, 3, 4)]
    slow = space.network(("look",))
    runs = measure([*networks, slow], space, rounds=6, seed=0)
    ids = [network.network_id for network in (*networks, slow)]
    columns = RunColumns(
        network=np.array([ids.index(run.network_id) for run in runs]),
        session=np.zeros(len(runs), np.int64),
        value=np.array([run.overall_latency_ms for run in runs]),
        cpu_time=np.array([run.cpu_time_ms for run in runs]),
        switches=np.array([run.involuntary_switches for run in runs], np.float64),
    )
    found = summarize_networks(fit(columns, 5), columns)["estimate"]
    assert list(found / found[0]) == pytest.approx([1, 2, 3, 4, 100], rel=0.15)


def test_order_is_that_of_the_sequence_where_the_clock_goes_back(networks, space, monkeypatch, tmp_path):
    start = datetime(2026, 1, 1, tzinfo=UTC)

    class BackwardClock(datetime):
        ticks = 0

        @classmethod
        def now(cls, zone):
            cls.ticks += 1
            return (start - timedelta(hours=cls.ticks)).astimezone(zone)

    monkeypatch.setattr(session_module, "datetime", BackwardClock)
    record = new_session_record(device())
    dataset = Dataset.create(tmp_path / "data", space.card(), device().resolve())
    with dataset.session(record) as writer:
        runs = measure(networks, space, rounds=3, session_id=record["session_id"])
        for run in reversed(runs):
            writer.append(run)
    times = [run.started_at for run in runs]
    assert times == sorted(times, reverse=True)
    read = dataset.read().runs
    assert list(read["sequence"]) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert list(read["overall"]) == [run.overall_latency_ms for run in runs]


def test_a_timer_that_goes_back_gives_failed_runs_and_no_negative_latency(networks, space, monkeypatch):
    ticks = itertools.count(10**15, -1000)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(ticks))
    runs = measure(networks, space, rounds=1)
    assert {run.status for run in runs} == {"failed"}
    for run in runs:
        run.check()
        assert re.search(r"expected a duration > 0 ns, the clock gave -\d+ ns. Measure again", run.reason)


def test_anchors_are_visited_in_between_though_they_are_not_among_the_networks(networks, space):
    config = DeviceConfig(RequestedDevice(), Measuring(min_warmup_s=0, max_warmup_s=0, anchor_every=2))
    anchor = space.network(("conv",) * 4)
    with profile(networks, space, config, 2, session_id="s", anchors=[anchor]) as session:
        runs = list(session)
    assert session.total == 6
    places = [run.sequence for run in runs if run.network_id == anchor.network_id and run.round < 2]
    assert places == [0, 3, 6]
    assert [run.sequence for run in runs] == list(range(len(runs)))
    record = new_session_record(config, anchors=[anchor])
    assert [Network.from_dict(found) for found in record["anchors"]] == [anchor]
    assert json.loads(json.dumps(record)) == record


def test_a_compiling_runtime_loads_each_network_once_and_lets_go_of_it(space, monkeypatch):
    loads, closed, load = Counter(), Counter(), TorchScript.load

    def counting(self, blocks, network):
        loads[network.network_id] += 1
        loaded = load(self, blocks, network)
        loaded.close = lambda: closed.update([network.network_id])
        return loaded

    monkeypatch.setattr(TorchScript, "load", counting)
    measuring = Measuring(min_warmup_s=0, max_warmup_s=0.01, loaded_networks=3, anchor_every=4, memory=False)
    config = DeviceConfig(RequestedDevice(runtime="torchscript"), measuring)
    networks = [space.network(("conv",) * count) for count in range(1, 6)]
    anchors = [space.network(("conv",) * count) for count in (6, 7)]
    with profile(networks, space, config, 6, session_id="s", seed=0, anchors=anchors) as session:
        runs = [run for run in session if run.network_id not in {anchor.network_id for anchor in anchors}]
    assert {run.status for run in runs} == {"ok"}
    begin = max(
        place for place, run in enumerate(runs) if run.round == 0 < runs[place - 1].round
    )  # of the second group
    groups = [{run.network_id for run in part} for part in (runs[:begin], runs[begin:])]
    assert [len(group) for group in groups] == [3, 2]
    assert not groups[0] & groups[1]
    assert {loads[network.network_id] for network in networks} == {1}
    assert all(loads[anchor.network_id] <= 2 for anchor in anchors)  # once a group at the most
    assert closed == loads


def test_networks_are_let_go_of_when_the_session_is_left(space, monkeypatch):
    closed, load = [], TorchScript.load

    def closing(self, blocks, network):
        loaded = load(self, blocks, network)
        loaded.close = lambda: closed.append(network.network_id)
        return loaded

    monkeypatch.setattr(TorchScript, "load", closing)
    session = profile([space.network(("conv",))], space, device(runtime="torchscript"), 3, session_id="s")
    run = next(session)
    assert closed == []
    session.close()
    assert closed == [run.network_id]


def test_one_session_measures_at_a_time(networks, space):
    session = profile(networks, space, device(), 2, session_id="first")
    next(session)
    assert holder("cpu")[:2] == (os.getpid(), "session first")
    second = profile(networks, space, device(hardware="The same CPU by another name"), 2, session_id="second")
    message = rf"cpu: expected nobody else to measure on it, found process {os.getpid()} \(session first\)"
    with pytest.raises(ProfilingError, match=message):
        next(second)
    session.close()
    assert holder("cpu") is None
    assert next(profile(networks, space, device(), 2, session_id="third")).status == "ok"


def test_a_caller_may_hold_the_lock_itself(networks, space):
    with measuring_alone("cpu", wait=False, what="the caller"):
        runs = measure(networks, space, locked=True)
        assert holder("cpu")[:2] == (os.getpid(), "the caller")
    assert len(runs) == 6


def test_a_session_that_may_not_pin_measures_unpinned_and_says_why(space, monkeypatch):
    def refuse(pid, cpus):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    record = new_session_record(device())
    assert record["measuring"]["pinned_cpus"] is None
    assert record["measuring"]["not_pinned"] == "the system does not permit it: Operation not permitted"
    assert record["measuring"]["pin"]
    runs = measure([space.network(("look",))], space)
    assert [run.status for run in runs] == ["ok", "ok"]
    assert {seen["affinity"] for seen in space.seen} == {usable_cpus()}


@pytest.mark.parametrize("held", [True, False])
def test_memory_is_held_where_it_is_asked_for(networks, space, monkeypatch, held):
    asked = []

    def hold():
        asked.append(len(space.built))
        return "held"

    monkeypatch.setattr(session_module, "hold_memory", hold)
    config = DeviceConfig(RequestedDevice(), Measuring(min_warmup_s=0, max_warmup_s=0, hold_memory=held))
    next(profile(networks, space, config, 1, session_id="s"))
    assert asked == [0] * held  # before anything is built
    assert new_session_record(config)["measuring"]["allocator"] == ("held" if held else "returned")


def test_a_system_without_affinity_is_not_said_to_pin(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity")
    record = new_session_record(device())
    assert record["measuring"]["pinned_cpus"] is None
    assert record["measuring"]["not_pinned"] == "this system pins no threads"


def test_unpinned_by_wish_needs_no_reason():
    config = DeviceConfig(RequestedDevice(), Measuring(pin=False))
    assert new_session_record(config)["measuring"]["not_pinned"] is None
    assert new_session_record(config)["measuring"]["pinned_cpus"] is None


def test_choosing_a_pin_leaves_the_process_where_it_was():
    before = usable_cpus()
    assert choose_pin(1, True).cpus == choose_cpus(1, before)
    assert usable_cpus() == before


class FakeMeter(EnergyMeter):
    """Counts 1 J at each look."""

    name, resolution_s = "fake", 1e-5

    def __init__(self):
        self.mj = 0.0

    def read_mj(self):
        self.mj += 1000
        return self.mj


ENERGY = DeviceConfig(RequestedDevice(), Measuring(min_warmup_s=0, max_warmup_s=0, energy=True))


def test_energy_is_measured_where_a_meter_is(networks, space, monkeypatch):
    asked = []

    def find(kind):
        asked.append(kind)
        return FakeMeter()

    monkeypatch.setattr(session_module, "find_meter", find)
    assert new_session_record(ENERGY)["measuring"]["energy_meter"] == "fake"
    run = next(profile(networks, space, ENERGY, 1, session_id="s"))
    assert run.overall_energy_mj > 0
    assert asked == ["cpu", "cpu"]
    assert next(profile(networks, space, device(), 1, session_id="s")).overall_energy_mj is None
    assert asked == ["cpu", "cpu"]


def test_energy_without_a_meter_is_plainly_not_measurable(networks, space, monkeypatch):
    monkeypatch.setattr(session_module, "find_meter", lambda kind: NotMeasurable("no counter"))
    assert new_session_record(ENERGY)["measuring"]["energy_meter"] == "not measurable here: no counter"
    run = next(profile(networks, space, ENERGY, 1, session_id="s"))
    assert (run.status, run.overall_energy_mj) == ("ok", None)


def test_memory_is_measured_once_a_session_and_can_be_switched_off(networks, space):
    with profile(networks, space, device(), 3, session_id="s") as session:
        weighed = Counter(run.network_id for run in session if run.overall_memory_mb is not None)
    assert weighed == {network.network_id: 1 for network in networks}
    config = DeviceConfig(RequestedDevice(), Measuring(min_warmup_s=0, max_warmup_s=0, memory=False))
    assert next(profile(networks, space, config, 1, session_id="s")).overall_memory_mb is None


def test_earlier_runs_end_a_search_for_precision(networks, space):
    count = len(networks)
    columns = RunColumns(
        network=np.tile(np.arange(count), 50),
        session=np.zeros(50 * count, np.int64),
        value=np.tile(np.arange(1.0, count + 1), 50) * np.random.default_rng(0).lognormal(0, 0.01, 50 * count),
        cpu_time=np.full(50 * count, np.nan),
        switches=np.full(50 * count, np.nan),
    )
    ids = [network.network_id for network in networks]
    done = {(network_id, round_) for network_id in ids for round_ in range(50)}
    arguments = {"done": done, "earlier": EarlierRuns(columns, ids)}
    session = profile(networks, space, device(), Goal(2, precision=0.05), session_id="s", **arguments)
    assert session.total == 0
    assert list(session) == []
    session = profile(networks, space, device(), Goal(2, precision=1e-6, budget_s=0.3), session_id="s", **arguments)
    runs = list(session)
    assert [run.round for run in runs[:4]] == [50, 50, 50, 51]


def test_stats_count_runs_and_time(networks, space):
    slow = space.network(("sleep", "sleep", "sleep"))
    begin = time.perf_counter()
    with profile([slow, space.network(("break",))], space, device(), 4, session_id="s") as session:
        list(session)
        within = session.stats
        elapsed = time.perf_counter() - begin
    assert (within.ok, within.failed) == (4, 4)
    assert 4 * 3 * 4 * 0.01 <= within.passes_s <= within.whole_s <= elapsed
    assert within.share > 0.7
    time.sleep(0.02)
    assert session.stats == within


def test_callers_time_between_runs_is_no_measuring(networks, space):
    with profile(networks, space, device(), 1, session_id="s") as session:
        for _ in session:
            time.sleep(0.1)
    assert session.stats.share < 0.5
    assert session.stats.whole_s >= 0.3


def state():
    return usable_cpus(), gc.isenabled(), torch.get_num_threads(), torch.is_inference_mode_enabled()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_passes_are_pinned_and_undisturbed_and_the_caller_is_neither(space):
    before = state()
    config = DeviceConfig(RequestedDevice(), Measuring(min_warmup_s=0, max_warmup_s=0, memory=False))
    with profile([space.network(("look",))], space, config, 1, session_id="s") as session:
        for _ in session:
            assert (usable_cpus(), gc.isenabled(), torch.is_inference_mode_enabled()) == (before[0], True, False)
    assert state() == before
    pinned = choose_cpus(1, usable_cpus())
    expected = {"affinity": pinned, "collects": False, "threads": 1, "gradients": False, "shape": (1, 3, 8, 8)}
    assert space.seen == [expected] * 4  # a visit of four passes


def test_pinning_can_be_switched_off(space):
    config = DeviceConfig(RequestedDevice(), Measuring(pin=False, min_warmup_s=0, max_warmup_s=0))
    list(profile([space.network(("look",))], space, config, 1, session_id="s"))
    assert {frozenset(seen["affinity"]) for seen in space.seen} == {usable_cpus()}


@pytest.mark.skipif(len(usable_cpus()) < 2, reason="needs two CPUs")
def test_threads_and_batch_reach_the_blocks(space):
    list(profile([space.network(("look",))], space, device(threads=2, batch=3), 1, session_id="s"))
    assert {seen["threads"] for seen in space.seen} == {2}
    assert {seen["shape"] for seen in space.seen} == {(3, 3, 8, 8)}
    assert {len(seen["affinity"]) for seen in space.seen} == {2}


@pytest.mark.usefixtures("two_threads")
def test_leaving_early_restores_the_process(networks, space):
    before = state()
    session = profile(networks, space, device(), 2, session_id="s")
    next(session)
    assert torch.get_num_threads() == 1
    session.close()
    assert state() == before
    abandoned = profile(networks, space, device(), 2, session_id="s")
    next(abandoned)
    del abandoned
    assert state() == before


@pytest.mark.usefixtures("two_threads")
def test_an_interrupt_within_a_block_passes_through_and_restores_the_process(space):
    before = state()
    with pytest.raises(KeyboardInterrupt):
        list(profile([space.network(("conv", "interrupt"))], space, device(), 2, session_id="s"))
    assert state() == before


def test_warm_up_of_the_process_precedes_the_first_visit(space):
    config = DeviceConfig(RequestedDevice(), Measuring(min_warmup_s=0, max_warmup_s=0.2))
    session = profile([space.network(("break",)), space.network(("look",))], space, config, 1, session_id="s", seed=1)
    assert [run.status for run in session if run.round == 0] == ["failed", "ok"]
    assert len(space.seen) >= 20 + 4


def test_arguments_stay_as_they_are(networks, space):
    done = {(networks[0].network_id, 0)}
    before = copy.deepcopy((networks, done))
    measure(networks, space, done=done)
    assert (networks, done) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goal": 0}, "rounds: expected an integer >= 1, found 0"),
        ({"goal": 1.5}, "rounds: expected an integer >= 1, found 1.5"),
        ({"networks": []}, "networks: expected at least one network to measure, found none"),
    ],
)
def test_nothing_to_measure_is_refused_at_once(networks, space, change, message):
    arguments = {"networks": networks, "space": space, "device": device(), "goal": 1, "session_id": "s"} | change
    with pytest.raises(UsageError, match=re.escape(message)):
        profile(**arguments)


def test_a_network_of_another_space_is_refused(networks, space, monkeypatch):
    monkeypatch.setattr(ChainSpace, "name", "other")
    with pytest.raises(UsageError, match="expected a network of space 'other', found one of 'chain'"):
        profile(networks, space, device(), 1, session_id="s")


def test_an_anchor_of_another_space_is_refused(networks, space):
    anchor = Network("other", networks[0].primitives, networks[0].roles)
    message = f"network {anchor.network_id}: expected a network of space 'chain', found one of 'other'"
    with pytest.raises(UsageError, match=message):
        profile(networks, space, device(), 1, session_id="s", anchors=[anchor])


def test_more_threads_than_cpus_are_refused(networks, space):
    count = len(usable_cpus())
    message = f"device.threads: expected at most {count}, the CPUs this process may use, found {count + 1}"
    with pytest.raises(ProfilingError, match=message):
        profile(networks, space, device(threads=count + 1), 1, session_id="s")
    with pytest.raises(ProfilingError, match=message):
        new_session_record(device(threads=count + 1))


def test_record_of_a_session_is_plain_json_with_a_name_of_its_own():
    records = [new_session_record(device(), seed=0) for _ in range(2)]
    record = records[0]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", record["session_id"])
    assert record["session_id"] != records[1]["session_id"]
    assert record["started_at"].endswith("+00:00")
    assert record["device"] == device().resolve().to_dict()
    assert record["seed"] == 0
    assert new_session_record(device())["seed"] is None
    assert record["measuring"] | {"pinned_cpus": None} == {
        "pin": True,
        "warmup_passes": 1,
        "min_warmup_s": 0,
        "max_warmup_s": 0,
        "hold_memory": True,
        "anchor_every": 20,
        "loaded_networks": 64,
        "memory": True,
        "energy": False,
        "cuda_graphs": False,
        "pinned_cpus": None,
        "not_pinned": None,
        "allocator": "held",
        "energy_meter": None,
    }
    assert record["anchors"] == []
    assert record["measuring"]["pinned_cpus"] == sorted(choose_cpus(1, usable_cpus()))
    assert set(record["environment"]) >= {"cpu_model", "affinity", "load_average", "kernel", "versions", "runtime"}


@pytest.mark.slow
def test_profiling_knows_no_dataset():
    root = Path(__file__).parents[2]
    code = "import sys, latpred.profiling; print([m for m in sys.modules if m.startswith('latpred.dataset')])"
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
