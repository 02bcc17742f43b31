"""LatBench (BRP-NAS, NeurIPS 2020): a pickle of each device, {operation indices: seconds}, of NAS-Bench-201."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latpred.dataset.importers.base import Imported, ImportedDevice, ImportedRun, unknown_device, value_of
from latpred.dataset.importers.encodings import public_reader
from latpred.dataset.importers.networks import Networks
from latpred.dataset.importers.plain_pickle import read_pickle_file
from latpred.device import Device
from latpred.errors import ParseError, UsageError
from latpred.spaces import SearchSpace
from latpred.spaces.nasbench201 import NASBench201

_PRECISIONS = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
_NAME = re.compile(rf"(.+)-({'|'.join(_PRECISIONS)})")
_MS_PER_S = 1000.0
_LONGEST_S = 10.0
"""A network of NAS-Bench-201 takes less than this on any device; more is another unit."""


def read_latbench(files: Sequence[Path], space: SearchSpace[Any], *, keep_refused: bool) -> Imported:
    """Read LatBench's files.

    Args:
        files: One for each device, its name in the file's.
        space: NASBench201.
        keep_refused: Whether to go on behind a value that is no measurement, and list it.

    Raises:
        UsageError: If the space is another.
        ParseError: Naming the file and entry, what was expected and what was found.
    """
    require_nasbench201(space, "LatBench")
    networks = Networks(space, public_reader(space))
    found = [_device(path, networks, keep_refused) for path in files]
    return Imported("latbench", space, networks.networks, found, files)


def require_nasbench201(space: SearchSpace[Any], source: str) -> None:
    """Refuse a space other than NAS-Bench-201.

    Raises:
        UsageError: Naming the space.
    """
    if not isinstance(space, NASBench201):
        problem = f"expected nasbench201, the space of {source}, found {space.name}"
        raise UsageError("--space", problem, "Give --space-name nasbench201")


def device_of(name: str) -> Device:
    """Return the device of a file's name, such as `desktop-gpu-gtx-1080-ti-fp32`."""
    match = _NAME.fullmatch(name)
    return unknown_device(match[1], precision=_PRECISIONS[match[2]]) if match else unknown_device(name)


def _device(path: Path, networks: Networks, keep_refused: bool) -> ImportedDevice:
    content = read_pickle_file(path)
    if not isinstance(content, dict) or not content:
        problem = f"expected a dict of operation indices and seconds, found a {type(content).__name__}"
        raise ParseError(str(path), problem, "Give the averaged file, one value for each network")
    runs, refused = [], []
    for written, value in content.items():
        where = f"{path}, {written}"
        place = networks.place(written, where)
        try:
            seconds = value_of(value, where, "the latency in seconds")
            if seconds > _LONGEST_S:
                problem = f"expected a latency in seconds, found {seconds:g}"
                raise ParseError(where, problem, "Convert the file to seconds, or write latpred's CSV")
            runs.append(ImportedRun(place, seconds * _MS_PER_S))
        except ParseError as error:
            if not keep_refused:
                raise
            refused.append(str(error))
    return ImportedDevice(path.stem, device_of(path.stem), runs, refused=refused)
