"""How far predictions are from measurements."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torchmetrics import KendallRankCorrCoef, MeanAbsolutePercentageError, Metric, MetricCollection, SpearmanCorrCoef


class RootMeanSquarePercentageError(Metric):
    """sqrt(mean(((y - p) / y)^2)), a fraction: the "rRMSE" of arXiv 2012.10388."""

    higher_is_better = False
    is_differentiable = True
    full_state_update = False

    squares: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("squares", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take predictions and targets, [batch] each, in one unit."""
        self.squares += ((target - predicted) / target).double().square().sum()
        self.count += target.numel()

    def compute(self) -> Tensor:
        """Return the error of all batches."""
        return (self.squares / self.count).sqrt().float()


class ShareWithin(Metric):
    """Share of the predictions whose relative error is at most `tolerance`, both fractions."""

    higher_is_better = True
    is_differentiable = False
    full_state_update = False

    within: Tensor
    count: Tensor

    def __init__(self, tolerance: float) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.add_state("within", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Take predictions and targets, [batch] each, in one unit."""
        self.within += ((predicted - target).abs() <= self.tolerance * target).sum()
        self.count += target.numel()

    def compute(self) -> Tensor:
        """Return the share over all batches."""
        return self.within / self.count


def prediction_metrics(prefix: str) -> MetricCollection:
    """Return the metrics of one stage, named `<prefix>mape` and so on; errors and shares are fractions."""
    with warnings.catch_warnings():
        # Rank correlations keep all predictions: some thousand numbers here.
        warnings.filterwarnings("ignore", r".*will save all targets and predictions in the buffer.*")
        metrics: dict[str, Metric | MetricCollection] = {
            "mape": MeanAbsolutePercentageError(),
            "rmspe": RootMeanSquarePercentageError(),
            "within_1": ShareWithin(0.01),
            "within_5": ShareWithin(0.05),
            "within_10": ShareWithin(0.10),
            "spearman": SpearmanCorrCoef(),
            "kendall": KendallRankCorrCoef(),
        }
    # No compute groups: after a first batch on which two tolerances agree, they would share one state ever after.
    return MetricCollection(metrics, prefix=prefix, compute_groups=False)
