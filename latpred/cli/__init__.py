"""The command line: a table of commands, each a module that is imported on dispatch."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from latpred import __version__
from latpred.errors import LatpredError


class Command(NamedTuple):
    """A command: its name, its help sentence, and the function `module.function(arguments)` that runs it."""

    name: str
    sentence: str
    module: str
    function: str = "run"


# The sentences stand here, so that --help imports nothing; a test compares them with the functions' docstrings.
COMMANDS = (
    Command("genprof", "Write the networks to be profiled for a search space.", "genprof"),
    Command("import awnas-config", "Write a search space from the reference's files.", "import_", "awnas_config"),
    Command("import awnas", "Import folders of parsed runs as the reference system writes them.", "import_", "awnas"),
    Command("import csv", "Import a CSV of measured networks of one device.", "import_", "csv"),
    Command("import help", "Import HELP's latencies of NAS-Bench-201, FBNet and once-for-all.", "import_", "help_"),
    Command(
        "import hw-nas-bench",
        "Import HW-NAS-Bench: NAS-Bench-201's networks, and sums of its blocks of FBNet.",
        "import_",
        "hw_nas_bench",
    ),
    Command(
        "import latbench", "Import LatBench's pickles of NAS-Bench-201, one for each device.", "import_", "latbench"
    ),
    Command("import nn-meter", "Import nn-Meter's latencies of NAS-Bench-201.", "import_", "nn_meter"),
    Command("sample", "Draw architectures of a search space, as JSON.", "sample"),
    Command("select", "Choose the networks that tell most about a new device, to be measured.", "select"),
    Command("doctor", "Tell whether this is a good moment to measure on this machine.", "doctor"),
    Command("profile", "Measure networks on this machine, into a dataset.", "profile"),
    Command("compile", "Write the networks of a PROF_DIR as a device's tools take them.", "compile"),
    Command("parse", "Read what the tools of a device have written, into a dataset.", "parse"),
    Command("dataset info", "Show what a dataset holds.", "dataset", "info"),
    Command("dataset history", "List the versions of a dataset.", "dataset", "history"),
    Command("dataset validate", "Check every row of a dataset.", "dataset", "validate"),
    Command("dataset report", "Tell how noisy a dataset is, and how well its blocks add up.", "dataset", "report"),
    Command(
        "dataset export",
        "Write a dataset as one parquet file, or as aw_nas has it.",
        "dataset",
        "export",
    ),
    Command("fit", "Train a predictor on a dataset.", "fit", "fit"),
    Command("auto", "Fit all predictors of a list, and keep the best or their ensemble.", "auto"),
    Command("transfer", "Predict for a new device from a few measurements and from other devices.", "transfer"),
    Command("validate", "Score a predictor on the validation networks.", "fit", "validate"),
    Command("test", "Score a predictor on the held-out test networks.", "fit", "test"),
    Command("compare", "Score predictors side by side on the same held-out networks.", "compare"),
    Command("configs", "List the shipped configurations, or copy one.", "configs"),
    Command("genmodel", "Train a predictor and export it, in one step.", "genmodel"),
    Command("export", "Write a trained predictor as TorchScript, .pt2 or ONNX.", "export"),
    Command("models", "List the predictors that come with latpred.", "models"),
    Command("predict", "Answer for architectures with an exported predictor.", "predict"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 for a failure, 2 for a mistake in the arguments."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(help_text())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"latpred {__version__}")
        return 0
    command, rest = _find(words)
    if command is None:
        return _complain(f"unknown command '{' '.join(words[:2])}'. `latpred --help` lists the commands.", 2)
    try:
        function: Callable[[list[str]], int] = getattr(
            importlib.import_module(f"latpred.cli.{command.module}"), command.function
        )
        code = function(rest)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _complain("stopped", 130)
    except BrokenPipeError:  # whoever read along has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 141
    except Exception as error:
        if debug:
            raise
        if isinstance(error, LatpredError):
            return _complain(str(error), error.exit_code)
        if isinstance(error, OSError):
            return _complain(
                f"{error.filename or 'system'}: {error.strerror or error}. Check the path and the disk.", 1
            )
        reason = " ".join(str(error).split())
        return _complain(f"{type(error).__name__}: {reason}. Run it again with --debug for the traceback.", 1)


def _find(words: Sequence[str]) -> tuple[Command | None, list[str]]:
    """Return the command that the first one or two words name, and the words behind."""
    for command in COMMANDS:
        count = len(command.name.split())
        if " ".join(words[:count]) == command.name:
            return command, list(words[count:])
    return None, []


def _complain(message: str, code: int) -> int:
    print(f"latpred: error: {message}", file=sys.stderr)
    return code


def help_text() -> str:
    """Return what `latpred --help` prints: every command in one line."""
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"  {command.name:<{width}}  {command.sentence}" for command in COMMANDS]
    return "\n".join(
        [
            "usage: latpred COMMAND ... [--debug]",
            "",
            "Learned latency predictors for neural architectures, for the device on your desk.",
            "",
            *lines,
            "",
            "  latpred COMMAND --help  tells a command's arguments; latpred --version the version.",
        ]
    )
