"""Reading and writing the plain files (YAML, JSON) that describe spaces, devices and profiling sets."""

from __future__ import annotations

import copy
import difflib
import inspect
import json
import os
import re
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import jsonargparse
import yaml

from latpred.errors import ConfigError

T = TypeVar("T")

_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The compiled loader, where PyYAML has it, reads a profiling set four times as fast."""


def canonical_json(value: object) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file.

    Raises:
        ConfigError: If the file is missing, is no YAML, or holds something else than a mapping.
    """
    content = _load_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(str(path), f"expected a mapping, found {type(content).__name__}", "Mend the file")
    return content


def read_yaml_list(path: Path) -> list[Any]:
    """Read the list in a YAML file.

    Raises:
        ConfigError: If the file is missing, is no YAML, or holds something else than a list.
    """
    content = _load_yaml(path)
    if not isinstance(content, list):
        raise ConfigError(str(path), f"expected a list, found {type(content).__name__}", "Mend the file")
    return content


def _load_yaml(path: Path) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML_LOADER)  # noqa: S506 - both loaders are safe
    except FileNotFoundError:
        raise ConfigError(str(path), "expected a YAML file, found nothing there", "Check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"expected a readable YAML file, got: {error}", "Check the path") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter for what looks like a date and is none
        reason = " ".join(str(error).split())
        raise ConfigError(str(path), f"expected YAML, got: {reason}", "Mend the file") from None


def write_new(path: Path, text: str) -> None:
    """Write `text` to `path`, which must not exist, so that nobody ever reads half of it.

    Raises:
        FileExistsError: If `path` exists; it is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        os.link(draft, path)  # unlike a rename, fails where something stands already
    finally:
        draft.unlink()


def check_keys(where: str, found: Mapping[str, object], allowed: Sequence[str], required: Sequence[str] = ()) -> None:
    """Refuse unknown and missing keys of a mapping.

    Raises:
        ConfigError: Naming the key, with the nearest allowed one.
    """
    for key in found:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            problem = f"unknown key '{key}', expected one of {', '.join(sorted(allowed))}"
            raise ConfigError(where, problem, f"Perhaps '{near[0]}' was meant" if near else "Remove it")
    for key in required:
        if key not in found:
            raise ConfigError(
                where, f"expected the key '{key}', found {', '.join(sorted(map(str, found))) or 'nothing'}", "Add it"
            )


def construct(cls: type[T], parameters: Mapping[str, object], where: str) -> T:
    """Build `cls` from the keys of a configuration, checked against its constructor's types.

    Args:
        cls: A class whose constructor has typed arguments and no `**kwargs`.
        parameters: The constructor's arguments, as read from YAML.
        where: The file and key they stand in, for the error.

    Raises:
        ConfigError: If a key is unknown or missing, or a value has the wrong type or range.
    """
    arguments = inspect.signature(cls).parameters
    required = [name for name, argument in arguments.items() if argument.default is inspect.Parameter.empty]
    check_keys(where, parameters, list(arguments), required)
    _refuse_null(cls, parameters, where)
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, nested_key=None)
    try:
        parsed = parser.parse_object(copy.deepcopy(dict(parameters)))  # the parser writes into nested lists
        return cls(**{name: parsed[name] for name in parameters})
    except jsonargparse.ArgumentError as error:
        raise ConfigError(where, _reason(cls, parameters, error), "Mend the value") from None
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(where, reason, "Mend the value") from None


def _refuse_null(cls: type[Any], parameters: Mapping[str, object], where: str) -> None:
    """Refuse `null` where the annotation has no None; jsonargparse takes it for "not given" and lets it through."""
    try:
        hints = get_type_hints(cls.__init__)
    except NameError:  # a type of somebody else's that is imported for type checkers only: the class has to check
        return
    for key, value in parameters.items():
        if value is None and key in hints and not _allows_none(hints[key]):
            problem = f"expected {key} to be {_annotation(cls, key)}, found null"
            raise ConfigError(where, problem, "Give a value, or leave the key out where it has a default")


def _allows_none(hint: object) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_allows_none(part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return None in get_args(hint)
    return hint in (Any, object, None, types.NoneType)


def _reason(cls: type[Any], parameters: Mapping[str, object], error: Exception) -> str:
    """Return what is wrong in the constructor's own words: jsonargparse prints classes, and unions at length."""
    message = " ".join(str(error).split()).rstrip(".")
    named = re.match(r'Parser key "(\w+)"', message)
    if named is None or named[1] not in parameters:
        return message
    return f"expected {named[1]} to be {_annotation(cls, named[1])}, found {parameters[named[1]]!r}"


def _annotation(cls: type[Any], key: str) -> str:
    """Return the type of a constructor's argument as its source has it."""
    annotation = inspect.signature(cls).parameters[key].annotation
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
