"""A device's networks and their measured values, out of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from latpred.card import METRIC_UNITS, DatasetCard
from latpred.dataset import Dataset, estimate
from latpred.errors import CardError, DatasetError, UsageError
from latpred.preprocessing import make_batch
from latpred.preprocessing.block_values import MeasuredBlocks, measured_blocks
from latpred.spaces import SearchSpace


@dataclass(frozen=True, eq=False)
class MeasuredDevice:
    """The architectures that were measured on a device; assembled networks are left out."""

    path: Path
    """Of the dataset."""
    version: int
    card: DatasetCard
    metric: str
    network_ids: tuple[str, ...]
    """Sorted."""
    ids: Tensor
    """Encodings, [networks, slots]."""
    latency: Tensor
    """Estimates of the metric, in its unit, float64 [networks]."""
    weight: Tensor
    """How sure each is, float64 [networks], 1 on average."""
    failed: int
    """Networks without a successful run, which are not among these."""
    blocks: MeasuredBlocks | None = None
    """What their blocks take; None where no block has a value."""

    def __len__(self) -> int:
        """Return the number of networks."""
        return len(self.network_ids)

    def take(self, rows: Tensor) -> MeasuredDevice:
        """Return the device as if only the networks at the places `rows` had been measured."""
        return replace(
            self,
            network_ids=tuple(self.network_ids[row] for row in rows.tolist()),
            ids=self.ids[rows],
            latency=self.latency[rows],
            weight=self.weight[rows],
            blocks=None if self.blocks is None else self.blocks.take(rows),
        )


def read_device(path: Path, metric: str, space: SearchSpace[Any], remedy: str) -> MeasuredDevice:
    """Read a dataset of `space`.

    Args:
        path: Its folder.
        metric: What to read.
        space: What it must be of.
        remedy: What to do if it has no measured network.

    Raises:
        DatasetError: If it cannot be read, or has no measured network.
        CardError: If it is of another space.
        UsageError: If there is no such metric.
    """
    dataset = Dataset.open(path)
    if difference := space.card().describe_difference(dataset.card.space):
        problem = f"expected a dataset of the space that is asked for, found another: {difference}"
        raise CardError(str(path), problem, "Take datasets of one space")
    read = dataset.read(metric)
    codes = [code for code, network in enumerate(read.networks) if not network.assembled]
    if not codes:
        raise DatasetError(str(path), _problem(dataset, metric, assembled=len(read.networks)), remedy)
    estimation = estimate(read)
    batch = make_batch(space, [read.networks[code] for code in codes], estimation.networks.loc[codes])
    network_ids = tuple(read.networks[code].network_id for code in codes)
    known = {network.network_id for network in read.networks}
    failed = {network_id for network_id, _ in dataset.visited()} - known
    return MeasuredDevice(
        path=path,
        version=dataset.version,
        card=dataset.card,
        metric=metric,
        network_ids=network_ids,
        ids=batch.ids,
        latency=batch.target.double(),
        weight=batch.weight.double(),
        failed=len(failed),
        blocks=measured_blocks(read, estimation, space.vocabulary(), codes),
    )


def _problem(dataset: Dataset, metric: str, assembled: int) -> str:
    others = [name for name in METRIC_UNITS if name != metric and dataset.read(name).networks]
    found = f"only {' and '.join(others)}" if others else "no successful run"
    if assembled:
        found = f"{assembled} assembled ones only, which are no architectures"
    return f"expected at least 1 network with a measured {metric}, found {found}"


def read_sources(
    paths: Sequence[Path], metric: str, space: SearchSpace[Any], new: Path | None = None
) -> list[MeasuredDevice]:
    """Read the datasets of source devices.

    Args:
        paths: Their folders; may be none.
        metric: What to read.
        space: What they must be of.
        new: The dataset of the new device, if there is one: it can be no source.

    Raises:
        UsageError: If a dataset is named twice.
        DatasetError: If one cannot be read, or has no measured network.
        CardError: If one is of another space.
    """
    standing = set() if new is None else {new.resolve()}
    for path in paths:
        if path.resolve() in standing:
            role = "the new device" if new is not None and path.resolve() == new.resolve() else "a source"
            problem = f"expected each dataset once, found this one as a source and once more as {role}"
            raise UsageError(str(path), problem, "Leave it out of --sources")
        standing.add(path.resolve())
    return [read_device(path, metric, space, "Leave it out of --sources") for path in paths]
