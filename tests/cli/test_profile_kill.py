"""A profile that is killed loses at most the run in flight, and the next one goes on where it stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from cli_paths import DEVICE
from measured import tiny_space

from latpred.cli import main
from latpred.dataset import Dataset, estimate
from latpred.genprof import read_prof_dir
from latpred.network import Network
from latpred.spaces import space_yaml

ROUNDS, NETWORKS = 60, 20


@pytest.fixture
def command(tmp_path):
    (tmp_path / "space.yaml").write_text(space_yaml(tiny_space()))
    sampled = ["genprof", f"{tmp_path}/space.yaml", "--out", f"{tmp_path}/sampled", "--num-sample", str(NETWORKS)]
    assert main([*sampled, "--seed", "0"]) == 0
    return [
        "profile",
        f"{tmp_path}/sampled",
        "--device",
        DEVICE,
        "--dataset",
        f"{tmp_path}/cpu",
        "--rounds",
        str(ROUNDS),
    ]


def start(command):
    return subprocess.Popen(
        [sys.executable, "-m", "latpred", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def measured_so_far(folder):
    """Journal lines and parquet files on disk: something to kill in the middle of."""
    return sum(path.stat().st_size for path in folder.glob("cpu/*/*") if path.is_file())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_random_moments_nothing_is_lost_or_doubled(command, tmp_path):
    rng = random.Random(0)
    expected = {(n.network_id, r) for n in read_prof_dir(tmp_path / "sampled").networks for r in range(ROUNDS)}
    before, kills = {}, 0
    for _ in range(5):
        process = start(command)
        size, deadline = measured_so_far(tmp_path), time.monotonic() + 60
        while process.poll() is None and measured_so_far(tmp_path) == size and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.6))
        process.kill()
        process.wait()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, process.stderr.read()
            break
        kills += 1
        rows = Dataset.open(tmp_path / "cpu").read().runs
        keys = dict(zip(zip(rows["session_id"], rows["sequence"], strict=True), rows["overall"], strict=True))
        assert before.items() <= keys.items()  # earlier runs are still there, with their values
        before = keys
    assert kills >= 4
    assert main(command) == 0
    dataset = Dataset.open(tmp_path / "cpu")
    measurements = dataset.read()
    assert len(measurements.runs) == len(dataset.keys())
    first, *others = [record["anchors"] for record in dataset.sessions()]
    assert len(others) >= 4
    assert others == [first] * len(others)
    ids = [network.network_id for network in measurements.networks]
    places = zip(measurements.runs["network"], measurements.runs["round"], strict=True)
    visits = Counter((ids[place], round_) for place, round_ in places)
    assert {visit for visit in visits if visit[1] < ROUNDS} == expected
    anchors = {Network.from_dict(anchor).network_id for anchor in first}
    assert {network_id for (network_id, _), count in visits.items() if count > 1} <= anchors
    assert len(set(estimate(measurements).sessions["group"])) == 1
    assert dataset.validate() == []


@pytest.mark.slow
def test_sigterm_commits_what_was_measured(command, tmp_path):
    process = start(command)
    deadline = time.monotonic() + 240
    while not any(path.stat().st_size for path in tmp_path.glob("cpu/journal/*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "Traceback" not in errors
    dataset = Dataset.open(tmp_path / "cpu")
    assert dataset.leftover == ()  # the journal was committed, not left behind
    assert 0 < len(dataset.keys()) < ROUNDS * NETWORKS
