"""Every command and every line of Python in the README and the docs works, in a fresh folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli_paths import ROOT

from latpred.cli import main

TEXT = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    """The code blocks of one language on all pages, the README's first: what it makes, the others use."""
    return [code for page in PAGES for code in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)]


SMALLER = {
    "--num-sample 120": "--num-sample 60",
    "--rounds 10": "--rounds 3",
    "--rounds 11": "--rounds 4",
    "--until-mape 5%": "--until-mape 20%",
}
"""What the commands are run with in place of what the pages say: fewer measurements, and a goal that fewer reach."""


def smaller(command: str) -> str:
    for said, run in SMALLER.items():
        command = re.sub(rf"{said}(?!\d)", run, command)
    return command


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line and not line.startswith("#")]
INLINE = re.findall(r"`(latpred [^`]+)`", " ".join(page.read_text() for page in PAGES).replace("\n", " "))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """What a clone holds and the README names, in a folder of our own."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("examples", "datasets", "checkpoints", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "configs", folder / "configs")  # an export is put beside a search's YAML
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Put a `latpred` that is this checkout's first on the path."""
    (folder / "bin").mkdir(exist_ok=True)
    script = folder / "bin/latpred"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m latpred "$@"\n')
    script.chmod(0o755)
    paths = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": paths, "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_and_the_python_run(checkout):
    env = environment(checkout)
    for command in COMMANDS:
        if command.startswith("tensorboard"):
            serve(command, checkout, env)
            continue
        done = subprocess.run(
            ["/bin/bash", "-c", smaller(command)], cwd=checkout, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Warning" not in done.stderr, f"{command}\n{done.stderr}"
    shutil.copy(checkout / "table.onnx", checkout / "configs/search/table.onnx")
    for program in blocks("python"):
        done = subprocess.run([sys.executable, "-c", program], cwd=checkout, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{program}\n{done.stderr}"
        assert done.stdout


def serve(command, folder, env):
    """Start TensorBoard, wait until it says that it serves the logs, and stop it."""
    words = [*shlex.split(command), "--port", "0"]
    process = subprocess.Popen(words, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
    try:
        said = ""
        for line in process.stderr:
            said += line
            if "http://" in line:
                return
        pytest.fail(f"{command} ended:\n{said}")
    finally:
        process.kill()
        process.wait()


def test_what_is_made_smaller_is_still_there():
    for said in SMALLER:
        assert any(smaller(command) != command and said in command for command in COMMANDS), said


def test_the_readme_names_all_main_commands():
    named = {" ".join(command.split()[:3]) if " dataset " in command else command.split()[1] for command in COMMANDS}
    for name in ("genprof", "sample", "profile", "fit", "validate", "test", "export", "predict", "genmodel"):
        assert name in named


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    for path in re.findall(r"(?<![\w/.])(?:configs|examples|benchmarks|tests|docs)/[\w/.-]*\w", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("text", sorted(set(INLINE)))
def test_commands_in_the_text_exist_with_their_options(text, capsys):
    words = shlex.split(text.replace("[", "").replace("]", ""))[1:]
    if words[0].startswith("--") or words[0] == "COMMAND":
        return
    count = 2 if words[0] in ("dataset", "import") else 1
    with pytest.raises(SystemExit) as stop:
        main([*words[:count], "--help"])
    assert stop.value.code == 0
    help_text = capsys.readouterr().out
    for option in re.findall(r"(?<!\S)--?[\w.-]+", text):
        assert option in help_text, option


def test_make_targets_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", TEXT)) <= set(targets)
