"""gp: a Gaussian process over what the blocks of a network are and what they add up to."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor, nn

from latpred.gaussian import AdditiveKernel, BlockFacts, Posterior, block_costs, compress, count_blocks, fit
from latpred.models.closed_form import ClosedFormPredictor
from latpred.models.gp_net import GPNet
from latpred.preprocessing import Batch, BlockSumNet, BlockTable
from latpred.preprocessing.features import primitive_features
from latpred.primitive import Primitive

_SHOWN = 3
"""Blocks that a fit prints."""


class GPPredictor(ClosedFormPredictor):
    """Regression by a Gaussian process whose covariance has named parts (`latpred.gaussian.PARTS`).

    It needs whole networks only, and makes use of measured blocks where there are some: what they add up to is one
    more total. It answers for primitives that no training network has from those that are like them, and knows how
    sure it is (`spread`). Values or logarithms, the variances of the parts and the noise are chosen on the training
    networks; noise is relative, and outliers count little.

    Args:
        likelihood_rows: Most networks that find the variances; all are then regressed on.
        max_rows: Most networks that are regressed on; of more, so many are drawn. Time grows with the third power.
        centers: Most networks that stand for those of training in the net.
        block_values: Whether what the blocks take by themselves, where that was measured, adds up to one more total.
        seed: Of the draws.
    """

    name: ClassVar[str] = "gp"
    needs: ClassVar[frozenset[str]] = frozenset({"block_sum"})
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]] = (("block_sum",),)
    batch_chunk: ClassVar[int | None] = 512  # what is compared with the centers then stays in the cache

    net: GPNet

    def __init__(
        self,
        likelihood_rows: int = 400,
        max_rows: int = 2000,
        centers: int = 256,
        block_values: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        given = {"likelihood_rows": likelihood_rows, "max_rows": max_rows, "centers": centers}
        for name, value in given.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._given = given | {"block_values": block_values, "seed": seed}
        self._solved = False

    @property
    def parameters_json(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(self._given)

    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> GPNet:
        """Return an unfitted net."""
        if not isinstance(front, BlockSumNet):
            raise TypeError(f"expected the front of block_sum, got {type(front).__name__}")
        return GPNet(table, slots)

    def prepare(self, batch: Batch) -> None:
        """Say which primitives the training networks have."""
        vocabulary, table = self.data.vocabulary, self.net.table
        features = primitive_features(self.data.space, vocabulary)
        table.fill(np.full(len(vocabulary), np.nan), features, list(vocabulary.token_ids.values()))
        table.measured[batch.ids + 1] = True
        table.value.fill_(0.0)  # until it is solved: whatever there is can be answered for

    def covered(self, ids: Tensor) -> Tensor:
        """Return which networks of `ids`, [batch, slots], it can answer for, [batch]: those of any known types."""
        return self.net.table(ids).isfinite().all(1)

    def solve(self) -> None:
        """Fit the process to the training networks, once."""
        if self._solved:
            return
        batch = self.data.batch("train")
        generator = torch.Generator().manual_seed(self._given["seed"])
        rows = torch.randperm(len(batch.ids), generator=generator)[: self._given["max_rows"]]
        values = self.data.block_values() if self._given["block_values"] else None
        facts = BlockFacts.of(self.data.space, self.data.vocabulary, values)
        counts, latency = count_blocks(batch.ids[rows], len(facts.amounts)), batch.target[rows].double()
        posterior = fit(
            AdditiveKernel(facts, counts),
            counts,
            latency,
            batch.weight[rows].double(),
            likelihood_rows=self._given["likelihood_rows"],
            seed=self._given["seed"],
        )
        small = compress(posterior, self._given["centers"])
        self.net.take(posterior, small, block_costs(posterior, batch.ids[rows]), float(latency.min()) / 2)
        self._solved = True
        self._tell(posterior, blocks=values is not None)

    def _tell(self, posterior: Posterior, *, blocks: bool) -> None:
        """Print and log what the variance between networks comes from, and what costs most."""
        self.log_dict({f"variance/{name}": share for name, share in posterior.shares.items()})
        shares = sorted(posterior.shares.items(), key=lambda item: -item[1])
        parts = ", ".join(f"{name} {100 * share:.2g} %" for name, share in shares)
        kind = "logarithms" if posterior.scale.logarithm else "values"
        known = f"{len(posterior.networks)} networks{' and what their blocks took' if blocks else ''}"
        print(f"gp: {known}, {kind}; variance between networks: {parts}")
        costs = self.costs()
        for row in costs[costs["measured"]].head(_SHOWN).itertuples():
            print(f"gp: {row.mean:.4g} +- {row.std:.2g} {self.fitted_card.unit}: {row.primitive}")

    def costs(self) -> DataFrame:
        """Return what each primitive costs, the dearest first, and how sure that is.

        Columns: `primitive`; `mean` and `std`, in the card's unit: what the average training network would take more
        or less with this block in place of an average one, and an average block's share of that network; `measured`,
        whether a training network has it, else it is from those that are like it.

        Raises:
            ArtefactError: If the predictor was neither fitted nor loaded.
        """
        entries, table = self.fitted_card.vocabulary.by_id, self.net.table
        rows = [i for i, entry in enumerate(entries) if isinstance(entry, Primitive)]
        found = DataFrame(
            {
                "primitive": [entries[i] for i in rows],
                "mean": table.value[1:].double().cpu().numpy()[rows],
                "std": self.net.cost_deviation[1:].cpu().numpy()[rows],
                "measured": table.measured[1:].cpu().numpy()[rows],
            }
        )
        return found.sort_values("mean", ascending=False, kind="stable", ignore_index=True)
