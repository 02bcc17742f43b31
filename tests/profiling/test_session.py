import copy
import gc
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from chain_space import ChainSpace

from latpred.errors import ProfilingError, UsageError
from latpred.profiling import DeviceConfig, Measuring, RequestedDevice, new_session_record, profile
from latpred.profiling.clock import choose_cpus, usable_cpus
from latpred.profiling.session import plan

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
    next(session)
    assert session.stats.ok == 1
    session.close()
    assert list(session) == []


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


def orders(visits):
    rounds = sorted({visit.round for visit in visits})
    return [[visit.network_id for visit in visits if visit.round == round_] for round_ in rounds]


IDS = [f"{i:016x}" for i in range(20)]


def test_order_is_drawn_anew_for_each_round():
    first, second, third = orders(plan(IDS, 3, (), 0))
    assert sorted(first) == sorted(second) == sorted(third) == IDS
    assert first != second != third != first
    assert first != IDS


def test_order_depends_on_the_seed_alone():
    assert plan(IDS, 3, (), 0) == plan(reversed(IDS), 3, (), 0)
    assert plan(IDS, 3, (), 0) != plan(IDS, 3, (), 1)


def test_no_seed_draws_another_order_each_time_and_is_not_seed_zero():
    drawn = [orders(plan(IDS, 1, (), seed)) for seed in (None, None, 0)]
    assert drawn[0] != drawn[1]
    assert drawn[0] != drawn[2]


def test_order_of_what_is_left_is_that_of_the_whole():
    whole = plan(IDS, 3, (), 5)
    done = {(visit.network_id, visit.round) for visit in whole[:27]}
    assert plan(IDS, 3, done, 5) == whole[27:]


def test_order_of_the_passes_alternates_for_each_network_and_within_each_round():
    visits = plan(IDS, 4, (), 0)
    for network_id in IDS:
        firsts = [visit.plain_first for visit in visits if visit.network_id == network_id]
        assert firsts in ([True, False] * 2, [False, True] * 2)
    for round_ in range(4):
        assert sum(visit.plain_first for visit in visits if visit.round == round_) == 10


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


def test_stats_count_runs_and_time(networks, space):
    slow = space.network(("sleep", "sleep", "sleep"))
    begin = time.perf_counter()
    with profile([slow, space.network(("break",))], space, device(), 4, session_id="s") as session:
        for _ in session:
            pass
        within = session.stats
        elapsed = time.perf_counter() - begin
    assert (within.ok, within.failed) == (4, 4)
    assert 4 * 3 * 3 * 0.01 <= within.passes_s <= within.whole_s <= elapsed
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
    with profile([space.network(("look",))], space, device(), 2, session_id="s") as session:
        for _ in session:
            assert (usable_cpus(), gc.isenabled(), torch.is_inference_mode_enabled()) == (before[0], True, False)
    assert state() == before
    pinned = choose_cpus(1, usable_cpus())
    expected = {"affinity": pinned, "collects": False, "threads": 1, "gradients": False, "shape": (1, 3, 8, 8)}
    assert space.seen == [expected] * 6  # two visits of three passes


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
    session = profile([space.network(("break",)), space.network(("look",))], space, config, 1, session_id="s", seed=0)
    assert len(list(session)) == 2
    assert len(space.seen) >= 20 + 3


def test_arguments_stay_as_they_are(networks, space):
    done = {(networks[0].network_id, 0)}
    before = copy.deepcopy((networks, done))
    measure(networks, space, done=done)
    assert (networks, done) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "rounds: expected an integer >= 1, found 0"),
        ({"rounds": 1.5}, "rounds: expected an integer >= 1, found 1.5"),
        ({"networks": []}, "networks: expected at least one network to measure, found none"),
    ],
)
def test_nothing_to_measure_is_refused_at_once(networks, space, change, message):
    arguments = {"networks": networks, "space": space, "device": device(), "rounds": 1, "session_id": "s"} | change
    with pytest.raises(UsageError, match=re.escape(message)):
        profile(**arguments)


def test_a_network_of_another_space_is_refused(networks, space, monkeypatch):
    monkeypatch.setattr(ChainSpace, "name", "other")
    with pytest.raises(UsageError, match="expected a network of space 'other', found one of 'chain'"):
        profile(networks, space, device(), 1, session_id="s")


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
        "pinned_cpus": None,
    }
    assert record["measuring"]["pinned_cpus"] == sorted(choose_cpus(1, usable_cpus()))
    assert set(record["environment"]) >= {"cpu_model", "affinity", "load_average", "kernel", "versions", "runtime"}


def test_profiling_knows_no_dataset():
    root = Path(__file__).parents[2]
    code = "import sys, latpred.profiling; print([m for m in sys.modules if m.startswith('latpred.dataset')])"
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
