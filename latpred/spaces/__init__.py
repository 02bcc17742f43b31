"""Search spaces: architecture -> primitives -> encoding -> torch module."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import yaml

from latpred.card import SpaceCard
from latpred.config import check_keys, construct, read_yaml
from latpred.errors import ConfigError
from latpred.spaces.base import SearchSpace
from latpred.spaces.blocks import PRIMITIVE_TYPES, Cost, PrimitiveType

__all__ = [
    "PRIMITIVE_TYPES",
    "Cost",
    "PrimitiveType",
    "SearchSpace",
    "load_space",
    "space_from_card",
    "space_names",
    "space_yaml",
]

_GROUP = "latpred.spaces"
_BUILT_IN = (
    EntryPoint("fbnet", "latpred.spaces.fbnet:FBNet", _GROUP),
    EntryPoint("mnasnet_ofa", "latpred.spaces.mnasnet_ofa:MNasNetOFA", _GROUP),
    EntryPoint("nasbench201", "latpred.spaces.nasbench201:NASBench201", _GROUP),
    EntryPoint("ssd_ofa", "latpred.spaces.ssd_ofa:SSDOFA", _GROUP),
)


def space_names() -> list[str]:
    """Return the names of latpred's own spaces and of those that installed packages bring."""
    return sorted({point.name for point in (*_BUILT_IN, *entry_points(group=_GROUP))})


def load_space(path: str | Path) -> SearchSpace[Any]:
    """Read a space from its YAML: `space`, its name, and `parameters`, its constructor's arguments.

    Raises:
        ConfigError: Naming the file, the key and what was expected.
    """
    content = read_yaml(Path(path))
    check_keys(str(path), content, ["space", "parameters"], required=["space"])
    return _make(content["space"], content.get("parameters", {}), str(path))


def space_from_card(card: SpaceCard) -> SearchSpace[Any]:
    """Build the space that a dataset or predictor was made for.

    Raises:
        ConfigError: If its name is unknown here, or its parameters are wrong.
    """
    return _make(card.name, card.parameters, f"card of the space '{card.name}'")


def space_yaml(space: SearchSpace[Any]) -> str:
    """Return the YAML text of `space`, which `load_space` reads."""
    content = {"space": space.name, "parameters": space.parameters}
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)


def _make(name: object, parameters: object, where: str) -> SearchSpace[Any]:
    if not isinstance(parameters, dict):
        problem = f"expected the parameters to be a mapping, found {type(parameters).__name__}"
        raise ConfigError(where, problem, "Write `parameters:` and its keys, indented, below it")
    return construct(_space_class(name, where), parameters, where)


def _space_class(name: object, where: str) -> type[SearchSpace[Any]]:
    """Import the class behind a registered name; latpred's own names cannot be taken by others."""
    points = [point for point in _BUILT_IN if point.name == name]
    points = points or sorted({point for point in entry_points(group=_GROUP) if point.name == name})
    if not points:
        known = ", ".join(space_names())
        remedy = f"Correct the name, or install the package that has it as an entry point in '{_GROUP}'"
        raise ConfigError(where, f"expected one of the spaces {known}, found {name!r}", remedy)
    if len(points) > 1:
        values = ", ".join(point.value for point in points)
        raise ConfigError(where, f"expected one space named {name!r}, found {values}", "Uninstall all but one")
    try:
        found = points[0].load()
    except (ImportError, AttributeError) as error:
        problem = f"expected the space {name!r} in {points[0].value}, got: {error}"
        raise ConfigError(where, problem, "Mend or reinstall the package that brings it") from None
    if not (isinstance(found, type) and issubclass(found, SearchSpace) and found.name == name):
        problem = f"expected {points[0].value} to be a SearchSpace whose name is {name!r}, found {found!r}"
        raise ConfigError(where, problem, "Mend the package's entry point or the class's `name`")
    return found
