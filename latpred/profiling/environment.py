"""What a session was measured in: the machine, its limits and load, the versions."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from latpred.card import library_versions
from latpred.profiling.clock import usable_cpus

UNKNOWN = "unknown"
"""Stands for every fact that this machine does not tell."""

UNLIMITED = "max"
"""Stands for a limit that a control group does not set, as in its own files."""

_RUNTIMES = ("onnxruntime", "openvino")
_SENSORS = ("coretemp", "cpu_thermal", "k10temp", "zenpower")  # of hwmon: those that sit in a processor


def describe_environment(root: Path = Path("/")) -> dict[str, Any]:
    """Describe the machine as JSON: plain dicts, lists, numbers and strings; `unknown` where it does not tell.

    The machine's and the user's names are not in it, so that a dataset can be given away.

    Args:
        root: Where `/proc` and `/sys` lie. Both are Linux; elsewhere what is read there is unknown.
    """
    cpus = sorted(usable_cpus())
    return {
        "cpu_model": cpu_model(root),
        "cpu_flags": _cpuinfo(root, "flags", "Features"),
        "cores": os.cpu_count() or UNKNOWN,
        "affinity": cpus,
        "governor": _of_cpus(root, cpus, "cpufreq/scaling_governor"),
        "frequency_khz": _of_cpus(root, cpus, "cpufreq/scaling_cur_freq"),
        "max_frequency_khz": _of_cpus(root, cpus, "cpufreq/cpuinfo_max_freq"),
        "turbo": _turbo(root),
        "smt_siblings": _of_cpus(root, cpus, "topology/thread_siblings_list"),
        "temperature_c": _temperatures(root),
        "pressure_cpu": _read(root / "proc/pressure/cpu"),
        "pressure_percent": {kind: _pressure(root, kind) for kind in ("cpu", "memory", "io")},
        "cgroup_cpu": _cgroup_cpu(root),
        "cgroup_memory_bytes": _cgroup_memory(root),
        "memory_kb": _memory(root),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else UNKNOWN,
        "system": platform.system() or UNKNOWN,
        "kernel": _version_number(platform.release()),
        "machine": platform.machine() or UNKNOWN,
        "virtualisation": _virtualisation(root),
        "versions": library_versions() | {name: _version(name) for name in _RUNTIMES},
    }


def hardware_kind(asked: str) -> str:
    """Return what latencies are measured on, for a meter or a lock: `cuda:N`, or `cpu` for all else.

    Args:
        asked: The hardware in a device's YAML.
    """
    gpu = re.fullmatch(r"cuda(?::(\d+))?", asked.strip().lower())
    return "cpu" if gpu is None else f"cuda:{int(gpu[1] or 0)}"


def cpu_model(root: Path = Path("/")) -> str:
    """Return the processor's own name, for example `AMD EPYC`.

    Args:
        root: Where `/proc` lies; without a name there (ARM, macOS, Windows), the platform's name for it.
    """
    name = _cpuinfo(root, "model name", "Model")
    return name if name != UNKNOWN else platform.processor() or platform.machine() or UNKNOWN


def _cpuinfo(root: Path, *keys: str) -> str:
    """Return the first value in `/proc/cpuinfo` of the first key that has one."""
    lines = _read(root / "proc/cpuinfo").splitlines()
    entries = [line.partition(":") for line in lines]
    for key in keys:
        for name, _, value in entries:
            if name.strip() == key and value.strip():
                return value.strip()
    return UNKNOWN


def _of_cpus(root: Path, cpus: list[int], name: str) -> dict[str, str] | str:
    """Return the content of a file that each CPU has under `/sys`, by CPU; unknown where none can be read."""
    found = {str(cpu): _read(root / f"sys/devices/system/cpu/cpu{cpu}/{name}") for cpu in cpus}
    return found if any(value != UNKNOWN for value in found.values()) else UNKNOWN


def _turbo(root: Path) -> str:
    """Return `on` or `off`: whether the clock may rise above its base while the processor is cool."""
    folder = root / "sys/devices/system/cpu"
    no_turbo = {"0": "on", "1": "off"}.get(_read(folder / "intel_pstate/no_turbo"))
    boost = {"0": "off", "1": "on"}.get(_read(folder / "cpufreq/boost"))
    return no_turbo or boost or UNKNOWN


def _temperatures(root: Path) -> dict[str, float] | str:
    """Return the sensors' temperatures, degrees Celsius, by their own names and numbers."""
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        found[f"{_read(zone / 'type')} {zone.name}"] = _read(zone / "temp")
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if (name := _read(chip / "name")) in _SENSORS:
            found[f"{name} {chip.name}"] = _read(chip / "temp1_input")
    degrees = {name: int(text) / 1000 for name, text in found.items() if re.fullmatch(r"-?\d+", text)}
    return degrees or UNKNOWN


