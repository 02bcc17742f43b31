"""Meters read made-up counters; what a pass draws is computed by hand."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch

from latpred.errors import ProfilingError
from latpred.profiling import energy
from latpred.profiling.energy import (
    EnergyMeter,
    NotMeasurable,
    NvmlMeter,
    RaplMeter,
    energy_per_pass,
    find_meter,
)

POWERCAP = "sys/class/powercap"


def zone(root, name, label, energy_uj, range_uj=1000):
    folder = root / POWERCAP / name
    folder.mkdir(parents=True)
    for file, content in (("name", label), ("energy_uj", energy_uj), ("max_energy_range_uj", range_uj)):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


def test_packages_are_added_and_nothing_in_or_around_them(tmp_path):
    second = zone(tmp_path, "intel-rapl:10", "package-1", 100_000, 10**9)
    first = zone(tmp_path, "intel-rapl:0", "package-0", 7000, 10**9)
    ignored = [
        zone(tmp_path, "intel-rapl:0:0", "core", 0),
        zone(tmp_path, "intel-rapl:2", "psys", 0),
        zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0),
    ]
    meter = find_meter("cpu", tmp_path)
    assert isinstance(meter, RaplMeter)
    assert meter.name == "RAPL package-0 + package-1"
    assert meter.read_mj() == 0
    first.write_text("9500\n")
    second.write_text("100500\n")
    for file in ignored:
        file.write_text("999\n")
    assert meter.read_mj() == 3.0  # 2500 + 500 microjoule


def test_a_counter_that_begins_anew_goes_on(tmp_path):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 900, 1000)
    meter = RaplMeter(tmp_path)
    totals_uj = []
    for value in (950, 20, 20, 10, 999):
        file.write_text(str(value))
        totals_uj.append(round(1000 * meter.read_mj()))
    # 50; then 1000 - 950 + 20 = 70 more; nothing; 1000 - 20 + 10 = 990 more; 989 more
    assert totals_uj == [50, 120, 120, 1110, 2099]


def test_no_counters_says_where_they_were_looked_for(tmp_path):
    found = find_meter("cpu", tmp_path)
    assert isinstance(found, NotMeasurable)
    assert f"under {tmp_path / POWERCAP}, found none. Virtual machines have none" in found.reason


def test_no_right_to_read_says_what_to_do(tmp_path, monkeypatch):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 900)
    read_text = type(file).read_text

    def guarded(path, **arguments):  # root may read everything, so that taking the right away proves nothing here
        if path == file:
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, **arguments)

    monkeypatch.setattr(type(file), "read_text", guarded)
    found = find_meter("cpu", tmp_path)
    assert isinstance(found, NotMeasurable)
    assert found.reason.startswith(f"expected the right to read {file}, have none. ")
    assert found.reason.endswith(f"sudo chmod a+r {file}")


@pytest.mark.parametrize(("content", "told"), [("", "invalid literal"), (None, "No such file")])
def test_a_counter_without_a_number_is_named(tmp_path, content, told):
    file = zone(tmp_path, "intel-rapl:0", "package-0", 900)
    meter = RaplMeter(tmp_path)
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(ProfilingError, match=f"energy: expected a number in {file}, got: .*{told}"):
        meter.read_mj()


@pytest.mark.parametrize("kind", ["tpu", "cuda", "cuda:x", ""])
def test_other_hardware_has_no_meter(tmp_path, kind):
    assert find_meter(kind, tmp_path).reason == (
        f"expected hardware cpu or cuda:N, found {kind!r}, which latpred knows no meter of"
    )


class NVMLError(Exception):
    pass


class StandIn(SimpleNamespace):
    """A pynvml whose GPUs are known by their UUIDs."""

    NVMLError = NVMLError

    def __init__(self, energy_mj, problem=None):
        super().__init__(energy_mj=energy_mj, problem=problem, calls=[])

    def nvmlInit(self):  # noqa: N802 - NVML's names
        self.calls.append("init")
        if self.problem == "no driver":
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        self.calls.append(uuid)
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        if self.problem == "no counter":
            raise NVMLError("Not Supported")
        return self.energy_mj[handle]


def install(monkeypatch, stand_in, uuids):
    monkeypatch.setitem(sys.modules, "pynvml", stand_in)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=uuids[index]))
    return stand_in


@pytest.mark.parametrize(("uuid", "handle"), [("bbbb", "GPU-bbbb"), ("GPU-bbbb", "GPU-bbbb"), ("MIG-b", "MIG-b")])
def test_a_gpu_is_the_one_that_pytorch_counts(monkeypatch, uuid, handle):
    stand_in = install(monkeypatch, StandIn({"GPU-aaaa": 1, handle: 5000}), ["aaaa", uuid])
    meter = find_meter("cuda:1")
    assert isinstance(meter, NvmlMeter)
    assert (meter.name, meter.read_mj()) == ("NVML cuda:1", 5000.0)
    stand_in.energy_mj[handle] = 5250
    assert meter.read_mj() == 5250.0
    assert stand_in.calls == ["init", handle]


@pytest.mark.parametrize(
    ("problem", "gpus", "reason"),
    [
        ("no driver", 1, "expected NVML cuda:0 to tell its energy, NVML says: Driver Not Loaded"),
        ("no counter", 1, "expected NVML cuda:0 to tell its energy, NVML says: Not Supported"),
        (None, 0, "expected cuda:0, PyTorch finds 0 GPUs"),
    ],
)
def test_what_a_gpu_lacks_is_named(monkeypatch, problem, gpus, reason):
    install(monkeypatch, StandIn({"GPU-aaaa": 1}, problem), ["aaaa"] * gpus)
    found = find_meter("cuda:0")
    assert isinstance(found, NotMeasurable)
    assert found.reason.startswith(reason + ". Check `nvidia-smi`")


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    expected = "expected the library nvidia-ml-py, found none. pip install 'latpred[energy]'"
    assert find_meter("cuda:0").reason == expected


def test_the_real_library_without_a_driver_is_a_reason(monkeypatch):
    pytest.importorskip("pynvml")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="aaaa"))
    found = find_meter("cuda:0")
    if isinstance(found, NvmlMeter):
        pytest.skip("here is a GPU of that name")
    assert re.search(r"NVML says: \w[^.]+\. Check", found.reason)


class SteppingMeter(EnergyMeter):
    """Draws constant power; its counter moves once in `resolution_s`."""

    name, resolution_s = "stepping", 0.01

    def __init__(self, clock, watts):
        self.clock, self.watts, self.reads = clock, watts, 0

    def read_mj(self):
        self.reads += 1
        steps = int(self.clock.seconds / self.resolution_s + 1e-9)
        return 1000 * self.watts * steps * self.resolution_s


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(energy.time, "perf_counter", lambda: clock.seconds)
    return clock


@pytest.mark.parametrize(("pass_s", "window_s"), [(0.002, 0.1), (0.025, 0.1), (0.0005, 0.305)])
def test_energy_of_a_pass_is_power_times_its_time(clock, pass_s, window_s):
    meter, runs = SteppingMeter(clock, watts=5.0), []

    def run_once():
        runs.append(clock.seconds)
        clock.seconds += pass_s

    clock.seconds = 0.0033  # between two steps
    found = energy_per_pass(meter, run_once, window_s)
    # Whole steps: one pass more or less at an end is all that can be wrong (one step, for passes longer than that).
    tolerance = max(pass_s, meter.resolution_s if pass_s > meter.resolution_s else 0) / window_s
    assert found == pytest.approx(5000 * pass_s, rel=tolerance)
    assert len(runs) * pass_s >= window_s
    assert meter.reads < 2 + len(runs)  # not one after each pass


def test_passes_before_the_first_step_are_not_counted(clock):
    class Meter(EnergyMeter):
        name, resolution_s = "by hand", 0.1
        readings = iter([70.0, 70.0, 75.0, 75.0, 95.0])

        def read_mj(self):
            return next(self.readings)

    def run_once():
        clock.seconds += 0.5

    # Two passes until the counter moves, two in the window of 1 s, one until it moves again: (95 - 75) / 3.
    assert energy_per_pass(Meter(), run_once, 1.0) == pytest.approx(20 / 3)


@pytest.mark.parametrize("window_s", [0.0999, 0.0, -1.0, float("nan")])
def test_a_window_too_short_for_the_meter_is_refused(clock, window_s):
    message = f"energy: expected a window of at least 0.1 s for stepping, found {window_s:g} s. Give it more time"
    with pytest.raises(ProfilingError, match=message):
        energy_per_pass(SteppingMeter(clock, 5.0), lambda: None, window_s)


def test_a_counter_that_stands_still_is_no_measurement(clock):
    def run_once():
        clock.seconds += 0.05

    with pytest.raises(ProfilingError, match=r"expected stepping to count, it stood still for 0\.15 s"):
        energy_per_pass(SteppingMeter(clock, watts=0.0), run_once, 0.1)
