"""`latpred profile`: what it says and refuses, and how it goes on; blocks that fail and clocks are made up."""

import errno
import os
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from measured import tiny_space
from torch import nn

from latpred.cli import main
from latpred.cli import profile as profile_module
from latpred.cli.parser import seconds
from latpred.dataset import Dataset, estimate
from latpred.genprof import read_prof_dir
from latpred.network import Network
from latpred.profiling import session as session_module
from latpred.profiling.energy import NotMeasurable
from latpred.profiling.lock import holder, measuring_alone
from latpred.profiling.runtimes import TorchEager
from latpred.spaces import space_yaml
from latpred.spaces.mnasnet_ofa import MNasNetOFA

NETWORKS = 6


@pytest.fixture(scope="module")
def prof_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    (folder / "space.yaml").write_text(space_yaml(tiny_space()))
    sampled = ["genprof", f"{folder}/space.yaml", "--out", f"{folder}/sampled", "--num-sample", str(NETWORKS)]
    assert main([*sampled, "--seed", "0"]) == 0
    return folder / "sampled"


def device_yaml(folder, device="", measuring=""):
    """Write a device that measures at once."""
    path = folder / f"device{len(list(folder.glob('device*.yaml')))}.yaml"
    path.write_text(f"device: {{{device}}}\nmeasuring: {{min_warmup_s: 0, max_warmup_s: 0{measuring}}}\n")
    return path


@pytest.fixture
def profile(prof_dir, tmp_path, capsys):
    """Profile into `tmp_path / "cpu"`; returns the exit code and what was printed."""

    def call(*options, networks=prof_dir, device=None):
        device = device or device_yaml(tmp_path)
        capsys.readouterr()
        command = ["profile", str(networks), "--device", str(device), "--dataset", f"{tmp_path}/cpu"]
        code = main([*command, *options])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err.removeprefix("latpred: error: ").rstrip("\n")

    return call


@pytest.fixture
def dataset(tmp_path):
    return lambda: Dataset.open(tmp_path / "cpu")


def ids_of(prof_dir):
    return [network.network_id for network in read_prof_dir(prof_dir).networks]


def test_a_precision_is_reached_and_said_so(profile, dataset, prof_dir):
    code, out, err = profile("--precision", "0.2", "--budget", "20s")
    assert (code, err) == (0, "")
    assert f"all {NETWORKS} networks are known to 20.00%" in out
    assert "not reached" not in out
    found = estimate(dataset().read()).networks
    assert (found["half_width"] <= 0.2).all()
    assert {(n, r) for n in ids_of(prof_dir) for r in range(5)} <= dataset().visited()  # without --rounds, 5 of them


def test_a_precision_that_is_not_reached_is_named(profile, dataset):
    code, out, _ = profile("--precision", "0.0001", "--budget", "1s", "--rounds", "3")
    assert code == 0
    found = estimate(dataset().read()).networks.sort_values("half_width")
    pattern = rf"not reached: (\d) of {NETWORKS} networks are not known to 0.01%, the least is (\w+) with (\d+\.\d\d)%"
    count, least, width = re.search(pattern, out).groups()
    assert int(count) == (found["half_width"] > 0.0001).sum() > 0
    assert least == found["network_id"].iloc[-1]
    assert float(width) == pytest.approx(100 * found["half_width"].iloc[-1], abs=0.0051)


def test_a_budget_ends_the_rounds_and_the_same_command_goes_on(profile, dataset, prof_dir, monkeypatch):
    elapsed = iter(range(1000))
    monkeypatch.setattr(session_module.Tally, "elapsed_s", lambda self: next(elapsed))
    code, out, _ = profile("--rounds", "4", "--budget", "10s")
    assert code == 0
    assert f"not reached: {4 * NETWORKS - 10} of 24 visits are left; the same command goes on with them" in out
    _, out, _ = profile("--rounds", "4")
    assert "not reached" not in out
    assert {(n, r) for n in ids_of(prof_dir) for r in range(4)} <= dataset().visited()


