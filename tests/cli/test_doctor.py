"""`latpred doctor`."""

import json
import os
import tempfile

import pytest
from cli_paths import DEVICE

from latpred.cli import doctor, main
from latpred.profiling.lock import measuring_alone
from latpred.profiling.probe import Probe

STEADY = Probe(1000, 0.5, 0.01, 1.02, 0.999, 0, 0.0, (0,), None, 0.0, {0: 1.0}, 0.0)


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch, tmp_path):
    """A probe that nothing disturbed, and no other load: what this machine does meanwhile must not decide."""
    asked = []
    environment = doctor.describe_environment() | {"load_average": [0.0, 0.0, 0.0]}
    environment |= {"pressure_percent": "unknown", "governor": "unknown", "memory_kb": "unknown"}
    monkeypatch.setattr(doctor, "describe_environment", lambda: dict(environment))
    monkeypatch.setattr(doctor, "probe", lambda cpus: asked.append(sorted(cpus)) or STEADY)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return asked


def device_yaml(path, **device):
    path.write_text(json.dumps({"device": device}))
    return str(path)


def test_the_table_and_the_verdict_of_a_good_moment(capsys, quiet_machine):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    lines = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    assert "good" in lines["steadiness"]
    assert (
        "1000 repeats of 0.50 ms: interquartile range 1.0 %, 90th percentile 1.02 x the median" in lines["steadiness"]
    )
    assert "unknown: no /proc/pressure/cpu" in lines["CPU pressure"]
    assert {"other sessions", "CPUs", "energy"} <= lines.keys()
    assert "device" not in lines
    assert out.splitlines()[-1] == "verdict: good: measure now"
    assert [len(cpus) for cpus in quiet_machine] == [1]


def test_a_fair_moment_is_no_failure(capsys, monkeypatch):
    environment = doctor.describe_environment() | {"governor": {"0": "powersave"}}
    monkeypatch.setattr(doctor, "describe_environment", lambda: environment)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "sudo cpupower frequency-set --governor performance" in out
    assert out.splitlines()[-1].startswith("verdict: fair: ")


def test_while_another_session_measures_it_is_a_poor_moment(capsys):
    with measuring_alone("cpu", False, "latpred [profile] runs/a"):
        assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"process {os.getpid()} (latpred [profile] runs/a) since 20" in out
    assert "Wait for it, or stop it" in out
    assert out.splitlines()[-1].startswith("verdict: poor: ")


def test_a_device_is_tried(capsys):
    assert main(["doctor", "--device", DEVICE]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ device")]
    assert "good" in line
    assert ", float32, 1 thread, batch 1, nchw" in line


def test_more_threads_than_cpus_are_a_poor_moment(capsys, tmp_path):
    count = len(doctor.usable_cpus())
    path = device_yaml(tmp_path / "device.yaml", threads=count + 1)
    assert main(["doctor", "--device", path]) == 1
    assert f"{count} usable, {count + 1} asked for" in capsys.readouterr().out


def test_json_to_a_file_beside_the_table(capsys, tmp_path):
    assert main(["doctor", "--json", f"{tmp_path}/new/doctor.json"]) == 0
    assert "verdict: good" in capsys.readouterr().out
    record = json.loads((tmp_path / "new/doctor.json").read_text())
    assert record["verdict"] == "good"
    assert record["probe"]["iqr_share"] == 0.01
    assert record["environment"] == doctor.describe_environment()
    assert {"subject": "governor", "severity": "note"}.items() <= next(
        finding.items() for finding in record["findings"] if finding["subject"] == "governor"
    )


def test_json_alone_on_the_terminal(capsys):
    assert main(["doctor", "--json", "-", "--device", DEVICE]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["findings"][0]["subject"] == "device"


def test_bad_input_is_one_line(capsys, tmp_path, quiet_machine):
    (tmp_path / "there.json").write_text("mine")
    for arguments, expected in (
        (["--json", f"{tmp_path}/there.json"], "expected a path where nothing stands for --json, found one"),
        (["--device", f"{tmp_path}/no.yaml"], "no.yaml: expected a YAML file, found nothing there"),
        (["--device", device_yaml(tmp_path / "d.yaml", threads=0)], "threads must be an integer >= 1, got 0"),
        (["now"], "latpred doctor"),
    ):
        assert main(["doctor", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line
    assert quiet_machine == []  # and nothing was measured before
    assert (tmp_path / "there.json").read_text() == "mine"


def test_the_real_machine(capsys, monkeypatch):
    monkeypatch.undo()
    assert main(["doctor", "--json", "-"]) in (0, 1)
    record = json.loads(capsys.readouterr().out)
    assert record["probe"]["repeats"] > 10
    assert (record["verdict"] == "poor") == any(finding["severity"] == "bad" for finding in record["findings"])
