"""Reading the configurations of the reference system (aw_nas): its search space, and what it would profile and fit.

Its two files state many values twice and must agree, and its versions spell keys differently; both are settled here.
Of the file that defines the search space, the parts that train networks (evaluator, trainer ...) are not looked into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latpred.config import check_keys, construct, read_yaml
from latpred.errors import ConfigError
from latpred.spaces.base import SearchSpace
from latpred.spaces.reference_names import (
    BLOCK_NAMES,
    BLOCK_TYPES,
    COMPONENTS,
    FURTHER_HARDWARE_KEYS,
    HARDWARE_KEYS,
    HEAD_KEYS,
    MODEL_CFG_KEYS,
    MODEL_WORDS,
    MODELS,
    OBJECTIVE_KEYS,
    PREPROCESSORS,
    PROFILING_KEYS,
    REQUIRED,
    SPACE_KEYS,
    SPACES,
    WITHOUT_COUNTERPART,
)
from latpred.spaces.ssd_ofa import SSDOFA


@dataclass(frozen=True)
class ReferenceConfig:
    """What the two files mean for latpred."""

    space: SearchSpace[Any]
    model: tuple[str, str] | None
    """The reference's name of the model and latpred's predictor; None where no model is named."""
    preprocessors: tuple[tuple[str, str], ...]
    """The reference's name of each preprocessor and latpred's; empty where none is named."""
    notes: tuple[str, ...]
    """What was decided for the user, one line each."""


def read_reference_config(config: Path, hardware: Path) -> ReferenceConfig:
    """Read a configuration and its hardware-object configuration.

    Raises:
        ConfigError: Naming the file and key that is unknown, lacking, wrong, or at odds with the other file.
    """
    content, hardware_content = read_yaml(config), read_yaml(hardware)
    known = ["rollout_type", *HARDWARE_KEYS, *(f"{name}_{end}" for name in COMPONENTS for end in ("type", "cfg"))]
    check_keys(str(config), content, known, required=["search_space_type", "search_space_cfg"])
    check_keys(str(hardware), hardware_content, [*HARDWARE_KEYS, *FURTHER_HARDWARE_KEYS])
    reading = _Reading()
    space = _space(content["search_space_type"], f"{config}: search_space_type")
    reading.search_space(_section(content, "search_space_cfg", str(config)), space, f"{config}: search_space_cfg")
    for given, where in ((content, str(config)), (hardware_content, str(hardware))):
        if given.get("mixin_search_space_type") is not None:
            found = _space(given["mixin_search_space_type"], _at(where, "mixin_search_space_type"))
            if found is not space:
                problem = f"expected a space of {content['search_space_type']}, as search_space_type in {config} says"
                problem += f", found {given['mixin_search_space_type']}"
                raise ConfigError(_at(where, "mixin_search_space_type"), problem, "Make them agree")
        mixin = _section(given, "mixin_search_space_cfg", where)
        reading.search_space(mixin, space, f"{where}: mixin_search_space_cfg")
        reading.hardware(given, where)
    for objective, where in _hardware_objectives(content, str(config)):
        check_keys(where, objective, [*HARDWARE_KEYS, *OBJECTIVE_KEYS])
        reading.hardware(objective, where)
    if space is SSDOFA:
        reading.detector(_section(content, "weights_manager_cfg", str(config)), f"{config}: weights_manager_cfg")
    return reading.finish(space, config, hardware)


class _Reading:
    """Collects what is stated; a second statement must agree with the first."""

    def __init__(self) -> None:
        self._stated: dict[str, tuple[Any, str]] = {}
        self._spelled: dict[str, Any] = {}
        self._notes: list[str] = []

    def search_space(self, given: Mapping[str, Any], space: type[SearchSpace[Any]], where: str) -> None:
        """Read the choices of a search space, the last ones where a schedule widens them."""
        keys = (*SPACE_KEYS, *(HEAD_KEYS if space is SSDOFA else ()))
        check_keys(where, given, [*keys, "schedule_cfg"])
        schedule = _section(given, "schedule_cfg", where)
        check_keys(f"{where}.schedule_cfg", schedule, keys)
        for key in keys:
            if schedule.get(key) is not None:
                self._state(key, _last(schedule[key], f"{where}.schedule_cfg.{key}"), f"{where}.schedule_cfg.{key}")
                self._notes.append(f"{key} is the last one of {where}.schedule_cfg")
            elif key in given:
                self._state(key, given[key], f"{where}.{key}")

    def hardware(self, given: Mapping[str, Any], where: str) -> None:
        """Read the profiling parameters, the model and its preprocessors from a section that has them."""
        for key in _spelled_one_way(given, PROFILING_KEYS, where):
            self._profiling(_section(given, key, where), _at(where, key))
        for key in _spelled_one_way(given, [f"{word}_type" for word in MODEL_WORDS], where):
            self._named("model", given[key], MODELS, _at(where, key))
        for key in _spelled_one_way(given, [f"{word}_cfg" for word in MODEL_WORDS], where):
            settings = _section(given, key, where)
            check_keys(_at(where, key), settings, MODEL_CFG_KEYS)
            self.hardware(settings, _at(where, key))
        if given.get("preprocessors") is not None:
            self._named("preprocessors", given["preprocessors"], PREPROCESSORS, _at(where, "preprocessors"))

    def detector(self, given: Mapping[str, Any], where: str) -> None:
        """Read what the reference states of a detector's heads only where it trains them."""
        head = _section(given, "head_cfg", where)
        self._state("num_classes", given.get("num_classes"), f"{where}.num_classes")
        self._state("feature_levels", given.get("feature_levels"), f"{where}.feature_levels")
        self._state("head_channels", head.get("channels"), f"{where}.head_cfg.channels")
        if (ratios := head.get("aspect_ratios")) is not None:
            place = f"{where}.head_cfg.aspect_ratios"
            if not (isinstance(ratios, list) and all(isinstance(row, list) for row in ratios)):
                raise ConfigError(
                    place, f"expected a list of one list for each feature map, found {ratios!r}", "Mend it"
                )
            # Two boxes of ratio 1, and each ratio both ways.
            self._state("anchors", [2 + 2 * len(row) for row in ratios], place)

    def finish(self, space: type[SearchSpace[Any]], config: Path, hardware: Path) -> ReferenceConfig:
        """Build the space from all that was stated."""
        where = f"{config} and {hardware}"
        for name in REQUIRED:
            if name not in self._stated:
                raise ConfigError(where, f"expected '{name}' in one of them, found it in neither", "Add it")
        parameters = {name: value for name, (value, _) in self._stated.items() if name not in self._spelled}
        size, place = self._stated["spatial_size"]
        sizes, sizes_place = self._stated.get("image_size_choice", ([size], ""))
        if not isinstance(sizes, list) or size not in sizes:
            problem = f"expected spatial_size to be one of {sizes}, as {sizes_place} says, found {size}"
            raise ConfigError(place, problem, "Make them agree: what is profiled must be what is searched")
        if not sizes_place:
            self._notes.append(f"image_size_choice is [{size}], the spatial_size that is profiled")
        del parameters["spatial_size"]
        built = construct(space, parameters | {"image_size_choice": sizes}, where)
        model = (str(self._spelled["model"]), self._stated["model"][0]) if "model" in self._spelled else None
        names = self._spelled.get("preprocessors", ())
        pairs = tuple((name, PREPROCESSORS[name]) for name in names)
        return ReferenceConfig(built, model, pairs, tuple(dict.fromkeys(self._notes)))

    def _profiling(self, given: Mapping[str, Any], where: str) -> None:
        check_keys(where, given, [*BLOCK_NAMES, *WITHOUT_COUNTERPART])
        if given.get("sample") is not None:
            self._notes.append(f"{where}.sample is not kept: latpred profiles every primitive")
        for key in sorted(given.keys() & BLOCK_NAMES.keys()):
            value = given[key]
            value = BLOCK_TYPES.get(value, value) if isinstance(value, str) else value
            self._state(BLOCK_NAMES[key], value, f"{where}.{key}")

    def _named(self, name: str, value: object, known: Mapping[str, str], where: str) -> None:
        """Keep the reference's name or names in `value` as they are spelled, and state latpred's."""
        mapped = []
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, str) or entry not in known:
                problem = f"expected one of {', '.join(sorted(known))}, found {entry!r}"
                raise ConfigError(where, problem, "Correct the name")
            mapped.append(known[entry])
        self._state(name, mapped if isinstance(value, list) else mapped[0], where)
        self._spelled.setdefault(name, value)

    def _state(self, name: str, value: object, where: str) -> None:
        if value is None:
            return  # the reference writes null for what is not given
        first, place = self._stated.setdefault(name, (value, where))
        if _comparable(name, first) != _comparable(name, value):
            problem = f"expected {first}, as {place} says, found {value}"
            raise ConfigError(where, problem, "Make them agree: what is profiled must be what is searched")


