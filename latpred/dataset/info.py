"""What a dataset holds, in a few numbers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from latpred.card import METRIC_UNITS
from latpred.dataset.networks import read_networks
from latpred.dataset.read import read_measurements
from latpred.dataset.schema import block_column, overall_column
from latpred.dataset.table import RunTable
from latpred.device import Device
from latpred.primitive import Primitive
from latpred.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The numbers that `latpred dataset info` prints."""

    space: str
    device: Device
    version: int
    versions: int
    """How many there are up to this one."""
    sessions: int
    networks_sampled: int
    """Architectures of the space."""
    networks_assembled: int
    """Networks put together for profiling."""
    runs_ok: int
    runs_failed: int
    primitives_measured: int
    """Distinct primitives with a value of their own in an ok run, glue included."""
    primitives_covered: int | None
    """How many of the space's primitives are among them; None where the space was not given."""
    primitives_in_space: int | None
    metrics: tuple[str, ...]
    """Those that an ok run has."""
    first_started_at: datetime | None
    """UTC; None without runs, as below."""
    last_started_at: datetime | None


def dataset_info(
    table: RunTable, device: Device, space: str, sessions: int, vocabulary: Collection[Primitive] | None, dataset: Path
) -> DatasetInfo:
    """Count what is in `table`.

    Args:
        table: The runs.
        device: From the dataset's card.
        space: From the dataset's card.
        sessions: How many there were.
        vocabulary: The primitives of the space, if known.
        dataset: The dataset's folder, for errors.
    """
    rows = table.read(["status", "started_at", *map(overall_column, METRIC_UNITS)])
    ok = rows.filter(pc.field("status") == "ok")
    metrics = tuple(name for name in METRIC_UNITS if len(ok) > ok[overall_column(name)].null_count)
    networks = read_networks(table).values()
    started = pc.min_max(rows["started_at"]).as_py()
    measured = _measured_primitives(table, metrics, dataset)
    return DatasetInfo(
        space=space,
        device=device,
        version=table.version,
        versions=len(table.history()),
        sessions=sessions,
        networks_sampled=sum(not network.assembled for network in networks),
        networks_assembled=sum(network.assembled for network in networks),
        runs_ok=len(ok),
        runs_failed=len(rows) - len(ok),
        primitives_measured=len(measured),
        primitives_covered=None if vocabulary is None else len(measured & set(vocabulary)),
        primitives_in_space=None if vocabulary is None else len(set(vocabulary)),
        metrics=metrics,
        first_started_at=started["min"],
        last_started_at=started["max"],
    )


def _measured_primitives(table: RunTable, metrics: tuple[str, ...], dataset: Path) -> set[Primitive]:
    """Return the primitives that have a block value of any of `metrics`."""
    measured: set[Primitive] = set()
    for metric in metrics:
        if block_column(metric) is None:
            continue
        measurements = read_measurements(table, metric, dataset)
        vocabulary = Vocabulary((), extra=tuple(sorted({p for n in measurements.networks for p in n.primitives})))
        ids = measurements.block_ids(vocabulary.ids)
        found = np.unique(ids[~np.isnan(measurements.block_values)])
        measured |= {vocabulary.extra[i] for i in found}
    return measured
