"""HW-NAS-Bench (ICLR 2021): one pickle with NAS-Bench-201's networks, and with tables of FBNet's blocks.

Of NAS-Bench-201 it has {data set: {<device>_latency: [ms], <device>_energy: [mJ], config: [{arch_str ..}]}}. Of FBNet
it has {<device>_latency: {block: ms}}: its value of a network is the sum of its blocks', and so is the one here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from latpred.dataset.importers.base import Imported, ImportedDevice, ImportedRun, select, unknown_device, value_of
from latpred.dataset.importers.encodings import public_reader
from latpred.dataset.importers.fbnet_table import block_names, network_run
from latpred.dataset.importers.networks import Networks
from latpred.dataset.importers.plain_pickle import read_pickle_file
from latpred.errors import ParseError, UsageError
from latpred.genprof import sampled
from latpred.spaces import SearchSpace
from latpred.spaces.fbnet import FBNet
from latpred.spaces.nasbench201 import NASBench201

_DATA: Mapping[tuple[int, int], str] = MappingProxyType(
    {(32, 10): "cifar10", (32, 100): "cifar100", (16, 120): "ImageNet16-120"}
)
"""The data set by image size and classes of the space."""
_LATENCY, _ENERGY = "_latency", "_energy"
_REMEDY = "Give HW-NAS-Bench's own file, HW-NAS-Bench-v1_0.pickle"


def read_hw_nas_bench(
    path: Path,
    space: SearchSpace[Any],
    devices: Sequence[str] | None = None,
    *,
    num_sample: int = 1000,
    seed: int = 0,
    keep_refused: bool,
) -> Imported:
    """Read what the file has of one space.

    Args:
        path: The pickle.
        space: NASBench201 or FBNet.
        devices: Its names of devices; all by default.
        num_sample: Of FBNet: how many networks to draw.
        seed: Of that drawing.
        keep_refused: Whether to go on behind a value that is no measurement, and list it.

    Raises:
        UsageError: If it has no such space or device.
        ParseError: Naming the file and entry, what was expected and what was found.
    """
    if not isinstance(space, NASBench201 | FBNet):
        problem = f"expected a space of HW-NAS-Bench, nasbench201 or fbnet, found {space.name}"
        raise UsageError("--space", problem, "Give one of these")
    tables = _mapping(_mapping(read_pickle_file(path), str(path)).get(space.name), f"{path}: {space.name}")
    if isinstance(space, FBNet):
        return _fbnet(path, space, tables, devices, num_sample, seed)
    return _nasbench201(path, space, tables, devices, keep_refused)


def _nasbench201(
    path: Path, space: NASBench201, tables: Mapping[Any, Any], devices: Sequence[str] | None, keep_refused: bool
) -> Imported:
    given = (space.parameters["image_size"], space.parameters["classes"])
    if given not in _DATA:
        problem = f"expected image_size and classes of a space that it has, {list(_DATA)}, found {given}"
        raise UsageError("--space", problem, "Copy configs/spaces/nasbench201.yaml and change them")
    where = f"{path}: {space.name}.{_DATA[given]}"
    columns = _mapping(tables.get(_DATA[given]), where)
    configs = columns.get("config")
    if not isinstance(configs, list) or not all(isinstance(config, dict) for config in configs):
        raise ParseError(f"{where}.config", "expected a list of architectures, found none", _REMEDY)
    networks = Networks(space, public_reader(space))
    places = [networks.place(config.get("arch_str"), f"{where}.config[{i}]") for i, config in enumerate(configs)]
    found = []
    for name in select(_names(columns), devices, where):
        latency = _column(columns, name + _LATENCY, len(places), where)
        energy = _column(columns, name + _ENERGY, len(places), where) if name + _ENERGY in columns else None
        runs, refused = [], []
        for i, place in enumerate(places):
            try:
                ms = value_of(latency[i], f"{where}.{name}{_LATENCY}[{i}]", "the latency")
                mj = None if energy is None else value_of(energy[i], f"{where}.{name}{_ENERGY}[{i}]", "the energy")
                runs.append(ImportedRun(place, ms, energy_mj=mj))
            except ParseError as error:
                if not keep_refused:
                    raise
                refused.append(str(error))
        found.append(ImportedDevice(name, unknown_device(name), runs, refused=refused))
    used = {"config", *(device + end for device in _names(columns) for end in (_LATENCY, _ENERGY))}
    notes = [f"{key} is not imported: latpred has no such metric" for key in sorted(map(str, columns.keys() - used))]
    return Imported("hw-nas-bench", space, networks.networks, found, [path], notes)


def _fbnet(
    path: Path, space: FBNet, tables: Mapping[Any, Any], devices: Sequence[str] | None, num_sample: int, seed: int
) -> Imported:
    networks = sampled(space, num_sample, seed)
    named = [block_names(network) for network in networks]
    found = []
    for name in select(_names(tables), devices, f"{path}: {space.name}"):
        places = {end: f"{path}: {space.name}.{name}{end}" for end in (_LATENCY, _ENERGY)}
        latency = _mapping(tables[name + _LATENCY], places[_LATENCY])
        energy = _mapping(tables[name + _ENERGY], places[_ENERGY]) if name + _ENERGY in tables else None
        runs = [
            network_run(i, names, (latency, places[_LATENCY]), None if energy is None else (energy, places[_ENERGY]))
            for i, names in enumerate(named)
        ]
        found.append(ImportedDevice(name, unknown_device(name), runs))
    notes = [f"drew {len(networks)} networks with seed {seed}: the file has blocks only, a network is their sum"]
    return Imported("hw-nas-bench", space, networks, found, [path], notes)


def _names(columns: Mapping[Any, Any]) -> list[str]:
    return [key.removesuffix(_LATENCY) for key in columns if isinstance(key, str) and key.endswith(_LATENCY)]


def _mapping(value: object, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, dict) or not value:
        found = f"a {type(value).__name__}" if value else "nothing"
        raise ParseError(where, f"expected a mapping, found {found}", _REMEDY)
    return value


def _column(columns: Mapping[Any, Any], name: str, count: int, where: str) -> list[Any]:
    values = columns[name]
    if not isinstance(values, list) or len(values) != count:
        found = len(values) if isinstance(values, list) else f"a {type(values).__name__}"
        problem = f"expected {count} values, one for each architecture, found {found}"
        raise ParseError(f"{where}.{name}", problem, _REMEDY)
    return values
