"""From what was found of a new device to what its net needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latpred.gaussian import PARTS, AdditiveKernel, Places, Posterior, compress
from latpred.gaussian.inputs import LEAST_TOTAL
from latpred.gaussian.kernels import BLOCK_LENGTHS, TOTAL_LENGTHS
from latpred.transfer.model import Adapted
from latpred.transfer.net import Folded
from latpred.transfer.view import Explanation, View

_CENTERS = 512
"""Networks of all sources together that stand for those that they were measured on."""
_FEWEST_CENTERS = 48
"""Of each source, if it has so many."""


def fold_sources(kernel: AdditiveKernel, posteriors: Sequence[Posterior], least: Sequence[float]) -> Folded:
    """Return the sources; the views of the new device are empty.

    Args:
        kernel: The one that all `posteriors` were fitted with.
        posteriors: Of the sources; may be none.
        least: Least value of each, in the metric's unit.
    """
    centers = max(_CENTERS // max(len(posteriors), 1), _FEWEST_CENTERS)
    small = [compress(posterior, centers) for posterior in posteriors]
    places = small[0].places if small else _places(kernel)  # the kernel's alone: the same for all of them
    ends = torch.tensor([0, *(len(one.centers) for one in small)]).cumsum(0).tolist()
    likeness = torch.zeros(2, ends[-1], len(small) + 2, dtype=torch.float64)
    for column, one in enumerate(small):
        likeness[:, ends[column] : ends[column + 1], column] = one.center_weights
    blocks, width = places.sums.shape
    scales = [posterior.scale for posterior in posteriors]
    return Folded(
        sums=torch.cat([_columns([one.cost for one in small], blocks), places.sums], 1),
        least=places.least,
        gain=places.gain,
        shift=places.shift,
        slope=_columns([one.slope for one in small], width),
        offset=torch.tensor([*(float(one.offset) for one in small), 0.0, 0.0], dtype=torch.float64),
        centers=torch.cat([torch.zeros(0, width, dtype=torch.float64), *(one.centers for one in small)]),
        likeness=likeness,
        rates=_rates(kernel),
        logarithm=torch.tensor([scale.logarithm for scale in scales], dtype=torch.bool),
        centre=torch.tensor([scale.centre for scale in scales], dtype=torch.float64),
        unit=torch.tensor([scale.spread for scale in scales], dtype=torch.float64),
        least_said=torch.tensor(least, dtype=torch.float64),
        weights=torch.zeros(len(small), 2, dtype=torch.float64),
        shares=torch.tensor([0.5, 0.5], dtype=torch.float64),
        floor=torch.tensor(0.0, dtype=torch.float64),
    )


def with_block_sum(sources: Folded, values: Tensor, least: float) -> Folded:
    """Return `sources` with one more: what a network's blocks add up to.

    Args:
        sources: From `fold_sources`.
        values: What each block takes, [vocabulary].
        least: What no network takes less than.
    """
    place = len(sources.centre)

    def wider(rows: Tensor, column: Tensor) -> Tensor:
        return torch.cat([rows[..., :place], column[..., None], rows[..., place:]], -1)

    def longer(row: Tensor, value: float) -> Tensor:
        return torch.cat([row, torch.tensor([value], dtype=row.dtype)])

    return sources._replace(
        sums=wider(sources.sums, values),
        slope=wider(sources.slope, torch.zeros(len(sources.slope), dtype=torch.float64)),
        offset=wider(sources.offset, torch.tensor(0.0, dtype=torch.float64)),
        likeness=wider(sources.likeness, torch.zeros(sources.likeness.shape[:-1], dtype=torch.float64)),
        logarithm=longer(sources.logarithm, False),
        centre=longer(sources.centre, 0.0),
        unit=longer(sources.unit, 1.0),
        least_said=longer(sources.least_said, least),
        weights=torch.zeros(place + 1, 2, dtype=torch.float64),
    )


def fold_device(sources: Folded, kernel: AdditiveKernel, adapted: Adapted) -> Folded:
    """Return `sources` with the views of a new device; the net's answers are those of `adapted.mean`.

    Args:
        sources: From `fold_sources`.
        kernel: The same as there.
        adapted: The new device, its networks seen through these sources.
    """
    counts, first = adapted.measured.networks.counts, len(sources.centre)
    places = Places(sources.sums[:, first + 2 :], sources.least, sources.gain, sources.shift).of(counts)
    sums, slope, offset = sources.sums.clone(), sources.slope.clone(), sources.offset.clone()
    likeness = torch.zeros(2, len(counts), first + 2, dtype=torch.float64)
    weights = sources.weights.clone()
    for i, (view, explanation) in enumerate(zip(adapted.views, adapted.explanations, strict=True)):
        own = _own_parts(kernel, explanation)
        sums[:, first + i] = _block_costs(kernel, counts, own)
        slope[:, first + i] = places.T @ own["totals"]
        likeness[:, :, first + i] = torch.stack([own[name] for name in TOTAL_LENGTHS])
        weights[:, i], level = _said_weights(view, explanation, adapted)
        offset[first + i] = level + own["constant"].sum()
    return sources._replace(
        sums=sums,
        slope=slope,
        offset=offset,
        centers=torch.cat([sources.centers, places]),
        likeness=torch.cat([sources.likeness, likeness], 1),
        weights=weights,
        shares=adapted.shares,
        floor=torch.tensor(adapted.floor, dtype=torch.float64),
    )


def _columns(rows: Sequence[Tensor], length: int) -> Tensor:
    """Return the rows as columns, and two of zeros for the views, [length, len(rows) + 2]."""
    return torch.stack([*rows, *torch.zeros(2, length, dtype=torch.float64)], 1)


def _places(kernel: AdditiveKernel) -> Places:
    """Return the standardized totals as they are."""
    logged, others = kernel.facts.logged & kernel.totals_kept, ~kernel.facts.logged & kernel.totals_kept
    unit, deviation = kernel.totals_mean[logged].exp(), kernel.totals_deviation
    amounts = kernel.facts.amounts
    return Places(
        sums=torch.cat([amounts[:, logged] / unit, amounts[:, others] / deviation[others]], 1),
        least=LEAST_TOTAL / unit,
        gain=1 / deviation[logged],
        shift=kernel.totals_mean[others] / deviation[others],
    )


def _rates(kernel: AdditiveKernel) -> Tensor:
    width = max(int(kernel.totals_kept.sum()), 1)
    return torch.tensor([1 / (2 * length**2 * width) for length in TOTAL_LENGTHS.values()], dtype=torch.float64)


def _own_parts(kernel: AdditiveKernel, explanation: Explanation) -> dict[str, Tensor]:
    """Return the weights of the measured networks in each of PARTS, in units of the view, [measured] each."""
    weights = torch.cat([explanation.part_weights[:1], explanation.part_weights[3:]])
    scaled = explanation.slope * weights / kernel.scale[:, None]
    return dict(zip(PARTS, scaled, strict=True))


def _block_costs(kernel: AdditiveKernel, counts: Tensor, own: dict[str, Tensor]) -> Tensor:
    """Return what each block adds to a view by the parts that are additive over blocks, [vocabulary]."""
    found = counts.T @ own["counts"]
    for name in BLOCK_LENGTHS:
        found = found + kernel.between_blocks[name] @ (counts.T @ own[name])
    return found


def _said_weights(view: View, explanation: Explanation, adapted: Adapted) -> tuple[Tensor, float]:
    """Return what the sources' values, or their logarithms, add to a view, [sources], and what it has without them."""
    if view.basis is None:
        return torch.zeros(0, dtype=torch.float64), explanation.level
    coordinates = view.coordinates(adapted.measured)
    common, apart = explanation.part_weights[1], explanation.part_weights[2]
    of_coordinates = torch.cat([(1 + common @ coordinates[:, 0])[None], apart @ coordinates[:, 1:]])
    count = len(view.levels)
    # Coordinates are an affine function of the values: what they are at 0, and by how much each value moves them.
    at_zero = view.basis.coordinates(torch.zeros(count, 1, dtype=torch.float64))[0]
    moved = view.basis.coordinates(torch.eye(count, dtype=torch.float64)) - at_zero
    weights = explanation.slope * moved @ of_coordinates
    level = explanation.level + explanation.slope * float(at_zero @ of_coordinates)
    return weights if view.logarithm else weights / view.levels, level
