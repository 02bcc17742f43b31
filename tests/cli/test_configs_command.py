"""`latpred configs` lists and copies the shipped configurations."""

import pytest
from cli_paths import ROOT

from latpred.cli import main

SHIPPED = sorted(str(path.relative_to(ROOT / "configs").with_suffix("")) for path in ROOT.glob("configs/*/*.yaml"))


def error_of(capsys, command: list[str]) -> str:
    capsys.readouterr()
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("latpred: error: ")


def test_every_file_is_listed(capsys):
    assert main(["configs"]) == 0
    assert capsys.readouterr().out.splitlines() == SHIPPED
    assert {name.split("/")[0] for name in SHIPPED} == {"devices", "hardware", "runs", "search", "spaces"}


@pytest.mark.parametrize("name", [*SHIPPED, "runs/table.yaml"])
def test_a_copy_is_the_same_byte_for_byte(capsys, tmp_path, name):
    assert main(["configs", name, "--out", f"{tmp_path}/new/mine.yaml"]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}/new/mine.yaml\n"
    original = ROOT / "configs" / f"{name.removesuffix('.yaml')}.yaml"
    assert (tmp_path / "new/mine.yaml").read_bytes() == original.read_bytes()


@pytest.mark.parametrize("name", ["runs/tabel", "run/table", "table", "runs", "runs/", "../configs/runs/table", ""])
def test_an_unknown_name_is_refused_with_those_there_are(capsys, tmp_path, name):
    message = error_of(capsys, ["configs", name, "--out", f"{tmp_path}/x.yaml"])
    assert f"latpred configs: unknown name '{name}', expected one of {', '.join(SHIPPED)}" in message
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_left_as_it_is(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("mine")
    message = error_of(capsys, ["configs", "runs/table", "--out", f"{tmp_path}/mine.yaml"])
    assert f"{tmp_path}/mine.yaml: expected a path where nothing stands, found one" in message
    assert (tmp_path / "mine.yaml").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["runs/table"], ["--out", "x.yaml"]])
def test_name_and_out_belong_together(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert "expected both NAME and --out, or neither" in error_of(capsys, ["configs", *arguments])
    assert not list(tmp_path.iterdir())
