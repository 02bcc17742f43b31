"""The JSON files of TensorRT's trtexec: `--exportTimes`, `--exportProfile`, `--exportLayerInfo`."""

from __future__ import annotations

import math
from statistics import median

from latpred.errors import ParseError
from latpred.formats.base import Layer, Profile, Warmup
from latpred.formats.json_text import Record, records, required, text_of
from latpred.formats.numbers import json_number, positive
from latpred.formats.trtexec_names import is_overhead, metadata_nodes, name_nodes

_AGAIN = "Export the file again with trtexec"
_LATE_MS = 50.0
"""trtexec's clock begins with the warm-up, of 200 ms by default: a first query after this is no part of it."""


def parse_times(content: object, where: str) -> Profile:
    """Read `--exportTimes`: the GPU compute time of each query.

    Raises:
        ParseError: If it is empty, or its records are not all alike.
    """
    queries = records(content, where, "the queries")
    keys = set(queries[0])
    for i, query in enumerate(queries):
        if set(query) != keys:
            problem = f"expected query {i} to have the keys of query 0, found a different set"
            raise ParseError(where, problem, "Two versions' files may have been joined; give them one by one")
    runs_ms = tuple(
        json_number(required(query, "computeMs", where), where, f"computeMs of query {i}")
        for i, query in enumerate(queries)
    )
    warmup = _warmup(queries[0], where)
    warnings: tuple[str, ...] = ()
    if warmup != "excluded":
        # Up to TensorRT 8.4 the file begins with the warm-up; only the log tells how many queries that were.
        warnings = ("warm-up queries may be among these: put trtexec's log beside the file",)
    return Profile(
        tool="trtexec",
        part="times",
        unit="ms",
        whole_ms=positive(median(runs_ms), where, "the median of computeMs"),
        statistic="median",
        runs_ms=runs_ms,
        runs=len(runs_ms),
        warmup=warmup,
        warnings=warnings,
    )


def _warmup(first: Record, where: str) -> Warmup:
    if "endToEndMs" in first:  # TensorRT 7.0 to 8.2
        return "included"
    if json_number(required(first, "startComputeMs", where), where, "startComputeMs of query 0") >= _LATE_MS:
        return "excluded"
    return "unknown"


def parse_profile(content: object, where: str) -> Profile:
    """Read `--exportProfile`: the time of each layer.

    Raises:
        ParseError: If a record lacks a time, contradicts itself, or is not like the others.
    """
    entries = records(content, where, "the layers")
    counts = [entry for entry in entries if "name" not in entry]
    if len(counts) != 1 or "count" not in counts[0]:
        problem = f"expected one record with the count of iterations, found {len(counts)} without a name"
        raise ParseError(where, problem, _AGAIN)
    count = json_number(counts[0]["count"], where, "count")
    if count < 1 or not count.is_integer():
        raise ParseError(where, f"expected a count of iterations, found {count:g}", _AGAIN)
    rows = [entry for entry in entries if "name" in entry]
    medians = {"medianMs" in row for row in rows}
    if len(medians) > 1:
        raise ParseError(where, "expected medianMs in all layers or in none, found it in some", _AGAIN)
    share = math.fsum(json_number(row["percentage"], where, "percentage") for row in rows if "percentage" in row)
    if share > 100.5:
        problem = f"expected layers of 100 % of the time, found {share:.1f} %"
        raise ParseError(where, problem, "Some may be there twice; export the file again with trtexec")
    cut = f"the file's layers are {share:.1f} % of the time that trtexec found: some are missing"
    return Profile(
        tool="trtexec",
        part="profile",
        unit="ms",
        runs=int(count),
        layers=tuple(_layer(row, count, where) for row in rows),
        layer_statistic="median" if medians == {True} else "mean",
        warnings=(cut,) if rows and share < 99 else (),
    )


def _layer(row: Record, count: float, where: str) -> Layer:
    name = text_of(row, "name", where)
    where = f"{where}, layer {name!r}"
    total = json_number(required(row, "timeMs", where), where, "timeMs")
    average = json_number(required(row, "averageMs", where), where, "averageMs")
    if not math.isclose(total, average * count, rel_tol=1e-3, abs_tol=1e-9):
        problem = f"expected averageMs x {count:g} iterations to be timeMs, found {average:g} and {total:g}"
        raise ParseError(where, problem, _AGAIN)
    latency = json_number(row["medianMs"], where, "medianMs") if "medianMs" in row else total / count
    return Layer(name, latency, nodes=name_nodes(name), overhead=is_overhead(name))


def parse_layer_info(content: object, where: str) -> Profile:
    """Read `--exportLayerInfo`: of which nodes of the model each layer is. It has no times.

    Raises:
        ParseError: If it has no layers.
    """
    if not isinstance(content, dict) or not isinstance(content.get("Layers"), list) or not content["Layers"]:
        raise ParseError(where, "expected an object with a list of Layers, found none", _AGAIN)
    layers = content["Layers"]
    warnings: tuple[str, ...] = ()
    if all(isinstance(layer, str) for layer in layers):
        rows = tuple(Layer(name, None, nodes=name_nodes(name), overhead=is_overhead(name)) for name in layers)
        warnings = ("the layers have no metadata: export them with --profilingVerbosity=detailed",)
    else:
        rows = tuple(_described(layer, where) for layer in records(layers, where, "Layers"))
    return Profile(tool="trtexec", part="layer_info", unit="ms", layers=rows, warnings=warnings)


def _described(layer: Record, where: str) -> Layer:
    name = text_of(layer, "Name", where)
    kind, metadata = (layer.get(key, "") for key in ("LayerType", "Metadata"))
    if not isinstance(kind, str) or not isinstance(metadata, str):
        problem = f"expected LayerType and Metadata of layer {name!r} to be text, found {kind!r} and {metadata!r}"
        raise ParseError(where, problem[:300], _AGAIN)
    nodes = metadata_nodes(metadata)
    overhead = is_overhead(name) or (kind == "Reformat" and not nodes)
    return Layer(name, None, kind, () if overhead else nodes or name_nodes(name), overhead)
