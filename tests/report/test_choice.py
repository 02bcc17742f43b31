"""Which predictor is chosen, and why: on errors made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from latpred.report.choice import MIN_NETWORKS, Attempt, choose


def attempt(name, **fields):
    return Attempt(name=name, config=f"{name}.yaml", **({"status": "fitted", "checkpoint": Path(name)} | fields))


def noise(seed, networks=100, size=0.01):
    return size * np.random.default_rng(seed).standard_normal(networks)


def test_the_least_mean_error_is_chosen_and_the_others_are_held_against_it():
    attempts = [attempt("a"), attempt("b"), attempt("c", status="skipped", reason="it cannot", checkpoint=None)]
    errors = [np.array([0.03, -0.03]), np.array([-0.01, 0.03]), None]
    found = choose(attempts, errors, np.ones(2), ensemble=True)
    assert found.chosen.name == "b"
    assert [a.mape for a in found.attempts] == pytest.approx([0.03, 0.02, None])
    assert [a.reason for a in found.attempts] == ["1.50 times the error of b", "the least error of one predictor",
                                                  "it cannot"]  # fmt: skip
    assert (found.networks, found.left_out, found.members) == (2, None, (found.chosen,))
    assert [a.mape for a in attempts] == [None] * 3


def test_one_bad_miss_counts_by_its_size_and_not_by_its_square():
    errors = [np.array([0.0, 0.0, 0.09]), np.array([0.04, 0.04, 0.04])]
    assert choose([attempt("a"), attempt("b")], errors, np.ones(3), ensemble=False).chosen.name == "a"


def test_one_predictor_alone_is_no_ensemble():
    found = choose([attempt("a")], [noise(0)], np.ones(100), ensemble=True)
    assert (found.chosen.name, found.left_out, found.reason) == ("a", None, "")


def test_errors_that_differ_by_chance_alone_give_an_ensemble():
    attempts, errors = [attempt("a"), attempt("b")], [noise(0), noise(1, size=0.013)]
    found = choose(attempts, errors, np.ones(100), ensemble=True)
    assert [member.name for member in found.members] == ["a", "b"]
    assert found.left_out < 0.85 * found.chosen.mape
    share = 100 * (1 - found.left_out / found.chosen.mape)
    assert found.reason.startswith(f"{share:.1f} % less error than a, standard error ")
    assert choose(attempts, errors, np.ones(100), ensemble=False).members == (found.chosen,)


def test_the_same_errors_give_none():
    errors = [noise(0), noise(0) + 1e-6, noise(0) + 0.02]
    found = choose([attempt("a"), attempt("b"), attempt("c")], errors, np.ones(100), ensemble=True)
    assert len(found.members) == 1
    assert found.left_out == pytest.approx(found.chosen.mape, rel=0.02)
    assert found.reason.startswith("not clearly better: ")


def test_an_advantage_within_chance_gives_none():
    """Together they are better on these networks, by less than two standard errors."""
    first = noise(0, 40)
    second = 0.5 * first + noise(3, 40, 0.012)
    found = choose([attempt("a"), attempt("b")], [first, second], np.ones(40), ensemble=True)
    gain = float(np.abs(first).mean()) - found.left_out
    assert found.chosen.mape <= float(np.abs(first).mean())
    assert len(found.members) == 1, gain
    assert "less error" in found.reason


def test_few_networks_are_no_ground_for_an_ensemble():
    for networks, tried in ((MIN_NETWORKS - 1, False), (MIN_NETWORKS, True)):
        errors = [noise(0, networks), noise(1, networks)]
        found = choose([attempt("a"), attempt("b")], errors, np.ones(networks), ensemble=True)
        assert (found.left_out is not None) == tried


def test_the_weights_of_labels_reach_the_ensemble():
    errors = [noise(0, 20), noise(1, 20)]
    plain = choose([attempt("a"), attempt("b")], errors, np.ones(20), ensemble=True)
    other = choose([attempt("a"), attempt("b")], errors, np.linspace(0.1, 5, 20), ensemble=True)
    assert plain.left_out != other.left_out


def test_one_that_answers_for_few_networks_is_not_compared():
    few = np.full(100, np.nan)
    few[:89] = 0.0
    found = choose([attempt("few"), attempt("all")], [few, noise(0)], np.ones(100), ensemble=True)
    assert found.chosen.name == "all"
    assert found.networks == 100
    assert found.attempts[0].reason == "not compared: answers for 89 of 100 validation networks"
    assert found.attempts[0].mape is None


def test_predictors_are_compared_on_the_networks_that_all_of_them_answer_for():
    most = np.full(100, 0.02)
    most[90:] = np.nan
    every = np.full(100, 0.03)
    every[90:] = 0.5
    found = choose([attempt("most"), attempt("every")], [most, every], np.ones(100), ensemble=False)
    assert (found.chosen.name, found.networks) == ("most", 90)
    assert [a.mape for a in found.attempts] == pytest.approx([0.02, 0.03])


def test_a_predictor_without_any_error_is_chosen():
    found = choose([attempt("a"), attempt("b")], [noise(0), np.zeros(100)], np.ones(100), ensemble=True)
    assert (found.chosen.name, found.left_out) == ("b", None)
    assert found.attempts[0].reason == "b has no error at all"


def test_the_first_of_equals_is_chosen():
    errors = [np.full(20, 0.01), np.full(20, -0.01)]
    assert choose([attempt("a"), attempt("b")], errors, np.ones(20), ensemble=False).chosen.name == "a"


@pytest.mark.parametrize("errors", [[None], [np.full(3, np.nan)]])
def test_nothing_to_choose_from(errors):
    with pytest.raises(ValueError, match="expected at least one fitted candidate, found none"):
        choose([attempt("a")], errors, np.ones(3), ensemble=True)


def test_an_attempt_in_json():
    plain = json.loads(json.dumps(attempt("a", seconds=1.5).to_json()))
    assert plain == {
        "name": "a",
        "config": "a.yaml",
        "status": "fitted",
        "reason": "",
        "checkpoint": "a",
        "seconds": 1.5,
        "mape": None,
        "stopped": False,
    }
    assert attempt("a", checkpoint=None).to_json()["checkpoint"] is None
