"""Other people's programs that work on a model's files: started without a shell, missed without a failure."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_PLACE = re.compile(r"\{(\w+)\}")
_LAST_BYTES, _LAST_CHARACTERS = 4000, 200


def check_command(name: str, arguments: Sequence[str], places: Sequence[str]) -> None:
    """Refuse a command that cannot be.

    Args:
        name: Of the parameter.
        arguments: The program and its arguments; none if there is no such program.
        places: What may stand in braces.

    Raises:
        ValueError: If an argument is no text or has a place that nothing fills.
    """
    if isinstance(arguments, str) or not all(isinstance(argument, str) for argument in arguments):
        raise ValueError(f"{name} must be a list of a program and its arguments, got {arguments!r}")
    if arguments and not arguments[0].strip():
        raise ValueError(f"{name} must begin with a program, got {arguments[0]!r}")
    for argument in arguments:
        for place in _PLACE.findall(argument):
            if place not in places:
                allowed = ", ".join(f"{{{known}}}" for known in places)
                raise ValueError(f"{name} may have {allowed} in it, got {{{place}}}")


def run_command(arguments: Sequence[str], places: Mapping[str, str], folder: Path, timeout_s: float) -> str | None:
    """Run a program in a folder and wait for it.

    Args:
        arguments: The program and its arguments, with places in braces.
        places: What to put there.
        folder: The program's working directory.
        timeout_s: How long to wait; then the program and all that it started are killed.

    Returns:
        Why there is no result; None if the program says that it went well.
    """
    program = shutil.which(arguments[0])
    if program is None:
        return f"there is no program '{arguments[0]}' on this machine"
    # The program runs elsewhere, so a path that leads to it from here has to lead there from anywhere.
    filled = [str(Path(program).absolute()), *(_filled(argument, places) for argument in arguments[1:])]
    with tempfile.TemporaryFile() as output:  # a pipe would be waited for until the last of its writers has gone
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, as a list
                filled, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            return f"'{arguments[0]}' could not be started: {error.strerror}"
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return f"'{arguments[0]}' was stopped after {timeout_s:g} s"
        finally:
            if process.poll() is None:  # the user's Ctrl-C does not reach a session of its own either
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return None if code == 0 else f"'{arguments[0]}' failed with {code}: {_last_words(output)}"


def shell_line(arguments: Sequence[str], places: Mapping[str, str]) -> str:
    """Return the line of a shell script that runs a command.

    Args:
        arguments: The program and its arguments, with places in braces.
        places: What stands there in the script, as a shell reads it.
    """
    words = []
    for argument in arguments:
        parts = _PLACE.split(argument)  # text, place, text, place, ..., text
        texts = [shlex.quote(part) if part else "" for part in parts[::2]]
        found = [places.get(place, shlex.quote(f"{{{place}}}")) for place in parts[1::2]]
        words.append("".join(text for pair in zip(texts, [*found, ""], strict=True) for text in pair) or "''")
    return " ".join(words)


def _filled(argument: str, places: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: places[match[1]], argument)


def _last_words(output: BinaryIO) -> str:
    """Return the end of what a program printed, on one line."""
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _LAST_BYTES))
    text = output.read().decode("utf-8", "replace")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    return "".join(character for character in lines[-1] if character.isprintable())[-_LAST_CHARACTERS:]
