"""The device: the whole key that a latency belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from latpred.config import check_keys
from latpred.errors import ConfigError


@dataclass(frozen=True, order=True, slots=True)
class Device:
    """Hardware and everything about the runtime that changes a latency.

    Eager PyTorch and ONNX Runtime on one CPU are two devices, and so are one and two threads of it.
    """

    hardware: str
    """The processor's own name, for example `AMD EPYC`."""
    runtime: str
    """What executed the network, for example `torch`."""
    runtime_version: str
    precision: str
    """The precision really used, for example `float32`."""
    threads: int
    batch: int
    """Images per pass."""
    layout: str
    """Memory layout of the activations: `nchw` or `nhwc`."""

    def __post_init__(self) -> None:
        """Refuse an empty name or a count below 1."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("threads", "batch"):
                if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                    raise ConfigError(f"device.{field.name}", f"expected an integer >= 1, found {value!r}", "Mend it")
            elif not isinstance(value, str) or not value.strip():
                raise ConfigError(f"device.{field.name}", f"expected a name, found {value!r}", "Mend it")

    @property
    def key(self) -> str:
        """A name fit for folders: `amd-epyc_torch-2.13.0_float32_t1_b1_nchw`."""
        parts = (
            self.hardware,
            f"{self.runtime}-{self.runtime_version}",
            self.precision,
            f"t{self.threads}",
            f"b{self.batch}",
            self.layout,
        )
        return "_".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-") for part in parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "device") -> Device:
        """Read the JSON form.

        Raises:
            ConfigError: If a key is unknown, missing or malformed.
        """
        names = [field.name for field in fields(cls)]
        check_keys(where, values, names, required=names)
        return cls(**values)

    def __str__(self) -> str:
        """Return the sentence for tables and cards."""
        count = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{self.hardware}, {self.runtime} {self.runtime_version}, {self.precision}, {count}, "
            f"batch {self.batch}, {self.layout}"
        )
