"""`latpred profile --select`: measures chosen networks until a predictor from them is good enough."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from latpred.cli.parser import seconds
from latpred.cli.transfer import add_sources, fitted_sources
from latpred.dataset import Dataset, label_noise
from latpred.errors import UsageError
from latpred.network import Network
from latpred.spaces import SearchSpace
from latpred.transfer import CONFIDENCE, HELD_OUT, MeasuredDevice, Outcome, Step, measure_until, read_device

_METRIC = "latency_ms"


@dataclass(frozen=True)
class Wanted:
    """How good the predictor is to be, and what it may start from."""

    mape: float
    """Upper bound of the error, a fraction."""
    budget_s: float
    sources: tuple[Path, ...]
    source_rows: int
    seed: int


def add_wanted(parser: ArgumentParser) -> None:
    """Add the arguments that `wanted_by` reads."""
    parser.add_argument("--select", choices=["ivr"], help="measure only as many as are needed, the most telling first")
    parser.add_argument("--until-mape", type=str, help="with --select: the error that is good enough, such as 0.03")
    add_sources(parser)


def wanted_by(options: Any, budget: str) -> Wanted | None:  # noqa: ANN401 - jsonargparse's namespace
    """Return what `--select` and its companions ask for; None without them.

    Args:
        options: Of `latpred profile`.
        budget: What `--budget` stands at.

    Raises:
        UsageError: If one stands without the other, or cannot be read.
    """
    if (options.select is None) != (options.until_mape is None):
        raise UsageError("--select", "expected it together with --until-mape, found one alone", "Give both or none")
    if options.select is None:
        if options.sources:
            raise UsageError("--sources", "expected it with --select, found it alone", "Add --select ivr")
        return None
    return Wanted(
        mape=_share(options.until_mape, "--until-mape"),
        budget_s=seconds(options.budget or budget, "--budget"),
        sources=tuple(options.sources),
        source_rows=options.source_rows,
        seed=options.seed or 0,
    )


def _share(text: str, option: str) -> float:
    """Read a share, `3%` or `0.03`, as a fraction.

    Raises:
        UsageError: If it is none, or not between 0 and 1, naming the option.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%?)", text.strip())
    value = math.nan if match is None else float(match[1]) / (100 if match[2] else 1)
    if not 0 < value < 1:
        raise UsageError(option, f"expected a share such as 3% or 0.03, found '{text}'", "Give one between 0 and 1")
    return value


def measure_chosen(
    wanted: Wanted,
    space: SearchSpace[Any],
    networks: Sequence[Network],
    dataset: Path,
    measure: Callable[[Sequence[Network], float], None],
) -> None:
    """Measure as few of `networks` as are needed, and print what came of it.

    Args:
        wanted: How good, how long, from what.
        space: Of the networks.
        networks: Those that may be measured; assembled ones are left out.
        dataset: Where the runs are.
        measure: Measures some, within some seconds, into the dataset.
    """
    sources = fitted_sources(wanted.sources, wanted.source_rows, space, metric=_METRIC, seed=wanted.seed, new=dataset)

    def measure_and_read(batch: Sequence[Network], left_s: float) -> MeasuredDevice:
        measure(batch, left_s)
        return read_device(dataset, _METRIC, space, "See why its networks failed: `latpred dataset info`")

    print(f"{HELD_OUT} random networks are held out; bounds are of {100 * CONFIDENCE:.0f} % confidence")
    found = measure_until(
        sources,
        [network for network in networks if not network.assembled],
        measure_and_read,
        target=wanted.mape,
        budget_s=wanted.budget_s,
        tell=_tell_step,
    )
    _tell(found, wanted, dataset)


def _tell_step(step: Step) -> None:
    print(f"{step.networks} networks: MAPE {100 * step.error:.2f} %, at most {100 * step.bound:.2f} %")


def _tell(found: Outcome, wanted: Wanted, dataset: Path) -> None:
    """Print the learning curve, the noise of the labels, and what random choice would have needed."""
    reached = "reached" if found.reached else "not reached"
    print(f"{reached}: MAPE of at most {100 * wanted.mape:g} %: {found.why}")
    random = dict(found.random)
    print("networks  MAPE %  bound %  random MAPE %")
    for step in found.curve:
        drawn = f"{100 * random[step.networks]:.2f}" if step.networks in random else ""
        print(f"{step.networks:>8}  {100 * step.error:>6.2f}  {100 * step.bound:>7.2f}  {drawn:>13}".rstrip())
    needed = found.random_needed()
    last = found.curve[-1]
    guess = "cannot be told from so few" if needed is None else f"about {needed:.0f}, continued from random subsets"
    print(f"random networks needed for {100 * last.error:.2f} %: {guess}")
    noise = label_noise(Dataset.open(dataset).read(_METRIC))
    if math.isfinite(noise):
        beyond = "; no predictor can be told to be better" if noise > wanted.mape else ""
        print(f"noise floor: labels are known to {100 * noise:.2f} %{beyond}")
    again = f"--sources {' '.join(shlex.quote(str(path)) for path in wanted.sources)} " if wanted.sources else ""
    print(f"next: latpred transfer {again}--dataset {shlex.quote(str(dataset))} --out runs/new.ts")
