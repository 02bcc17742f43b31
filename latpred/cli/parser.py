"""Parts that the commands' argument parsers share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from jsonargparse import ArgumentParser

from latpred.errors import UsageError

# What jsonargparse wraps around the reason when it has tried several types for a value.
_WRAPPING = (
    "Does not validate against any",
    "Subtypes:",
    "Errors:",
    "Expected a <class 'NoneType'>",
    "Expected a path but",
    "Given value",
)
_DENIED = re.compile(r"(Importing ('\S+') is not allowed), denied by .*?set_parsing_settings to allow it\.?")


class OneLineErrors(ArgumentParser):
    """A parser that raises a mistake in the arguments as one line, instead of printing its usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise `message` as a `UsageError`, or as jsonargparse does where it only tries."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        name = parser.prog.replace(" [options]", "")
        raise UsageError(name, gist(message), f"`{name} --help` lists the arguments") from ex


def gist(message: str) -> str:
    """Return the reason in a message of jsonargparse, in one line."""
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    reason = " ".join(line for line in lines if line and not line.startswith(_WRAPPING))
    return _DENIED.sub(
        r"\1: \2 is not of latpred, lightning, torch or an installed predictor's package", reason
    ).rstrip(".")


def command_parser(command: str, function: Callable[[list[str]], int]) -> ArgumentParser:
    """Return a parser whose description is the command's docstring."""
    return OneLineErrors(prog=f"latpred {command}", description=function.__doc__)


def seconds(text: str, option: str) -> float:
    """Read a duration, `90s`, `10min` or `2h`, in seconds.

    Raises:
        UsageError: If it is none, naming the option.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h)", text.strip())
    if match is None:
        problem = f"expected a duration such as 90s, 10min or 2h, found '{text}'"
        raise UsageError(option, problem, "Give a number and one of these units")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]


def refuse_existing(path: Path, option: str) -> Path:
    """Return `path` if nothing stands there.

    Raises:
        UsageError: If something does; it is left as it is.
    """
    if path.exists():
        raise UsageError(str(path), f"expected a path where nothing stands for {option}, found one", "Choose another")
    return path
