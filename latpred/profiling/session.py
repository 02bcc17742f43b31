"""The session: one stretch of measuring by one process; networks in, runs out."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from latpred.config import canonical_json
from latpred.errors import UsageError
from latpred.network import Network
from latpred.profiling.allocator import hold_memory
from latpred.profiling.config import DeviceConfig
from latpred.profiling.energy import EnergyMeter, NotMeasurable, find_meter
from latpred.profiling.environment import describe_environment, hardware_kind
from latpred.profiling.knowledge import EarlierRuns, Knowledge
from latpred.profiling.lock import measuring_alone
from latpred.profiling.pin import choose_pin
from latpred.profiling.runtimes import Runtime
from latpred.profiling.schedule import Goal, Schedule
from latpred.profiling.visit import SessionStats, Tally, Visitor
from latpred.run import Run
from latpred.spaces.base import SearchSpace
from latpred.spaces.pool import BlockPool

NOT_MEASURABLE = "not measurable here"
"""Begins the reason that stands in a session's record for the meter that there is not."""

_WEIGHTS_SEED = 0  # the same weights in all sessions, so that no difference between them comes from there


class Session(Iterator[Run]):
    """The runs of one session, measured as they are asked for; `profile` makes it.

    Between two runs nothing is timed, pinned or held back, so the caller may write, commit and print. Close it, or
    use it in a `with` statement, to give the process its threads back when leaving before the end.
    """

    def __init__(self, runs: Generator[Run], tally: Tally, asked: int) -> None:
        self._runs, self._tally = runs, tally
        self.total = asked
        """Number of runs in the rounds that were asked for; anchors, and what is measured again, come on top."""

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
    goal: Goal | int,
    *,
    session_id: str,
    done: Collection[tuple[str, int]] = (),
    seed: int | None = None,
    anchors: Sequence[Network] = (),
    earlier: EarlierRuns | None = None,
    locked: bool = False,
) -> Session:
    """Measure networks on this machine, in rounds whose order is drawn anew, until the goal is reached.

    A network that cannot be built or run gives a failed run with its reason, and the session goes on.

    Args:
        networks: What to measure; one that occurs twice is measured once.
        space: The space that they belong to; it builds their blocks, each once.
        device: What to measure on, and how.
        goal: How much to measure, or the number of rounds.
        session_id: From `new_session_record`; names the runs together with their sequence, which counts from 0.
        done: (network_id, round) of the visits to leave out: those that an earlier session made.
        seed: Of the order; None draws another one each time.
        anchors: Networks that are visited in between; through them, sessions are compared. See `choose_anchors`.
        earlier: The runs of earlier sessions; they count for what is known.
        locked: Whether the caller holds the processor's lock, `measuring_alone`; else the session takes it.

    Raises:
        UsageError: If there is nothing to measure, or a network belongs to another space.
        ProfilingError: If the device asks for more threads than there are CPUs to run them; later, when the first
            run is asked for, if another session measures on this processor.
    """
    goal = goal if isinstance(goal, Goal) else Goal(rounds=goal)
    by_id = _by_id(networks, anchors, space)
    measuring = device.measuring
    schedule = Schedule(
        [network.network_id for network in networks],
        goal,
        done,
        seed,
        anchors=[anchor.network_id for anchor in anchors],
        anchor_every=measuring.anchor_every,
        group_size=measuring.loaded_networks if device.runtime.compiles else None,
    )
    session = _Measurement(
        device,
        space,
        by_id,
        len(anchors),
        Tally(),
        Knowledge(earlier),
        choose_pin(device.device.threads, measuring.pin).cpus,
    )
    kind = hardware_kind(device.device.hardware)
    alone = nullcontext() if locked else measuring_alone(kind, wait=False, what=f"session {session_id}")
    return Session(session.runs(schedule, session_id, alone), session.tally, schedule.asked)


