"""The text that TensorRT's trtexec prints, versions 6 to 11."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from latpred.errors import ParseError
from latpred.formats.base import Profile
from latpred.formats.numbers import number, shown
from latpred.formats.trtexec_summary import read_averages, read_summary
from latpred.formats.trtexec_table import find_table, read_table

_PREFIX = re.compile(r"(?:\[[\d/:-]{8,}\] ?)?(?:\[([VIWEF])\] ?)?")
_BANNER = re.compile(r"&&&& (RUNNING|PASSED|FAILED|WAIVED) TensorRT\S*(?: \[TensorRT v(\d+)\])?")
_SETTING = re.compile(
    r"(TensorRT version|Selected Device|Precision|Batch|Streams|Load engine|Separate profiling): ?(.*)"
)
_WARMUP = re.compile(r"Warmup completed (\d+) queries over ")
_TRACE = re.compile(r"Timing trace (?:has|of) (\d+) (?:queries|iterations) over ")
_ERRORS_KEPT = 3


class LogLine(NamedTuple):
    """A line without its time stamp."""

    number: int
    level: str
    """`I`, `W`, `E`, `F`; empty where the line has none."""
    text: str


def parse_log(text: str, where: str) -> Profile:
    """Read the log of one run of trtexec.

    The whole's latency is the GPU compute time, without copies to and from the host: the summary's median, or where
    the log is an excerpt without summary, the median of the averages over `--avgRuns` runs. A profile that is printed
    gives the layers.

    Raises:
        ParseError: If it holds no latency and no failure, is cut off, contradicts itself, or is of several runs.
    """
    lines = _lines(text)
    banners = [match for line in lines if (match := _BANNER.match(line.text))]
    settings = _settings(lines)
    version = _version(banners, settings, where)
    log = Profile(tool="trtexec", part="log", unit="ms", tool_version=version, device=settings.get("Selected Device"))
    if any(banner[1] == "FAILED" for banner in banners):
        return replace(log, failed=_errors(lines) or "trtexec says FAILED and names no error")
    summary, averages, table = read_summary(lines, where), read_averages(lines, where), find_table(lines, where)
    if summary is None and table is None and (not averages or _expects_summary(lines, banners)):
        if not averages and (failed := _errors(lines)):
            return replace(log, failed=failed)
        raise _nothing(averages, f"{where}, line {lines[-1].number}")
    layers, layer_statistic = ((), None) if table is None else read_table(lines[table:], where)
    counts = _counts(lines, settings, where)
    whole_ms, statistic, runs_ms = _whole(summary, averages)
    return replace(
        log,
        precision=None if settings.get("Load engine") else settings.get("Precision"),
        batch=_batch(settings),
        whole_ms=whole_ms,
        statistic=statistic,
        runs_ms=runs_ms,
        runs=counts.get("runs"),
        warmup="excluded" if summary is not None or averages else "unknown",
        warmup_runs=counts.get("warmup"),
        layers=layers,
        layer_statistic=layer_statistic,
        warnings=(*_warnings(lines, settings, table is not None, summary is not None), *_unfinished_warning(banners)),
    )


def _lines(text: str) -> list[LogLine]:
    """Return the lines but verbose ones, which explain the summary in the summary's own words."""
    found = []
    for i, line in enumerate(text.split("\n"), start=1):
        prefix = _PREFIX.match(line)
        level = prefix[1] or "" if prefix else ""
        if level != "V":
            found.append(LogLine(i, level, line[prefix.end() if prefix else 0 :].rstrip(" \t\r")))
    return found


def _settings(lines: Sequence[LogLine]) -> dict[str, str]:
    """Return what trtexec prints about its options and the device, by the names it prints."""
    return {match[1]: match[2] for line in lines if (match := _SETTING.fullmatch(line.text)) and match[2]}


def _version(banners: Sequence[re.Match[str]], settings: Mapping[str, str], where: str) -> str | None:
    """Return TensorRT's version, such as `8.6.1`; refuse a file with more than one run in it."""
    found = [_dotted(banner[2]) for banner in banners if banner[2]]
    found += [_dotted(settings["TensorRT version"])] if "TensorRT version" in settings else []
    versions = sorted({version for version in found if version})
    starts = sum(banner[1] == "RUNNING" for banner in banners)
    if starts > 1 or len(banners) - starts > 1 or len(versions) > 1:
        several = f"{max(starts, len(banners) - starts)} runs" + (f" of {', '.join(versions)}" if versions else "")
        problem = f"expected the log of one run of trtexec, found {several}"
        raise ParseError(where, problem, "Give each run a file of its own")
    return versions[0] if versions else None


