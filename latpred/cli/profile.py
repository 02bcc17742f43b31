"""`latpred profile`."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latpred.cli.parser import command_parser
from latpred.dataset import Dataset
from latpred.device import Device
from latpred.errors import CardError, ConfigError
from latpred.genprof import ProfDir, read_prof_dir
from latpred.network import Network
from latpred.profiling import Session, load_device, new_session_record, profile
from latpred.spaces import SearchSpace

STOPPED = 143
"""Exit code after SIGTERM, as a shell reports it."""

_REDRAW_S = 0.5


def run(arguments: list[str]) -> int:
    """Measure networks on this machine, into a dataset."""
    parser = command_parser("profile", run)
    parser.add_argument("prof_dirs", type=Path, nargs="+", help="folders that `latpred genprof` wrote")
    parser.add_argument("--device", type=Path, required=True, help="YAML of the device")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the dataset, made if there is none")
    parser.add_argument(
        "--rounds", type=int, default=10, help="visits of each network, those of earlier calls included"
    )
    parser.add_argument("--seed", type=int, help="seed of the order; without one, each call takes another")
    options = parser.parse_args(arguments)
    space, networks = _networks([read_prof_dir(path) for path in options.prof_dirs], options.prof_dirs)
    config = load_device(options.device)
    dataset = _dataset(options.dataset, space, config.resolve())
    for message in dataset.leftover:
        print(message)
    record = new_session_record(config, options.seed)
    done = dataset.visited()
    session = profile(
        networks, space, config, options.rounds, session_id=record["session_id"], done=done, seed=options.seed
    )
    if not session.total:
        print(f"{options.dataset} has all {options.rounds} rounds of {len(networks)} networks; --rounds asks for more")
        return 0
    failed = _measure(session, dataset, record)
    stats = session.stats
    print(f"{session.total} runs of {len(networks)} networks, {100 * stats.share:.0f} % of the time measuring")
    for network_id, reason in sorted(failed.items()):
        print(f"failed: network {network_id}: {reason}")
    print(f"next: latpred fit --config configs/runs/table.yaml --data.dataset {options.dataset}")
    return 1 if len(failed) == len(networks) else 0


def _networks(folders: Sequence[ProfDir], paths: Sequence[Path]) -> tuple[SearchSpace[Any], list[Network]]:
    """Return the space of all folders, and their networks, each once."""
    space = folders[0].space
    for folder, path in zip(folders, paths, strict=True):
        if difference := space.card().describe_difference(folder.space.card()):
            problem = f"expected the space of {paths[0]}, found another: {difference}"
            raise ConfigError(str(path), problem, "Profile each space into a dataset of its own")
    by_id = {network.network_id: network for folder in folders for network in folder.networks}
    return space, [by_id[network_id] for network_id in sorted(by_id)]


def _dataset(path: Path, space: SearchSpace[Any], device: Device) -> Dataset:
    """Open the dataset, or make it.

    Raises:
        CardError: If there is one of another space or device.
    """
    if not path.exists():
        return Dataset.create(path, space.card(), device)
    dataset = Dataset.open(path)
    if difference := dataset.card.space.describe_difference(space.card()):
        problem = f"the dataset and the networks have different spaces: {difference}"
        raise CardError(str(path), problem, "Profile into another dataset")
    if dataset.card.device != device:
        problem = f"the dataset is of the device '{dataset.card.device}', this is '{device}'"
        raise CardError(str(path), problem, "Profile into another dataset: a changed runtime is another device")
    return dataset


def _measure(session: Session, dataset: Dataset, record: dict[str, Any]) -> dict[str, str]:
    """Move all runs of the session into the dataset; returns why networks failed, by network_id."""
    failed: dict[str, str] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeRemainingColumn(),
    )
    # Drawn between the runs only: a thread that redraws would compete with the measurement.
    with _terminable(), session, dataset.session(record) as writer, Progress(*columns, auto_refresh=False) as progress:
        task = progress.add_task("profiling", total=session.total)
        drawn = time.monotonic()
        for run_ in session:
            writer.append(run_)
            if run_.status == "failed":
                failed[run_.network_id] = run_.reason or ""
            writer.commit_if_due()
            if time.monotonic() - drawn > _REDRAW_S:
                progress.update(task, completed=run_.sequence + 1, refresh=True)
                drawn = time.monotonic()
        progress.update(task, completed=session.total, refresh=True)
    return failed


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the command in order: what was measured is committed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(STOPPED)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
