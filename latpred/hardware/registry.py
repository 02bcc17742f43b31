"""Hardware by its name: latpred's own, that of installed packages, and that of a file which a user names."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from latpred.config import check_keys, construct, read_yaml
from latpred.errors import ConfigError
from latpred.formats import FORMATS
from latpred.hardware.base import Hardware
from latpred.hardware.facts import Facts, read_facts

_GROUP = "latpred.hardware"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_BUILT_IN = (
    EntryPoint("dpu", "latpred.hardware.dpu:Dpu", _GROUP),
    EntryPoint("onnx", "latpred.hardware.onnx_tool:OnnxTool", _GROUP),
    EntryPoint("onnxruntime", "latpred.hardware.onnx_runtime:OnnxRuntime", _GROUP),
    EntryPoint("openvino", "latpred.hardware.openvino:OpenVINO", _GROUP),
    EntryPoint("tensorrt", "latpred.hardware.tensorrt:TensorRT", _GROUP),
    EntryPoint("tflite", "latpred.hardware.tflite:TFLite", _GROUP),
)


@dataclass(frozen=True)
class HardwareConfig:
    """A file in `configs/hardware`: a hardware's name, its parameters, and what is known of the device."""

    hardware: Hardware
    facts: Facts = field(default_factory=Facts)
    """What the YAML says of the device; the hardware's own facts are not in it."""


def hardware_names() -> list[str]:
    """Return the names of latpred's own hardware and of what installed packages bring."""
    return sorted({point.name for point in (*_BUILT_IN, *entry_points(group=_GROUP))})


def make_hardware(name: str, config: Path | None = None, code: Path | None = None) -> HardwareConfig:
    """Make the hardware called `name`.

    Args:
        name: One of `hardware_names`, or of the class in `code`.
        config: YAML with `hardware`, its name again, and optionally `parameters` and `device`; without one, all is
            as the class has it.
        code: A Python file with the class. It is executed, so it is named by the user alone, never by a YAML: those
            are data, and are passed around as such.

    Raises:
        ConfigError: If there is no such hardware, or its parameters are wrong; naming the file and the key.
    """
    where = "hardware" if config is None else str(config)
    content: Mapping[str, Any] = {"hardware": name} if config is None else read_yaml(config)
    check_keys(where, content, ["hardware", "parameters", "device"], required=["hardware"])
    if content["hardware"] != name:
        problem = f"expected a configuration of {name}, found one of {content['hardware']!r}"
        raise ConfigError(where, problem, "Name that hardware, or give its own file")
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        problem = f"expected the parameters to be a mapping, found {type(parameters).__name__}"
        raise ConfigError(where, problem, "Write `parameters:` and its keys, indented, below it")
    cls = _class(name) if code is None else _class_in(code, name)
    hardware = construct(cls, parameters, where if config is None else f"{where}: parameters")
    return HardwareConfig(hardware, read_facts(content.get("device", {}), f"{where}: device"))


def _class(name: str) -> type[Hardware]:
    """Import the class behind a registered name; latpred's own names cannot be taken by others."""
    points = [point for point in _BUILT_IN if point.name == name]
    points = points or sorted({point for point in entry_points(group=_GROUP) if point.name == name})
    if not points:
        problem = f"expected one of the hardware {', '.join(hardware_names())}, found {name!r}"
        remedy = f"Correct the name, install the package that has it as an entry point in '{_GROUP}', or name the file"
        raise ConfigError("hardware", problem, f"{remedy} with --hardware-file")
    if len(points) > 1:
        values = ", ".join(point.value for point in points)
        raise ConfigError("hardware", f"expected one named {name!r}, found {values}", "Uninstall all but one")
    try:
        found = points[0].load()
    except (ImportError, AttributeError) as error:
        problem = f"expected the hardware {name!r} in {points[0].value}, got: {error}"
        raise ConfigError("hardware", problem, "Mend or reinstall the package that brings it") from None
    return _checked(found, name, points[0].value)


def _class_in(path: Path, name: str) -> type[Hardware]:
    """Execute a file and return its class of that name."""
    module = _executed(path)
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Hardware)]
    own = [cls for cls in classes if cls.__module__ == module.__name__ and getattr(cls, "name", None) == name]
    if len(own) != 1:
        found = ", ".join(sorted(str(getattr(cls, "name", cls.__name__)) for cls in classes)) or "none"
        problem = f"expected one class of Hardware whose name is {name!r}, found {found}"
        raise ConfigError(str(path), problem, "Set the class's `name`, or ask for that one")
    return _checked(own[0], name, str(path))


def _executed(path: Path) -> ModuleType:
    name = f"latpred_hardware_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(str(path), "expected a Python file (.py), found none there", "Check --hardware-file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and typing look a class's module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file is anybody's code
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(str(path), f"expected a file that can be imported, got {reason}", "Mend it") from error
    return module


def _checked(found: object, name: str, where: str) -> type[Hardware]:
    if not (isinstance(found, type) and issubclass(found, Hardware) and getattr(found, "name", None) == name):
        problem = f"expected a class of Hardware whose name is {name!r}, found {found!r}"
        raise ConfigError(where, problem, "Mend the package's entry point or the class's `name`")
    if not _NAME.fullmatch(name):
        problem = f"expected a name of lower-case letters, digits and _, found {name!r}"
        raise ConfigError(where, problem, "Rename the class: folders are called by it")
    if unknown := sorted(set(found.formats) - FORMATS.keys()):
        problem = f"expected formats of {', '.join(FORMATS)}, found {unknown[0]!r}"
        raise ConfigError(where, problem, "Mend the class's `formats`")
    return found
