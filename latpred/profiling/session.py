"""The session: one stretch of measuring by one process; networks in, runs out."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from random import Random
from types import TracebackType
from typing import Any, NamedTuple, Self

from latpred.config import canonical_json
from latpred.errors import ProfilingError, UsageError
from latpred.network import Network
from latpred.profiling.clock import choose_cpus, usable_cpus
from latpred.profiling.config import DeviceConfig
from latpred.profiling.environment import describe_environment
from latpred.profiling.runtimes import RUNTIMES
from latpred.profiling.visit import SessionStats, Tally, Visitor
from latpred.run import Run
from latpred.spaces.base import SearchSpace
from latpred.spaces.pool import BlockPool

_WEIGHTS_SEED = 0  # the same weights in all sessions, so that no difference between them comes from there


class Visit(NamedTuple):
    """One network's turn in one round."""

    round: int
    network_id: str
    plain_first: bool
    """Whether the plain pass precedes the stamped one. It alternates from round to round, because a second pass is
    faster than a first one, and only so does that cancel out of their ratio."""


class Session(Iterator[Run]):
    """The runs of one session, measured as they are asked for; `profile` makes it.

    Between two runs nothing is timed, pinned or held back, so the caller may write, commit and print. Close it, or
    use it in a `with` statement, to give the process its threads back when leaving before the end.
    """

    def __init__(self, runs: Generator[Run], tally: Tally, total: int) -> None:
        self._runs, self._tally = runs, tally
        self.total = total
        """Number of runs that a complete session yields."""

    def __next__(self) -> Run:
        """Measure the next run."""
        return next(self._runs)

    def close(self) -> None:
        """End the session; closing again does nothing."""
        self._runs.close()

    def __enter__(self) -> Self:
        """Return the session; nothing is prepared before the first run is asked for."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the session."""
        self.close()

    @property
    def stats(self) -> SessionStats:
        """Where the time went, so far."""
        return self._tally.stats()


def profile(
    networks: Sequence[Network],
    space: SearchSpace[Any],
    device: DeviceConfig,
    rounds: int,
    *,
    session_id: str,
    done: Collection[tuple[str, int]] = (),
    seed: int | None = None,
) -> Session:
    """Measure networks on this machine: each once a round, in an order that is drawn anew for every round.

    A network that cannot be built or run gives a failed run with its reason, and the session goes on.

    Args:
        networks: What to measure; one that occurs twice is measured once.
        space: The space that they belong to; it builds their blocks, each once.
        device: What to measure on, and how.
        rounds: Number of visits of each network.
        session_id: From `new_session_record`; names the runs together with their sequence, which counts from 0.
        done: (network_id, round) of the visits to leave out: those that an earlier session made.
        seed: Of the order; None draws another one each time.

    Raises:
        UsageError: If there is nothing to measure, or a network belongs to another space.
        ProfilingError: If the device asks for more threads than there are CPUs to run them.
    """
    if not isinstance(rounds, int) or rounds < 1:
        raise UsageError("rounds", f"expected an integer >= 1, found {rounds!r}", "Ask for at least one round")
    if not networks:
        raise UsageError("networks", "expected at least one network to measure, found none", "Make some with genprof")
    by_id = {network.network_id: network for network in networks}
    for network_id, network in by_id.items():
        if network.space != space.name:
            problem = f"expected a network of space '{space.name}', found one of '{network.space}'"
            raise UsageError(f"network {network_id}", problem, "Measure each space by itself, into its own dataset")
    visits, tally = plan(by_id, rounds, done, seed), Tally()
    runs = _measure(visits, by_id, space, device, _pinned_cpus(device), session_id, tally)
    return Session(runs, tally, len(visits))


def plan(network_ids: Iterable[str], rounds: int, done: Collection[tuple[str, int]], seed: int | None) -> list[Visit]:
    """List the visits of a session in their order; it depends on the seed and the set of networks, not on `done`."""
    rng = Random(seed)  # noqa: S311 - an order, no secret
    ids = sorted(set(network_ids))
    visits = []
    for round_ in range(rounds):
        places = list(range(len(ids)))
        rng.shuffle(places)
        visits += [Visit(round_, ids[place], (place + round_) % 2 == 0) for place in places]
    left_out = frozenset(done)
    return [visit for visit in visits if (visit.network_id, visit.round) not in left_out]


def new_session_record(device: DeviceConfig, seed: int | None = None) -> dict[str, Any]:
    """Return what is kept about a session that starts now: plain JSON values, `session_id` among them.

    Raises:
        ProfilingError: If the device asks for more threads than there are CPUs to run them.
    """
    now, resolved, pinned = datetime.now(UTC), device.resolve(), _pinned_cpus(device)
    return {
        "session_id": f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        "started_at": now.isoformat(),
        "seed": seed,
        "device": resolved.to_dict(),
        "measuring": asdict(device.measuring) | {"pinned_cpus": None if pinned is None else sorted(pinned)},
        "environment": describe_environment() | {"runtime": RUNTIMES[resolved.runtime](resolved).describe()},
    }


def _pinned_cpus(device: DeviceConfig) -> frozenset[int] | None:
    """Return the CPUs that a session stays on; None where it is not pinned.

    Raises:
        ProfilingError: If the threads would have to share them.
    """
    threads, usable = device.device.threads, usable_cpus()
    if threads > len(usable):
        problem = f"expected at most {len(usable)}, the CPUs this process may use, found {threads}"
        raise ProfilingError("device.threads", problem, "Ask for fewer threads, or give the process more CPUs")
    return choose_cpus(threads, usable) if device.measuring.pin else None


def _measure(
    visits: Sequence[Visit],
    networks: Mapping[str, Network],
    space: SearchSpace[Any],
    device: DeviceConfig,
    cpus: frozenset[int] | None,
    session_id: str,
    tally: Tally,
) -> Generator[Run]:
    """Yield the run of each visit, outside of everything that is timed."""
    with tally.whole(), RUNTIMES[device.device.runtime](device.resolve()) as runtime:
        visitor = Visitor(runtime, BlockPool(space, _WEIGHTS_SEED), device.measuring, cpus, tally)
        visitor.warm_up(networks[network_id] for network_id in dict.fromkeys(visit.network_id for visit in visits))
        for sequence, visit in enumerate(visits):
            network = networks[visit.network_id]
            started_at = datetime.now(UTC)
            measured = visitor.visit(network, visit.plain_first)
            yield Run(
                session_id=session_id,
                sequence=sequence,
                network_id=visit.network_id,
                space=network.space,
                architecture=None if network.assembled else canonical_json(network.architecture),
                primitives=network.primitives,
                role=network.roles,
                round=visit.round,
                started_at=started_at,
                **measured,
            )
