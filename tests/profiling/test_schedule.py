"""Which network is visited when; what is known comes from made-up answers, and time from a made-up clock."""

import math
import re
from collections import Counter, OrderedDict
from itertools import islice

import pytest
from measured import tiny_space

from latpred.errors import UsageError
from latpred.genprof import sampled
from latpred.profiling.schedule import Goal, Schedule, Visit, choose_anchors

IDS = [f"{i:016x}" for i in range(20)]
ANCHORS = ["anchor 0", "anchor 1", "anchor 2"]


def nothing(network_ids, limit):
    """Everything is known."""
    return []


def everything(network_ids, limit):
    """Nothing is ever known."""
    return list(network_ids)


def visits_of(schedule, uncertain=nothing, elapsed_s=lambda: 0.0):
    return list(schedule.visits(uncertain, elapsed_s))


def rounds_of(visits):
    numbers = sorted({visit.round for visit in visits})
    return [[visit.network_id for visit in visits if visit.round == number] for number in numbers]


class FakeClock:
    """Each look at it takes a second: one before each visit."""

    def __init__(self):
        self.seconds = -1

    def __call__(self):
        self.seconds += 1
        return float(self.seconds)


def test_each_round_visits_every_network_once_in_an_order_of_its_own():
    visits = visits_of(Schedule(IDS, Goal(3), seed=0))
    assert [visit.round for visit in visits] == [0] * 20 + [1] * 20 + [2] * 20
    first, second, third = rounds_of(visits)
    assert sorted(first) == sorted(second) == sorted(third) == IDS
    assert first != second != third != first
    assert first != IDS


def test_the_order_depends_on_the_seed_alone():
    again = [Schedule(ids, Goal(3), seed=0) for ids in (IDS, reversed(IDS), [*IDS, *IDS])]
    assert visits_of(again[0]) == visits_of(again[1]) == visits_of(again[2])
    assert visits_of(again[0]) != visits_of(Schedule(IDS, Goal(3), seed=1))


def test_no_seed_draws_another_order_each_time_and_is_not_seed_zero():
    drawn = [rounds_of(visits_of(Schedule(IDS, Goal(1), seed=seed))) for seed in (None, None, 0)]
    assert drawn[0] != drawn[1]
    assert drawn[0] != drawn[2]


def test_visits_that_are_done_are_left_out_without_changing_the_order():
    whole = visits_of(Schedule(IDS, Goal(3), seed=5))
    done = {(visit.network_id, visit.round) for visit in whole[:27]}
    schedule = Schedule(IDS, Goal(3), done, seed=5)
    assert visits_of(schedule) == whole[27:]
    assert schedule.asked == 33
    done = {(visit.network_id, visit.round) for visit in whole[::2]} | {("another", 0)}
    assert visits_of(Schedule(IDS, Goal(3), done, seed=5)) == whole[1::2]


def test_first_ids_are_in_the_order_of_the_visits_and_miss_nobody():
    schedule = Schedule(IDS, Goal(2), seed=0)
    assert schedule.first_ids == [visit.network_id for visit in visits_of(schedule)[:20]]
    done = {(network_id, round_) for network_id in IDS for round_ in range(2)} - {(IDS[7], 1)}
    assert Schedule(IDS, Goal(2), done).first_ids == [IDS[7], *IDS[:7], *IDS[8:]]


def test_anchors_come_in_between_and_in_turn():
    schedule = Schedule(IDS, Goal(2), seed=0, anchors=ANCHORS, anchor_every=7)
    visits = visits_of(schedule)
    anchors = [place for place, visit in enumerate(visits) if visit.network_id in ANCHORS]
    assert anchors == [0, 8, 16, 24, 32, 40]  # before each 7 of the 40 others
    assert [visits[place].network_id for place in anchors] == [*ANCHORS, *ANCHORS]
    assert [visits[place].round for place in anchors] == [visits[place + 1].round for place in anchors]
    others = [visit for visit in visits if visit.network_id not in ANCHORS]
    assert others == visits_of(Schedule(IDS, Goal(2), seed=0))
    assert schedule.asked == 40


def test_anchors_take_turns_across_groups_and_what_is_measured_again():
    schedule = Schedule(IDS, Goal(1, budget_s=30), seed=0, anchors=ANCHORS, anchor_every=20, group_size=8)
    visits = visits_of(schedule, everything, FakeClock())
    anchors = [visit.network_id for visit in visits if visit.network_id in ANCHORS]
    assert anchors == [*ANCHORS, *ANCHORS]  # one before the rounds and one before the again of three groups


def test_a_network_may_be_its_own_anchor():
    visits = visits_of(Schedule(IDS[:1], Goal(3), anchors=IDS[:1], anchor_every=2))
    assert visits == [Visit(round_, IDS[0]) for round_ in (0, 0, 1, 2, 2)]


