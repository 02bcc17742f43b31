"""The log that OpenVINO's benchmark_app prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from latpred.errors import ParseError
from latpred.formats.base import Profile
from latpred.formats.numbers import in_order, milliseconds, positive
from latpred.formats.tables import lines

_LINE = re.compile(r"\[ (INFO|WARNING|ERROR) \](.*)")
_LATENCY = re.compile(r"(Median|Average|AVG|Min|Max|\d+ percentile):[ \t]+(\S+) (\w+)")
_NAMES: Mapping[str, str] = MappingProxyType(
    {"Median": "median", "Average": "mean", "AVG": "mean", "Min": "min", "Max": "max"}
)
_SETTING = re.compile(
    r"(INFERENCE_PRECISION_HINT|INFERENCE_NUM_THREADS|EXECUTION_DEVICES|Execution Devices|"
    r"Model batch size|Count|PERF_COUNT):[ \t]*(.*)"
)
_BUILD = re.compile(r"Build ?\.+ (\d+\.\d+(?:\.\d+)?)")
_PRECISIONS: Mapping[str, str] = MappingProxyType({"float32": "f32", "bfloat16": "bf16", "float16": "f16"})
"""The Python tool prints `<Type: 'float32'>`, the C++ tool `f32`."""
_AGAIN = "Take the whole log from the device"


def parse_log(text: str, where: str) -> Profile:
    """Read what benchmark_app prints in one run.

    The table of nodes in it is left out: the tool cuts their names after 16 characters.

    Raises:
        ParseError: If it has neither latencies nor an error, is cut off, contradicts itself, or is of several runs.
    """
    latencies: dict[str, float] = {}
    settings: dict[str, str] = {}
    errors: list[str] = []
    starts = 0
    for number, row in lines(text):
        here = f"{where}, line {number}"
        starts += row.startswith("[Step 1/")
        match = _LINE.fullmatch(row)
        if starts > 1:
            problem = "expected the log of one run of benchmark_app, found a second"
            raise ParseError(here, problem, "Give each run a file of its own")
        if match is None:
            continue
        level, message = match[1], match[2].strip(" \t")
        if level == "ERROR":
            errors.append(message)
        elif message.startswith("Latency for each data shape group"):
            break  # the same names again, for each group
        elif found := _LATENCY.fullmatch(message):
            _add(latencies, settings, found, here)
        else:
            _set(settings, message)
    if errors and not latencies:
        failed = "; ".join(error[:200] for error in errors[:3] if error) or "an error without text"
        return Profile(tool="openvino", part="log", unit="ms", tool_version=settings.get("version"), failed=failed)
    return _profile(latencies, settings, where)


def _add(latencies: dict[str, float], settings: dict[str, str], match: re.Match[str], where: str) -> None:
    name = _NAMES.get(match[1], match[1])
    if name in latencies:
        raise ParseError(where, f"expected {match[1]} once, found it twice", "Give each run a file of its own")
    # Below 1 ms on average, the tool of 2026 prints all of them in us.
    if settings.setdefault("unit", match[3]) != match[3]:
        problem = f"expected {match[1]} in {settings['unit']} as the others, found {match[3]}"
        raise ParseError(where, problem, "Give each run a file of its own")
    latencies[name] = milliseconds(match[2], match[3], where, match[1])


def _set(settings: dict[str, str], text: str) -> None:
    if match := _SETTING.fullmatch(text):
        settings[match[1]] = match[2]
    elif match := _BUILD.match(text):
        settings.setdefault("version", match[1])
    elif text.startswith("Skipping warmup"):
        settings["warmup"] = "none"


def _profile(latencies: Mapping[str, float], settings: Mapping[str, str], where: str) -> Profile:
    statistic = "median" if "median" in latencies else "mean"
    if statistic not in latencies or "max" not in latencies:
        problem = f"expected the latencies Median, Average, Min, Max, found {', '.join(latencies) or 'none'}"
        raise ParseError(where, problem, f"The run did not finish, or the log is cut off. {_AGAIN}")
    for name in ("mean", "median"):
        in_order([(key, latencies[key]) for key in ("min", name, "max") if key in latencies], where)
    hint = settings.get("INFERENCE_PRECISION_HINT", "")
    word = re.search(r"\b(?:b?float\d+|b?f\d+)\b", hint)
    profiled = settings.get("PERF_COUNT") in ("YES", "True")
    return Profile(
        tool="openvino",
        part="log",
        tool_version=settings.get("version"),
        device=_device(settings),
        precision=_PRECISIONS.get(word[0], word[0]) if word else None,
        batch=_count(settings.get("Model batch size", "")),
        threads=_count(settings.get("INFERENCE_NUM_THREADS", "")),
        unit=settings["unit"],
        whole_ms=positive(latencies[statistic], where, statistic),
        statistic=statistic,
        runs=_count(settings.get("Count", "").removesuffix(" iterations")),
        # The first inference is printed on its own, unless -no_warmup makes it one of the others.
        warmup="included" if "warmup" in settings else "excluded",
        warmup_runs=0 if "warmup" in settings else 1,
        warnings=("the whole was measured with the performance counters on",) if profiled else (),
    )


def _device(settings: Mapping[str, str]) -> str | None:
    names = settings.get("Execution Devices") or settings.get("EXECUTION_DEVICES") or ""
    return ", ".join(re.findall(r"[\w.:-]+", names)) or None


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0 else None
