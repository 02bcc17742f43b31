"""What a reader of others' measurements returns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from latpred.device import Device
from latpred.errors import ParseError, UsageError
from latpred.network import Network
from latpred.run import Values
from latpred.spaces import SearchSpace

UNKNOWN = "unknown"
"""Stands in a device's fields for what the source does not say."""


class ImportedRun(NamedTuple):
    """One measurement of a network, in the order of the source; None where there is none."""

    network: int
    """Place in `Measured.networks`."""
    latency_ms: float | None = None
    block_latency_ms: Values | None = None
    overhead_ms: float | None = None
    energy_mj: float | None = None
    block_energy_mj: Values | None = None
    memory_mb: float | None = None
    block_method: str | None = None
    """How its block values were found."""


@dataclass(frozen=True)
class ImportedDevice:
    """What a source says about one device."""

    name: str
    """What the source calls it; a dataset's folder."""
    device: Device
    runs: Sequence[ImportedRun]
    absent: int = 0
    """Networks that the source knows and that were not measured on this device."""
    refused: Sequence[str] = ()
    """What is no measurement, one line each, with its place in the source."""

    def __post_init__(self) -> None:
        """Refuse a name that would lead out of the folder that datasets are written to."""
        if not re.fullmatch(r"\w[\w.-]*", self.name, re.ASCII):
            problem = f"expected a device's name of letters, digits, '_', '.', '-', found {self.name[:60]!r}"
            raise ParseError("device", problem, "Rename it in the source")


@dataclass(frozen=True)
class Imported:
    """What a source says."""

    format: str
    space: SearchSpace[Any]
    networks: Sequence[Network]
    devices: Sequence[ImportedDevice]
    files: Sequence[Path]
    notes: Sequence[str] = field(default=())
    """What was decided for the user, one line each."""


def unknown_device(hardware: str, **known: Any) -> Device:  # noqa: ANN401 - fields of Device
    """Return a device of which a source tells only its name and what is `known`."""
    fields: dict[str, Any] = {
        "runtime": UNKNOWN,
        "runtime_version": UNKNOWN,
        "precision": UNKNOWN,
        "threads": 1,
        "batch": 1,
        "layout": UNKNOWN,
    }
    return Device(hardware, **(fields | known))


def label(text: str) -> str:
    """Return the name of a file or folder as that of its only device."""
    return re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII).strip("-.") or "device"


def with_facts(imported: Imported, facts: Mapping[str, Any]) -> Imported:
    """Return `imported` with what the user knows about its devices: fields of `Device` by name."""
    devices = [replace(found, device=replace(found.device, **facts)) for found in imported.devices]
    return replace(imported, devices=devices)


def value_of(written: object, where: str, what: str, factor: float = 1.0) -> float:
    """Return a measured value in the unit of the dataset.

    Raises:
        ParseError: If it is no finite number > 0.
    """
    if isinstance(written, int | float) and not isinstance(written, bool) and 0 < written < 1e300:
        return float(written) * factor
    found = repr(written) if isinstance(written, int | float | None) else f"a {type(written).__name__}"
    remedy = "Measure it again, or leave such values out with --skip"
    raise ParseError(where, f"expected {what} to be a number > 0, found {found[:60]}", remedy)


def select(names: Sequence[str], wanted: Sequence[str] | None, where: str) -> list[str]:
    """Return those of `names` that are wanted; all of them by default.

    Raises:
        UsageError: If one is not there.
    """
    if not wanted or list(wanted) == ["all"]:
        return list(names)
    for name in wanted:
        if name not in names:
            remedy = f"Take some of {', '.join(names)}, or all" if names else "Check the path"
            raise UsageError("--devices", f"expected devices of {where}, found '{name}'", remedy)
    return [name for name in names if name in wanted]
