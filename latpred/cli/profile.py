"""`latpred profile`."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from jsonargparse import ArgumentParser
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latpred.cli.outcome import tell_failed, tell_outcome
from latpred.cli.parser import command_parser, seconds
from latpred.cli.select_loop import Wanted, add_wanted, measure_chosen, wanted_by
from latpred.cli.target import open_target
from latpred.dataset import Dataset, run_columns
from latpred.errors import CardError, ConfigError
from latpred.genprof import ProfDir, read_prof_dir
from latpred.network import Network
from latpred.profiling import (
    DeviceConfig,
    EarlierRuns,
    Goal,
    Session,
    choose_anchors,
    load_device,
    new_session_record,
    profile,
)
from latpred.profiling.environment import hardware_kind
from latpred.profiling.lock import measuring_alone
from latpred.spaces import SearchSpace

STOPPED = 143
"""Exit code after SIGTERM, as a shell reports it."""

_REDRAW_S = 0.5

_ROUNDS, _FIRST_ROUNDS, _BUDGET = 10, 5, "10min"
"""What `--rounds`, `--rounds` with `--precision`, and `--budget` with `--precision` stand at."""


def run(arguments: list[str]) -> int:
    """Measure networks on this machine, into a dataset."""
    options = _parser().parse_args(arguments)
    wanted = wanted_by(options, _BUDGET)
    goal = _goal(options.rounds, options.precision, None if wanted else options.budget)
    space, networks = _networks([read_prof_dir(path) for path in options.prof_dirs], options.prof_dirs)
    config = load_device(options.device)
    leftover = _dataset(options.dataset, space, config).leftover
    kind, what = hardware_kind(config.device.hardware), f"latpred profile into {options.dataset.name}"
    with measuring_alone(kind, options.wait, what, print):
        dataset = Dataset.open(options.dataset)  # again: whom this one waited for may have added to it
        for message in (*leftover, *dataset.leftover):
            print(message)
        if wanted is not None:
            return _profile_chosen(wanted, networks, space, config, goal, dataset)
        return _profile(networks, space, config, goal, dataset, options.seed)


def _parser() -> ArgumentParser:
    parser = command_parser("profile", run)
    parser.add_argument("prof_dirs", type=Path, nargs="+", help="folders that `latpred genprof` wrote")
    parser.add_argument("--device", type=Path, required=True, help="YAML of the device")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the dataset, made if there is none")
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"visits of each network, those of earlier calls included; {_ROUNDS}, or {_FIRST_ROUNDS} with --precision",
    )
    parser.add_argument(
        "--precision", type=float, help="go on until each latency is known to this fraction, such as 0.01"
    )
    parser.add_argument(
        "--budget", type=str, help=f"time to measure, such as 90s or 2h; {_BUDGET} with --precision, else no limit"
    )
    parser.add_argument("--seed", type=int, help="seed of the order; without one, each call takes another")
    parser.add_argument("--wait", action="store_true", help="wait while another session measures on this processor")
    add_wanted(parser)
    return parser


def _profile(
    networks: Sequence[Network],
    space: SearchSpace[Any],
    config: DeviceConfig,
    goal: Goal,
    dataset: Dataset,
    seed: int | None,
) -> int:
    """Measure and tell; returns the exit code."""
    session, record = _session(networks, space, config, goal, dataset, seed)
    if not session.total and goal.precision is None:
        print(f"{dataset.path} has all {goal.rounds} rounds of {len(networks)} networks; --rounds asks for more")
        return 0
    if reason := record["measuring"]["not_pinned"]:
        print(f"not pinned to a CPU, so that single runs are noisier: {reason}")
    failed = _measure(session, dataset, record)
    tell_outcome(session.stats, dataset, record, [network.network_id for network in networks], goal)
    tell_failed(failed)
    print(f"next: latpred fit --config configs/runs/table.yaml --data.dataset {dataset.path}")
    return 1 if failed and not session.stats.ok else 0


def _session(
    networks: Sequence[Network],
    space: SearchSpace[Any],
    config: DeviceConfig,
    goal: Goal,
    dataset: Dataset,
    seed: int | None,
) -> tuple[Session, dict[str, Any]]:
    """Return a session that goes on where the dataset stands, and its record."""
    anchors = _anchors(dataset, networks, space)
    record = new_session_record(config, seed, anchors)
    session = profile(
        networks,
        space,
        config,
        goal,
        session_id=record["session_id"],
        done=dataset.visited(),
        seed=seed,
        anchors=anchors,
        earlier=_earlier(dataset),
        locked=True,
    )
    return session, record


def _profile_chosen(
    wanted: Wanted,
    networks: Sequence[Network],
    space: SearchSpace[Any],
    config: DeviceConfig,
    goal: Goal,
    dataset: Dataset,
) -> int:
    """Measure as few as are needed; returns the exit code."""

    def measure(batch: Sequence[Network], left_s: float) -> None:
        session, record = _session(batch, space, config, replace(goal, budget_s=left_s), dataset, wanted.seed)
        if session.total or goal.precision is not None:
            tell_failed(_measure(session, dataset, record))

    measure_chosen(wanted, space, networks, dataset.path, measure)
    return 0


def _goal(rounds: int | None, precision: float | None, budget: str | None) -> Goal:
    """Return what the options ask for."""
    if rounds is None:
        rounds = _ROUNDS if precision is None else _FIRST_ROUNDS
    if budget is None and precision is not None:
        budget = _BUDGET
    return Goal(rounds, precision, None if budget is None else seconds(budget, "--budget"))


def _anchors(dataset: Dataset, networks: Sequence[Network], space: SearchSpace[Any]) -> tuple[Network, ...]:
    """Return the anchors of the dataset's first session that had some, else new ones of these networks."""
    for record in dataset.sessions():
        if found := record.get("anchors"):
            where = f"{dataset.path} session {record['session_id']} anchors"
            return tuple(Network.from_dict(anchor, where) for anchor in found)
    return choose_anchors(networks, space)