def test_groups_are_measured_one_after_the_other_and_share_the_networks():
    visits = visits_of(Schedule(IDS, Goal(3), seed=0, group_size=8))
    parts = [visits[:24], visits[24:48], visits[48:]]
    groups = [{visit.network_id for visit in part} for part in parts]
    assert [len(group) for group in groups] == [8, 8, 4]
    assert sorted(set.union(*groups)) == IDS
    assert groups[0] != set(IDS[:8])  # ids are no order of size, but they may be one in another space
    for part, group in zip(parts, groups, strict=True):
        assert [sorted(round_) for round_ in rounds_of(part)] == [sorted(group)] * 3


def test_each_network_is_loaded_about_once_where_a_group_and_the_anchors_stay_loaded():
    schedule = Schedule(IDS, Goal(12), seed=0, anchors=ANCHORS, anchor_every=5, group_size=8)
    loads, loaded = Counter(), OrderedDict()
    for visit in visits_of(schedule):
        if visit.network_id not in loaded:
            loads[visit.network_id] += 1
        loaded[visit.network_id] = loaded.pop(visit.network_id, None)
        if len(loaded) > 8 + len(ANCHORS):
            loaded.popitem(last=False)
    assert all(loads[network_id] == 1 for network_id in IDS)
    assert all(loads[anchor] <= 3 for anchor in ANCHORS)  # once a group at the most
    assert len(schedule.first_ids) == 20


def test_one_group_is_as_none():
    assert visits_of(Schedule(IDS, Goal(2), seed=0, group_size=20)) == visits_of(Schedule(IDS, Goal(2), seed=0))


def test_rounds_alone_are_rounds_alone():
    assert len(visits_of(Schedule(IDS, Goal(3), seed=0), everything)) == 60


