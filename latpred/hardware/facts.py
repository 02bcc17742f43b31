"""What is known of a device, from its YAML and from what its tools print, until it is a whole `Device`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from latpred.config import check_keys, read_yaml
from latpred.device import Device
from latpred.errors import ConfigError, UsageError

_FIELDS = tuple(found.name for found in fields(Device))
_COUNTS = ("threads", "batch")


class Fact(NamedTuple):
    """A field of a device."""

    value: str | int
    where: str
    """Who says so: a file or a class."""


@dataclass(frozen=True)
class Facts:
    """Some fields of a device, each with who said it."""

    known: Mapping[str, Fact] = field(default_factory=dict)

    def with_all(self, others: Mapping[str, Fact]) -> Facts:
        """Return these facts and others.

        Raises:
            UsageError: If they contradict each other: then they are of two devices.
        """
        for name, found in others.items():
            before = self.known.get(name, found)
            if before.value != found.value:
                problem = f"expected the {name} {before.value!r} as in {before.where}, found {found.value!r}"
                remedy = "Keep the results of each device, and of each version of its tools, in a folder of their own"
                raise UsageError(found.where, problem, remedy)
        new = {name: fact for name, fact in others.items() if name not in self.known}
        return Facts({**self.known, **new}) if new else self

    def missing(self) -> list[str]:
        """Return the fields that nothing tells."""
        return [name for name in _FIELDS if name not in self.known]

    def device(self, where: str) -> Device:
        """Return the device.

        Args:
            where: The results, for the error.

        Raises:
            ConfigError: If a field is missing.
        """
        if lacking := self.missing():
            problem = f"expected the whole device, found nothing that tells its {', '.join(lacking)}"
            keys = ", ".join(f"{name}: ..." for name in lacking)
            remedy = f"Write 'device: {{{keys}}}' into {where}/device.yaml, or into a YAML for --device"
            raise ConfigError(where, problem, remedy)
        return Device(**{name: self.known[name].value for name in _FIELDS})  # type: ignore[arg-type] # read_facts

    def to_dict(self) -> dict[str, str | int]:
        """Return the plain values, as in a YAML."""
        return {name: self.known[name].value for name in _FIELDS if name in self.known}


def read_facts(values: object, where: str) -> Facts:
    """Read some fields of a device.

    Raises:
        ConfigError: If a key is unknown or a value cannot be.
    """
    if not isinstance(values, dict):
        problem = f"expected a mapping, found {type(values).__name__}"
        raise ConfigError(where, problem, "Write its keys below it, indented, or leave the section out")
    check_keys(where, values, _FIELDS)
    for name, value in values.items():
        if name in _COUNTS:
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(where, f"expected {name} to be an integer >= 1, found {value!r}", "Mend it")
        elif not isinstance(value, str) or not value.strip():
            raise ConfigError(where, f"expected {name} to be a name, found {value!r}", "Put it in quotes")
    return facts_of(values, where)


def read_facts_file(path: Path) -> Facts:
    """Read the section `device` of a YAML; a configuration of a hardware has one, too.

    Raises:
        ConfigError: As `read_facts` does, and if the file cannot be read.
    """
    content = read_yaml(path)
    check_keys(str(path), content, ["device", "hardware", "parameters"], required=["device"])
    return read_facts(content["device"], f"{path}: device")


def facts_of(values: Mapping[str, Any], where: str) -> Facts:
    """Return the values that are not None as facts of one source."""
    return Facts({name: Fact(value, where) for name, value in values.items() if value is not None})
