"""From files to profiles: each file is read by its format, and the files of a run are put together."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from latpred.errors import ParseError
from latpred.formats import Profile, combine, detect, parse_networks
from latpred.hardware.base import Hardware
from latpred.hardware.results import RunFiles
from latpred.hardware.values_csv import read_values

AUTO = "auto"
CSV = "csv"
LATENCY = "latency_ms"

_ID = re.compile(r"(?:prim_)?\b[0-9a-f]{16}\b")


@dataclass(frozen=True)
class Reading:
    """How files are to be read."""

    hardware: Hardware
    format: str = AUTO
    """A name of `FORMATS`, or `auto`."""
    metric: str = LATENCY
    """One of `METRIC_UNITS`. Energy and memory stand in latpred's CSV alone."""


class RunProfile(NamedTuple):
    """What the files of one run say together."""

    model: str
    """A network_id or a primitive's id."""
    profile: Profile
    """In a profile of energies, mJ, or memories, MB, these stand where latencies stand otherwise."""
    paths: tuple[Path, ...]
    digest: str
    """Of what was measured, whatever the files are called; equal measurements have equal ones."""
    written_at: datetime
    """When the last of the files was written, UTC, as far as copying has left that."""


class Refused(NamedTuple):
    """Files that give no run."""

    where: str
    reason: str
    """One line."""


class _File(NamedTuple):
    path: Path
    profile: Profile


def read_profiles(files: RunFiles, reading: Reading) -> Iterable[RunProfile | Refused]:
    """Yield the runs that files of one model and one number, or without a number, hold.

    Args:
        files: As `find_files` put them together.
        reading: How to read them.
    """
    by_model: dict[str, list[_File]] = {}
    for path in files.paths:
        try:
            profiles = _read(path, reading)
            for profile in profiles:
                by_model.setdefault(_model(files.model, profile, path), []).append(_File(path, profile))
        except ParseError as error:
            yield Refused(str(path), _reason(error, path))
            if not isinstance(error, _UnknownFileError):
                return  # what else there is of this run has lost a part
    for model, of_it in by_model.items():
        yield from _runs(model, of_it, numbered=files.run is not None)


class _UnknownFileError(ParseError):
    """A file that no format knows: other files beside it may still be whole."""


def _reason(error: ParseError, path: Path) -> str:
    """Return the error without the file's own name, which stands beside it."""
    inside = error.where.removeprefix(str(path)).lstrip(" ,:")
    return f"{inside}: {error.problem}. {error.remedy}" if inside else f"{error.problem}. {error.remedy}"


def _read(path: Path, reading: Reading) -> tuple[Profile, ...]:
    """Read one file.

    Raises:
        ParseError: If no format knows it, it is of another tool, or cannot be read.
    """
    if reading.metric != LATENCY:
        return read_values(path, reading.metric)
    name = reading.format
    if name == AUTO:
        try:
            name = detect(path).name
        except ParseError as error:
            raise _UnknownFileError(error.where, error.problem, error.remedy) from None
        expected = (*reading.hardware.formats, CSV)
        if name not in expected:
            problem = f"expected a file of {' or '.join(expected)} for {reading.hardware.name}, found one of {name}"
            raise ParseError(str(path), problem, "Give the hardware that it was measured on, or remove it")
    return parse_networks(path, name)


def _model(from_path: str | None, profile: Profile, path: Path) -> str:
    """Return the model that a profile is of.

    Raises:
        ParseError: If nothing tells, or the path and the file tell different ones.
    """
    named = _ID.search(profile.network or "")
    inside = named[0] if named else None
    if from_path and inside and from_path != inside:
        raise ParseError(str(path), f"expected the network {from_path} as in its path, found {inside}", "Rename it")
    if found := from_path or inside:
        return found
    told = f"the name {profile.network!r}" if profile.network else "no name"
    problem = f"expected a network in the path or the file, found {told}"
    raise ParseError(str(path), problem, "Call the file NETWORK.RUN.<ending>, as the compiled folder's README says")


def _runs(model: str, files: Sequence[_File], *, numbered: bool) -> Iterable[RunProfile | Refused]:
    """Yield the runs among the files of one model."""
    kinds = Counter((file.profile.tool, file.profile.part) for file in files)
    if max(kinds.values()) > 1 and (numbered or len(kinds) > 1):
        told = ", ".join(f"{count} of {' '.join(kind).strip()}" for kind, count in sorted(kinds.items()))
        problem = f"expected one file of each kind in a run, found {told}"
        yield Refused(str(files[0].path.parent), f"{problem}. Number the runs in the names, {model}.0.<ending>")
        return
    parts = [list(files)] if len(kinds) > 1 else [[file] for file in files]
    for part in parts:
        try:
            profile = _joined([file.profile for file in part], str(part[0].path.parent / model))
        except ParseError as error:
            yield Refused(error.where, f"{error.problem}. {error.remedy}")
            continue
        paths = tuple(file.path for file in part)
        if profile.tool == CSV and len(profile.runs_ms) > 1:  # a tool's own file is one run, and this holds several
            for whole_ms in profile.runs_ms:
                single = replace(profile, whole_ms=whole_ms, runs_ms=(whole_ms,), runs=1)
                # Not of the file: it may grow, and what it holds already is stored once all the same.
                yield RunProfile(model, single, paths, _digest(model, repr(whole_ms)), _written_at(paths))
        else:
            contents = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
            yield RunProfile(model, profile, paths, _digest(model, *contents), _written_at(paths))


def _joined(profiles: Sequence[Profile], where: str) -> Profile:
    """Return one profile of a run; a whole in latpred's CSV counts more than that of a tool that was profiling."""
    wholes = [profile for profile in profiles if profile.tool == CSV and not profile.layers]
    others = [profile for profile in profiles if profile not in wholes]
    if not others or len(wholes) != 1:
        return combine(profiles, where)
    profile = combine(others, where)
    whole = wholes[0]
    return replace(
        profile,
        whole_ms=whole.whole_ms,
        statistic=whole.statistic,
        runs_ms=whole.runs_ms,
        runs=whole.runs,
        warmup=whole.warmup,
        warnings=tuple(warning for warning in profile.warnings if not warning.startswith("the whole was measured")),
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256(":".join(parts).encode()).hexdigest()[:16]


def _written_at(paths: Sequence[Path]) -> datetime:
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in paths), UTC)
