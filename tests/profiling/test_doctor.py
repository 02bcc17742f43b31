"""Each finding, from made-up machines; the limits are those of the table in `diagnose`."""

import copy
from types import SimpleNamespace

import pytest
import torch

from latpred.errors import ProfilingError
from latpred.profiling.config import DeviceConfig, RequestedDevice
from latpred.profiling.doctor import Diagnosis, check_device, diagnose, probe_to_dict
from latpred.profiling.energy import NotMeasurable
from latpred.profiling.environment import describe_environment
from latpred.profiling.findings import Finding
from latpred.profiling.lock import Holder
from latpred.profiling.probe import Probe
from latpred.profiling.runtimes import RUNTIMES

PRESSURE = {"some_avg10": 0.5, "some_avg60": 0.0}


def machine(**changes):
    """A quiet machine of 8 CPUs that tells everything, and what is else with it."""
    quiet = {
        "affinity": list(range(8)),
        "cores": 8,
        "cgroup_cpu": "max 100000",
        "load_average": [0.2, 5.0, 5.0],
        "pressure_percent": dict.fromkeys(("cpu", "memory", "io"), PRESSURE),
        "memory_kb": {"total": 1000, "available": 500, "swap_used": 0},
        "governor": {"7": "performance", "6": "performance"},
        "turbo": "off",
        "smt_siblings": {"7": "3,7", "6": "2,6"},
        "virtualisation": "none seen",
    }
    return quiet | changes


def steady(**changes):
    """A probe that nothing disturbed, but for what is else."""
    figures = {
        "repeats": 1000,
        "median_ms": 1.25,
        "iqr_share": 0.01,
        "p90_ratio": 1.02,
        "cpu_share": 0.999,
        "switches": 2,
        "preempted_share": 0.002,
        "cpus": (7,),
        "pin_problem": None,
        "others_cpus": 0.1,
        "busy_share": {3: 0.02, 7: 1.0},
        "steal_share": 0.0,
    }
    return Probe(**(figures | changes))


def findings(environment=None, probe=None, holder=None, **arguments):
    found = diagnose(environment or machine(), probe or steady(), holder, **arguments)
    subjects = [finding.subject for finding in found.findings]
    assert len(set(subjects)) == len(subjects)
    return {finding.subject: finding for finding in found.findings}


def test_a_quiet_machine_is_a_good_one():
    found = diagnose(machine(), steady(), None, meter=SimpleNamespace(name="RAPL package-0", resolution_s=0.001))
    assert {finding.subject: finding.severity for finding in found.findings} == {
        "other sessions": "good",
        "CPUs": "good",
        "CPU limit": "good",
        "steadiness": "good",
        "preemption": "good",
        "pinning": "good",
        "hyperthreads": "good",
        "other load": "good",
        "CPU pressure": "good",
        "memory pressure": "good",
        "io pressure": "good",
        "swap": "good",
        "governor": "good",
        "turbo": "good",
        "virtualisation": "note",
        "energy": "good",
    }
    assert found.verdict == "good"
    assert not any(finding.advice for finding in found.findings)


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        ([], "good"),
        (["good", "note"], "good"),
        (["good", "warn", "note"], "fair"),
        (["warn", "bad", "good"], "poor"),
    ],
)
def test_the_worst_finding_gives_the_verdict(severities, verdict):
    found = Diagnosis(tuple(Finding("x", severity, "y") for severity in severities))
    assert found.verdict == verdict
    assert found.to_dict() == {
        "verdict": verdict,
        "findings": [{"subject": "x", "severity": s, "found": "y", "advice": ""} for s in severities],
    }


def test_another_session_is_bad_and_named():
    found = findings(holder=Holder(7, "latpred profile runs/a", "2026-01-01T00:00:00+00:00"))["other sessions"]
    assert found.severity == "bad"
    assert found.found == "process 7 (latpred profile runs/a) since 2026-01-01T00:00:00+00:00 measures now"


STEADINESS = "1000 repeats of 1.25 ms: interquartile range {} %, 90th percentile {} x the median"


