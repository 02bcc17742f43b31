"""The folder of results: which file is of which network and which run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from latpred.errors import UsageError

DEVICE = "device.yaml"
"""In the folder of results: what the tools' files do not tell of the device."""

_MODEL = re.compile(r"((?:prim_)?[0-9a-f]{16})(?![0-9A-Za-z])")
_RUN = re.compile(r"[._-]?(?:run)?[._-]?(\d{1,9})(?=\.|$)")
_NO_RESULT = frozenset({"README.md", DEVICE})


class RunFiles(NamedTuple):
    """The files that may belong to one run of one model."""

    model: str | None
    """The network_id or primitive's id in the path; None where only the file itself can tell."""
    run: int | None
    """The run's number, where the path has one."""
    paths: tuple[Path, ...]
    """Sorted."""


class Unplaced(NamedTuple):
    """A file whose path tells no single network or run."""

    path: Path
    problem: str


def find_files(folder: Path) -> tuple[list[RunFiles], list[Unplaced]]:
    """Sort the files of a folder by model and run; symbolic links to folders are not followed.

    Raises:
        UsageError: If there is no folder, or no file in it.
    """
    if not folder.is_dir():
        raise UsageError(str(folder), "expected a folder of results, found none", "Check the path")
    groups: dict[tuple[str, int], list[Path]] = {}
    unplaced: list[Unplaced] = []
    for path in _walk(folder):
        if not path.is_file():  # reading a pipe or a device may never end
            unplaced.append(Unplaced(path, "expected a file, found something else. Remove it"))
            continue
        try:
            model, run = place_of(path.relative_to(folder).parts)
        except ValueError as error:
            unplaced.append(Unplaced(path, str(error)))
            continue
        groups.setdefault((model or "", -1 if run is None else run), []).append(path)
    if not groups and not unplaced:
        raise UsageError(str(folder), "expected files of results, found none", "Bring them from the device")
    ordered = [
        RunFiles(model or None, None if run < 0 else run, tuple(paths))
        for (model, run), paths in sorted(groups.items(), key=lambda item: item[0])
    ]
    return ordered, unplaced


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files that may be results, in one order everywhere."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root) / name for name in sorted(files) if not name.startswith(".") and name not in _NO_RESULT)


def place_of(parts: Sequence[str]) -> tuple[str | None, int | None]:
    """Return the model and the run's number that a path tells; None for what it does not.

    Args:
        parts: Of the path below the folder of results.

    Raises:
        ValueError: If it tells two models or two runs.
    """
    models, runs = list[str](), list[int]()
    for part in parts:
        match = _MODEL.match(part)
        if match is not None:
            models.append(match[1])
        # A number above the network is of another order: a day, a board.
        number = _RUN.match(part[match.end() :] if match else part) if models else None
        if number is not None:
            runs.append(int(number[1]))
    for what, found in (("network", sorted(set(models))), ("run", sorted(set(runs)))):
        if len(found) > 1:
            raise ValueError(f"expected one {what} in the path, found {found[0]} and {found[1]}")
    return (models[0] if models else None), (runs[0] if runs else None)
