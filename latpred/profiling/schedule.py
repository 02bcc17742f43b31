"""The schedule: which network is visited next, and when there have been visits enough."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from latpred.errors import UsageError
from latpred.estimation import FAIR
from latpred.network import Network
from latpred.spaces.base import SearchSpace

_FEW = 6
"""Networks from which three anchors are chosen."""


class Visit(NamedTuple):
    """One network's turn in one round."""

    round: int
    network_id: str


@dataclass(frozen=True, slots=True)
class Goal:
    """How much to measure."""

    rounds: int = 10
    """Visits of each network before anything is decided."""
    precision: float | None = None
    """Half-width of each network's interval, a fraction, at which it is known; None for the rounds alone."""
    budget_s: float | None = None
    """Seconds after which no visit begins; None for no limit, also for a precision that is never reached."""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked for."""
        if not isinstance(self.rounds, int) or isinstance(self.rounds, bool) or self.rounds < 1:
            problem = f"expected an integer >= 1, found {self.rounds!r}"
            raise UsageError("rounds", problem, "Ask for at least one round")
        if self.precision is not None and not 0 < self.precision < 1:  # which NaN is not either
            problem = f"expected a fraction between 0 and 1, found {self.precision!r}"
            raise UsageError("precision", problem, "Ask for 0.01 to know each latency to 1 %")
        if self.budget_s is not None and not 0 < self.budget_s < math.inf:
            problem = f"expected a positive time, found {self.budget_s!r} s"
            raise UsageError("budget", problem, "Give one such as 90s, 10min or 2h")


Uncertain = Callable[[Collection[str], float], list[str]]
"""Which of some networks, by id, have an interval of a half-width beyond a limit; sorted."""


def choose_anchors(networks: Sequence[Network], space: SearchSpace[Any]) -> tuple[Network, ...]:
    """Return the networks that tie sessions together: three of different size, or the middle one of a few.

    One anchor would do if it fell on each process alike; three average what each process does to a network (0.5 %).
    """
    by_size = sorted(networks, key=lambda network: (_flops(network, space), network.network_id))
    count = len(by_size)
    places = (count // 6, count // 2, count - 1 - count // 6) if count >= _FEW else (count // 2,)
    return tuple(by_size[place] for place in places)


def _flops(network: Network, space: SearchSpace[Any]) -> float:
    return sum(space.type_of(primitive).cost(primitive).flops for primitive in network.primitives)


class Schedule:
    """Lists the visits of a session: rounds over all networks, each in a new order, then what is not known yet.

    Args:
        network_ids: What to visit; their order is of no effect.
        goal: How much.
        done: (network_id, round) of the visits that earlier sessions made.
        seed: Of the orders; None draws another one each time.
        anchors: Networks that are visited in between, one after the other: they tie sessions and groups together.
        anchor_every: Visits from one anchor to the next.
        group_size: Networks that are measured together before the next ones begin; None for all of them.
    """

    def __init__(
        self,
        network_ids: Iterable[str],
        goal: Goal,
        done: Collection[tuple[str, int]] = (),
        seed: int | None = None,
        *,
        anchors: Sequence[str] = (),
        anchor_every: int = 20,
        group_size: int | None = None,
    ) -> None:
        self._goal, self._anchors, self._every = goal, tuple(anchors), anchor_every
        self._rng = Random(seed)  # noqa: S311 - an order, no secret
        ids = sorted(set(network_ids))
        if group_size is not None and len(ids) > group_size:
            self._rng.shuffle(ids)
        size = group_size or max(len(ids), 1)
        self._groups = [ids[start : start + size] for start in range(0, len(ids), size)]
        self._rounds = [self._first_rounds(number, frozenset(done)) for number in range(len(self._groups))]
        self._next_round = max([goal.rounds, *(round_ + 1 for _, round_ in done)])

    @property
    def first_ids(self) -> list[str]:
        """The networks in the order of their first visit; those without one come last."""
        visited = (visit.network_id for visits in self._rounds for visit in visits)
        return list(dict.fromkeys((*visited, *itertools.chain(*self._groups))))

    @property
    def open_ended(self) -> bool:
        """Whether what is known, and not a number of rounds, ends the session."""
        return self._goal.precision is not None

    @property
    def asked(self) -> int:
        """Number of visits in the rounds that were asked for, anchors not counted."""
        return sum(map(len, self._rounds))

    def visits(self, uncertain: Uncertain, elapsed_s: Callable[[], float]) -> Generator[Visit]:
        """Yield the visits; what to measure again is asked after each round.

        Args:
            uncertain: Tells what the runs so far leave open.
            elapsed_s: Tells how long the session has lasted, for the budget, of which each group has its share.
        """
        budget_s = math.inf if self._goal.budget_s is None else self._goal.budget_s
        turns = itertools.cycle(self._anchors)
        for number, first in enumerate(self._rounds):
            until_s = budget_s * (number + 1) / len(self._rounds)
            yield from self._anchored(_before(until_s, first, elapsed_s), turns)
            yield from self._anchored(_before(until_s, self._again(number, uncertain), elapsed_s), turns)

    def _first_rounds(self, group: int, done: frozenset[tuple[str, int]]) -> list[Visit]:
        """List the rounds over a group; their order depends on the seed and the networks, not on what is done."""
        visits, ids = list[Visit](), self._groups[group]
        for round_ in range(self._goal.rounds):
            order = self._rng.sample(ids, len(ids))
            visits += [Visit(round_, network_id) for network_id in order]
        return [visit for visit in visits if (visit.network_id, visit.round) not in done]

    def _again(self, group: int, uncertain: Uncertain) -> Iterator[Visit]:
        """Yield rounds over the networks of a group that are not known well enough.

        Without a precision, these are the poor ones, and only where a budget ends it: N rounds alone mean N rounds.
        """
        ids, round_ = self._groups[group], self._next_round
        asked_for = self._goal.precision is not None or (self._goal.budget_s is not None and self._rounds[group])
        limit = FAIR if self._goal.precision is None else self._goal.precision
        while asked_for and (wanted := uncertain(ids, limit)):
            yield from (Visit(round_, network_id) for network_id in self._rng.sample(wanted, len(wanted)))
            round_ += 1

    def _anchored(self, visits: Iterable[Visit], turns: Iterator[str]) -> Iterator[Visit]:
        """Yield the visits with an anchor before every few of them."""
        for place, visit in enumerate(visits):
            if self._anchors and place % self._every == 0:
                yield Visit(visit.round, next(turns))
            yield visit


def _before(until_s: float, visits: Iterable[Visit], elapsed_s: Callable[[], float]) -> Iterator[Visit]:
    for visit in visits:
        if elapsed_s() >= until_s:
            return
        yield visit
