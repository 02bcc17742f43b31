"""What the doctor finds in the record of a machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from latpred.profiling.energy import EnergyMeter, NotMeasurable
from latpred.profiling.environment import UNKNOWN, cgroup_cpus
from latpred.profiling.lock import Holder
from latpred.profiling.probe import Probe

Severity = Literal["good", "note", "warn", "bad"]
"""From best to worst; a `note` is a fact, or something this machine does not tell, and does not count."""

_SUBJECTS = {"cpu": "CPU pressure", "memory": "memory pressure", "io": "io pressure"}


class Finding(NamedTuple):
    """One thing that was looked at."""

    subject: str
    severity: Severity
    found: str
    advice: str = ""
    """What to do, a sentence; empty where there is nothing."""


def grade(value: float, warn: float, bad: float) -> Severity:
    """Return what a figure is worth of which less is better."""
    return "good" if value < warn else "warn" if value < bad else "bad"


def worst(*severities: Severity) -> Severity:
    """Return the worst of some."""
    return max(severities, key=get_args(Severity).index)


def percent(share: float) -> str:
    """Return a share as people read it."""
    return f"{100 * share:.1f} %"


def of_session(holder: Holder | None) -> Finding:
    """Tell whether another session holds the processor's lock."""
    if holder is None:
        return Finding("other sessions", "good", "no other latpred session measures here")
    return Finding("other sessions", "bad", f"{holder} measures now", "Wait for it, or stop it")


def of_cpus(environment: Mapping[str, Any], threads: int) -> Iterator[Finding]:
    """Look at the CPUs that this process may use, and at how much of their time."""
    usable, limit, asked = len(environment["affinity"]), cgroup_cpus(environment), f"{threads} asked for"
    enough = usable >= threads
    advice = "" if enough else "Ask for fewer threads, or give the process more CPUs"
    yield Finding("CPUs", "good" if enough else "bad", f"{usable} usable, {asked}", advice)
    if limit is None:
        yield Finding("CPU limit", "note", "unknown: no control group tells it here")
    elif limit == float("inf"):
        yield Finding("CPU limit", "good", "none by the control group")
    elif limit < threads:
        advice = "The process would be stopped in every period: raise the container's CPU limit"
        yield Finding("CPU limit", "bad", f"{limit:g} CPUs by the control group, {asked}", advice)
    else:
        yield Finding("CPU limit", "good", f"{limit:g} CPUs by the control group, {asked}")


def of_siblings(environment: Mapping[str, Any], probe: Probe) -> Finding:
    """Look at the hyperthreads that share a core with the CPUs of the probe."""
    lists = environment.get("smt_siblings", UNKNOWN)
    if not isinstance(lists, Mapping) or not probe.cpus or not probe.busy_share:
        return Finding("hyperthreads", "note", "unknown: which CPUs share a core, or how busy they are")
    shared = {other for cpu in probe.cpus for other in _expand(lists.get(str(cpu), ""))} - set(probe.cpus)
    if not shared:
        return Finding("hyperthreads", "good", "none shares the core")
    busiest = max(sorted(shared), key=lambda cpu: probe.busy_share.get(cpu, 0.0))
    busy = probe.busy_share.get(busiest, 0.0)
    severity = grade(busy, 0.10, 0.50)
    advice = "" if severity == "good" else f"Keep other programs off CPU {busiest}, or switch hyperthreading off"
    return Finding("hyperthreads", severity, f"CPU {busiest} on the same core is busy {percent(busy)}", advice)


def _expand(cpus: str) -> list[int]:
    """Return the numbers in a list of the kernel's, such as `0-2,8`."""
    spans = re.findall(r"(\d+)(?:-(\d+))?", cpus)
    return [cpu for first, last in spans for cpu in range(int(first), int(last or first) + 1)]