def _by_id(networks: Sequence[Network], anchors: Sequence[Network], space: SearchSpace[Any]) -> dict[str, Network]:
    """Return all networks of a session by their ids.

    Raises:
        UsageError: If there is nothing to measure, or a network belongs to another space.
    """
    if not networks:
        raise UsageError("networks", "expected at least one network to measure, found none", "Make some with genprof")
    by_id = {network.network_id: network for network in (*networks, *anchors)}
    for network_id, network in by_id.items():
        if network.space != space.name:
            problem = f"expected a network of space '{space.name}', found one of '{network.space}'"
            raise UsageError(f"network {network_id}", problem, "Measure each space by itself, into its own dataset")
    return by_id


def new_session_record(
    device: DeviceConfig, seed: int | None = None, anchors: Sequence[Network] = ()
) -> dict[str, Any]:
    """Return what is kept about a session that starts now: plain JSON values, `session_id` among them.

    Raises:
        ProfilingError: If the device asks for more threads than there are CPUs to run them.
    """
    now, resolved, pin = datetime.now(UTC), device.resolve(), choose_pin(device.device.threads, device.measuring.pin)
    measuring = asdict(device.measuring) | {
        "pinned_cpus": None if pin.cpus is None else sorted(pin.cpus),
        "not_pinned": pin.refusal,
        "allocator": hold_memory() if device.measuring.hold_memory else "returned",
        "energy_meter": _energy_meter(device),
    }
    return {
        "session_id": f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        "started_at": now.isoformat(),
        "seed": seed,
        "device": resolved.to_dict(),
        "anchors": [anchor.to_dict() for anchor in anchors],
        "measuring": measuring,
        "environment": describe_environment() | {"runtime": device.make_runtime().describe()},
    }


def _energy_meter(device: DeviceConfig) -> str | None:
    """Return what measures the energy, or why nothing does; None where nobody asked."""
    meter = _meter(device)
    if isinstance(meter, NotMeasurable):
        return f"{NOT_MEASURABLE}: {meter.reason}"
    return None if meter is None else meter.name


def _meter(device: DeviceConfig) -> EnergyMeter | NotMeasurable | None:
    """Return the meter of the energy, or why there is none; None where nobody asked."""
    return find_meter(hardware_kind(device.device.hardware)) if device.measuring.energy else None


@dataclass(frozen=True, eq=False)
class _Measurement:
    """What a session is made of."""

    device: DeviceConfig
    space: SearchSpace[Any]
    networks: Mapping[str, Network]
    anchors: int
    """How many of them stay loaded beside those of a group."""
    tally: Tally
    knowledge: Knowledge
    cpus: frozenset[int] | None

    def runs(self, schedule: Schedule, session_id: str, alone: AbstractContextManager[None]) -> Generator[Run]:
        """Yield the run of each visit, outside of everything that is timed."""
        if not schedule.asked and not schedule.open_ended:
            return
        with (
            alone,
            self.tally.whole(),
            self.device.make_runtime() as runtime,
            closing(self._visitor(runtime)) as visitor,
        ):
            if self.device.measuring.hold_memory:
                hold_memory()
            visitor.warm_up(self.networks[network_id] for network_id in schedule.first_ids)
            visits = schedule.visits(self.knowledge.uncertain, self.tally.elapsed_s)
            for sequence, visit in enumerate(visits):
                network, started_at = self.networks[visit.network_id], datetime.now(UTC)
                run = Run(
                    session_id=session_id,
                    sequence=sequence,
                    network_id=visit.network_id,
                    space=network.space,
                    architecture=None if network.assembled else canonical_json(network.architecture),
                    primitives=network.primitives,
                    role=network.roles,
                    round=visit.round,
                    started_at=started_at,
                    **visitor.visit(network),
                )
                self.knowledge.add(run)
                yield run

    def _visitor(self, runtime: Runtime) -> Visitor:
        measuring, meter = self.device.measuring, _meter(self.device)
        return Visitor(
            runtime,
            BlockPool(self.space, _WEIGHTS_SEED),
            measuring,
            self.cpus,
            self.tally,
            capacity=measuring.loaded_networks + self.anchors,
            meter=meter if isinstance(meter, EnergyMeter) else None,
        )
