"""The doctor: whether this is a good moment to measure on this machine, and what would make it a better one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from latpred.errors import LatpredError
from latpred.profiling import findings as machine
from latpred.profiling.config import DeviceConfig
from latpred.profiling.energy import EnergyMeter, NotMeasurable
from latpred.profiling.findings import Finding, Severity, grade, percent, worst
from latpred.profiling.lock import Holder
from latpred.profiling.probe import Probe

_PRESSURES = (("cpu", 10, 30), ("memory", 1, 10), ("io", 20, 101))
"""Kind, and from which percentage on it is a warning, and bad."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, in the order of a table."""

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Literal["good", "fair", "poor"]:
        """Poor with anything bad, fair with a warning, else good."""
        severities = {finding.severity for finding in self.findings}
        return "poor" if "bad" in severities else "fair" if "warn" in severities else "good"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"verdict": self.verdict, "findings": [finding._asdict() for finding in self.findings]}


def diagnose(
    environment: Mapping[str, Any],
    probe: Probe | None,
    holder: Holder | None,
    *,
    threads: int = 1,
    own_load: float = 0.0,
    meter: EnergyMeter | NotMeasurable | None = None,
) -> Diagnosis:
    """Judge a machine by what it tells and by how steadily it repeats a fixed piece of work.

    From where on a figure is a warning, and from where on it is bad:

    | figure | warn | bad |
    |---|---|---|
    | interquartile range / median of the probe | 5 % | 10 % |
    | 90th percentile / median of the probe | 1.10 | 1.25 |
    | repeats of the probe that were preempted | 5 % | 20 % |
    | CPU time the probe lacks to its wall time | 5 % | 15 % |
    | other programs, in CPUs | 10 % of the CPUs | more than the threads leave free |
    | other programs on a hyperthread of the same core | 10 % | 50 % |
    | pressure in the last 10 s: CPU, memory, io | 10 %, 1 %, 20 % | 30 %, 10 %, never |
    | time the hypervisor gave to others | 1 % | 5 % |

    Bad without a figure: another session measures, too few CPUs for the threads. A warning: no pin, a governor that
    changes the clock, swap in use while memory is short.

    Args:
        environment: From `describe_environment`; of a session's record, too.
        probe: None where there was none; its figures are then not judged.
        holder: Of the processor's lock: the session that measures now.
        threads: That a session would use.
        own_load: What this process adds to the load average.
        meter: Of the processor's energy; None leaves it out.
    """
    findings = [machine.of_session(holder), *machine.of_cpus(environment, threads)]
    if probe is not None:
        findings += [_steadiness(probe), _preemption(probe), _pin(probe), machine.of_siblings(environment, probe)]
    findings.append(machine.of_load(environment, probe, threads, own_load))
    findings += [machine.of_pressure(environment, *limits) for limits in _PRESSURES]
    findings += [machine.of_swap(environment), *machine.of_clock(environment)]
    findings.append(machine.of_virtualisation(environment, probe))
    if meter is not None:
        findings.append(machine.of_energy(meter))
    return Diagnosis(tuple(findings))


def check_device(config: DeviceConfig) -> Finding:
    """Tell whether the runtime of a device is installed and runs as the device asks, precision included."""
    name = config.device.runtime
    try:
        with config.make_runtime() as runtime:
            return Finding("device", "good", str(runtime.device))
    except LatpredError as error:
        return Finding("device", "bad", f"{error.where}: {error.problem}", error.remedy)
    except (ImportError, OSError, RuntimeError) as error:  # a library that is there, but does not load
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding("device", "bad", f"{name} does not start: {reason}", f"Install {name} again")


def probe_to_dict(probe: Probe) -> dict[str, Any]:
    """Return the JSON form of a probe."""
    return asdict(probe) | {"busy_share": {str(cpu): share for cpu, share in probe.busy_share.items()}}


def _steadiness(probe: Probe) -> Finding:
    found = (
        f"{probe.repeats} repeats of {probe.median_ms:.2f} ms: interquartile range {percent(probe.iqr_share)}, "
        f"90th percentile {probe.p90_ratio:.2f} x the median"
    )
    severity = worst(grade(probe.iqr_share, 0.05, 0.10), grade(probe.p90_ratio, 1.10, 1.25))
    return Finding("steadiness", severity, found, "" if severity == "good" else "Stop other programs, or wait")


def _preemption(probe: Probe) -> Finding:
    told: list[tuple[str, Severity]] = []
    if probe.preempted_share is not None:
        text = f"{probe.switches} involuntary switches, in {percent(probe.preempted_share)} of the repeats"
        told.append((text, grade(probe.preempted_share, 0.05, 0.20)))
    if probe.cpu_share is not None:
        lacking = max(1 - probe.cpu_share, 0.0)
        told.append((f"CPU / wall time {probe.cpu_share:.3f}", grade(lacking, 0.05, 0.15)))
    if not told:
        return Finding("preemption", "note", "unknown: this system has no counters per thread")
    severity = worst(*(grade for _, grade in told))
    found = "; ".join(text for text, _ in told)
    return Finding("preemption", severity, found, "" if severity == "good" else "Others take the CPU: stop them")


def _pin(probe: Probe) -> Finding:
    if probe.pin_problem is not None:
        advice = "Measure where a thread may be pinned; else, with little other load"
        return Finding("pinning", "warn", f"not possible: {probe.pin_problem}", advice)
    return Finding("pinning", "good", f"a session runs on CPU {', '.join(map(str, probe.cpus))}")