@pytest.mark.parametrize(
    ("changes", "subject", "severity", "found"),
    [
        ({"iqr_share": 0.0499}, "steadiness", "good", STEADINESS.format("5.0", "1.02")),
        ({"iqr_share": 0.05}, "steadiness", "warn", STEADINESS.format("5.0", "1.02")),
        ({"iqr_share": 0.1}, "steadiness", "bad", STEADINESS.format("10.0", "1.02")),
        ({"p90_ratio": 1.1}, "steadiness", "warn", STEADINESS.format("1.0", "1.10")),
        ({"p90_ratio": 1.25, "iqr_share": 0.05}, "steadiness", "bad", STEADINESS.format("5.0", "1.25")),
        ({"preempted_share": 0.05}, "preemption", "warn", "in 5.0 % of the repeats; CPU / wall time 0.999"),
        ({"preempted_share": 0.2, "switches": 250}, "preemption", "bad", "250 involuntary switches, in 20.0 % of"),
        ({"cpu_share": 0.951}, "preemption", "good", "CPU / wall time 0.951"),
        ({"cpu_share": 0.94}, "preemption", "warn", "CPU / wall time 0.940"),
        ({"cpu_share": 0.84}, "preemption", "bad", "CPU / wall time 0.840"),
        ({"cpu_share": 1.01}, "preemption", "good", "CPU / wall time 1.010"),
        ({"preempted_share": None, "switches": None}, "preemption", "good", "CPU / wall time 0.999"),
        ({"preempted_share": None, "switches": None, "cpu_share": None}, "preemption", "note", "unknown: this system"),
        ({"pin_problem": "no right", "cpus": ()}, "pinning", "warn", "not possible: no right"),
        ({"cpus": (6, 7)}, "pinning", "good", "a session runs on CPU 6, 7"),
        ({"busy_share": {3: 0.1, 7: 1.0}}, "hyperthreads", "warn", "CPU 3 on the same core is busy 10.0 %"),
        ({"busy_share": {3: 0.5, 7: 1.0}}, "hyperthreads", "bad", "CPU 3 on the same core is busy 50.0 %"),
        ({"cpus": (6, 7), "busy_share": {2: 0.2, 3: 0.1}}, "hyperthreads", "warn", "CPU 2 on the same core"),
        ({"cpus": (3, 7)}, "hyperthreads", "good", "none shares the core"),
        ({"cpus": (), "pin_problem": "x"}, "hyperthreads", "note", "unknown: which CPUs share a core"),
        ({"busy_share": {}}, "hyperthreads", "note", "unknown: which CPUs share a core"),
        ({"others_cpus": 0.79}, "other load", "good", "0.20 CPUs in the last minute, 0.79 CPUs during the probe, of 8"),
        ({"others_cpus": 0.8}, "other load", "warn", "0.80 CPUs during the probe, of 8"),
        ({"others_cpus": 7.1}, "other load", "bad", "7.10 CPUs during the probe, of 8"),
        ({"others_cpus": None}, "other load", "good", "0.20 CPUs in the last minute, of 8"),
    ],
)
def test_what_the_probe_tells(changes, subject, severity, found):
    finding = findings(probe=steady(**changes))[subject]
    assert finding.severity == severity
    assert found in finding.found
    assert bool(finding.advice) == (severity in ("warn", "bad"))


def pressed(kind, percent):
    return {"pressure_percent": machine()["pressure_percent"] | {kind: {"some_avg10": percent}}}


@pytest.mark.parametrize(
    ("changes", "subject", "severity", "found"),
    [
        ({"affinity": [0]}, "CPUs", "bad", "1 usable, 2 asked for"),
        ({"affinity": [0, 1]}, "CPUs", "good", "2 usable, 2 asked for"),
        ({"cgroup_cpu": "150000 100000"}, "CPU limit", "bad", "1.5 CPUs by the control group, 2 asked for"),
        ({"cgroup_cpu": "200000 100000"}, "CPU limit", "good", "2 CPUs by the control group, 2 asked for"),
        ({"cgroup_cpu": "unknown"}, "CPU limit", "note", "unknown: no control group"),
        ({}, "CPU limit", "good", "none by the control group"),
        ({"load_average": [1.05, 0, 0]}, "other load", "good", "0.75 CPUs in the last minute"),  # 0.3 of it is ours
        ({"load_average": [1.15, 0, 0]}, "other load", "warn", "0.85 CPUs in the last minute"),
        ({"load_average": [6.31, 0, 0]}, "other load", "bad", "6.01 CPUs in the last minute"),  # and 2 threads of 8
        ({"load_average": [0.1, 0, 0]}, "other load", "good", "0.00 CPUs in the last minute"),
        ({"load_average": "unknown"}, "other load", "good", "0.10 CPUs during the probe, of 8"),
        ({"cores": "unknown", "affinity": [0, 1]}, "other load", "good", "of 2"),
        (pressed("cpu", 9.9), "CPU pressure", "good", "9.9 % of the last 10 s"),
        (pressed("cpu", 10), "CPU pressure", "warn", "10 %"),
        (pressed("cpu", 30), "CPU pressure", "bad", "30 %"),
        (pressed("memory", 1), "memory pressure", "warn", "1 %"),
        (pressed("memory", 10), "memory pressure", "bad", "10 %"),
        (pressed("io", 20), "io pressure", "warn", "20 %"),
        (pressed("io", 100), "io pressure", "warn", "100 %"),
        ({"pressure_percent": "unknown"}, "io pressure", "note", "unknown: no /proc/pressure/io"),
        ({"pressure_percent": {"cpu": "unknown"}}, "CPU pressure", "note", "unknown: no /proc/pressure/cpu"),
        ({"memory_kb": {"swap_used": 5 * 1024}}, "swap", "good", "5 MiB in use, and nothing waits for memory"),
        ({"memory_kb": {"swap_used": 5 * 1024}} | pressed("memory", 1), "swap", "warn", "5 MiB in use"),
        ({"memory_kb": {"swap_used": 5 * 1024}, "pressure_percent": "unknown"}, "swap", "warn", "5 MiB in use"),
        ({"memory_kb": "unknown"}, "swap", "note", "unknown"),
        ({"governor": "unknown"}, "governor", "note", "unknown: no cpufreq here"),
        ({"governor": {"6": "performance", "7": "powersave"}}, "governor", "warn", "powersave: the clock follows"),
        ({"governor": {"6": "performance", "7": "unknown"}}, "governor", "good", "performance"),
        ({"turbo": "on"}, "turbo", "note", "on"),
        ({"turbo": "unknown"}, "turbo", "note", "unknown"),
        ({"smt_siblings": "unknown"}, "hyperthreads", "note", "unknown: which CPUs share a core"),
        ({"smt_siblings": {"7": "2-3,7"}}, "hyperthreads", "good", "CPU 3 on the same core is busy 2.0 %"),
        ({"virtualisation": "unknown"}, "virtualisation", "note", "unknown, 0.0 % of the CPU time given to others"),
    ],
)
def test_what_the_record_tells(changes, subject, severity, found):
    finding = findings(machine(**changes), threads=2, own_load=0.3)[subject]
    assert finding.severity == severity
    assert found in finding.found
    if severity in ("warn", "bad"):
        assert finding.advice


