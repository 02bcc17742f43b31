"""The additivity report: how sure a dataset's values are, and how well those of blocks add up to those of networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from latpred.dataset import Dataset, Measurements, estimate, split_half_noise
from latpred.errors import DatasetError
from latpred.primitive import Primitive
from latpred.report.additivity_noise import (
    NetworkNoise,
    SessionNoise,
    finite,
    network_noise,
    session_noise,
    sessions_apart,
)
from latpred.report.additivity_sums import (
    LeaveOneOut,
    WholeAndBlocks,
    block_values,
    leave_one_out,
    run_sums,
    whole_and_blocks,
)

_NAMED = 10
"""Primitives without a value that are named."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The primitives of the space that have a value of their own."""

    measured: int
    in_space: int
    networks_min: int | None
    """Networks behind a measured primitive; None where none is measured, as below."""
    networks_median: float | None
    unmeasured: tuple[str, ...]
    """The first ten of those without a value."""


@dataclass(frozen=True, kw_only=True)
class AdditivityReport:
    """All that `latpred dataset report` tells; shares and errors are fractions."""

    space: str
    device: str
    dataset_version: int
    metric: str
    excluded_sessions: tuple[str, ...]
    runs: int
    networks_sampled: int
    networks_assembled: int
    noise: NetworkNoise
    sessions: tuple[SessionNoise, ...]
    sessions_apart: tuple[tuple[str, ...], ...]
    """Sessions that share no network with the others."""
    whole_and_blocks: tuple[WholeAndBlocks, ...]
    """One for each method; none where no run has the values of all of its blocks."""
    leave_one_out: LeaveOneOut | None
    """None without any block value."""
    coverage: Coverage

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; null stands for what cannot be told."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Points:
    """What the figure shows of each network and of each run; NaN where it cannot be told."""

    networks: pd.DataFrame
    """`estimate`; `half_width`, a fraction; `block_sum`, of its own runs with the overhead; `as_stored` and `scaled`,
    the sums of `LeaveOneOut`. All values in the metric's unit, the drift taken out."""
    runs: pd.DataFrame
    """As in `Estimation`."""
    unit: str


def additivity(
    dataset: Dataset,
    vocabulary: Collection[Primitive],
    metric: str = "latency_ms",
    exclude_sessions: Collection[str] = (),
) -> tuple[AdditivityReport, Points]:
    """Read a dataset, and tell how sure its values are and how well blocks add up on its device.

    Args:
        dataset: Where the runs are.
        vocabulary: The primitives of its space.
        metric: One of `METRIC_UNITS`.
        exclude_sessions: Ids of sessions to leave out.

    Raises:
        UsageError: If there is no such metric, or no such session.
        DatasetError: If no ok run has the metric.
    """
    read = dataset.read(metric, exclude_sessions)
    if not len(read.runs):
        raise _nothing_to_report(dataset, metric)
    return _report(dataset, read, vocabulary, tuple(sorted(exclude_sessions)))


def _report(
    dataset: Dataset, read: Measurements, vocabulary: Collection[Primitive], excluded: tuple[str, ...]
) -> tuple[AdditivityReport, Points]:
    estimation = estimate(read)
    networks, drift = estimation.networks, estimation.runs["drift"]
    known = sorted({primitive for network in read.networks for primitive in network.primitives})
    ids = {primitive: i for i, primitive in enumerate(known)}
    blocks, sums = block_values(read, ids, drift), run_sums(dataset, read, drift)
    left_out, predicted = leave_one_out(blocks, _places(read, ids), networks["estimate"])
    report = AdditivityReport(
        space=dataset.card.space.name,
        device=str(dataset.card.device),
        dataset_version=dataset.version,
        metric=read.metric,
        excluded_sessions=excluded,
        runs=len(read.runs),
        networks_sampled=int((~networks["assembled"]).sum()),
        networks_assembled=int(networks["assembled"].sum()),
        noise=network_noise(networks, split_half_noise(read)),
        sessions=session_noise(estimation),
        sessions_apart=sessions_apart(estimation.sessions),
        whole_and_blocks=whole_and_blocks(sums),
        leave_one_out=left_out if len(blocks) else None,
        coverage=coverage(blocks, ids, vocabulary),
    )
    points = networks[["estimate", "half_width"]].assign(block_sum=sums.groupby("network")["block_sum"].median())
    return report, Points(points.join(predicted), estimation.runs, read.unit)


def _places(read: Measurements, ids: Mapping[Primitive, int]) -> pd.DataFrame:
    """Return one row per block of a network: `network`, `primitive` (id)."""
    pairs = [(i, ids[primitive]) for i, network in enumerate(read.networks) for primitive in network.primitives]
    return pd.DataFrame(pairs, columns=["network", "primitive"])


def coverage(blocks: pd.DataFrame, ids: Mapping[Primitive, int], vocabulary: Collection[Primitive]) -> Coverage:
    """Count the networks behind each primitive of a space.

    Args:
        blocks: One row per measured block of a run: `network`, `primitive` (id).
        ids: Of the primitives that the networks have.
        vocabulary: The primitives of the space.
    """
    behind = blocks.groupby("primitive")["network"].nunique()
    counts = pd.Series({primitive: behind.get(ids.get(primitive, -1), 0) for primitive in sorted(vocabulary)})
    measured = counts[counts > 0]
    unmeasured = [str(primitive) for primitive in counts.index[counts == 0]]
    return Coverage(
        measured=len(measured),
        in_space=len(counts),
        networks_min=int(measured.min()) if len(measured) else None,
        networks_median=finite(measured.median()),
        unmeasured=tuple(unmeasured[:_NAMED]),
    )


def _nothing_to_report(dataset: Dataset, metric: str) -> DatasetError:
    metrics = dataset.info().metrics
    if metric in metrics:
        problem = f"expected ok runs with {metric} beside the excluded sessions, found none"
        return DatasetError(str(dataset.path), problem, "Exclude fewer sessions")
    problem = f"expected ok runs with {metric}, found {'those with ' + ', '.join(metrics) if metrics else 'no ok run'}"
    remedy = f"Ask for --metric {metrics[0]}" if metrics else "Measure some with `latpred profile`"
    return DatasetError(str(dataset.path), problem, remedy)
