"""The columns of the table of runs, and the two forms in which a run is stored: an Arrow row and a journal line."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pyarrow as pa

from latpred.config import canonical_json
from latpred.errors import LatpredError, RunError
from latpred.run import Run


def _list_of(item: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", item))  # the name that Delta gives it; pyarrow's own is `item`


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


PRIMITIVE = pa.struct(
    [
        ("prim_type", pa.string()),
        ("spatial_size", pa.int64()),
        ("C", pa.int64()),
        ("C_out", pa.int64()),
        ("stride", pa.int64()),
        ("kernel_size", pa.int64()),
        ("kwargs", pa.string()),
    ]
)
"""A primitive, field by field."""

SCHEMA = pa.schema(
    [
        _required("session_id", pa.string()),
        _required("sequence", pa.int64()),
        _required("network_id", pa.string()),
        _required("space", pa.string()),
        pa.field("architecture", pa.string()),
        _required("primitives", _list_of(PRIMITIVE)),
        _required("role", _list_of(pa.string())),
        _required("round", pa.int64()),
        _required("started_at", pa.timestamp("us", "UTC")),
        _required("status", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("overall_latency_ms", pa.float64()),
        pa.field("block_latency_ms", _list_of(pa.float64())),
        pa.field("block_method", _list_of(pa.string())),
        pa.field("overhead_ms", pa.float64()),
        pa.field("cpu_time_ms", pa.float64()),
        pa.field("involuntary_switches", pa.int64()),
        pa.field("overall_energy_mj", pa.float64()),
        pa.field("block_energy_mj", _list_of(pa.float64())),
        pa.field("overall_memory_mb", pa.float64()),
    ]
)
"""One row is one run; the columns are the fields of `Run`."""


def overall_column(metric: str) -> str:
    """Return the column with a network's whole value of `metric`."""
    return f"overall_{metric}"


def block_column(metric: str) -> str | None:
    """Return the column with the values per block of `metric`, None for a metric that has none."""
    name = f"block_{metric}"
    return name if name in SCHEMA.names else None


def to_batch(run: Run) -> pa.RecordBatch:
    """Return `run` as a batch of one row.

    Raises:
        RunError: If a value does not fit its column; a row that was accepted must never stop a commit.
    """
    row = run.to_row()
    for field in SCHEMA:
        if not field.nullable and row[field.name] is None:
            raise RunError(_name(run), f"expected a value for {field.name}, found none", "Give it")
    try:
        return pa.RecordBatch.from_pylist([row], schema=SCHEMA)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise RunError(_name(run), f"expected values that fit the columns, found: {reason}", "Mend the run") from None


def to_line(run: Run) -> str:
    """Return `run` as one line of a journal, without its end.

    Raises:
        RunError: If a value is no JSON, such as NaN.
    """
    row = run.to_row() | {"started_at": run.started_at.isoformat()}
    try:
        return canonical_json(row)
    except (TypeError, ValueError) as error:
        raise RunError(_name(run), f"expected plain finite values, found: {error}", "Mend the run") from None


def from_line(line: str) -> Run:
    """Read a line of a journal.

    Raises:
        ValueError: If it holds no run, saying why.
    """
    try:
        row: dict[str, Any] = json.loads(line)
        return Run.from_row(row | {"started_at": datetime.fromisoformat(row["started_at"])})
    except (KeyError, TypeError, ValueError, AttributeError, LatpredError) as error:
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())) from None


def check_run(run: Run, space: str) -> None:
    """Refuse a run that cannot be a row of a dataset of `space`.

    Raises:
        RunError: Naming the run and what is wrong with it.
    """
    try:
        run.check()
        if run.architecture is not None:
            json.loads(run.architecture)
    except (TypeError, ValueError, AttributeError) as error:  # values of another type than the run's fields
        reason = " ".join(str(error).split())
        raise RunError(_name(run), f"expected values of the stated types, found: {reason}", "Mend the run") from None
    if run.space != space:
        raise RunError(_name(run), f"expected a run of space '{space}', found '{run.space}'", "Use another dataset")


def _name(run: Run) -> str:
    return f"run {run.sequence} of session {run.session_id} (network {run.network_id})"