def _earlier(dataset: Dataset) -> EarlierRuns:
    """Return the runs that are there already."""
    measurements = dataset.read()
    columns, _ = run_columns(measurements)
    return EarlierRuns(columns, [network.network_id for network in measurements.networks])


def _networks(folders: Sequence[ProfDir], paths: Sequence[Path]) -> tuple[SearchSpace[Any], list[Network]]:
    """Return the space of all folders, and their networks, each once."""
    space = folders[0].space
    for folder, path in zip(folders, paths, strict=True):
        if difference := space.card().describe_difference(folder.space.card()):
            problem = f"expected the space of {paths[0]}, found another: {difference}"
            raise ConfigError(str(path), problem, "Profile each space into a dataset of its own")
    by_id = {network.network_id: network for folder in folders for network in folder.networks}
    return space, [by_id[network_id] for network_id in sorted(by_id)]


def _dataset(path: Path, space: SearchSpace[Any], config: DeviceConfig) -> Dataset:
    """Open the dataset, or make it.

    Raises:
        CardError: If there is one of another space or device, or one whose sessions held memory differently.
    """
    device = config.resolve()
    dataset = open_target(path, space, device)
    if dataset is None:
        return Dataset.create(path, space.card(), device)
    for record in dataset.sessions():
        held = record.get("measuring", {}).get("hold_memory", False)
        if held != config.measuring.hold_memory:
            problem = (
                f"session {record['session_id']} was measured with hold_memory {str(held).lower()}, "
                f"this would be with {str(not held).lower()}: latencies differ by up to a fifth"
            )
            raise CardError(str(path), problem, "Take another dataset, or set measuring.hold_memory alike")
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
        drawn, done = time.monotonic(), 0
        for done, run_ in enumerate(session, start=1):
            writer.append(run_)
            if run_.status == "failed":
                failed[run_.network_id] = run_.reason or ""
            writer.commit_if_due()
            if time.monotonic() - drawn > _REDRAW_S:
                # Anchors, and what is measured again, come on top of what was asked for.
                progress.update(task, completed=done, total=max(done, session.total), refresh=True)
                drawn = time.monotonic()
        progress.update(task, completed=done, total=done, refresh=True)
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
