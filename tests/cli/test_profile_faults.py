"""Full disks and rivals, for real: nothing is lost, one line says what to do, and the next call goes on."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from measured import tiny_space

from latpred.cli import main
from latpred.dataset import Dataset
from latpred.dataset.session import SessionWriter
from latpred.genprof import read_prof_dir
from latpred.profiling.lock import holder
from latpred.spaces import space_yaml

pytestmark = pytest.mark.slow

ROUNDS, NETWORKS = 5, 4


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    (folder / "space.yaml").write_text(space_yaml(tiny_space()))
    (folder / "device.yaml").write_text("device: {}\nmeasuring: {min_warmup_s: 0, max_warmup_s: 0}\n")
    sampled = ["genprof", f"{folder}/space.yaml", "--out", f"{folder}/sampled", "--num-sample", str(NETWORKS)]
    assert main([*sampled, "--seed", "0"]) == 0
    return folder


def command_of(networks, dataset, *options):
    """Return the arguments of `latpred` that profile into a dataset."""
    options = options or ("--rounds", str(ROUNDS))
    device = ["--device", str(networks / "device.yaml")]
    return ["profile", str(networks / "sampled"), *device, "--dataset", str(dataset), *options]


def all_visits(networks):
    return {(n.network_id, r) for n in read_prof_dir(networks / "sampled").networks for r in range(ROUNDS)}


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - as the mount above


def fill(disk):
    """Leave no room on a file system."""
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass


@pytest.mark.parametrize("moment", ["append", "commit"])
def test_a_full_disk_loses_nothing(networks, small_disk, capsys, monkeypatch, moment):
    dataset, stored = small_disk / "cpu", {}
    append, commit = SessionWriter.append, SessionWriter.commit

    def counting(self, run):
        if moment == "append" and len(stored) == 7:
            fill(small_disk)
        append(self, run)
        stored[run.key] = run.overall_latency_ms

    def filling(self):
        if moment == "commit":
            fill(small_disk)
        return commit(self)

    with monkeypatch.context() as patch:
        patch.setattr(SessionWriter, "append", counting)
        patch.setattr(SessionWriter, "commit", filling)
        assert main(command_of(networks, dataset)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"^latpred: error: {dataset}/.*: expected to .*(o space left|fitted).*\. ", line)
    assert re.search(r"Make room there\.$|The journal keeps them: mend the cause, open again\.$", line)
    assert len(stored) >= 7
    assert main(["dataset", "info", str(dataset)]) == 1  # still no room
    (line,) = capsys.readouterr().err.splitlines()
    assert "o space left" in line
    (small_disk / "filler").unlink()
    assert main(command_of(networks, dataset)) == 0
    assert "of a session that was killed" in capsys.readouterr().out
    assert_whole(networks, Dataset.open(dataset), stored)


LIMITED = """
import resource, sys
from latpred.cli import main
from latpred.dataset.session import SessionWriter

moment, told, *command = sys.argv[1:]
append, commit = SessionWriter.append, SessionWriter.commit
count = 0

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def counting(self, run):
    global count
    if moment == "append" and count == 7:
        limit(self._journal.path.stat().st_size + 10)  # the beginning of a line fits
    append(self, run)
    count += 1
    with open(told, "a") as file:
        print(*run.key, run.overall_latency_ms, file=file)

def limited(self):
    if moment == "commit":
        limit(100)
    return commit(self)

SessionWriter.append, SessionWriter.commit = counting, limited
sys.exit(main(command))
"""


@pytest.mark.parametrize("moment", ["append", "commit"])
def test_a_file_that_may_not_grow_loses_nothing(networks, tmp_path, moment):
    dataset, told = tmp_path / "cpu", tmp_path / "told"
    command = [sys.executable, "-c", LIMITED, moment, str(told), *command_of(networks, dataset)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    *noise, line = done.stderr.splitlines()  # Delta Lake's library tells of a panic of its own behind the failed write
    assert "Traceback" not in "".join(noise)
    assert re.search(rf"^latpred: error: {dataset}/.*: expected to (write a run|commit \d+ runs), got: ", line)
    lines = [text.split() for text in told.read_text().splitlines()]
    stored = {(session_id, int(sequence)): float(value) for session_id, sequence, value in lines}
    assert len(stored) >= 7
    assert main(command_of(networks, dataset)) == 0
    assert_whole(networks, Dataset.open(dataset), stored)


def assert_whole(networks, dataset, stored):
    """All runs that were stored are there, with their values; the rest has been measured."""
    runs = dataset.read().runs
    keys = zip(runs["session_id"], runs["sequence"], strict=True)
    assert stored.items() <= dict(zip(keys, runs["overall"], strict=True)).items()
    assert all_visits(networks) <= dataset.visited()
    assert dataset.validate() == []


def start(arguments):
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", "latpred", *arguments], env=environment, text=True, **pipes)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


@pytest.fixture
def rival(networks, tmp_path):
    """A process that profiles into `tmp_path / "cpu"`, for as long as it lets."""
    process = start(command_of(networks, tmp_path / "cpu", "--rounds", "3", "--precision", "1e-9", "--budget", "2min"))
    try:
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob("cpu/journal/*.jsonl")))
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_profiler_is_refused_and_told_who_measures(networks, tmp_path, rival, capsys):
    assert holder("cpu").pid == rival.pid
    for dataset in (tmp_path / "cpu", tmp_path / "other"):
        assert main(command_of(networks, dataset)) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert (
            f"cpu: expected nobody else to measure on it, found process {rival.pid} (latpred profile into cpu)" in line
        )
        assert line.endswith(f"Wait for it with --wait, or stop process {rival.pid}.")
    assert Dataset.open(tmp_path / "other").sessions() == []
    rival.send_signal(signal.SIGKILL)
    rival.wait()
    assert main(command_of(networks, tmp_path / "other")) == 0


def test_a_second_profiler_waits_and_then_measures_what_is_left(networks, tmp_path, rival):
    second = start(command_of(networks, tmp_path / "cpu", "--rounds", str(ROUNDS), "--wait"))
    line = second.stdout.readline()
    assert re.search(rf"^cpu: waiting for process {rival.pid} \(latpred profile into cpu\) since ", line)
    assert second.poll() is None
    rival.send_signal(signal.SIGTERM)
    rival.wait(60)
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 0, errors
    dataset = Dataset.open(tmp_path / "cpu")
    assert all_visits(networks) <= dataset.visited()
    # the second knew of all visits that the first one made while it waited: only the anchor is visited more often
    measurements = dataset.read()
    places = zip(measurements.runs["network"], measurements.runs["round"], strict=True)
    doubled = {place for (place, _), count in Counter(places).items() if count > 1}
    assert len(doubled) <= 1
    assert len({tuple(map(str, record["anchors"])) for record in dataset.sessions()}) == 1
