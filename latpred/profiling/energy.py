"""The energy meters of the machine: what a pass draws, never an estimate of it."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from latpred.errors import ProfilingError

WINDOW_RESOLUTIONS = 10
"""Shortest window of passes, in updates of the meter: with fewer, the meter's steps are no small part of it."""

_EXTRA = "pip install 'latpred[energy]'"


class NotMeasurable(NamedTuple):
    """Says that there is no meter to read, and why."""

    reason: str


class EnergyMeter(ABC):
    """Counts the energy that a processor draws; read it before and after.

    It counts the whole processor: whatever else runs there and the power of an idle one are in it.
    """

    name: str
    """What is read, for the record of a session."""
    resolution_s: float
    """Time between two updates of the counter, s."""

    @abstractmethod
    def read_mj(self) -> float:
        """Return the energy since some moment in the past, mJ; it never decreases.

        Raises:
            ProfilingError: If the counter cannot be read any more.
        """


class _Counter:
    """One energy counter of RAPL, which begins anew at 0 when it is full.

    Args:
        folder: Of the counter, below `/sys/class/powercap`.

    Raises:
        ProfilingError: If it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range_uj = _read_number(folder / "max_energy_range_uj")
        self._last_uj = _read_number(self._file)
        self._total_uj = 0

    def read_uj(self) -> int:
        """Return the energy since the first reading, microjoule."""
        now_uj = _read_number(self._file)
        full = now_uj < self._last_uj
        self._total_uj += now_uj - self._last_uj + (self._range_uj if full else 0)
        self._last_uj = now_uj
        return self._total_uj


class RaplMeter(EnergyMeter):
    """Counts the energy of all CPU packages by RAPL, on Intel's and AMD's processors under Linux.

    Read it at least once a minute: a counter holds some 65 to 262 kJ, and two rounds of it cannot be told from one.

    Args:
        root: Where `/sys` lies.

    Raises:
        ProfilingError: If there is no such counter, or no right to read it.

    Source: https://docs.kernel.org/power/powercap/powercap.html
    """

    resolution_s = 0.001

    def __init__(self, root: Path = Path("/")) -> None:
        powercap = root / "sys/class/powercap"
        # Beside the packages lie zones inside them (core, dram) and around them (psys): those would count twice.
        packages = [zone for zone in powercap.glob("intel-rapl:*") if _read(zone / "name").startswith("package")]
        if not packages:
            problem = f"expected RAPL's counters intel-rapl:N of CPU packages under {powercap}, found none"
            remedy = "Virtual machines have none; on a machine of your own, load the kernel's module intel_rapl_msr"
            raise ProfilingError("energy", problem, remedy)
        packages.sort(key=lambda zone: int(zone.name.partition(":")[2]))
        self._counters = [_Counter(zone) for zone in packages]
        self.name = "RAPL " + " + ".join(_read(zone / "name") for zone in packages)

    def read_mj(self) -> float:
        """Return the energy since the meter was made, mJ.

        Raises:
            ProfilingError: If a counter cannot be read any more.
        """
        return sum(counter.read_uj() for counter in self._counters) / 1000


class NvmlMeter(EnergyMeter):
    """Counts the energy of one NVIDIA GPU, memory included, by NVML; Volta and later have the counter.

    Args:
        index: As PyTorch counts, in `cuda:N`; NVML's own order differs where CUDA_VISIBLE_DEVICES is set.

    Raises:
        ProfilingError: If the library, the driver, the GPU or its counter is missing.
    """

    resolution_s = 0.1  # seen from 10 ms to 100 ms, depending on the GPU

    def __init__(self, index: int) -> None:
        try:
            import pynvml
        except ImportError:
            raise ProfilingError("energy", "expected the library nvidia-ml-py, found none", _EXTRA) from None
        if index >= (count := torch.cuda.device_count()):
            problem = f"expected cuda:{index}, PyTorch finds {count} GPUs"
            raise ProfilingError("energy", problem, "Check `nvidia-smi`, and that this PyTorch is built for CUDA")
        uuid = str(torch.cuda.get_device_properties(index).uuid)
        uuid = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        self._nvml: Any = pynvml
        self.name = f"NVML cuda:{index}"
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except pynvml.NVMLError as error:
            raise self._unreadable(error) from None
        self.read_mj()  # some GPUs have no such counter

    def read_mj(self) -> float:
        """Return the energy since the driver was loaded, mJ.

        Raises:
            ProfilingError: If the GPU has no such counter, or the driver does not answer.
        """
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        except self._nvml.NVMLError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> ProfilingError:
        problem = f"expected {self.name} to tell its energy, NVML says: {error}"
        remedy = "Check `nvidia-smi`; GPUs before Volta, and slices of one (MIG), have no such counter"
        return ProfilingError("energy", problem, remedy)


def find_meter(kind: str, root: Path = Path("/")) -> EnergyMeter | NotMeasurable:
    """Return the meter of a processor, or why there is none.

    Args:
        kind: `cpu` or `cuda:N`, as `hardware_kind` gives it.
        root: Where `/sys` lies.
    """
    gpu = re.fullmatch(r"cuda:(\d+)", kind)
    try:
        if gpu is not None:
            return NvmlMeter(int(gpu[1]))
        if kind == "cpu":
            return RaplMeter(root)
    except ProfilingError as error:
        return NotMeasurable(f"{error.problem}. {error.remedy}")
    return NotMeasurable(f"expected hardware cpu or cuda:N, found {kind!r}, which latpred knows no meter of")


def energy_per_pass(meter: EnergyMeter, run_once: Callable[[], object], window_s: float) -> float:
    """Measure the energy of one pass, mJ, by running passes one after the other until the window is over.

    It is what the whole processor draws meanwhile, per pass: idle power, other cores and other programs included. So it
    compares networks on one machine that does nothing else, and is no property of the network alone. Nothing is
    subtracted or estimated.

    The window begins and ends with a pass after which the counter has moved, so that whole updates are counted.

    Args:
        meter: Of the processor that runs them.
        run_once: One pass; returns when it is done, on a GPU, too.
        window_s: How long to run passes, s; at least 10 updates of the meter.

    Raises:
        ProfilingError: If the window is too short, or the meter stands still.
    """
    if not window_s >= (shortest_s := WINDOW_RESOLUTIONS * meter.resolution_s):
        problem = f"expected a window of at least {shortest_s:g} s for {meter.name}, found {window_s:g} s"
        raise ProfilingError("energy", problem, "Give it more time")
    _, begin_mj = _run_until_moved(meter, run_once, window_s)
    begin, passes = time.perf_counter(), 0
    while time.perf_counter() - begin < window_s:  # without reading the meter, which takes time, too
        run_once()
        passes += 1
    last_passes, end_mj = _run_until_moved(meter, run_once, window_s)
    return (end_mj - begin_mj) / (passes + last_passes)


def _run_until_moved(meter: EnergyMeter, run_once: Callable[[], object], limit_s: float) -> tuple[int, float]:
    """Run passes until the counter has moved; returns how many, and the counter, mJ.

    Raises:
        ProfilingError: If it stands still for `limit_s`.
    """
    first_mj, begin, passes = meter.read_mj(), time.perf_counter(), 0
    while True:
        run_once()
        passes += 1
        if (now_mj := meter.read_mj()) > first_mj:
            return passes, now_mj
        if (elapsed_s := time.perf_counter() - begin) > limit_s:
            problem = f"expected {meter.name} to count, it stood still for {elapsed_s:.2g} s"
            raise ProfilingError("energy", problem, "Leave the energy out: this counter does not work here")


def _read(path: Path) -> str:
    """Return the text of a file without the space around it; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _read_number(path: Path) -> int:
    """Return the number in a file.

    Raises:
        ProfilingError: If there is none, or no right to read it.
    """
    try:
        return int(path.read_text(encoding="utf-8"))
    except PermissionError:
        # Closed to users since CVE-2020-8694: the energy tells something of what other programs compute.
        remedy = f"Open it until the next start, if you trust this machine's users: sudo chmod a+r {path}"
        raise ProfilingError("energy", f"expected the right to read {path}, have none", remedy) from None
    except (OSError, ValueError) as error:
        remedy = "Leave the energy out: this counter does not work here"
        raise ProfilingError("energy", f"expected a number in {path}, got: {error}", remedy) from None
