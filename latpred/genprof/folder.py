"""PROF_DIR, the folder that holds a profiling set: `space.yaml`, `prof_prims.yaml`, `prof_nets/<network_id>.yaml`."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from latpred.config import check_keys, read_yaml, read_yaml_list
from latpred.errors import ConfigError, LatpredError, UsageError
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces import SearchSpace, load_space, space_yaml

_KEYS = ("architecture", "slots", "roles", "final_model_cfg")
_AGAIN = "Restore the file, or make the folder again with `latpred genprof`"


@dataclass(frozen=True)
class ProfDir:
    """What a PROF_DIR holds."""

    space: SearchSpace[Any]
    networks: tuple[Network, ...]
    """Sorted by network_id."""
    primitives: tuple[Primitive, ...]
    """Those to be profiled, sorted."""


def write_prof_dir(
    path: Path, space: SearchSpace[Any], networks: Iterable[Network], primitives: Iterable[Primitive]
) -> None:
    """Write a PROF_DIR; the same profiling set gives the same bytes.

    Args:
        path: Where; must not exist, or be an empty folder.
        space: Where the networks come from.
        networks: To be measured.
        primitives: To be covered by them.

    Raises:
        UsageError: If something stands at `path`, which is left as it is.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(str(path), "expected nothing there yet, found something", "Give another path or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # half a folder is never seen under its own name
    (draft / "prof_nets").mkdir(parents=True)
    try:
        (draft / "space.yaml").write_text(space_yaml(space), encoding="utf-8")
        flat = [primitive.to_dict() for primitive in sorted(set(primitives))]
        (draft / "prof_prims.yaml").write_text(_text(flat), encoding="utf-8")
        for network in networks:
            file = draft / "prof_nets" / f"{network.network_id}.yaml"
            file.write_text(_text(_network_to_dict(network, space)), encoding="utf-8")
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _text(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=1000)


def _network_to_dict(network: Network, space: SearchSpace[Any]) -> dict[str, Any]:
    return {
        "architecture": network.architecture,
        "slots": _slots(network, space),
        "roles": list(network.roles),
        "final_model_cfg": {"genotypes": [primitive.to_dict() for primitive in network.primitives]},
    }


def _slots(network: Network, space: SearchSpace[Any]) -> list[int] | None:
    """Return the slot of each block in the network's encoding; None for an assembled network."""
    if network.encoding is None:
        return None
    by_id = space.vocabulary().by_id
    return [slot for slot, i in enumerate(network.encoding) if i >= 0 and isinstance(by_id[i], Primitive)]


def read_prof_dir(path: Path) -> ProfDir:
    """Read a PROF_DIR and check that each network is what its file and its file's name say.

    Raises:
        ConfigError: Naming the file, what was expected and what was found.
    """
    if not path.is_dir():
        problem = "expected a folder that `latpred genprof` wrote, found none"
        raise ConfigError(str(path), problem, "Check the path")
    space = load_space(path / "space.yaml")
    files = sorted((path / "prof_nets").glob("*.yaml"))
    if not files:
        raise ConfigError(str(path / "prof_nets"), "expected files of networks, found none", _AGAIN)
    return ProfDir(
        space, tuple(_read_network(file, space) for file in files), _read_primitives(path / "prof_prims.yaml")
    )


def _read_primitives(file: Path) -> tuple[Primitive, ...]:
    primitives = [_primitive(fields, file) for fields in read_yaml_list(file)]
    return tuple(sorted(set(primitives)))


def _read_network(file: Path, space: SearchSpace[Any]) -> Network:
    content = read_yaml(file)
    check_keys(str(file), content, _KEYS, required=_KEYS)
    if content["architecture"] is None:
        network = _assembled(content, file, space)
    else:
        try:
            network = space.network(space.from_json(content["architecture"]))
        except LatpredError as error:
            raise ConfigError(f"{file}: {error.where}", error.problem, _AGAIN) from None
    for key, value in _network_to_dict(network, space).items():
        if content[key] != value:
            problem = f"expected {key} to be what the architecture gives, {value}, found {content[key]}"
            raise ConfigError(str(file), problem, _AGAIN)
    if network.network_id != file.stem:
        raise ConfigError(str(file), f"expected the network {file.stem}, found {network.network_id}", _AGAIN)
    return network


def _assembled(content: dict[str, Any], file: Path, space: SearchSpace[Any]) -> Network:
    """Read a network that is no architecture; every block of it must be of a type that `space` knows."""
    model = content["final_model_cfg"]
    genotypes = model.get("genotypes") if isinstance(model, dict) else None
    if not isinstance(genotypes, list) or not isinstance(content["roles"], list):
        problem = f"expected lists in final_model_cfg.genotypes and roles, found {genotypes!r}, {content['roles']!r}"
        raise ConfigError(str(file), problem, _AGAIN)
    primitives = tuple(_primitive(fields, file) for fields in genotypes)
    try:
        for primitive in primitives:
            space.type_of(primitive).cost(primitive)
        return Network(space.name, primitives, tuple(content["roles"]))
    except LatpredError as error:
        raise ConfigError(f"{file}: {error.where}", error.problem, _AGAIN) from None
    except ValueError as error:
        raise ConfigError(str(file), str(error), _AGAIN) from None


def _primitive(fields: object, file: Path) -> Primitive:
    if not isinstance(fields, dict):
        raise ConfigError(str(file), f"expected a primitive, found {fields!r}", _AGAIN)
    try:
        return Primitive.from_dict(fields, str(file))
    except LatpredError as error:
        raise ConfigError(str(file), error.problem, _AGAIN) from None