@pytest.mark.parametrize(
    ("steal", "severity", "found"),
    [
        (0.009, "note", "virtual machine, 0.9 % of the CPU time given to others; other neighbours show in"),
        (0.01, "warn", "virtual machine, 1.0 % of the CPU time given to others"),
        (0.05, "bad", "virtual machine, 5.0 % of the CPU time given to others"),
        (None, "note", "virtual machine"),
    ],
)
def test_time_that_the_hypervisor_gave_away(steal, severity, found):
    finding = findings(machine(virtualisation="virtual machine"), steady(steal_share=steal))["virtualisation"]
    assert finding.severity == severity
    assert finding.found.startswith(found)


def test_energy_is_measurable_or_says_why_not():
    meter = SimpleNamespace(name="RAPL package-0", resolution_s=0.001)
    assert findings(meter=meter)["energy"] == ("energy", "good", "RAPL package-0, one value in 0.001 s", "")
    found = findings(meter=NotMeasurable("no counters"))["energy"]
    assert found == ("energy", "note", "not measurable here: no counters", "")
    assert "energy" not in findings()


def test_without_a_probe_the_record_is_judged_alone():
    subjects = {finding.subject for finding in diagnose(machine(), None, None).findings}
    assert subjects & {"steadiness", "preemption", "pinning", "hyperthreads"} == set()
    assert {"other load", "governor", "virtualisation"} <= subjects


def test_an_older_record_is_judged_by_what_it_has():
    old = {"affinity": [0, 1], "cores": 2, "governor": "unknown", "pressure_cpu": "some avg10=1.00"}
    old |= {"cgroup_cpu": "max 100000", "load_average": [1.0, 1.1, 1.8]}
    found = diagnose(old, None, None)
    severities = {finding.subject: finding.severity for finding in found.findings}
    assert severities["other load"] == "warn"
    assert {severities[name] for name in ("CPU pressure", "swap", "turbo", "virtualisation")} == {"note"}


def test_arguments_come_back_unchanged():
    environment, before = machine(), copy.deepcopy(machine())
    diagnose(environment, steady(), None, own_load=0.1)
    assert environment == before


def test_this_machines_record_can_be_judged(tmp_path):
    for root in (tmp_path, None):
        record = describe_environment() if root is None else describe_environment(root)
        assert diagnose(record, None, None).verdict in ("good", "fair", "poor")


def test_a_device_that_runs_is_named():
    found = check_device(DeviceConfig())
    assert (found.subject, found.severity) == ("device", "good")
    assert found.found == str(DeviceConfig().resolve())


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_gpu_that_is_not_there_is_said_so():
    found = check_device(DeviceConfig(device=RequestedDevice(hardware="cuda:1")))
    assert (found.subject, found.severity) == ("device", "bad")
    assert found.found.startswith("device.hardware: expected ")


@pytest.mark.parametrize(
    ("error", "found", "advice"),
    [
        (ProfilingError("runtime", "not installed", "pip install it"), "runtime: not installed", "pip install it"),
        (ImportError("no\nlib.so"), "torch does not start: ImportError: no lib.so", "Install torch again"),
    ],
)
@pytest.mark.parametrize("method", ["require", "__enter__"])
def test_a_device_that_does_not_run_says_why(monkeypatch, method, error, found, advice):
    def fail(*_):
        raise error

    replaced = classmethod(fail) if method == "require" else fail
    runtime = type("Broken", (RUNTIMES["torch"],), {method: replaced})
    monkeypatch.setattr(DeviceConfig, "runtime", runtime)
    assert check_device(DeviceConfig()) == ("device", "bad", found, advice)


def test_a_probe_in_json_has_text_keys():
    found = probe_to_dict(steady())
    assert found["busy_share"] == {"3": 0.02, "7": 1.0}
    assert (found["iqr_share"], found["cpus"]) == (0.01, (7,))
