"""The cards: the JSON that travels with a dataset, a checkpoint or an export and says what it is."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from importlib import metadata
from types import MappingProxyType
from typing import Any, Self

from latpred.calibration import Calibration, Domain, calibration_from_json, domain_from_json, to_json
from latpred.config import canonical_json
from latpred.device import Device
from latpred.errors import CardError, ConfigError
from latpred.vocabulary import Vocabulary

SCHEMA_VERSION = 1

METRIC_UNITS: Mapping[str, str] = {"latency_ms": "ms", "energy_mj": "mJ", "memory_mb": "MB"}
"""Unit of each metric."""

SUMMABLE_METRICS = ("latency_ms", "energy_mj")
"""Metrics of which a network's value is about the sum of its blocks'; memory is a peak and is not."""

_LIBRARIES = ("latpred", "torch", "lightning", "numpy", "pandas", "pyarrow", "deltalake")


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape latpred's files."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@dataclass(frozen=True)
class SpaceCard:
    """Which space: its registered name and all of its parameters."""

    name: str
    parameters: dict[str, Any]

    def describe_difference(self, other: SpaceCard) -> str | None:
        """Return how `other` differs, in words, or None where it is the same space."""
        if self.name != other.name:
            return f"space '{self.name}' against '{other.name}'"
        for key in sorted(self.parameters.keys() | other.parameters.keys()):
            mine, theirs = self.parameters.get(key, "nothing"), other.parameters.get(key, "nothing")
            if mine != theirs:
                return f"{self.name}.{key} = {mine} against {theirs}"
        return None


@dataclass(frozen=True, kw_only=True)
class DatasetCard:
    """What a dataset holds; written once, when it is made."""

    space: SpaceCard
    device: Device
    created_at: str
    """UTC, ISO 8601."""
    latpred_version: str

    kind = "dataset"

    def to_json(self) -> str:
        """Return the text of `card.json`."""
        return _to_json(self)

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Read `card.json`.

        Raises:
            CardError: If it is malformed or of another schema version.
        """
        values = _from_json(text, cls.kind, [field.name for field in fields(cls)], where)
        return cls(**_with_parts(values, where))


@dataclass(frozen=True, kw_only=True)
class PredictorCard:
    """What a predictor answers, for which space and device, and how it came to be."""

    predictor: str
    """Registered name, for example `table`."""
    predictor_parameters: dict[str, Any]
    chain: list[Any]
    """The preprocessors, as in the run's configuration."""
    metric: str
    unit: str
    space: SpaceCard
    device: Device
    vocabulary: Vocabulary
    unmeasured_ids: list[int]
    """Ids of primitives without a measurement, for which the predictor answers NaN."""
    slots: int
    """Length of an encoding."""
    batch_chunk: int | None
    """Encodings that the net is asked for at once where there are more, for speed; None for all."""
    dataset: str
    """Name of the dataset's folder."""
    dataset_version: int
    split: dict[str, Any]
    """Seed and shares of validation and test."""
    training_network_ids: list[str]
    errors: dict[str, dict[str, float]]
    """By split (`val`, `test`), the metrics on its networks; shares are fractions."""
    fit_seconds: float
    """Time of the fit until this state of the net, s."""
    versions: dict[str, str]
    """Libraries that trained it."""
    created_at: str
    calibration: Calibration | None = None
    """Its errors on the validation networks; None in files of before there were intervals."""
    domain: Domain | None = None
    """Where its networks lie; None in files of before there were intervals."""

    kind = "predictor"

    def with_errors(self, split: str, errors: Mapping[str, float]) -> PredictorCard:
        """Return this card with the metrics of one split."""
        return replace(self, errors=self.errors | {split: dict(errors)})

    def to_json(self) -> str:
        """Return the card's text."""
        return _to_json(self)

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Read a card's text.

        Raises:
            CardError: If it is malformed or of another schema version.
        """
        optional = {field.name: field.default for field in fields(cls) if field.default is not MISSING}
        names = [field.name for field in fields(cls) if field.name not in optional]
        values = _from_json(text, cls.kind, names, where, optional)
        values["vocabulary"] = Vocabulary.from_dict(values["vocabulary"], where)
        values["calibration"] = calibration_from_json(values["calibration"], where)
        values["domain"] = domain_from_json(values["domain"], where)
        return cls(**_with_parts(values, where))


def _to_json(card: DatasetCard | PredictorCard) -> str:
    values = {field.name: getattr(card, field.name) for field in fields(card)}
    values |= {"space": asdict(card.space), "device": card.device.to_dict()}
    if isinstance(card, PredictorCard):
        values["vocabulary"] = card.vocabulary.to_dict()
        values |= {"calibration": to_json(card.calibration), "domain": to_json(card.domain)}
    return canonical_json({"kind": card.kind, "schema_version": SCHEMA_VERSION} | values)


def _from_json(
    text: str, kind: str, names: list[str], where: str, optional: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the values of `names`, which must be there, and of `optional`, which has what stands for a missing one."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise CardError(where, f"expected a card in JSON, got: {error}", "Restore the file from a copy") from None
    if not isinstance(values, dict) or values.get("kind") != kind:
        found = values.get("kind") if isinstance(values, dict) else type(values).__name__
        raise CardError(where, f"expected the card of a {kind}, found {found!r}", f"Give the path of a {kind}")
    version = values.get("schema_version")
    if version != SCHEMA_VERSION:
        remedy = "Update latpred" if isinstance(version, int) and version > SCHEMA_VERSION else "Make the file again"
        problem = f"expected schema version {SCHEMA_VERSION}, found {version}"
        raise CardError(where, problem, remedy)
    if lacking := [name for name in names if name not in values]:
        raise CardError(where, f"expected the keys {', '.join(lacking)}, found none of them", "Make the file again")
    return {name: values[name] for name in names} | {name: values.get(name, optional[name]) for name in optional}


def _with_parts(values: dict[str, Any], where: str) -> dict[str, Any]:
    """Return `values` with the space and device read, which both cards have."""
    try:
        space = SpaceCard(values["space"]["name"], values["space"]["parameters"])
        return values | {"space": space, "device": Device.from_dict(values["device"])}
    except ConfigError as error:
        raise CardError(f"{where}: {error.where}", error.problem, "Make the file again") from None
    except (KeyError, TypeError) as error:
        raise CardError(where, f"expected a space and a device, got: {error!r}", "Make the file again") from None
