"""Putting together what several files say about one run, such as trtexec's log and the JSON files beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import TypeVar

from latpred.errors import ParseError
from latpred.formats.base import Layer, Profile
from latpred.formats.trtexec_names import without_profile

T = TypeVar("T")

_WHOLE = ("times", "log", "report")
"""Which file has the better whole, best first: single queries rather than their summary."""
_LAYERS = ("profile", "counters", "ops", "log")
"""Which file has the better latencies of layers, best first: not rounded, names not cut."""
_TIMELESS = frozenset({"Constant", "NoOp", "Signal", "signal", "Wait", "wait"})
"""Kinds of layers that TensorRT describes and does not time."""
_ONE = "Combine the files of one run only"


def combine(profiles: Sequence[Profile], where: str) -> Profile:
    """Return one profile of a run from the profiles of its files.

    The whole is taken from trtexec's `--exportTimes`, else from the log; the layers from `--exportProfile`, else from
    the table in the log, with the nodes that `--exportLayerInfo` tells. Of OpenVINO's files, the whole is taken from
    the log or report, the layers from the counters.

    Args:
        profiles: Of one run of one tool, each of another part; at least one.
        where: What to call them together, for errors.

    Raises:
        ParseError: If they are not of one run: of different tools, versions, devices or precisions, or two of a part.
    """
    by_part = _by_part(profiles, where)
    if len(profiles) == 1:
        return profiles[0]
    if failed := [profile for profile in profiles if profile.failed]:
        return replace(failed[0], part="")
    whole = _whole(by_part, where)
    timed = next((by_part[part] for part in _LAYERS if part in by_part and by_part[part].layers), None)
    layers, problems = _layers(timed, by_part.get("layer_info"))
    warnings = [*whole.warnings, *problems]
    warnings += [warning for part, profile in by_part.items() if part != whole.part for warning in profile.warnings]
    return replace(
        whole,
        part="",
        tool_version=_agreed([profile.tool_version for profile in profiles], "tool_version", where),
        device=_agreed([profile.device for profile in profiles], "device", where),
        precision=_agreed([profile.precision for profile in profiles], "precision", where),
        batch=_agreed([profile.batch for profile in profiles], "batch", where),
        threads=_agreed([profile.threads for profile in profiles], "threads", where),
        layers=layers,
        layer_statistic=timed.layer_statistic if timed else None,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _by_part(profiles: Sequence[Profile], where: str) -> dict[str, Profile]:
    if not profiles:
        raise ParseError(where, "expected at least one profile, found none", "Give the files of a run")
    tools = sorted({profile.tool for profile in profiles})
    if len(tools) > 1:
        raise ParseError(where, f"expected files of one tool, found {', '.join(tools)}", _ONE)
    by_part: dict[str, Profile] = {}
    for profile in profiles:
        if profile.part in by_part:
            raise ParseError(where, f"expected one file of each kind, found two of '{profile.part}'", _ONE)
        by_part[profile.part] = profile
    return by_part


def _agreed(values: Sequence[T | None], what: str, where: str) -> T | None:
    """Return the one value that those files tell that tell any."""
    told = [value for value in dict.fromkeys(values) if value is not None]
    if len(told) > 1:
        raise ParseError(where, f"expected one {what}, found {told[0]} and {told[1]}", _ONE)
    return told[0] if told else None


def _whole(by_part: Mapping[str, Profile], where: str) -> Profile:
    """Return the file that has the better whole, without its warm-up where the log tells how long that was."""
    found = [by_part[part] for part in _WHOLE if part in by_part and by_part[part].whole_ms is not None]
    if not found:
        return next(iter(by_part.values()))
    log = by_part.get("log")
    if found[0].part != "times" or log is None or log.runs is None:
        return found[0]
    times, queries = found[0], len(found[0].runs_ms)
    warmup = queries - log.runs
    if warmup not in (0, log.warmup_runs):
        expected = f"{log.runs} queries, or {log.runs + (log.warmup_runs or 0)} with the warm-up"
        raise ParseError(where, f"expected times of {expected}, as the log says, found {queries}", _ONE)
    runs_ms = times.runs_ms[warmup:]
    whole_ms = median(runs_ms)
    if log.whole_ms and log.statistic == "median" and not math.isclose(whole_ms, log.whole_ms, rel_tol=5e-3):
        problem = f"expected times with the log's median, {log.whole_ms:g} ms, found {whole_ms:g} ms"
        raise ParseError(where, problem, _ONE)
    return replace(
        times,
        whole_ms=whole_ms,
        runs_ms=runs_ms,
        runs=log.runs,
        warmup="excluded",
        warmup_runs=log.warmup_runs,
        warnings=(),  # what there was to warn of is the warm-up
    )


def _layers(timed: Profile | None, described: Profile | None) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """Return the layers with their times and what TensorRT tells about them, and what is to be warned of."""
    if timed is None or described is None:
        return (timed.layers if timed else ()), ()
    by_name = {layer.name: layer for layer in described.layers}
    pairs = [(layer, by_name.get(layer.name, by_name.get(without_profile(layer.name)))) for layer in timed.layers]
    if all(known is None for _, known in pairs):
        in_order = [layer for layer in described.layers if layer.kind not in _TIMELESS]
        if len(in_order) == len(timed.layers):
            pairs = list(zip(timed.layers, in_order, strict=True))
    unknown = [layer.name for layer, known in pairs if known is None]
    problem = f"{len(unknown)} layers are not in the layer information" + (
        f", such as {unknown[0]!r}" if unknown else ""
    )
    return tuple(_joined(layer, known) for layer, known in pairs), (problem,) if unknown else ()


def _joined(layer: Layer, known: Layer | None) -> Layer:
    if known is None:
        return layer
    return replace(layer, kind=known.kind or layer.kind, nodes=known.nodes, overhead=known.overhead or layer.overhead)