def test_networks_that_the_budget_did_not_come_to_are_not_known(profile, dataset, monkeypatch):
    elapsed = iter(range(1000))
    monkeypatch.setattr(session_module.Tally, "elapsed_s", lambda self: next(elapsed))
    _, out, _ = profile("--precision", "0.5", "--budget", "3s")
    runs = dataset().read().runs["network"].value_counts()
    assert runs.sum() == 3 + 1  # one more than seconds: an anchor precedes the first
    few = 6 - (runs > 1).sum()
    pattern = rf"not reached: (\d) of 6 networks are not known to 50.00%.*, {few} of them have fewer than two runs"
    assert int(re.search(pattern, out)[1]) >= few >= 3


def test_what_is_known_already_is_not_measured_again(profile, dataset):
    known = ["--precision", "0.4", "--budget", "20s"]
    assert profile(*known)[0] == 0
    before = dataset().keys()
    code, out, _ = profile(*known)
    assert code == 0
    assert f"0 runs of {NETWORKS} networks" in out
    assert f"all {NETWORKS} networks are known to 40.00%" in out
    assert dataset().keys() == before


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("1.5min", 90), ("2 h", 7200), (" 0.5s ", 0.5)])
def test_durations(text, expected):
    assert seconds(text, "--budget") == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "10"], r"^--budget: expected a duration such as 90s, 10min or 2h, found '10'"),
        (["--budget", "10m"], r"^--budget: expected a duration .*, found '10m'"),
        (["--budget=-5s"], r"^--budget: expected a duration .*, found '-5s'"),
        (["--budget", "1e3s"], r"^--budget: expected a duration .*, found '1e3s'"),
        (["--budget", ""], r"^--budget: expected a duration .*, found ''"),
        (["--budget", "0s"], r"budget: expected a positive time, found 0\.0 s"),
        (["--budget", f"{'9' * 400}h"], r"budget: expected a positive time, found inf s"),
        (["--precision", "1"], r"precision: expected a fraction between 0 and 1, found 1\.0"),
        (["--precision", "nan"], r"precision.*nan"),
        (["--precision", "1%"], r"precision"),
        (["--rounds", "0"], r"rounds: expected an integer >= 1, found 0"),
        (["--rounds", "2.5"], r"rounds"),
    ],
)
def test_goals_that_cannot_be(profile, tmp_path, options, message):
    code, _, err = profile(*options)
    assert code == 2
    assert re.search(message, err)
    assert "\n" not in err
    assert not (tmp_path / "cpu").exists()


def interrupt_after(count, monkeypatch):
    """Stop the command, as with Ctrl-C, within its `count`-th run."""
    done, measure = [0], session_module.Visitor.visit

    def visit(self, network):
        done[0] += 1
        if done[0] == count:
            raise KeyboardInterrupt
        return measure(self, network)

    monkeypatch.setattr(session_module.Visitor, "visit", visit)


class Tomorrow(datetime):
    @classmethod
    def now(cls, zone):
        return datetime.now(zone) + timedelta(days=1)


def without(prof_dir, ids, folder):
    """Copy a PROF_DIR without some of its networks."""
    shutil.copytree(prof_dir, folder)
    for network_id in ids:
        (folder / "prof_nets" / f"{network_id}.yaml").unlink()
    return folder


