"""The configurations that come with latpred are found by name."""

from __future__ import annotations

import pytest

from latpred import shipped
from latpred.config import read_yaml
from latpred.errors import ConfigError
from latpred.shipped import shipped_config, shipped_names


def test_the_reference_configurations_are_there():
    assert "mnasnet_ofa_112" in shipped_names("spaces")
    assert "cpu_torch" in shipped_names("devices")
    assert "table" in shipped_names("runs")
    assert shipped_names("spaces") == sorted(shipped_names("spaces"))
    assert read_yaml(shipped_config("spaces", "mnasnet_ofa_112"))["space"] == "mnasnet_ofa"


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"configs/devices: unknown name 'tpu', expected one of .*cpu_torch"):
        shipped_config("devices", "tpu")


def test_the_wheels_own_folder_comes_first(tmp_path, monkeypatch):
    package = tmp_path / "latpred"
    (package / "configs" / "runs").mkdir(parents=True)
    (package / "configs" / "runs" / "mine.yaml").write_text("a: 1\n")
    monkeypatch.setattr(shipped, "__file__", str(package / "shipped.py"))
    assert shipped_names("runs") == ["mine"]
    assert shipped_config("runs", "mine") == package / "configs" / "runs" / "mine.yaml"