def _dotted(version: str) -> str:
    """Write `8601` as `8.6.1` and `100300` as `10.3.0`, as TensorRT itself does since 8.4."""
    if not version.isdecimal() or len(version) not in (4, 5, 6):
        return version
    digits = int(version)
    scale = 10 if len(version) == 4 else 100
    return f"{digits // (scale * 100)}.{digits // 100 % scale}.{digits % 100}"


def _errors(lines: Sequence[LogLine]) -> str:
    """Return the first errors in trtexec's words; nothing if there are none."""
    errors: list[str] = []
    level = ""
    for line in lines:
        # An error may go on in a line of its own, without time stamp and level.
        level = line.level or (level if not line.text.startswith("&&&&") else "")
        if level in ("E", "F") and line.text and line.text not in errors:
            errors.append(line.text[:200])
    return "; ".join(errors[:_ERRORS_KEPT])


def _nothing(averages: Sequence[object], where: str) -> ParseError:
    if averages:
        problem = "expected the summary of GPU compute time, found the end of the log: it is cut off"
        return ParseError(where, problem, "Take the whole log from the device")
    problem = "expected trtexec's GPU latency or GPU Compute Time, found neither up to the end of the log"
    return ParseError(where, problem, "It may be cut off, or inference was skipped; run trtexec again")


def _expects_summary(lines: Sequence[LogLine], banners: Sequence[re.Match[str]]) -> bool:
    """Tell whether the log is no excerpt, so that a summary has to come after what there is."""
    if banners:
        return _unfinished(banners)
    return any(line.text.startswith(("Trace averages of ", "Averages of ")) for line in lines)


def _unfinished_warning(banners: Sequence[re.Match[str]]) -> tuple[str, ...]:
    return ("the log does not end with PASSED: it may be cut off",) if _unfinished(banners) else ()


def _unfinished(banners: Sequence[re.Match[str]]) -> bool:
    return bool(banners) and all(banner[1] == "RUNNING" for banner in banners)


def _counts(lines: Sequence[LogLine], settings: Mapping[str, str], where: str) -> dict[str, int]:
    """Return the runs and warm-up runs; trtexec counts queries, as many a run as the implicit batch has."""
    counts: dict[str, int] = {}
    batch = _batch(settings) or 1
    for line in lines:
        for key, pattern in (("warmup", _WARMUP), ("runs", _TRACE)):
            if match := pattern.match(line.text):
                queries = int(number(match[1], f"{where}, line {line.number}", "queries"))
                if queries and queries % batch == 0:  # TensorRT 7 prints 0 for a model of explicit batch
                    counts[key] = queries // batch
    return counts


def _batch(settings: Mapping[str, str]) -> int | None:
    batch = settings.get("Batch", "")
    return int(batch) if batch.isdecimal() and len(batch) < 7 and int(batch) > 0 else None


def _whole(
    summary: float | None, averages: Sequence[tuple[int, float]]
) -> tuple[float | None, str | None, tuple[float, ...]]:
    """Return the whole's latency, its statistic, and the latencies of single runs where `--avgRuns` is 1."""
    over = averages[0][0] if averages else 0
    latencies = tuple(ms for _, ms in averages)
    runs_ms = latencies if over == 1 else ()
    if summary is not None:
        return summary, "median", runs_ms
    if averages:
        return median(latencies), "median" if over == 1 else f"median of means of {over} runs", runs_ms
    return None, None, ()


def _warnings(lines: Sequence[LogLine], settings: Mapping[str, str], profiled: bool, summary: bool) -> tuple[str, ...]:
    found = [line.text.removeprefix("* ") for line in lines if line.level == "W" and line.text.startswith("* ")]
    if settings.get("Load engine") and "Precision" in settings:
        found.append(f"the precision of a loaded engine is not in the log, which says {shown(settings['Precision'])}")
    if settings.get("Streams", "1") != "1":
        found.append(f"{settings['Streams']} streams ran side by side: the latency is not that of one run alone")
    if profiled and summary and settings.get("Separate profiling") == "Disabled":
        found.append("the whole was measured with the profiler on: use --separateProfileRun")
    if not summary and not profiled:
        found.append("the log has no summary")
    return tuple(found)