def test_a_session_that_was_stopped_goes_on_the_next_day_through_its_anchors(
    profile, dataset, prof_dir, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        interrupt_after(14, patch)
        code, _, err = profile("--rounds", "4", "--seed", "0")
    assert (code, err) == (130, "stopped")
    assert len(dataset().keys()) == 13
    (first,) = dataset().sessions()
    anchors = [Network.from_dict(anchor) for anchor in first["anchors"]]
    before = dataset().visited()
    lacking = without(prof_dir, [anchor.network_id for anchor in anchors], tmp_path / "lacking")
    monkeypatch.setattr(session_module, "datetime", Tomorrow)
    code, out, _ = profile("--rounds", "4", networks=lacking)
    assert code == 0
    first_again, second = dataset().sessions()
    assert first_again == first
    assert second["anchors"] == first["anchors"]
    assert len(anchors) == 3
    assert second["session_id"][:8] > first["session_id"][:8]
    left = {(n, r) for n in ids_of(lacking) for r in range(4)} - before
    assert int(re.search(r"(\d+) runs of 3 networks", out)[1]) == len(left) + 1  # an anchor precedes them
    measurements = dataset().read()
    own = measurements.runs[measurements.runs["session_id"] == second["session_id"]]
    measured = {measurements.networks[place].network_id for place in own["network"]}
    assert set(ids_of(lacking)) < measured <= set(ids_of(prof_dir))
    assert list(estimate(measurements).sessions["group"]) == [0, 0]


def test_two_sessions_without_a_network_in_common_are_joined_by_the_anchors(profile, dataset, prof_dir, tmp_path):
    ids = ids_of(prof_dir)
    assert profile("--rounds", "3", networks=without(prof_dir, ids[:3], tmp_path / "a"))[0] == 0
    assert profile("--rounds", "3", networks=without(prof_dir, ids[3:], tmp_path / "b"))[0] == 0
    first, second = (record["anchors"] for record in dataset().sessions())
    assert first == second
    assert len(first) == 1  # of three networks, the middle one
    assert list(estimate(dataset().read()).sessions["group"]) == [0, 0]
    assert len(dataset().read().networks) == 6


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (
            "",
            ", hold_memory: false",
            r"with hold_memory true, this would be with false: latencies differ by up to a fi",
        ),
        (
            ", hold_memory: false",
            "",
            r"with hold_memory false, this would be with true.*set measuring\.hold_memory alike",
        ),
    ],
)
def test_another_memory_is_refused(profile, dataset, tmp_path, first, then, message):
    assert profile("--rounds", "1", device=device_yaml(tmp_path, measuring=first))[0] == 0
    before = dataset().keys()
    code, _, err = profile("--rounds", "2", device=device_yaml(tmp_path, measuring=then))
    assert code == 1
    (record,) = dataset().sessions()
    assert re.search(rf"cpu: session {record['session_id']} was measured {message}", err)
    assert dataset().keys() == before


def test_another_runtime_or_cpu_is_another_device(profile, dataset, tmp_path, monkeypatch):
    assert profile("--rounds", "1")[0] == 0
    before = dataset().keys()
    kind = dataset().card.device
    for asked, found in (("runtime: torchscript", ", torchscript "), ("hardware: Another CPU", "'Another CPU, torch ")):
        code, _, err = profile("--rounds", "2", device=device_yaml(tmp_path, asked))
        assert code == 1
        assert f"the dataset is of the device '{kind}', the new runs of '" in err
        assert found in err.partition("the new runs of ")[2]
        assert "Take another dataset: another version of a runtime is another device" in err
    monkeypatch.setattr(TorchEager, "version", lambda: "9.9.9")
    assert "torch 9.9.9" in profile("--rounds", "2")[2]
    assert dataset().keys() == before
    assert len(dataset().sessions()) == 1


