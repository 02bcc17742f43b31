"""`latpred transfer`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from latpred.cli.parser import command_parser, refuse_existing
from latpred.dataset import Dataset
from latpred.errors import UsageError
from latpred.export import WRITERS, export
from latpred.spaces import SearchSpace, space_from_card
from latpred.transfer import (
    FEWEST_JUDGED,
    SOURCE_ROWS,
    FittedSources,
    MeasuredDevice,
    Transferred,
    fit_sources,
    read_device,
    read_sources,
)
from latpred.transfer import transfer as adapt


def run(arguments: list[str]) -> int:
    """Predict for a new device from a few measurements and from other devices."""
    options = _parser().parse_args(arguments)
    formats = _formats(options.formats, options.out, overwrite=options.overwrite)
    space = space_from_card(Dataset.open(options.dataset).card.space)
    remedy = "Measure some: `latpred select` says which"
    new = read_device(options.dataset, options.metric, space, remedy)
    sources = fitted_sources(
        options.sources, options.source_rows, space, metric=options.metric, seed=options.seed, new=options.dataset
    )
    found = adapt(sources, new)
    _tell(new, found)
    paths = export(found.net, found.card, options.out, formats, overwrite=options.overwrite)
    for path in paths:
        print(f"wrote {path}")
    if readable := [path for path in paths if path.suffix != ".pt2"]:
        print(f"next: latpred predict {shlex.quote(str(readable[0]))} --sample 5")
    return 0


def _parser() -> ArgumentParser:
    parser = command_parser("transfer", run)
    add_sources(parser)
    add_what(parser)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset of the new device, some networks measured")
    parser.add_argument("--out", type=Path, required=True, help="path of the export; each format sets its suffix")
    parser.add_argument("--formats", default="ts", help="comma-separated: ts, pt2, onnx")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def add_sources(parser: ArgumentParser) -> None:
    """Add the arguments that say which devices were measured before."""
    parser.add_argument("--sources", type=Path, nargs="*", default=[], help="datasets of devices measured before")
    parser.add_argument("--source-rows", type=int, default=SOURCE_ROWS, help="most networks to learn a source from")


def add_what(parser: ArgumentParser) -> None:
    """Add the metric and the seed."""
    parser.add_argument("--metric", default="latency_ms", help="latency_ms, energy_mj or memory_mb")
    parser.add_argument("--seed", type=int, default=0, help="seed of all that is drawn")


def fitted_sources(
    paths: Sequence[Path], rows: int, space: SearchSpace[Any], *, metric: str, seed: int, new: Path | None = None
) -> FittedSources:
    """Read and fit the sources that the arguments of `add_sources` name, and print them.

    Args:
        paths: Of the datasets.
        rows: Most networks to learn a source from.
        space: What the sources must be of.
        metric: What to read of them.
        seed: Of all that is drawn.
        new: The dataset of the new device, if there is one.

    Raises:
        UsageError: If an argument cannot be.
    """
    if rows < 1:
        raise UsageError("--source-rows", f"expected a number of at least 1, found {rows}", "Ask for more")
    sources = fit_sources(space, read_sources(paths, metric, space, new), rows=rows, seed=seed)
    for device in sources.devices:
        print(f"source: {device.card.device}: {len(device)} networks of {device.path}")
    if sources.devices:
        print(f"fitted the sources in {sources.seconds:.1f} s")
    else:
        print("no sources: the structure of the networks stands alone")
    return sources


def _formats(text: str, out: Path, *, overwrite: bool) -> list[str]:
    """Return the names of formats; what cannot be written is refused before anything that takes long.

    Raises:
        UsageError: If a format is unknown, none is given, or a file stands where one is to be written.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if wrong := [name for name in names or ["nothing"] if name not in WRITERS]:
        raise UsageError("--formats", f"expected some of {','.join(WRITERS)}, found '{wrong[0]}'", "Mend the list")
    if not overwrite:
        for name in names:
            refuse_existing(out.with_suffix(f".{name}"), "--out without --overwrite")
    return names


def _tell(new: MeasuredDevice, found: Transferred) -> None:
    """Print what is known of the new device, and how well."""
    count = f"{len(new)} measured network{'s' if len(new) > 1 else ''}"
    print(f"new device: {new.card.device}: {count} of {new.path}, adapted in {found.seconds:.1f} s")
    if new.failed:
        print(f"left out: {new.failed} networks without a successful run")
    if new.blocks is not None:
        known, of = len(set(new.blocks.primitive.tolist())), len(found.card.vocabulary.primitives)
        print(f"blocks: {known} of {of} primitives measured; what a network's blocks add up to is one more source")
    for line in found.off(new):
        print(f"note: {line}")
    if found.left_out is None:
        print(f"warning: known from {count} only: at least {FEWEST_JUDGED} are needed to tell an error")
        return
    errors = found.card.errors["left_out"]
    ranks = f", Spearman {errors['spearman']:.3f}" if "spearman" in errors else ""
    print(f"each measured network from the others: MAPE {100 * errors['mape']:.2g} %{ranks}")
