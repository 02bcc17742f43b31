"""Programs of others: started as lists, without a shell, and missed without a failure."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latpred.hardware.caffe.external import check_command, run_command, shell_line

PLACES = {"name": "net", "prototxt": "net.prototxt"}


def python(code, *arguments):
    return (sys.executable, "-c", code, *arguments)


def test_a_program_gets_its_arguments_filled_in_and_works_in_the_folder(tmp_path):
    code = "import sys; open('got', 'w').write('|'.join(sys.argv[1:]))"
    arguments = ("-p", "{prototxt}", "--out={name}/x", "{'mode': 'debug'}", "; touch evil", "$HOME", "{}")
    assert run_command(python(code, *arguments), PLACES, tmp_path, 60) is None
    got = "-p|net.prototxt|--out=net/x|{'mode': 'debug'}|; touch evil|$HOME|{}"
    assert (tmp_path / "got").read_text() == got
    assert [path.name for path in tmp_path.iterdir()] == ["got"]


def test_what_fails_is_told_with_its_code_and_last_words(tmp_path):
    code = "import sys; print('first'); print('no  DPU\\there\\x1b[0m', file=sys.stderr); print(); sys.exit(3)"
    told = run_command(python(code), PLACES, tmp_path, 60)
    assert told == f"'{sys.executable}' failed with 3: no DPU here[0m"
    assert run_command(python("raise SystemExit(4)"), PLACES, tmp_path, 60).endswith("failed with 4: it said nothing")
    long = run_command(python("print('x' * 9999); raise SystemExit(1)"), PLACES, tmp_path, 60)
    assert long.endswith("failed with 1: " + "x" * 200)


def test_what_is_absent_or_no_program_is_told(tmp_path, monkeypatch):
    assert (
        run_command(("vai_q_nothing", "-v"), {}, tmp_path, 60) == "there is no program 'vai_q_nothing' on this machine"
    )
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    assert run_command((str(broken),), {}, tmp_path, 60) == f"'{broken}' could not be started: Exec format error"


def test_a_path_from_here_is_found_although_the_program_works_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho ran > did\n")
    tool.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert run_command(("./tool",), {}, tmp_path / "work", 60) is None
    assert (tmp_path / "work" / "did").read_text() == "ran\n"


@pytest.mark.slow
def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path):
    script = "sleep 600 & echo $! > draft; mv draft pid; wait"
    assert run_command(("sh", "-c", script), PLACES, tmp_path, 1.5) == "'sh' was stopped after 1.5 s"
    pid = int((tmp_path / "pid").read_text())
    for _ in range(500):  # its new parent takes a moment to bury it
        if not _runs(pid):
            break
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_shell_does_the_same_with_the_line_of_a_script():
    arguments = (
        "-p",
        "{prototxt}",
        "--out={name}/x y",
        "{'mode': 'debug'}",
        "; touch evil",
        "$HOME `id`",
        "",
        "{other}",
    )
    places = {"name": '"$name"', "prototxt": '"$name".prototxt'}
    code = "import sys; print('|'.join(sys.argv[1:]))"
    script = "name='a net'\n" + shell_line(python(code, *arguments), places)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "-p|a net.prototxt|--out=a net/x y|{'mode': 'debug'}|; touch evil|$HOME `id`||{other}\n"
    assert shell_line(("tool", "-n", "net_{name}"), places) == f'tool -n {shlex.quote("net_")}"$name"'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("vai_q -x", "compiler must be a list of a program and its arguments, got 'vai_q -x'"),
        (["vai_q", 3], "compiler must be a list of a program and its arguments, got ['vai_q', 3]"),
        (["  "], "compiler must begin with a program, got '  '"),
        (["vai_q", "{net}"], "compiler may have {name}, {prototxt} in it, got {net}"),
    ],
)
def test_commands_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_command("compiler", arguments, ["name", "prototxt"])


def test_commands_that_can_be_are_not():
    check_command("compiler", [], ["name"])
    check_command("compiler", ["tool", "{name}", "{'mode': 'debug'}", "{}"], ["name"])