@pytest.mark.parametrize(("rounds", "extra"), [(1, 5), (5, 25), (9, 45)])
def test_poor_networks_are_measured_again_until_the_budget_ends(rounds, extra):
    asked = []

    def uncertain(network_ids, limit):
        asked.append((sorted(network_ids), limit))
        return network_ids

    goal = Goal(rounds, budget_s=20 * rounds + extra)
    visits = visits_of(Schedule(IDS, goal, seed=0), uncertain, FakeClock())
    again = visits[20 * rounds :]
    assert len(again) == extra
    assert [visit.round for visit in again] == [rounds + i // 20 for i in range(extra)]
    assert max(Counter(again).values()) == 1
    assert set(map(str, asked)) == {str((IDS, 0.05))}  # fair ones are good enough


def test_only_what_is_poor_is_measured_again_and_until_it_is_not():
    left = [[IDS[3], IDS[9]], [IDS[9]], []]
    visits = visits_of(Schedule(IDS, Goal(4, budget_s=9), seed=0), lambda ids, limit: left.pop(0))
    assert sorted(visits[80:82]) == [Visit(4, IDS[3]), Visit(4, IDS[9])]
    assert visits[82:] == [Visit(5, IDS[9])]
    assert left == []


def test_each_group_is_asked_for_what_is_poor_in_it():
    schedule = Schedule(IDS, Goal(4, budget_s=100), seed=0, group_size=10)
    visits = visits_of(schedule, lambda ids, limit: ids[:1], FakeClock())
    groups = [visits[:50], visits[50:]]  # the look at the clock that ends the first costs the second one visit
    assert [len(group) for group in groups] == [50, 49]
    for group in groups:
        first, again = group[:40], group[40:]
        assert [visit.round for visit in again] == list(range(4, 4 + len(again)))
        assert {visit.network_id for visit in again} <= {visit.network_id for visit in first}
    assert groups[0][40].network_id != groups[1][40].network_id


def test_nothing_is_measured_again_where_nothing_was_asked_for():
    done = {(network_id, round_) for network_id in IDS for round_ in range(2)}
    assert visits_of(Schedule(IDS, Goal(2, budget_s=9), done), everything) == []


def test_a_precision_spends_visits_where_it_is_missing_and_ends_when_it_is_reached():
    needed = {network_id: 3 + 4 * (place == 5) + 9 * (place == 6) for place, network_id in enumerate(IDS)}
    made = Counter()

    def uncertain(network_ids, limit):
        assert limit == 0.01
        return [network_id for network_id in network_ids if made[network_id] < needed[network_id]]

    visits = []
    for visit in Schedule(IDS, Goal(2, precision=0.01), seed=0).visits(uncertain, lambda: 0.0):
        made[visit.network_id] += 1
        visits.append(visit)
    assert made == needed
    assert sorted(visit.network_id for visit in visits if visit.round == 2) == IDS
    assert [sorted(ids) for ids in rounds_of(visits)[3:]] == [IDS[5:7]] * 4 + [IDS[6:7]] * 5


def test_a_precision_is_bounded_by_nothing_but_the_budget():
    schedule = Schedule(IDS, Goal(2, precision=0.01), seed=0)
    assert schedule.open_ended
    assert not Schedule(IDS, Goal(2, budget_s=9)).open_ended
    assert len(list(islice(schedule.visits(everything, lambda: 0.0), 5000))) == 5000


def test_a_precision_goes_on_where_all_rounds_are_done():
    done = {(network_id, round_) for network_id in IDS for round_ in range(2)}
    wanted = [[IDS[4]], []]
    schedule = Schedule(IDS, Goal(2, precision=0.01), done)
    assert schedule.asked == 0
    assert visits_of(schedule, lambda ids, limit: wanted.pop(0)) == [Visit(2, IDS[4])]


def test_what_is_measured_again_has_numbers_that_no_earlier_session_used():
    done = {(network_id, round_) for network_id in IDS for round_ in range(2)} | {(IDS[1], 2), (IDS[1], 6)}
    # round 2 of all but one, which has been measured again already; then five visits until the budget ends
    visits = visits_of(Schedule(IDS, Goal(3, budget_s=24), done, seed=0), lambda ids, limit: [IDS[1]], FakeClock())
    assert [visit.round for visit in visits] == [2] * 19 + [7, 8, 9, 10, 11]
    assert Visit(2, IDS[1]) not in visits


def test_no_visit_begins_after_the_budget():
    clock = FakeClock()
    assert len(visits_of(Schedule(IDS, Goal(9, budget_s=50)), elapsed_s=clock)) == 50
    clock = FakeClock()
    visits = visits_of(Schedule(IDS, Goal(2, precision=0.01, budget_s=100)), everything, clock)
    assert len(visits) == 100
    assert [len(ids) for ids in rounds_of(visits)] == [20] * 5


def test_a_visit_of_an_anchor_needs_no_budget_of_its_own():
    visits = visits_of(Schedule(IDS, Goal(9, budget_s=50), anchors=ANCHORS, anchor_every=10), elapsed_s=FakeClock())
    assert Counter(visit.network_id in ANCHORS for visit in visits) == {False: 50, True: 5}


def test_each_group_has_its_share_of_the_budget():
    visits = visits_of(
        Schedule(IDS, Goal(1, precision=0.01, budget_s=90), group_size=7, seed=0), everything, FakeClock()
    )
    counts = Counter(visit.network_id for visit in visits)
    assert sorted(counts) == IDS
    # each group stops at the look at the clock that its share ends with: 30, then 60, then 90
    assert [len({visit.network_id for visit in part}) for part in (visits[:30], visits[30:59], visits[59:])] == [
        7,
        7,
        6,
    ]
    assert len(visits) == 88


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rounds": 0}, "rounds: expected an integer >= 1, found 0. Ask for at least one round."),
        ({"rounds": -3}, "rounds: expected an integer >= 1, found -3"),
        ({"rounds": 1.5}, "rounds: expected an integer >= 1, found 1.5"),
        ({"rounds": True}, "rounds: expected an integer >= 1, found True"),
        ({"precision": 0}, "precision: expected a fraction between 0 and 1, found 0. Ask for 0.01 to know each"),
        ({"precision": 1.0}, "precision: expected a fraction between 0 and 1, found 1.0"),
        ({"precision": -0.1}, "precision: expected a fraction between 0 and 1, found -0.1"),
        ({"precision": math.nan}, "precision: expected a fraction between 0 and 1, found nan"),
        ({"budget_s": 0}, "budget: expected a positive time, found 0 s. Give one such as 90s, 10min or 2h."),
        ({"budget_s": -1.0}, "budget: expected a positive time, found -1.0 s"),
        ({"budget_s": math.inf}, "budget: expected a positive time, found inf s"),
        ({"budget_s": math.nan}, "budget: expected a positive time, found nan s"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(asked, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        Goal(**asked)


def flops_of(network, space):
    return sum(space.type_of(primitive).cost(primitive).flops for primitive in network.primitives)


def test_anchors_are_a_small_a_middle_and_a_large_network():
    space = tiny_space()
    networks = sampled(space, 30, seed=0)
    by_flops = sorted(networks, key=lambda network: (flops_of(network, space), network.network_id))
    assert choose_anchors(networks, space) == (by_flops[5], by_flops[15], by_flops[24])
    assert choose_anchors(list(reversed(networks)), space) == choose_anchors(networks, space)


@pytest.mark.parametrize(("count", "places"), [(1, [0]), (2, [1]), (5, [2]), (6, [1, 3, 4]), (7, [1, 3, 5])])
def test_a_few_networks_have_fewer_anchors(count, places):
    space = tiny_space()
    networks = sorted(sampled(space, count, seed=1), key=lambda n: (flops_of(n, space), n.network_id))
    assert choose_anchors(networks, space) == tuple(networks[place] for place in places)