def _pressure(root: Path, kind: str) -> dict[str, float] | str:
    """Return the share of time, percent, that some task, or all of them, waited for CPU, memory or io.

    Source: https://docs.kernel.org/accounting/psi.html
    """
    lines = _read(root / "proc/pressure" / kind)
    found = re.findall(r"^(some|full) avg10=(\d+\.?\d*) avg60=(\d+\.?\d*)", lines, re.MULTILINE)
    shares = {f"{who}_avg{s}": float(text) for who, *texts in found for s, text in zip((10, 60), texts, strict=True)}
    return shares or UNKNOWN


def _memory(root: Path) -> dict[str, int] | str:
    """Return the machine's memory and swap, kB as the kernel counts them (1024 bytes)."""
    lines = _read(root / "proc/meminfo")
    kb = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", lines, re.MULTILINE)}
    try:
        swap_used = kb["SwapTotal"] - kb["SwapFree"]
        return {"total": kb["MemTotal"], "available": kb["MemAvailable"], "swap_used": swap_used}
    except KeyError:
        return UNKNOWN


def _virtualisation(root: Path) -> str:
    """Return a hint: the hypervisor's kind, `virtual machine` or `none seen`."""
    if (kind := _read(root / "sys/hypervisor/type")) != UNKNOWN:
        return kind
    flags = _cpuinfo(root, "flags").split()  # only x86 has this flag, so that ARM without a hint stays unknown
    if flags == [UNKNOWN]:
        return UNKNOWN
    return "virtual machine" if "hypervisor" in flags else "none seen"


def cgroup_cpus(environment: Mapping[str, Any]) -> float | None:
    """Return how many CPUs' worth of time the control group allows, of a record; infinity without a limit.

    None stands for unknown.
    """
    match = re.fullmatch(r"(max|\d+) ([1-9]\d*)", str(environment.get("cgroup_cpu", UNKNOWN)))
    if match is None:
        return None
    return float("inf") if match[1] == UNLIMITED else int(match[1]) / int(match[2])


def _cgroup_cpu(root: Path) -> str:
    """Return the CPU limit of this process's control group as `QUOTA PERIOD`, microseconds; `max` is no limit.

    Version 2 has it in `cpu.max`, version 1 in two files; of the group's and those above it, the tightest counts.
    """
    limits = [_read(folder / "cpu.max") for folder in _groups(root, "")]
    for folder in _groups(root, "cpu"):
        quota, period = (_read(folder / f"cpu.cfs_{part}_us") for part in ("quota", "period"))
        limits.append(f"{UNLIMITED if quota == '-1' else quota} {period}")
    cpus = {limit: cgroup_cpus({"cgroup_cpu": limit}) for limit in limits}
    known = {limit: count for limit, count in cpus.items() if count is not None}
    return min(known, key=known.__getitem__) if known else UNKNOWN


def _cgroup_memory(root: Path) -> int | str:
    """Return the memory limit of this process's control group, bytes; the tightest, as for the CPU."""
    limits = [_read(folder / "memory.max") for folder in _groups(root, "")]
    limits += [_read(folder / "memory.limit_in_bytes") for folder in _groups(root, "memory")]
    numbers = [int(limit) for limit in limits if limit.isdecimal()]
    finite = [number for number in numbers if number < 1 << 60]  # version 1 says nearly 2^63 for no limit
    if finite:
        return min(finite)
    return UNLIMITED if numbers or UNLIMITED in limits else UNKNOWN


def _groups(root: Path, controller: str) -> list[Path]:
    """Return the folders of this process's control group and of those above it.

    Args:
        root: Where `/proc` and `/sys` lie.
        controller: Of version 1; an empty one for version 2.
    """
    hierarchy, own = root / "sys/fs/cgroup" / controller, "/"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            own = path
    group = hierarchy / own.strip().lstrip("/")
    return [folder for folder in (group, *group.parents) if folder.is_relative_to(hierarchy)]


def _version(library: str) -> str:
    """Return an installed library's version without importing it."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"


def _read(path: Path) -> str:
    """Return the text of a file without the space around it; unknown where it cannot be read or is empty."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or UNKNOWN
    except OSError:  # some files under /proc exist and refuse to be read
        return UNKNOWN


def _version_number(release: str) -> str:
    """Return the number at the start of a kernel's release; what follows names whoever built it, not the kernel."""
    match = re.match(r"\d+(\.\d+)*", release)
    return match[0] if match else UNKNOWN