def of_load(environment: Mapping[str, Any], probe: Probe | None, threads: int, own_load: float) -> Finding:
    """Look at what other programs take of all CPUs, in the last minute and while the probe ran."""
    others = dict[str, float]()
    if isinstance(averages := environment.get("load_average", UNKNOWN), Sequence) and not isinstance(averages, str):
        others["in the last minute"] = max(averages[0] - own_load, 0.0)
    if probe is not None and probe.others_cpus is not None:
        others["during the probe"] = probe.others_cpus
    if not others:
        return Finding("other load", "note", "unknown: this system does not tell it")
    cores = environment["cores"] if isinstance(environment["cores"], int) else len(environment["affinity"])
    most = max(others.values())
    found = ", ".join(f"{value:.2f} CPUs {when}" for when, value in others.items()) + f", of {cores}"
    severity: Severity = "good" if most < 0.1 * cores else "bad" if most + threads > cores else "warn"
    return Finding("other load", severity, found, "" if severity == "good" else "Stop other programs, or wait")


def of_pressure(environment: Mapping[str, Any], kind: str, warn: float, bad: float) -> Finding:
    """Look at the time that programs waited for CPU, memory or io; limits in percent."""
    subject, waited = _SUBJECTS[kind], _some_avg10(environment, kind)
    if waited is None:
        return Finding(subject, "note", f"unknown: no /proc/pressure/{kind} (Linux has it with CONFIG_PSI)")
    severity = grade(waited, warn, bad)
    advice = "" if severity == "good" else "Programs wait in line: stop some, or wait"
    return Finding(subject, severity, f"{waited:g} % of the last 10 s", advice)


def _some_avg10(environment: Mapping[str, Any], kind: str) -> float | None:
    """Return the share of the last 10 s, percent, that some program waited; None where the record has none."""
    told = environment.get("pressure_percent", UNKNOWN)
    shares = told.get(kind, UNKNOWN) if isinstance(told, Mapping) else UNKNOWN
    return shares.get("some_avg10") if isinstance(shares, Mapping) else None


def of_swap(environment: Mapping[str, Any]) -> Finding:
    """Look at swap: pages that lie there do no harm until memory gets short."""
    memory, pressure = environment.get("memory_kb", UNKNOWN), _some_avg10(environment, "memory")
    if not isinstance(memory, Mapping):
        return Finding("swap", "note", "unknown: this system does not tell it")
    used = f"{memory['swap_used'] / 1024:.0f} MiB in use"
    if memory["swap_used"] == 0:
        return Finding("swap", "good", "none in use")
    if pressure is not None and pressure < 1:
        return Finding("swap", "good", f"{used}, and nothing waits for memory")
    return Finding("swap", "warn", used, "Stop programs that need much memory, then switch swap off and on again")


def of_clock(environment: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at what changes the clock's frequency."""
    governors = environment.get("governor", UNKNOWN)
    if not isinstance(governors, Mapping):
        yield Finding("governor", "note", "unknown: no cpufreq here (a virtual machine, or no Linux)")
    elif slow := sorted({text for text in governors.values() if text not in ("performance", UNKNOWN)}):
        advice = "sudo cpupower frequency-set --governor performance"
        yield Finding("governor", "warn", f"{', '.join(slow)}: the clock follows the load", advice)
    else:
        yield Finding("governor", "good", "performance")
    turbo = environment.get("turbo", UNKNOWN)
    advice = "Leave it where the device is deployed with it; off, latencies are steadier" if turbo == "on" else ""
    yield Finding("turbo", "good" if turbo == "off" else "note", str(turbo), advice)


def of_virtualisation(environment: Mapping[str, Any], probe: Probe | None) -> Finding:
    """Look at the host's other machines, as far as they show."""
    kind = environment.get("virtualisation", UNKNOWN)
    if kind == "none seen" or probe is None or probe.steal_share is None:
        return Finding("virtualisation", "note", str(kind))
    severity = grade(probe.steal_share, 0.01, 0.05)
    found = f"{kind}, {percent(probe.steal_share)} of the CPU time given to others"
    if severity == "good":  # not every hypervisor tells
        return Finding("virtualisation", "note", f"{found}; other neighbours show in the steadiness only")
    return Finding("virtualisation", severity, found, "Measure on a machine, or a virtual CPU, of your own")


def of_energy(meter: EnergyMeter | NotMeasurable) -> Finding:
    """Tell whether energy can be measured."""
    if isinstance(meter, NotMeasurable):
        return Finding("energy", "note", f"not measurable here: {meter.reason}")
    return Finding("energy", "good", f"{meter.name}, one value in {meter.resolution_s:g} s")
