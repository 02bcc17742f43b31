"""The loop that measures, fits and chooses, on a device that is known exactly."""

from itertools import chain

import pytest
import torch
from mixtures import EVERYTHING, SPACE, device, latency_ms, mixture
from scipy.stats import t

from latpred.errors import ProfilingError, UsageError
from latpred.transfer import Outcome, Step, error_bound, fit_sources, measure_until


class Bench:
    """A device whose latencies are known, and that tells what it was asked to measure."""

    def __init__(self, share=0.4, seconds=1.0, broken=()):
        self.share, self.seconds, self.broken = share, seconds, set(broken)
        self.asked, self.left, self.time = [], [], 0.0

    def measure(self, networks, left):
        self.asked.append([network.network_id for network in networks])
        self.left.append(left)
        self.time += self.seconds
        everything = {network_id for batch in self.asked for network_id in batch} - self.broken
        known = [network for network in EVERYTHING if network.network_id in everything]
        return device(known, latency_ms(known, self.share))

    def run(self, sources, target=0.02, budget=1000.0, candidates=EVERYTHING):
        steps, clock = [], lambda: self.time
        found = measure_until(
            sources,
            candidates,
            self.measure,
            target=target,
            budget_s=budget,
            tell=steps.append,
            clock=clock,
        )
        assert tuple(steps) == found.curve
        return found


@pytest.fixture(scope="module")
def none():
    return fit_sources(SPACE, [])


@pytest.fixture(scope="module")
def two():
    return fit_sources(SPACE, [mixture(share, 60, first=60 * i) for i, share in enumerate((0.1, 0.9))])


def test_it_stops_when_the_bound_is_low_enough(none):
    bench = Bench()
    found = bench.run(none)
    assert found.reached
    assert [step.bound <= 0.02 for step in found.curve] == [False] * (len(found.curve) - 1) + [True]
    assert all(step.error < step.bound for step in found.curve)
    assert [step.networks for step in found.curve] == [5 * (i + 1) for i in range(len(found.curve))]


@pytest.mark.slow
def test_an_error_below_what_is_asked_for_is_not_enough(none):
    """Where it lies between the first error and its bound, there is a second batch."""
    first = Bench().run(none, target=0.99).curve[0]
    assert len(Bench().run(none, target=(first.error + first.bound) / 2).curve) > 1


def test_no_network_is_asked_for_twice_and_none_held_out_is_fitted_to(none):
    bench = Bench()
    bench.run(none)
    assert [len(batch) for batch in bench.asked] == [10] + [5] * (len(bench.asked) - 1)
    flat = list(chain(*bench.asked))
    assert len(set(flat)) == len(flat)


def test_the_bound_is_true_of_the_other_networks(none):
    """The error that the loop tells is about that on all networks that were not measured."""
    bench = Bench()
    last = bench.run(none, target=0.03).curve[-1]
    chosen = [network for network in EVERYTHING if network.network_id in set(chain(*bench.asked[1:]))]
    rest = [network for network in EVERYTHING if network.network_id not in set(chain(*bench.asked))]
    seen = none.see(torch.tensor([network.encoding for network in chosen]))
    adapted = none.model.adapt(seen, latency_ms(chosen, 0.4))
    predicted = adapted.mean(none.see(torch.tensor([network.encoding for network in rest])))
    error = float((predicted / latency_ms(rest, 0.4) - 1).abs().mean())
    assert error < 1.5 * last.bound


@pytest.mark.slow
def test_sources_save_measurements(none, two):
    assert len(Bench().run(two).curve) < len(Bench().run(none).curve)


def test_it_ends_with_the_budget(none):
    bench = Bench(seconds=10)
    found = bench.run(none, target=1e-6, budget=25)
    assert (found.reached, found.why) == (False, "the budget ended")
    assert bench.left == [25, 15, 5]
    assert len(found.curve) == 2


def test_one_fit_is_made_even_without_time(none):
    found = Bench(seconds=10).run(none, target=1e-6, budget=5)
    assert len(found.curve) == 1


def test_it_ends_with_the_candidates(none):
    found = Bench().run(none, target=1e-9, candidates=EVERYTHING[:22])
    assert (found.reached, found.why) == (False, "all candidates are measured")
    assert [step.networks for step in found.curve] == [5, 10, 12]
    assert [count for count, _ in found.random] == [5, 10]
    assert all(error > 0 for _, error in found.random)


def test_networks_that_failed_are_left_out(none):
    broken = [network.network_id for network in EVERYTHING[:10]]
    found = Bench(broken=broken).run(none, candidates=EVERYTHING[:40], target=1e-9)
    assert found.curve[-1].networks < 30


def test_nothing_that_can_be_measured_is_an_error(none):
    broken = [network.network_id for network in EVERYTHING]
    with pytest.raises(ProfilingError, match="at least 3 held-out networks and 1 other to be measured, found 0 and 0"):
        Bench(broken=broken).run(none)


def test_too_few_candidates_are_refused(none):
    with pytest.raises(UsageError, match="expected at least 15 sampled architectures to choose from, found 14"):
        Bench().run(none, candidates=EVERYTHING[:14])


def test_the_bound_is_students():
    errors = torch.tensor([0.01, -0.02, 0.03, -0.04], dtype=torch.float64)
    mean, bound = error_bound(errors)
    assert mean == pytest.approx(0.025)
    size = errors.abs().numpy()
    assert bound == pytest.approx(0.025 + t.ppf(0.9, 3) * size.std(ddof=1) / 2)


def outcome(random):
    return Outcome((Step(5, 0.5, 0.6), Step(40, 0.01, 0.02)), tuple(random), reached=True, why="")


def test_random_choice_is_continued_as_a_power():
    """Errors of 1 / n reach 0.01 at 100; what is more than half of the measured networks does not count."""
    curve = [(5, 1 / 5), (10, 1 / 10), (20, 1 / 20), (35, 0.01)]
    assert outcome(curve).random_needed() == pytest.approx(100)


def test_what_random_choice_needs_may_be_unknown():
    assert outcome([(5, 0.2)]).random_needed() is None
    assert outcome([(5, 0.2), (10, 0.3)]).random_needed() is None
