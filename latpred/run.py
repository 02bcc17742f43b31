"""The run: one visit of one network on one device, the row of a dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

from latpred.errors import RunError
from latpred.network import Role
from latpred.primitive import Primitive

Values = tuple[float | None, ...]

_OVERALL = ("overall_latency_ms", "overall_energy_mj", "overall_memory_mb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one visit measured; None where something was not measured.

    Latencies are in ms, energies in mJ, memory in MB (10^6 bytes).
    """

    session_id: str
    sequence: int
    """Number of the run in its session, from 0; (session_id, sequence) names the run."""
    network_id: str
    space: str
    architecture: str | None
    """The architecture's canonical JSON; None for an assembled network."""
    primitives: tuple[Primitive, ...]
    role: tuple[Role, ...]
    round: int
    """The pass over all networks that this visit was part of, from 0."""
    started_at: datetime
    """UTC."""
    status: Literal["ok", "failed"] = "ok"
    reason: str | None = None
    """Why a failed run failed."""
    overall_latency_ms: float | None = None
    """Latency of a plain pass, without anything between the blocks."""
    block_latency_ms: Values | None = None
    """Latency of each block, from another pass of the same visit."""
    block_method: tuple[str | None, ...] | None = None
    """How each block's value was found: `timestamp`, `hook`, `profile_share`, `isolated`, `difference`."""
    overhead_ms: float | None = None
    """Time of the pass with block values that belongs to no block."""
    cpu_time_ms: float | None = None
    """Thread CPU time of the plain pass; only where one thread did all the work."""
    involuntary_switches: int | None = None
    """Times the plain pass was preempted."""
    overall_energy_mj: float | None = None
    block_energy_mj: Values | None = None
    overall_memory_mb: float | None = None
    """Peak of activations and weights. A peak is no sum, so there is no value per block."""

    @property
    def key(self) -> tuple[str, int]:
        """The unique name of the run."""
        return self.session_id, self.sequence

    def check(self) -> None:
        """Refuse a run that cannot be a row.

        Raises:
            RunError: Naming the run, the field and the value.
        """
        where = f"run {self.sequence} of session {self.session_id} (network {self.network_id})"
        if self.sequence < 0 or self.round < 0:
            raise RunError(
                where, f"expected sequence and round >= 0, found {self.sequence} and {self.round}", "Mend it"
            )
        if not self.primitives or len(self.primitives) != len(self.role):
            found = f"{len(self.primitives)} primitives and {len(self.role)} roles"
            raise RunError(where, f"expected as many roles as primitives, at least one, found {found}", "Mend it")
        if unknown := [role for role in self.role if role not in get_args(Role)]:
            raise RunError(where, f"expected roles of primitive or glue, found '{unknown[0]}'", "Mend it")
        if self.started_at.utcoffset() is None:
            raise RunError(where, f"expected started_at with its time zone, found {self.started_at}", "Give it in UTC")
        for name in ("block_latency_ms", "block_method", "block_energy_mj"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.primitives):
                raise RunError(where, f"expected {len(self.primitives)} {name}, found {len(values)}", "Mend it")
        self._check_values(where)

    def _check_values(self, where: str) -> None:
        """Refuse numbers that no measurement gives, and a status that they contradict."""
        if self.status not in ("ok", "failed"):
            raise RunError(where, f"expected status to be ok or failed, found '{self.status}'", "Mend it")
        if self.status == "failed":
            if not self.reason:
                raise RunError(where, "expected a reason for a failed run, found none", "Give one")
            return
        if all(getattr(self, name) is None for name in _OVERALL):
            raise RunError(where, "expected an overall latency, energy or memory, found none", "Store it as failed")
        numbers = [(name, getattr(self, name)) for name in _OVERALL]
        for name in ("block_latency_ms", "block_energy_mj"):
            numbers += [(f"{name}[{i}]", value) for i, value in enumerate(getattr(self, name) or ())]
        for name, value in numbers:
            if value is not None and not (math.isfinite(value) and value > 0):
                raise RunError(where, f"expected {name} to be a finite number > 0, found {value}", "Measure it again")
        for name in ("overhead_ms", "cpu_time_ms", "involuntary_switches"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise RunError(where, f"expected {name} to be a finite number >= 0, found {value}", "Measure it again")

    def to_row(self) -> dict[str, Any]:
        """Return the row of the dataset: plain lists and dicts, times as datetimes."""
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        row["primitives"] = [{name: getattr(p, name) for name in Primitive.FIELDS} for p in self.primitives]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Run:
        """Read a row of the dataset back."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }
        values["primitives"] = tuple(Primitive(**fields_) for fields_ in row["primitives"])
        return cls(**values)
