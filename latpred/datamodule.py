"""The data module: a dataset, split by network, through the chain of preprocessors, as batches."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pandas import DataFrame
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from latpred.card import METRIC_UNITS, DatasetCard
from latpred.dataset import Dataset, LabelledNetworks, Measurements, Part, Split, label
from latpred.errors import ConfigError, SplitError
from latpred.gaussian import BlockFacts, CleanLabels, ErrorParts, clean_labels, parts_of_error
from latpred.preprocessing import Batch, BlockTable, Chain, Flatten, TrainingRows, learn_from_wholes, make_batch
from latpred.preprocessing.block_values import block_values, measured_blocks
from latpred.preprocessing.features import primitive_features
from latpred.preprocessing.quiet_rows import quiet_rows
from latpred.spaces import SearchSpace, space_from_card
from latpred.vocabulary import Vocabulary


class LatencyDataModule(lightning.LightningDataModule):
    """Serve one metric of a dataset.

    Everything is fitted and scored per network, on the estimate from its runs; assembled networks feed the block
    table only and are in no validation or test.

    Args:
        dataset: Folder of the dataset.
        preprocessors: The chain, for example `[block_sum, remove_anomaly, flatten]`.
        version: Version of the dataset; the newest if not given.
        metric: What to predict: `latency_ms`, `energy_mj` or `memory_mb`.
        val: Share of the networks held out for validation.
        test: Share of the networks held out for the test.
        split_seed: Seed of the split; adding networks to a dataset moves none.
        batch_size: Networks per batch.
        uncovered: Held-out networks with a primitive that no training network has: `stop`, or `drop` them.
        without_runs: Networks of which no run succeeded: `stop`, or `drop` them.
        exclude_sessions: Ids of the dataset's sessions to leave out (`latpred dataset report` tells of each).
        order: `measured` if the order of the runs is that of measuring and each network was run once: then the slow
            drift of the machine is taken from training labels (held-out ones stay as they are). `unknown` else.
    """

    def __init__(
        self,
        dataset: str,
        preprocessors: list[str | dict[str, dict[str, Any] | None]],
        version: int | None = None,
        metric: str = "latency_ms",
        val: float = 0.2,
        test: float = 0.2,
        split_seed: int = 0,
        batch_size: int = 256,
        uncovered: Literal["stop", "drop"] = "stop",
        without_runs: Literal["stop", "drop"] = "stop",
        exclude_sessions: list[str] | None = None,
        order: Literal["unknown", "measured"] = "unknown",
    ) -> None:
        super().__init__()
        # The types too: jsonargparse lets `null` through for any key that has a default.
        _check_name("metric", metric, METRIC_UNITS)
        _check_name("uncovered", uncovered, ("stop", "drop"))
        _check_name("without_runs", without_runs, ("stop", "drop"))
        _check_name("order", order, ("unknown", "measured"))
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError("data.batch_size", f"expected an integer >= 1, found {batch_size}", "Mend it")
        self.path = Path(dataset)
        self.version = version
        self.metric = metric
        self.preprocessors = copy.deepcopy(preprocessors)
        self.chain = Chain(preprocessors)
        try:
            self.split = Split(seed=split_seed, val=val, test=test)
        except (TypeError, ValueError) as error:
            found = f"split_seed {split_seed}, val {val} and test {test}"
            problem = f"expected an integer and shares that leave networks to train on, found {found} ({error})"
            raise ConfigError("data", problem, "Mend it") from None
        self.batch_size = batch_size
        self.uncovered = uncovered
        self.without_runs = without_runs
        self.exclude_sessions = tuple(exclude_sessions or ())
        self.order = order
        self._labelled: LabelledNetworks | None = None
        self._clean: CleanLabels | None = None
        self._batches: dict[Part, Batch] = {}

    def setup(self, stage: str) -> None:
        """Read the dataset and split its networks, once.

        Raises:
            DatasetError: If the dataset cannot be read, or holds networks without a successful run.
            SplitError: If a split that `stage` needs has too few networks.
        """
        if self._labelled is None:
            dataset = Dataset.open(self.path, self.version)
            self.version_read = dataset.version
            self.card: DatasetCard = dataset.card
            self.space: SearchSpace[Any] = space_from_card(self.card.space)
            self._labelled = label(
                dataset,
                self.metric,
                self.split,
                exclude_sessions=self.exclude_sessions,
                drop_without_runs=self.without_runs == "drop",
            )
            pa.default_memory_pool().release_unused()  # Arrow would keep some 200 MB, more than all that was read
        needed: Mapping[str, tuple[Part, ...]] = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}
        for name in needed.get(stage, ()):
            self.labelled.check_size(name, self.split, self.path)
            if name != "train":
                self._batches[name] = self._batch(name)

    def _batch(self, name: Part) -> Batch:
        codes = self.labelled.codes[name]
        networks = [self.measurements.networks[code] for code in codes]
        return make_batch(self.space, networks, self.labelled.estimation.networks.loc[codes])

    @property
    def labelled(self) -> LabelledNetworks:
        """What the dataset says about its networks; after `setup`."""
        if self._labelled is None:
            raise RuntimeError("LatencyDataModule.setup was not called")
        return self._labelled

    @property
    def measurements(self) -> Measurements:
        """What was read of the dataset; after `setup`."""
        return self.labelled.measurements

    @property
    def vocabulary(self) -> Vocabulary:
        """The space's vocabulary, then the primitives that only the dataset has."""
        found = [primitive for network in self.measurements.networks for primitive in network.primitives]
        return self.space.vocabulary().with_extra(found)

    def network_ids(self, name: Part) -> list[str]:
        """Return the network_ids of a split, sorted."""
        return self.labelled.network_ids(name)

    def fit_chain(self) -> BlockTable:
        """Clean the training runs, and fit the block table on them and on the assembled networks.

        Where the chain unfolds block values and there is none, the table is learned from the whole networks instead;
        one printed line says so.

        Labels come from all runs, like those that are scored on: cleaning drops slow runs and would lower them by 1 %.

        Called once by the predictor, in its `setup`, when it has checked the chain.

        Raises:
            SplitError: If cleaning left a training network without runs.
        """
        labelled = self.labelled
        rows = self.chain.clean(self._rows(labelled.codes["train"] + labelled.assembled))
        kept = set(rows.runs["network"].unique().tolist())
        if lost := [code for code in labelled.codes["train"] if code not in kept]:
            raise SplitError(
                str(self.path),
                f"expected runs of every training network after {self.chain.names}, "
                f"found none of {len(lost)}, the first is {labelled.measurements.networks[lost[0]].network_id}",
                "Measure more rounds, or widen the tolerance of remove_anomaly",
            )
        self._batches["train"] = self._batch("train")
        return self._fit_table(rows, self._training_labels())

    def _fit_table(self, rows: TrainingRows, estimates: pd.Series[float]) -> BlockTable:
        """Return the block table of clean rows; an empty one where the chain does not unfold them."""
        table = BlockTable(len(self.vocabulary))
        if rows.blocks is None:
            return table
        features, tokens = primitive_features(self.space, self.vocabulary), list(self.vocabulary.token_ids.values())
        if not rows.blocks.empty:
            table.fit(rows.blocks, features, tokens, estimates)
            return table
        codes = self.labelled.codes["train"] + self.labelled.assembled
        networks = [self.measurements.networks[code] for code in codes]
        labels = self.labelled.estimation.networks.assign(estimate=estimates).loc[codes]
        learned = learn_from_wholes(self.space, self.vocabulary, networks, labels, features)
        print(f"{self.path}: no block has a value of {self.metric}; the table is learned: {learned}")
        table.fill(learned.value, features, tokens, learned.share)
        return table

    def _training_labels(self) -> pd.Series[float]:
        """Return the labels of all networks; those of training without drift, if asked for, in their batch as well."""
        if self.order == "unknown":
            return self.labelled.estimates
        batch, facts = self._batches["train"], BlockFacts.of(self.space, self.vocabulary)
        self._clean = clean_labels(self.labelled, batch.ids, facts, str(self.path))
        target = torch.tensor(self._clean.estimates[self.labelled.codes["train"]].to_numpy(), dtype=torch.float32)
        self._batches["train"] = batch._replace(target=target)
        print(f"{self.path}: {self._clean}")
        return self._clean.estimates

    def error_parts(self, rmspe: float) -> ErrorParts | None:
        """Return what an error on held-out networks is made of; None where labels do not tell. After `fit_chain`."""
        return parts_of_error(rmspe, self.measurements, self._clean)

    def block_rows(self, name: Part) -> DataFrame:
        """Return one row per measured block of the runs of a split, uncleaned; empty where blocks have no values."""
        rows = Flatten()(self._rows(self.labelled.codes[name])).blocks
        return DataFrame() if rows is None else rows

    def block_values(self) -> NDArray[np.float64] | None:
        """Return what each id takes by itself, [vocabulary], in the metric's unit; tokens take 0.

        Whatever the chain is, it is what the blocks of the training and the assembled networks tell (`block_values`).
        None where no block has a value.
        """
        codes = self.labelled.codes["train"] + self.labelled.assembled
        blocks = measured_blocks(self.measurements, self.labelled.estimation, self.vocabulary, codes)
        return None if blocks is None else block_values(blocks, primitive_features(self.space, self.vocabulary))

    def _rows(self, codes: list[int]) -> TrainingRows:
        """Return the runs of networks, their values as on the quiet machine."""
        return quiet_rows(self.measurements, self.labelled.estimation, self.vocabulary.ids, codes)

    def batch(self, name: Part) -> Batch:
        """Return a whole split as one batch; `train` after `fit_chain`, the others after `setup`."""
        return self._batches[name]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Batches of the training networks, in random order."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Batches of the validation networks."""
        return self._loader("val", shuffle=False)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Batches of the test networks."""
        return self._loader("test", shuffle=False)

    def _loader(self, name: Part, *, shuffle: bool) -> DataLoader[tuple[Tensor, ...]]:
        # A network is a row of a few tensors: worker processes would cost more than they save.
        batch = self._batches[name]
        return DataLoader(TensorDataset(*batch), batch_size=self.batch_size, shuffle=shuffle)


def _check_name(key: str, found: object, allowed: Iterable[str]) -> None:
    if found not in tuple(allowed):
        raise ConfigError(
            f"data.{key}", f"unknown {key} '{found}', expected one of {', '.join(allowed)}", "Mend the name"
        )
