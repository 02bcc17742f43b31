"""regression: overall = a * block_sum + b, fitted by least squares."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from latpred.models.closed_form import ClosedFormPredictor
from latpred.preprocessing import Batch, BlockTable


class RegressionNet(nn.Module):
    """A line, or a plane, over the sum of blocks and their count.

    Args:
        front: Maps ids to [batch, 2], sum and count.
    """

    slope: Tensor
    per_block: Tensor
    intercept: Tensor

    def __init__(self, front: nn.Module) -> None:
        super().__init__()
        self.front = front
        for name in ("slope", "per_block", "intercept"):
            self.register_buffer(name, torch.tensor(torch.nan))

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to predictions [batch], in the metric's unit."""
        features = self.front(ids)
        return self.slope * features[:, 0] + self.per_block * features[:, 1] + self.intercept


class RegressionPredictor(ClosedFormPredictor):
    """The linear regression of the reference document: it mends what a sum of blocks gets wrong in proportion.

    The squares are those of relative errors, weighted by how sure each label is; Huber's weights, found by
    iteration, keep outliers from bending the line.

    Args:
        block_count: Whether each block adds a constant, too (launch costs that the blocks' values do not hold).
    """

    name: ClassVar[str] = "regression"
    needs: ClassVar[frozenset[str]] = frozenset({"sum_features"})
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("block_sum", "remove_anomaly", "flatten", "extract_sum_features"),
        ("block_sum", "flatten", "extract_sum_features"),
    )

    net: RegressionNet

    def __init__(self, block_count: bool = False) -> None:
        super().__init__()
        self.block_count = block_count
        self._batches: list[Batch] = []

    @property
    def parameters_json(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"block_count": self.block_count}

    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> RegressionNet:
        """Return an unfitted line."""
        return RegressionNet(front)

    def accumulate(self, batch: Batch) -> None:
        """Keep the batch: least squares needs all of them, and they are small."""
        self._batches.append(batch)

    def solve(self) -> None:
        """Fit the line to the batches."""
        features = torch.cat([self.net.front(batch.ids) for batch in self._batches]).double()
        target = torch.cat([batch.target for batch in self._batches]).double()
        weight = torch.cat([batch.weight for batch in self._batches]).double()
        self._batches.clear()
        count = features[:, 1] if self.block_count else torch.zeros_like(target)
        design = torch.stack([features[:, 0], count, torch.ones_like(target)], dim=1)
        slope, per_block, intercept = relative_least_squares(design, target, weight)
        self.net.slope.copy_(slope)
        self.net.per_block.copy_(per_block)
        self.net.intercept.copy_(intercept)


def relative_least_squares(design: Tensor, target: Tensor, weight: Tensor, iterations: int = 20) -> Tensor:
    """Return the coefficients that minimise the weighted Huber loss of relative errors.

    Args:
        design: [rows, columns]; a column of zeros gets the coefficient 0.
        target: [rows], positive.
        weight: [rows], positive.
        iterations: Of reweighting, from plain least squares on.

    Returns:
        [columns].
    """
    rows, robust = design / target[:, None], torch.ones_like(target)
    solution = torch.zeros(design.shape[1], dtype=design.dtype)
    for _ in range(iterations):
        root = (weight * robust).sqrt()[:, None]
        # gelsd gives the shortest solution where columns depend on each other, such as one network or equal ones.
        solution = torch.linalg.lstsq(rows * root, root, driver="gelsd").solution.squeeze(1)
        error = (rows @ solution - 1).abs()
        # Huber's 1.345 deviations, the deviation from the median absolute error (Huber 1981, section 7.8).
        bend = 1.345 * 1.4826 * error.median().clamp(min=1e-6)
        robust = (bend / error.clamp(min=1e-12)).clamp(max=1.0)
    return solution
