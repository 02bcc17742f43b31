"""Labelled networks: what a dataset says about each network, and which part of a split the network belongs to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from latpred.card import METRIC_UNITS
from latpred.dataset.estimate import Estimation, estimate
from latpred.dataset.read import Measurements
from latpred.dataset.split import Part, Split
from latpred.dataset.store import Dataset
from latpred.errors import DatasetError, SplitError

MIN_NETWORKS: Mapping[Part, int] = MappingProxyType({"train": 1, "val": 2, "test": 2})
"""Fewest networks of a split: rank correlations need two."""


@dataclass(frozen=True, eq=False)
class LabelledNetworks:
    """The networks of a dataset with their estimates, in their parts."""

    measurements: Measurements
    estimation: Estimation
    codes: Mapping[Part, list[int]]
    """Places in `measurements.networks` of the sampled networks of each part."""
    assembled: list[int]
    """Those of the assembled networks, which are in no part."""

    @property
    def estimates(self) -> pd.Series[float]:
        """The estimate of every network, in the metric's unit, by its place in `measurements.networks`."""
        return self.estimation.networks["estimate"]

    def network_ids(self, part: Part) -> list[str]:
        """Return the network_ids of a part, sorted."""
        return [self.measurements.networks[code].network_id for code in self.codes[part]]

    def check_size(self, part: Part, split: Split, dataset: Path) -> None:
        """Refuse a part that is too small.

        Raises:
            SplitError: Naming the dataset, the part and the shares.
        """
        found, needed = len(self.codes[part]), MIN_NETWORKS[part]
        if found < needed:
            total = sum(map(len, self.codes.values()))
            raise SplitError(
                str(dataset),
                f"expected at least {needed} networks in the split '{part}', "
                f"found {found} of {total} architectures (val {split.val}, test {split.test})",
                f"Profile more sampled networks, or change --data.{part if part != 'train' else 'val'}",
            )


def label(
    dataset: Dataset, metric: str, split: Split, *, exclude_sessions: Collection[str], drop_without_runs: bool
) -> LabelledNetworks:
    """Estimate one metric of all networks of a dataset, and split them.

    Args:
        dataset: Where the runs are.
        metric: What to estimate.
        split: Which network belongs to which part.
        exclude_sessions: Ids of sessions to leave out.
        drop_without_runs: Whether to leave out networks of which no run succeeded, or to refuse them.

    Raises:
        UsageError: If there is no such metric or session.
        DatasetError: If no run has the metric, or, where they are to be refused, none of some network.
    """
    read = dataset.read(metric, exclude_sessions)
    if not read.networks:
        others = [name for name in METRIC_UNITS if dataset.read(name, exclude_sessions).networks]
        found = f"only {' and '.join(others)}" if others else "no successful run at all"
        remedy = "Measure it, or change --data.metric or --data.exclude_sessions"
        raise DatasetError(str(dataset.path), f"expected runs with {metric}, found {found}", remedy)
    visited = {network_id for network_id, _ in dataset.visited(exclude_sessions)}
    lacking = sorted(visited - {network.network_id for network in read.networks})
    if lacking and not drop_without_runs:
        raise DatasetError(
            str(dataset.path),
            f"expected a successful run with {metric} of every network, "
            f"found none of {len(lacking)} of {len(visited)}, the first is {lacking[0]}",
            "Measure again, or leave such networks out with --data.without_runs drop",
        )
    codes: dict[Part, list[int]] = {"train": [], "val": [], "test": []}
    for code, network in enumerate(read.networks):
        if not network.assembled:
            codes[split.part_of(network.network_id)].append(code)
    assembled = [code for code, network in enumerate(read.networks) if network.assembled]
    return LabelledNetworks(read, estimate(read), codes, assembled)
