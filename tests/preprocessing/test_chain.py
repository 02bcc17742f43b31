"""The chain: which lists of preprocessors are legal, and what an illegal one is told."""

from __future__ import annotations

import copy
from itertools import permutations

import pytest
import torch
from rows import assert_equal, copied, make_rows

from latpred.errors import ChainError, ConfigError
from latpred.models import TablePredictor
from latpred.preprocessing import BlockSum, BlockSumNet, BlockTable, Chain, RemoveAnomaly

STEPS = ("block_sum", "remove_anomaly", "flatten")
LEGAL = [
    ["block_sum", "remove_anomaly", "flatten"],
    ["block_sum", "flatten"],
    ["remove_anomaly", "block_sum", "flatten"],  # judges runs by their overall values
]
REMEDY = r"Legal chains for table: \[block_sum, remove_anomaly, flatten\] or \[block_sum, flatten\]\.$"


def check(steps, metric="latency_ms"):
    Chain(steps).check("table", TablePredictor.needs, TablePredictor.legal_chains, metric)


@pytest.mark.parametrize("metric", ["latency_ms", "energy_mj"])
@pytest.mark.parametrize("steps", LEGAL, ids=",".join)
def test_legal_chains_pass(steps, metric):
    check(steps, metric)


def test_the_documented_chains_are_legal():
    assert [list(chain) for chain in TablePredictor.legal_chains] == LEGAL[:2]


ILLEGAL = [list(steps) for count in range(4) for steps in permutations(STEPS, count) if list(steps) not in LEGAL]


@pytest.mark.parametrize("steps", ILLEGAL, ids=",".join)
def test_every_other_chain_is_refused_with_the_legal_ones(steps):
    with pytest.raises(ChainError, match=f"^data.preprocessors: (step|predictor) '.*{REMEDY}") as error:
        check(steps)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["block_sum"], r"predictor 'table' needs one row per block, which no step of \[block_sum\] gives\. Legal"),
        (["flatten"], r"predictor 'table' needs the sum of blocks, which no step of \[flatten\] gives"),
        ([], r"predictor 'table' needs one row per block and the sum of blocks, which no step of \[\] gives"),
        (["block_sum", "flatten", "remove_anomaly"], "step 'remove_anomaly' needs runs, which end at 'flatten'"),
        (["flatten", "block_sum"], "step 'block_sum' needs block values, which end at 'flatten'"),
        (
            ["block_sum", "flatten", "padding"],
            "predictor 'table' needs one row per block and the sum of blocks, "
            "but the last step that feeds it, 'padding', gives the padded list of block values. Legal",
        ),
    ],
)
def test_the_step_and_what_it_lacks_are_named(steps, message):
    with pytest.raises(ChainError, match=f"data.preprocessors: {message}"):
        check(steps)


def test_a_step_that_comes_too_early_is_named():
    class Late(BlockSum):
        needs = frozenset({"clean_runs"})

    chain = Chain(["remove_anomaly"])
    chain.steps = (Late(), RemoveAnomaly())
    with pytest.raises(
        ChainError, match="step 'block_sum' needs runs without anomalies, which nothing before it gives"
    ):
        chain.check("table", frozenset(), (), "latency_ms")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["block_sum", "flatten"], "step 'block_sum' needs block values, but memory_mb is a peak, which is no sum of"),
        (["flatten"], "step 'flatten' needs block values, but memory_mb is a peak"),
        (["remove_anomaly"], "predictor 'table' needs one row per block and the sum of blocks"),
    ],
)
def test_a_peak_is_refused_where_sums_are_needed(steps, message):
    with pytest.raises(ChainError, match=f"{message}.*Take one of the metrics latency_ms, energy_mj"):
        check(steps, "memory_mb")


def test_a_peak_may_be_cleaned():
    Chain(["remove_anomaly"]).check("mlp", frozenset({"runs"}), (), "memory_mb")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            ["blocksum"],
            "data.preprocessors: unknown step 'blocksum', expected one of block_sum, .*flatten, .*remove_anomaly",
        ),
        ([None], "unknown step 'None', expected one of"),
        (["flatten", "flatten"], "expected each step once, found flatten twice"),
        ([{"flatten": {}, "block_sum": {}}], "expected a step's name with its arguments, found {'flatten'"),
        ([{"remove_anomaly": 0.2}], "data.preprocessors.remove_anomaly: expected a mapping of arguments, found 0.2"),
        ("flatten", "expected a list of steps, found 'flatten'"),
        (None, "expected a list of steps, found None"),
    ],
)
def test_what_is_no_list_of_steps_is_refused(steps, message):
    with pytest.raises(ChainError, match=message):
        Chain(steps)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerence": 0.2}, "unknown key 'tolerence', expected one of tolerance. Perhaps 'tolerance' was meant"),
        ({"tolerance": "wide"}, "expected tolerance to be float, found 'wide'"),
        ({"tolerance": None}, "expected tolerance to be float, found null"),
        ({"tolerance": 2}, "tolerance must lie between 0 and 1, got 2"),
    ],
)
def test_wrong_arguments_of_a_step_are_named(arguments, message):
    with pytest.raises(ConfigError, match=f"^data.preprocessors.remove_anomaly: {message}"):
        Chain([{"remove_anomaly": arguments}])


def test_arguments_reach_their_step():
    given = ["block_sum", {"remove_anomaly": {"tolerance": 0.25}}, {"flatten": None}]
    before = copy.deepcopy(given)
    chain = Chain(given)
    assert chain.names == ["block_sum", "remove_anomaly", "flatten"]
    assert chain.steps[1].tolerance == 0.25
    assert given == before


def test_cleaning_runs_the_row_steps_in_order():
    rows = make_rows([(0, 1.0, [1.0, 1.0], [0, 1]), (0, 1.0, [1.0, 1.0], [0, 1]), (0, 1.0, [1.0, 5.0], [0, 1])])
    before = copied(rows)
    clean = Chain(["block_sum", "remove_anomaly", "flatten"]).clean(rows)
    assert clean.runs["block_sum"].tolist() == [2.0, 2.0]
    assert clean.blocks["value"].tolist() == [1.0] * 4
    assert_equal(rows, before)


def test_the_front_is_the_last_net_step_with_the_table():
    table = BlockTable(2)
    table.value.copy_(torch.tensor([0.0, 1.0, 2.0]))
    front = Chain(["block_sum", "flatten"]).front(table)
    assert isinstance(front, BlockSumNet)
    assert front.table is table


def test_the_last_of_two_net_steps_is_the_front():
    front = Chain(["block_sum", "flatten", "padding"]).front(BlockTable(2))
    assert front(torch.tensor([[0, 1, -1]])).shape[-1] == 3


def test_a_chain_without_net_step_has_no_front():
    with pytest.raises(ChainError, match=r"expected one of the steps block_sum, .*found \[remove_anomaly\]. Add it"):
        Chain(["remove_anomaly"]).front(BlockTable(1))
