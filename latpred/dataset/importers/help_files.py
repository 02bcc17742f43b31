"""The files of HELP (NeurIPS 2021): a list of architectures, and for each device a list of latencies in its order."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from latpred.dataset.importers.base import Imported, ImportedDevice, ImportedRun, select, unknown_device, value_of
from latpred.dataset.importers.encodings import public_reader
from latpred.dataset.importers.networks import Networks
from latpred.dataset.importers.plain_pickle import read_pickle_file
from latpred.device import Device
from latpred.errors import ParseError, UsageError
from latpred.spaces import SearchSpace
from latpred.spaces.fbnet import FBNet
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.nasbench201 import NASBench201

GPUS = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")
"""HELP's names of GPUs; only theirs end in a batch size (`essential_ph_1` is a phone)."""

_GPU = re.compile(rf"({'|'.join(GPUS)})_(\d+)")
_REMEDY = "Copy the files from their source again"


class _Layout(NamedTuple):
    folder: str
    architectures: tuple[str, ...]
    """Names of the file with the architectures, the first that is there counts."""


_LAYOUTS: Mapping[type[Any], _Layout] = MappingProxyType(
    {
        NASBench201: _Layout("nasbench201", ("str_arch2idx.pt",)),
        FBNet: _Layout("fbnet", ("arch.pt",)),
        MNasNetOFA: _Layout("ofa", ("ofa_archs.json", "ofa_archs.pt")),
    }
)


def read_help(
    folder: Path, space: SearchSpace[Any], devices: Sequence[str] | None = None, *, keep_refused: bool
) -> Imported:
    """Read HELP's files of one space.

    Args:
        folder: Of the space, or the one above it.
        space: NASBench201, FBNet or MNasNetOFA.
        devices: Names of files in `latency/`; all by default.
        keep_refused: Whether to go on behind a value that is no measurement, and list it.

    Raises:
        UsageError: If HELP has no such space or device.
        ParseError: Naming the file, what was expected and what was found.
    """
    layout = _LAYOUTS.get(type(space))
    if layout is None:
        problem = f"expected a space that HELP measured, nasbench201, fbnet or mnasnet_ofa, found {space.name}"
        raise UsageError("--space", problem, "Give one of these")
    folder = folder if (folder / "latency").is_dir() else folder / layout.folder
    files = {path.stem: path for path in sorted((folder / "latency").glob("*.pt"))}
    if not files:
        problem = "expected a folder 'latency' with files *.pt in it, found none"
        raise ParseError(str(folder), problem, "Check the path")
    source, written = _architectures(folder, layout)
    networks = Networks(space, public_reader(space))
    places = [networks.place(architecture, f"{source}, {i}") for i, architecture in enumerate(written)]
    chosen = select(list(files), devices, str(folder))
    found = [_device(files[name], places, source, keep_refused) for name in chosen]
    return Imported("help", space, networks.networks, found, [source, *(files[name] for name in chosen)])


def device_of(name: str) -> Device:
    """Return the device that HELP calls `name`: a GPU's name ends in its batch size, all others ran one image."""
    match = _GPU.fullmatch(name)
    return unknown_device(match[1], batch=int(match[2])) if match else unknown_device(name)


def _architectures(folder: Path, layout: _Layout) -> tuple[Path, list[Any]]:
    """Return the file of the architectures, and them in the order of the latencies."""
    path = next((folder / name for name in layout.architectures if (folder / name).exists()), None)
    if path is None:
        problem = f"expected {' or '.join(layout.architectures)} in it, found none"
        raise ParseError(str(folder), problem, _REMEDY)
    content = _json(path) if path.suffix == ".json" else read_pickle_file(path)
    if layout.folder == "nasbench201":
        return path, _by_index(content, path)
    if layout.folder == "ofa" and isinstance(content, dict):
        content = content.get("arch")
    if not isinstance(content, list) or not content:
        raise ParseError(str(path), f"expected a list of architectures, found a {type(content).__name__}", _REMEDY)
    return path, content


def _json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ParseError(str(path), f"expected JSON, got: {error!s:.60}", _REMEDY) from None


def _by_index(content: object, path: Path) -> list[str]:
    """Return the strings of {string: index} in the order of their indices."""
    if not isinstance(content, dict) or not all(type(index) is int for index in content.values()):
        raise ParseError(str(path), f"expected a dict of indices, found a {type(content).__name__}", _REMEDY)
    if sorted(content.values()) != list(range(len(content))):
        raise ParseError(str(path), f"expected the indices 0 to {len(content) - 1}, each once", _REMEDY)
    return sorted(content, key=lambda text: int(content[text]))


def _device(path: Path, places: Sequence[int], source: Path, keep_refused: bool) -> ImportedDevice:
    values = read_pickle_file(path)
    if not isinstance(values, list) or len(values) != len(places):
        found = f"{len(values)}" if isinstance(values, list) else f"a {type(values).__name__}"
        problem = (
            f"expected a list of {len(places)} latencies, one for each architecture of {source.name}, found {found}"
        )
        raise ParseError(str(path), problem, _REMEDY)
    runs, refused = [], []
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        try:
            runs.append(ImportedRun(place, value_of(value, f"{path}, {i}", "the latency")))
        except ParseError as error:
            if not keep_refused:
                raise
            refused.append(str(error))
    return ImportedDevice(path.stem, device_of(path.stem), runs, refused=refused)
