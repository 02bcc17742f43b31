"""What a session was measured in: the machine, its limits and load, the versions."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from latpred.card import library_versions
from latpred.profiling.clock import usable_cpus

UNKNOWN = "unknown"
"""Stands for every fact that this machine does not tell."""


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
        "pressure_cpu": _read(root / "proc/pressure/cpu"),
        "cgroup_cpu": _cgroup_cpu(root),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else UNKNOWN,
        "system": platform.system() or UNKNOWN,
        "kernel": _version_number(platform.release()),
        "machine": platform.machine() or UNKNOWN,
        "versions": library_versions(),
    }


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


def _cgroup_cpu(root: Path) -> str:
    """Return the CPU limit of this process's control group as `QUOTA PERIOD`, microseconds; `max` is no limit.

    Version 2 has it in `cpu.max` of the group or of one above it, version 1 in two files.
    """
    hierarchy = root / "sys/fs/cgroup"
    lines = _read(root / "proc/self/cgroup").splitlines()
    own = next((line[len("0::") :] for line in lines if line.startswith("0::")), "/")
    group = hierarchy / own.strip().lstrip("/")
    for folder in (group, *group.parents):
        if (limit := _read(folder / "cpu.max")) != UNKNOWN:
            return limit
        if folder == hierarchy:
            break
    quota, period = (_read(hierarchy / f"cpu/cpu.cfs_{part}_us") for part in ("quota", "period"))
    if UNKNOWN in (quota, period):
        return UNKNOWN
    return f"{'max' if quota == '-1' else quota} {period}"


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