class Broken(nn.Module):
    """Raises whenever it is run in a measurement."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


@pytest.fixture
def broken(monkeypatch, prof_dir):
    """Make the blocks of one primitive raise an error; returns the ids of the networks that hold it, and the others."""

    def breaks(error, of_all=False):
        networks = read_prof_dir(prof_dir).networks
        counts = {p: sum(p in n.primitives for n in networks) for n in networks for p in n.primitives}
        (rare, _) = min(counts.items(), key=lambda item: (item[1], item[0]))
        build = MNasNetOFA.block

        def block(self, primitive):
            return Broken(error) if of_all or primitive == rare else build(self, primitive)

        monkeypatch.setattr(MNasNetOFA, "block", block)
        monkeypatch.setattr("latpred.spaces.pool._calibrate", lambda module, primitive: None)
        holding = {network.network_id for network in networks if of_all or rare in network.primitives}
        return sorted(holding), sorted(set(ids_of(prof_dir)) - holding)

    return breaks


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("no such kernel"), "RuntimeError: no such kernel. Mend the block."),
        pytest.param(MemoryError(), "MemoryError", marks=pytest.mark.slow),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
        ),
    ],
)
def test_a_network_that_fails_in_every_round_is_listed_and_the_rest_goes_on(profile, dataset, broken, error, message):
    failing, others = broken(error)
    assert failing
    assert others
    code, out, _ = profile("--rounds", "3", "--seed", "0")
    assert code == 0
    listed = re.findall(r"^failed: network (\w+): (.*)$", out, re.MULTILINE)
    assert sorted(network_id for network_id, _ in listed) == failing
    assert all(message in reason for _, reason in listed)
    assert [network.network_id for network in dataset().read().networks] == others
    visited = dataset().visited()
    assert {(n, r) for n in [*failing, *others] for r in range(3)} <= visited
    assert max(round_ for network_id, round_ in visited if network_id in failing) <= 3  # as an anchor
    assert dataset().validate() == []


def test_a_precision_ends_though_a_network_fails(profile, broken):
    failing, _others = broken(RuntimeError("no"))
    _, out, _ = profile("--precision", "0.5", "--budget", "20s")
    assert f"not reached: {len(failing)} of {NETWORKS} networks are not known to 50.00%, {len(failing)} of them" in out


def test_nothing_but_failures_is_a_failure(profile, dataset, broken):
    _failing, others = broken(RuntimeError("no"), of_all=True)
    code, out, _ = profile("--rounds", "2")
    assert code == 1
    assert others == []
    assert len(re.findall(r"^failed: network ", out, re.MULTILINE)) == NETWORKS
    assert "0 good, 0 fair, 0 poor" in out
    assert "noise of" not in out
    assert dataset().validate() == []


def test_single_runs_tell_no_noise(profile, dataset, monkeypatch):
    elapsed = iter(range(1000))
    monkeypatch.setattr(session_module.Tally, "elapsed_s", lambda self: next(elapsed))
    _, out, _ = profile("--rounds", "1", "--budget", "1s", "--seed", "0")
    assert dataset().read().runs["network"].nunique() == len(dataset().keys()) == 2  # an anchor and another one
    assert "noise of" not in out
    assert "0 good, 0 fair, 2 poor" in out


def test_no_permission_to_pin_is_said_once(profile, dataset, monkeypatch):
    def refuse(pid, cpus):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    code, out, _ = profile("--rounds", "2")
    assert code == 0
    reason = "the system does not permit it: Operation not permitted"
    assert out.count(f"not pinned to a CPU, so that single runs are noisier: {reason}") == 1
    (record,) = dataset().sessions()
    assert record["measuring"]["not_pinned"] == reason


def test_energy_that_cannot_be_measured_is_said(profile, tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "find_meter", lambda kind: NotMeasurable("no counter here"))
    _, out, _ = profile("--rounds", "1", device=device_yaml(tmp_path, measuring=", energy: true"))
    assert "energy: not measurable here: no counter here" in out
    assert "energy: " not in profile("--rounds", "3")[1]


def test_a_second_profiler_is_refused_before_it_writes_anything(profile, dataset):
    assert profile("--rounds", "1")[0] == 0
    with measuring_alone("cpu", wait=False, what="somebody else"):
        code, _, err = profile("--rounds", "2")
    assert code == 1
    assert f"cpu: expected nobody else to measure on it, found process {os.getpid()} (somebody else)" in err
    assert "Wait for it with --wait" in err
    assert len(dataset().sessions()) == 1
    assert profile("--rounds", "2")[0] == 0


def test_the_lock_names_the_command_and_the_dataset(profile, monkeypatch):
    seen, measure = [], profile_module._measure

    def looking(*arguments):
        seen.append(holder("cpu"))
        return measure(*arguments)

    monkeypatch.setattr(profile_module, "_measure", looking)
    assert profile("--rounds", "1")[0] == 0
    assert [holder[:2] for holder in seen] == [(os.getpid(), "latpred profile into cpu")]
