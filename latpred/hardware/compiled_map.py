"""Reading a compiled folder back: the configuration it was made with, and which layers are of which block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latpred.config import check_keys, read_yaml
from latpred.errors import ConfigError, UsageError
from latpred.genprof import ProfDir
from latpred.hardware.compiled import CONFIG, FOLDER, MAP, SCHEMA_VERSION, folder_names, primitive_id
from latpred.hardware.registry import HardwareConfig, make_hardware
from latpred.network import Network
from latpred.primitive import Primitive

Layers = tuple[tuple[str, ...], ...]
"""For each block, the names of its layers."""

_KEYS = ("schema_version", "hardware", "space", "networks", "primitives")
_AGAIN = "Restore the folder from a copy, or make it again with `latpred compile`"


@dataclass(frozen=True)
class Compiled:
    """What a compiled folder holds, beside the models."""

    config: HardwareConfig
    networks: Mapping[str, tuple[Network, Layers]]
    """By network_id, the networks that were compiled."""
    primitives: Mapping[str, tuple[Primitive, Layers]]
    """By `primitive_id`, those primitives that were compiled by themselves."""


def find_compiled(prof_dir: Path, wanted: str) -> Path:
    """Return the compiled folder that a user means.

    Args:
        prof_dir: The PROF_DIR.
        wanted: A hardware's name, for its newest folder; the folder's name, such as `1-tensorrt`; or a path.

    Raises:
        UsageError: If there is none, naming those there are.
    """
    if (Path(wanted) / CONFIG).is_file():
        return Path(wanted)
    matches = [match for match in map(FOLDER.fullmatch, folder_names(prof_dir)) if match]
    found = sorted((int(match[1]), match[0]) for match in matches if wanted in (match[0], match[2]))
    if not found:
        known = ", ".join(sorted(match[0] for match in matches)) or "none"
        problem = f"expected a folder compiled for '{wanted}', found {known}"
        raise UsageError(str(prof_dir / "hardwares"), problem, f"Run `latpred compile {prof_dir} --hardware NAME`")
    return prof_dir / "hardwares" / found[-1][1]


def read_compiled(folder: Path, prof: ProfDir, code: Path | None = None) -> Compiled:
    """Read a compiled folder, and check that it was made from that profiling set.

    Args:
        folder: As `write_compiled` made it.
        prof: The set.
        code: As in `make_hardware`.

    Raises:
        ConfigError: If a file is missing or malformed, or of other networks.
    """
    file = folder / MAP
    content = _read_map(file)
    name = read_yaml(folder / CONFIG).get("hardware")
    if not isinstance(name, str) or content["hardware"] != name or content["space"] != prof.space.name:
        expected = f"the map of {name!r} and the space '{prof.space.name}'"
        found = f"one of {content['hardware']!r} and {content['space']!r}"
        raise ConfigError(str(file), f"expected {expected}, found {found}", _AGAIN)
    config = make_hardware(name, folder / CONFIG, code)
    networks = {network.network_id: network for network in prof.networks}
    blocks = {primitive_id(p): p for network in prof.networks for p in network.primitives}
    return Compiled(
        config,
        {
            key: (networks[key], _layers(found, networks[key].primitives, f"{file}: {key}"))
            for key, found in _known(content["networks"], networks, file)
        },
        {
            key: (blocks[key], _layers([found], (blocks[key],), f"{file}: {key}"))
            for key, found in _known(content["primitives"], blocks, file)
        },
    )


def _read_map(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(file), "expected the map of a compiled folder, found none there", _AGAIN) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(str(file), f"expected the map of a compiled folder, got: {reason}", _AGAIN) from None
    if not isinstance(content, dict):
        raise ConfigError(str(file), f"expected a mapping, found {type(content).__name__}", _AGAIN)
    check_keys(str(file), content, _KEYS, required=_KEYS)
    if content["schema_version"] != SCHEMA_VERSION:
        problem = f"expected the schema version {SCHEMA_VERSION}, found {content['schema_version']!r}"
        raise ConfigError(str(file), problem, "Read it with the latpred that wrote it, or compile again")
    for key in ("networks", "primitives"):
        if not isinstance(content[key], dict):
            raise ConfigError(str(file), f"expected {key} to be a mapping, found {content[key]!r:.80}", _AGAIN)
    return content


def _known(found: Mapping[str, Any], known: Mapping[str, object], file: Path) -> list[tuple[str, Any]]:
    """Return the entries; refuse one that is not of the profiling set, such as a path somewhere else."""
    for key in found:
        if key not in known:
            problem = f"expected networks and primitives of this profiling set, found {key[:80]!r}"
            raise ConfigError(str(file), problem, "Give the PROF_DIR that was compiled")
    return sorted(found.items())


def _layers(found: object, primitives: tuple[Primitive, ...], where: str) -> Layers:
    """Check what the map says of one network."""
    blocks = found if isinstance(found, list) else []
    layers: list[tuple[str, ...]] = []
    for block in blocks:
        names = block.get("layers") if isinstance(block, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ConfigError(where, f"expected a list of layers' names, found {block!r:.80}", _AGAIN)
        layers.append(tuple(names))
    told = [block["primitive"] for block in blocks if isinstance(block, dict) and "primitive" in block]
    if told != [primitive.to_dict() for primitive in primitives]:
        raise ConfigError(where, "expected the blocks of the network in the profiling set, found others", _AGAIN)
    names_ = [name for block in layers for name in block]
    if len(set(names_)) != len(names_):
        raise ConfigError(where, "expected each layer in one block, found one in two", _AGAIN)
    return tuple(layers)