def _comparable(name: str, value: object) -> object:
    """Return `value` so that equal meanings are equal: choices have no order."""
    return sorted(value, key=repr) if name.endswith("_choice") and isinstance(value, list) else value


def _at(where: str, key: str) -> str:
    """Return the place of `key` inside `where`, a file or a place in one."""
    return f"{where}.{key}" if ": " in where else f"{where}: {key}"


def _space(name: object, where: str) -> type[SearchSpace[Any]]:
    if not isinstance(name, str) or name not in SPACES:
        problem = f"expected one of {', '.join(sorted(SPACES))}, found {name!r}"
        raise ConfigError(where, problem, "Give a configuration of one of these spaces")
    return SPACES[name]


def _section(given: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """Return the mapping behind `key`, empty where there is none."""
    section = given.get(key)
    if section is not None and not isinstance(section, dict):
        raise ConfigError(_at(where, key), f"expected a mapping, found {type(section).__name__}", "Mend it")
    return section or {}


def _spelled_one_way(given: Mapping[str, Any], keys: Sequence[str], where: str) -> list[str]:
    """Return the one of several spellings that is there, or none.

    Raises:
        ConfigError: If there are two.
    """
    found = [key for key in keys if given.get(key) is not None]
    if len(found) > 1:
        raise ConfigError(
            where, f"expected one of {' and '.join(found)}, which mean the same, found both", "Remove one"
        )
    return found


def _last(schedule: object, where: str) -> object:
    """Return the last value of a schedule of steps."""
    values = schedule.get("value") if isinstance(schedule, dict) and schedule.get("type") == "value" else None
    if not isinstance(values, list) or not values:
        problem = f"expected a schedule with type 'value' and a list of values, found {schedule!r}"
        raise ConfigError(where, problem, "State the choices in search_space_cfg instead")
    return values[-1]


def _hardware_objectives(content: Mapping[str, Any], where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the settings of the hardware objectives, alone or in a container, and where they stand."""
    settings = _section(content, "objective_cfg", where)
    if content.get("objective_type") == "hardware":
        yield settings, f"{where}: objective_cfg"
    elif content.get("objective_type") == "container":
        objectives = settings.get("sub_objectives")
        for i, objective in enumerate(objectives if isinstance(objectives, list) else ()):
            if isinstance(objective, dict) and objective.get("objective_type") == "hardware":
                place = f"{where}: objective_cfg.sub_objectives[{i}]"
                yield _section(objective, "objective_cfg", place), f"{place}.objective_cfg"
