"""nn-Meter's bench data set: JSON lines of {id, graph, <device>: ms or null}, of which NAS-Bench-201's have a space."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from latpred.dataset.importers.base import Imported, ImportedDevice, ImportedRun, select, unknown_device, value_of
from latpred.dataset.importers.encodings import public_reader
from latpred.dataset.importers.latbench import require_nasbench201
from latpred.dataset.importers.networks import Networks
from latpred.dataset.importers.plain_pickle import read_pickle_file
from latpred.device import Device
from latpred.errors import ParseError
from latpred.formats.detect import read_text
from latpred.formats.json_text import Record, read_json, text_of
from latpred.spaces import SearchSpace

_ID = re.compile(r"nasbench201_(\d+)", re.ASCII)
_NAME = re.compile(r"(\w+?)_(tflite|openvino)(\d[\w.]*)", re.ASCII)
_VERSIONS: Mapping[str, str] = MappingProxyType({"21": "2.1"})
"""How nn-Meter shortens a version."""


def read_nn_meter(
    path: Path,
    space: SearchSpace[Any],
    architectures: Path,
    devices: Sequence[str] | None = None,
    *,
    keep_refused: bool,
) -> Imported:
    """Read nn-Meter's latencies of NAS-Bench-201.

    Args:
        path: Its JSON lines, `nasbench201s.jsonl`.
        space: NASBench201.
        architectures: What its ids stand for: nn-Meter's `nasbench201.json`, or HELP's `str_arch2idx.pt`.
        devices: Its names of devices; all by default.
        keep_refused: Whether to go on behind a value that is no measurement, and list it.

    Raises:
        UsageError: If the space is another, or there is no such device.
        ParseError: Naming the file and line, what was expected and what was found.
    """
    require_nasbench201(space, "these files")
    by_index = _architectures(architectures)
    networks = Networks(space, public_reader(space))
    rows: list[tuple[int, Record, str]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            row = _record(line, where)
            rows.append((networks.place(_architecture(row, by_index, architectures, where), where), row, where))
            names |= dict.fromkeys(row)
    chosen = select(list(names), devices, str(path))
    found = [_device(name, rows, keep_refused) for name in chosen]
    return Imported("nn-meter", space, networks.networks, found, [path, architectures])


def device_of(name: str) -> Device:
    """Return the device that nn-Meter calls `name`, such as `cortexA76cpu_tflite21`."""
    match = _NAME.fullmatch(name)
    if match is None:
        return unknown_device(name)
    return unknown_device(match[1], runtime=match[2], runtime_version=_VERSIONS.get(match[3], match[3]))


def _record(line: str, where: str) -> Record:
    """Return the id and the devices of a line; the graph is not needed."""
    row = read_json(line, where)
    if not isinstance(row, dict):
        raise ParseError(where, f"expected an object, found a {type(row).__name__}", "Give nn-Meter's JSON lines")
    text_of(row, "id", where)
    return {key: value for key, value in row.items() if key != "graph"}


def _architecture(row: Record, by_index: Mapping[int, str], source: Path, where: str) -> str:
    match = _ID.fullmatch(row.pop("id"))
    if match is None:
        problem = "expected the id of a network of NAS-Bench-201, nasbench201_<number>, found another"
        raise ParseError(
            where, problem, "latpred has no space for nn-Meter's other families; give its nasbench201s.jsonl"
        )
    index = int(match[1])
    if index not in by_index:
        problem = f"expected the architecture {index} in {source.name}, found none"
        raise ParseError(where, problem, "Give the file of all architectures with --architectures")
    return by_index[index]


def _architectures(path: Path) -> dict[int, str]:
    """Return NAS-Bench-201's strings by their number."""
    content = read_json(read_text(path), str(path)) if path.suffix == ".json" else read_pickle_file(path)
    if isinstance(content, dict) and content:
        if all(type(index) is int for index in content.values()):
            return {index: text for text, index in content.items()}
        found = {key: _string(value) for key, value in content.items()}
        if all(isinstance(key, str) and key.isdecimal() and text is not None for key, text in found.items()):
            return {int(key): text for key, text in found.items() if text is not None}
    problem = "expected {number: {config: {arch_str: ..}}} or {string: number}, found something else"
    raise ParseError(str(path), problem, "Give nn-Meter's nasbench201.json or HELP's str_arch2idx.pt")


def _string(value: object) -> str | None:
    config = value.get("config") if isinstance(value, dict) else None
    text = config.get("arch_str") if isinstance(config, dict) else value
    return text if isinstance(text, str) else None


def _device(name: str, rows: Sequence[tuple[int, Record, str]], keep_refused: bool) -> ImportedDevice:
    runs, refused, absent = [], [], 0
    for place, row, where in rows:
        value = row.get(name)
        if value is None:  # the device's runtime could not execute it
            absent += 1
            continue
        try:
            runs.append(ImportedRun(place, value_of(value, where, name)))
        except ParseError as error:
            if not keep_refused:
                raise
            refused.append(str(error))
    return ImportedDevice(name, device_of(name), runs, absent, refused)
