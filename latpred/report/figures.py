"""Figures of a predictor: what it gets right, and where it errs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pandas import DataFrame, Series

from latpred.preprocessing.block_table import estimate_blocks
from latpred.primitive import Primitive
from latpred.vocabulary import Vocabulary


def scatter_figure(measured: NDArray[np.float64], predicted: NDArray[np.float64], unit: str, title: str) -> Figure:
    """Draw predictions over measurements, [networks] both, with the lines of 0 and of 10 % error."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    ends = np.array([min(measured.min(), predicted.min()), max(measured.max(), predicted.max())])
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color="black", alpha=0.08, label="within 10 %")
    axes.scatter(measured, predicted, s=14, alpha=0.7)
    axes.set(xlabel=f"measured, {unit}", ylabel=f"predicted, {unit}", title=title)
    axes.legend(loc="upper left")
    return figure


def block_errors(
    blocks: DataFrame, wholes: Series[float], value: NDArray[np.float64], vocabulary: Vocabulary
) -> DataFrame:
    """Return how far the table is from the blocks of held-out networks.

    Args:
        blocks: One row per measured block of a run: `run`, `network`, `position`, `primitive` (id), `value`.
        wholes: Estimate of each network, by network.
        value: The table's value of each id, [vocabulary].
        vocabulary: What the ids stand for.

    Returns:
        One row per block of a network: `kind` (type, kernel and expansion), `position`, and `error`, the signed
        relative error of the table against the estimate from the network's own runs, a fraction.
    """
    of_network = estimate_blocks(blocks, wholes)
    kinds = {i: kind_of(entry) for i, entry in enumerate(vocabulary.by_id) if isinstance(entry, Primitive)}
    predicted = value[of_network["primitive"].to_numpy(np.int64)]
    error = predicted / of_network["value"].to_numpy() - 1
    rows = DataFrame({"kind": of_network["primitive"].map(kinds), "position": of_network["position"], "error": error})
    return rows[np.isfinite(rows["error"])]


def kind_of(primitive: Primitive) -> str:
    """Return a primitive's type with its kernel and expansion, such as `mobilenet_v3_block k5 e6`."""
    expansion = primitive.options.get("expansion")
    return f"{primitive.prim_type} k{primitive.kernel_size}" + ("" if expansion is None else f" e{expansion}")


def error_figure(errors: DataFrame, by: str, title: str) -> Figure:
    """Draw the spread of `error`, a fraction, for each value of the column `by`: median, quartiles, 5 to 95 %."""
    groups: Mapping[str, NDArray[np.float64]] = {
        str(name): 100 * group["error"].to_numpy() for name, group in errors.groupby(by, sort=True)
    }
    figure = Figure(figsize=(7, max(2.5, 0.28 * len(groups) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    labels = [f"{name} ({len(group)})" for name, group in groups.items()]
    axes.boxplot(list(groups.values()), orientation="horizontal", tick_labels=labels, whis=(5, 95), showfliers=False)
    axes.invert_yaxis()
    axes.set(xlabel="table / measured block - 1, %", title=title)
    return figure


def table_figure(value: NDArray[np.float64], vocabulary: Vocabulary, unit: str) -> Figure:
    """Draw the block table as a heat map: kinds of primitives down, their shapes across; white was not measured."""
    known = [(i, p) for i, p in enumerate(vocabulary.by_id) if isinstance(p, Primitive)]
    kinds = sorted({kind_of(primitive) for _, primitive in known})
    shapes = sorted({_shape_of(primitive) for _, primitive in known}, reverse=True)
    grid = np.full((len(kinds), len(shapes)), np.nan)
    for i, primitive in known:
        place = kinds.index(kind_of(primitive)), shapes.index(_shape_of(primitive))
        # Primitives that differ only in activation or the like share a cell: it shows the slowest.
        grid[place] = np.fmax(grid[place], value[i])
    figure = Figure(figsize=(0.42 * len(shapes) + 3.5, 0.32 * len(kinds) + 2.5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(grid, aspect="auto", cmap="viridis")
    labels = [f"{size}px {C}-{C_out} s{stride}" for size, C, C_out, stride in shapes]
    axes.set_xticks(range(len(shapes)), labels, rotation=90, fontsize=7)
    axes.set_yticks(range(len(kinds)), kinds, fontsize=8)
    axes.set_title("block table")
    figure.colorbar(image, ax=axes, label=unit)
    return figure


def _shape_of(primitive: Primitive) -> tuple[int, int, int, int]:
    return primitive.spatial_size, primitive.C, primitive.C_out, primitive.stride
