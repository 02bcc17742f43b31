"""Regularized evolution (https://arxiv.org/abs/1802.01548): a population in which the oldest die, not the worst."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Generic

from numpy.typing import ArrayLike

from latpred.errors import SearchError, UsageError
from latpred.search.objective import as_column, shown
from latpred.spaces import SearchSpace
from latpred.spaces.base import ArchitectureT


@dataclass(frozen=True, slots=True)
class Evaluation(Generic[ArchitectureT]):
    """An architecture that a search evaluated."""

    index: int
    """Its place in the history, from 0."""
    architecture: ArchitectureT
    fitness: float
    parent: int | None
    """Place in the history of the architecture that it is a mutation of; None in the first population."""


@dataclass(frozen=True)
class SearchResult(Generic[ArchitectureT]):
    """What a search found."""

    history: tuple[Evaluation[ArchitectureT], ...]
    """All evaluations in their order; the last of them are the final population."""

    @cached_property
    def best(self) -> Evaluation[ArchitectureT]:
        """The fittest evaluation, the first of equals."""
        return max(self.history, key=lambda evaluation: evaluation.fitness)

    def top(self, count: int) -> list[Evaluation[ArchitectureT]]:
        """Return the fittest evaluations of distinct architectures, the best first; fewer where there are fewer."""
        distinct: dict[ArchitectureT, Evaluation[ArchitectureT]] = {}
        for evaluation in sorted(self.history, key=lambda evaluation: -evaluation.fitness):
            distinct.setdefault(evaluation.architecture, evaluation)
        return list(distinct.values())[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegularizedEvolution:
    """Evolves architectures of a space towards a high fitness; the defaults are the paper's.

    Each cycle draws `sample_size` of the population with replacement, and the fittest of them has a mutated child; the
    child is evaluated, joins the population, and the oldest leaves it. An architecture that comes up again is evaluated
    again, because the fitness may be noisy: a function that is not, and is slow, is better cached by its owner.
    """

    evaluations: int = 20_000
    """Architectures evaluated in all, the first population among them."""
    population_size: int = 100
    sample_size: int = 25
    children_per_cycle: int = 1
    """Children that are drawn from one population and evaluated together. 1 is the paper's algorithm; more make
    use of a fitness function that is faster in batches, or that trains networks side by side."""

    def __post_init__(self) -> None:
        """Refuse sizes that contradict each other.

        Raises:
            UsageError: Naming the argument, its range and the value.
        """
        _check_integer("population_size", self.population_size, 1, None)
        _check_integer("evaluations", self.evaluations, self.population_size, None, "population_size")
        for name in ("sample_size", "children_per_cycle"):
            _check_integer(name, getattr(self, name), 1, self.population_size, "population_size")

    def run(
        self,
        space: SearchSpace[ArchitectureT],
        fitness: Callable[[Sequence[ArchitectureT]], ArrayLike],
        seed: int | None = None,
    ) -> SearchResult[ArchitectureT]:
        """Search to the end; see `stream`."""
        return SearchResult(tuple(self.stream(space, fitness, seed)))

    def stream(
        self,
        space: SearchSpace[ArchitectureT],
        fitness: Callable[[Sequence[ArchitectureT]], ArrayLike],
        seed: int | None = None,
    ) -> Iterator[Evaluation[ArchitectureT]]:
        """Yield the evaluations as they are made, so that a caller can show, keep or stop them.

        Args:
            space: Where architectures are drawn and mutated.
            fitness: Takes a list of architectures and returns a number for each, higher is better, such as
                `Objective.fitness`. -inf marks what must not be; NaN is refused.
            seed: Of drawing and mutating; None draws another one each time.

        Raises:
            SearchError: If a fitness is NaN or inf, naming the architecture, or their number is wrong.
            ArchitectureError: If the space has nothing to mutate.
        """
        rng = Random(seed)  # noqa: S311 - drawing architectures is no secret
        first = [space.sample(rng) for _ in range(self.population_size)]
        if self.evaluations > self.population_size:
            space.mutate(first[0], Random(0))  # noqa: S311 - a space without mutations says so before the evaluations
        population: deque[Evaluation[ArchitectureT]] = deque(maxlen=self.population_size)  # the oldest fall out
        born = _evaluated(first, [None] * len(first), 0, fitness)
        population.extend(born)
        yield from born
        count = len(born)
        while count < self.evaluations:
            children = min(self.children_per_cycle, self.evaluations - count)
            parents = [self._tournament(population, rng) for _ in range(children)]
            mutants = [space.mutate(parent.architecture, rng) for parent in parents]
            born = _evaluated(mutants, [parent.index for parent in parents], count, fitness)
            population.extend(born)
            yield from born
            count += children

    def _tournament(self, population: Sequence[Evaluation[ArchitectureT]], rng: Random) -> Evaluation[ArchitectureT]:
        """Return the fittest of a random sample."""
        return max(rng.choices(population, k=self.sample_size), key=lambda evaluation: evaluation.fitness)


def _evaluated(
    architectures: Sequence[ArchitectureT],
    parents: Sequence[int | None],
    index: int,
    fitness: Callable[[Sequence[ArchitectureT]], ArrayLike],
) -> list[Evaluation[ArchitectureT]]:
    """Evaluate architectures together; the first of them has the place `index` in the history."""
    values = as_column(fitness(architectures), architectures, "fitness").tolist()
    for architecture, value in zip(architectures, values, strict=True):
        if math.isnan(value) or value == math.inf:
            problem = f"expected a number or -inf for {shown(architecture)}, found {value}"
            raise SearchError("fitness", problem, "Mend the function; -inf marks an architecture that must not be")
    rows = zip(architectures, values, parents, strict=True)
    return [Evaluation(index + i, *row) for i, row in enumerate(rows)]


def _check_integer(name: str, value: int, low: int, high: int | None, bound: str | None = None) -> None:
    """Refuse anything but an integer from `low` to `high`; `bound` names the argument that one of them comes from."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= low and (high is None or value <= high):
        return
    limits = f">= {low}" if high is None else f"from {low} to {high}"
    source = f" ({bound})" if bound else ""
    raise UsageError(name, f"expected an integer {limits}{source}, found {value!r}", "Mend it")
