"""Objectives from YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from latpred.config import check_keys, construct, read_yaml
from latpred.device import Device
from latpred.errors import ConfigError, UsageError
from latpred.estimator import Estimator
from latpred.profiling import load_device
from latpred.search.accuracy import AccuracyObjective
from latpred.search.container import ContainerObjective
from latpred.search.hardware import HardwareObjective
from latpred.search.objective import Objective
from latpred.search.reward import MnasnetObjective
from latpred.spaces import load_space

_NAMES = ("accuracy", "container", "hardware", "mnasnet")


def load_objective(
    path: str | Path, *, accuracy: Callable[[Any], float] | None = None, trust: bool = False
) -> Objective:
    """Read an objective from its YAML: `objective`, its name, and `parameters`, its arguments.

    The names are `accuracy`, `hardware`, `mnasnet`, and `container` of these. Paths are relative to the YAML.

    Args:
        path: The file; it is data, and names no code.
        accuracy: The user's function behind the objective `accuracy`.
        trust: Whether a `.ts` that the file names may be loaded: it is a program. An `.onnx` is data.

    Raises:
        ConfigError: Naming the file, the key and what was expected.
        CardError: If an estimator is of another metric, space or device than the file says.
    """
    return _Loader(Path(path), accuracy, trust).load()


class _Loader:
    """Reads one file."""

    def __init__(self, path: Path, accuracy: Callable[[Any], float] | None, trust: bool) -> None:
        self._path, self._accuracy, self._trust = path, accuracy, trust
        self._accuracy_used = False

    def load(self) -> Objective:
        objective = self._objective(read_yaml(self._path), str(self._path), _NAMES)
        if self._accuracy is not None and not self._accuracy_used:
            problem = "expected an objective 'accuracy' for the function that was given, found none"
            raise ConfigError(str(self._path), problem, "Add `- objective: accuracy`, or leave the function out")
        return objective

    def _objective(self, content: object, where: str, names: tuple[str, ...]) -> Objective:
        content = _mapping(content, where)
        check_keys(where, content, ["objective", "parameters"], required=["objective"])
        name, parameters = content["objective"], content.get("parameters", {})
        if name not in names:
            problem = f"expected one of the objectives {', '.join(names)}, found {name!r}"
            raise ConfigError(where, problem, "Correct the name")
        where = f"{where}: {name}"
        parameters = _mapping(parameters, where)
        try:
            if name == "container":
                return self._container(parameters, where)
            if name == "hardware":
                return self._hardware(parameters, where)
            if name == "accuracy":
                return self._user_accuracy(parameters, where)
            return construct(MnasnetObjective, parameters, where)
        except ConfigError:
            raise
        except UsageError as error:  # of a constructor, which does not know the file
            raise ConfigError(f"{where}: {error.where}", error.problem, error.remedy) from None

    def _container(self, parameters: dict[str, Any], where: str) -> Objective:
        keys = ["sub_objectives", "losses_coef", "rewards_coef"]
        check_keys(where, parameters, keys, required=keys)
        entries = parameters["sub_objectives"]
        if not isinstance(entries, list):
            problem = f"expected sub_objectives to be a list, found {type(entries).__name__}"
            raise ConfigError(where, problem, "Write each behind a dash")
        names = tuple(name for name in _NAMES if name != "container")
        subs = [self._objective(entry, f"{where}: sub_objectives[{i}]", names) for i, entry in enumerate(entries)]
        return ContainerObjective(subs, parameters["losses_coef"], parameters["rewards_coef"])

    def _user_accuracy(self, parameters: dict[str, Any], where: str) -> Objective:
        check_keys(where, parameters, ["name"])
        name = parameters.get("name", "accuracy")
        if not isinstance(name, str):
            raise ConfigError(where, f"expected name to be a text, found {name!r}", "Mend the value")
        if self._accuracy is None:
            problem = "expected a function for the accuracy, found none"
            raise ConfigError(where, problem, "Pass it: load_objective(path, accuracy=function)")
        self._accuracy_used = True
        return AccuracyObjective(self._accuracy, name)

    def _hardware(self, parameters: dict[str, Any], where: str) -> Objective:
        check_keys(where, parameters, ["estimators", "space", "device"], required=["estimators"])
        estimators = {}
        for name, path in _mapping(parameters["estimators"], f"{where}: estimators").items():
            place = f"{where}: estimators.{name}"
            estimators[str(name)] = self._estimator(self._resolve(path, place), place)
        space = None
        if "space" in parameters:
            space = load_space(self._resolve(parameters["space"], f"{where}: space"))
        device = self._device(parameters["device"], f"{where}: device") if "device" in parameters else None
        return HardwareObjective(estimators, space=space, device=device)

    def _estimator(self, path: Path, where: str) -> Estimator:
        if path.suffix == ".ts" and not self._trust:
            problem = f"expected an .onnx, found {path}, which is a program"
            raise ConfigError(where, problem, "Pass trust=True if you trust whoever made it, or export it as .onnx")
        return Estimator(path)

    def _device(self, value: object, where: str) -> Device:
        """Read a device: the path of a device's YAML, for the one that this machine is, or the device's own keys."""
        if isinstance(value, dict):
            return Device.from_dict(value, where)
        return load_device(self._resolve(value, where)).resolve()

    def _resolve(self, value: object, where: str) -> Path:
        if not isinstance(value, str):
            raise ConfigError(where, f"expected the path of a file, found {value!r}", "Mend the value")
        return self._path.parent / value


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        problem = f"expected a mapping, found {type(value).__name__}"
        raise ConfigError(where, problem, "Write its keys below it, indented")
    return value
