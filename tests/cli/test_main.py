"""The table of commands: quick help, one line for each mistake."""

import importlib
import subprocess
import sys

import pytest

import latpred
from latpred.cli import COMMANDS, help_text, main


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_sentence_is_the_docstring_and_stands_in_the_help(command):
    function = getattr(importlib.import_module(f"latpred.cli.{command.module}"), command.function)
    assert function.__doc__.splitlines()[0] == command.sentence
    assert f"  {command.name}  " in help_text()
    assert command.sentence in help_text()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_its_arguments(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.name.split(), "--help"])
    assert stop.value.code == 0
    assert "usage: latpred" in capsys.readouterr().out


def test_help_and_version_import_neither_torch_nor_the_rooms():
    program = (
        "import sys, latpred.cli\n"
        "assert latpred.cli.main(['--help']) == 0 and latpred.cli.main(['--version']) == 0\n"
        "heavy = {'torch', 'lightning', 'pandas', 'jsonargparse', 'rich'} & {m.split('.')[0] for m in sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert f"latpred {latpred.__version__}" in done.stdout


def test_no_command_and_an_unknown_one_exit_with_2(capsys):
    assert main([]) == 2
    assert main(["profil"]) == 2
    assert "latpred: error: unknown command 'profil'. `latpred --help` lists" in capsys.readouterr().err
    assert main(["dataset", "inf"]) == 2
    assert "unknown command 'dataset inf'" in capsys.readouterr().err


def test_a_missing_file_is_one_line(capsys, tmp_path):
    assert main(["sample", str(tmp_path / "no.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(latpred.LatpredError):
        main(["sample", str(tmp_path / "no.yaml"), "--debug"])


def test_what_nobody_thought_of_is_one_line_that_says_how_to_see_more(capsys, monkeypatch, tmp_path):
    def fail(path):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("latpred.cli.sample.load_space", fail)
    assert main(["sample", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "latpred: error: RuntimeError: two lines. Run it again with --debug for the traceback.\n"
    )


def test_a_full_disk_is_one_line(capsys, monkeypatch, tmp_path):
    def fail(path):
        raise OSError(28, "No space left on device", "runs/cpu")

    monkeypatch.setattr("latpred.cli.sample.load_space", fail)
    assert main(["sample", str(tmp_path)]) == 1
    message = "latpred: error: runs/cpu: No space left on device. Check the path and the disk.\n"
    assert capsys.readouterr().err == message


@pytest.mark.skipif(sys.platform == "win32", reason="pipes close in another way there")
def test_a_reader_that_goes_away_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "latpred", "configs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
