"""`latpred predict --interval`."""

import json
from pathlib import Path

import pytest
from fitting import fit
from measured import make_measured, tiny_space

import latpred
from latpred.cli import main
from latpred.export import export
from latpred.models import TablePredictor

GOLDEN = Path(__file__).parents[1] / "golden/artifacts/v1"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    make_measured(folder / "data", tiny_space(), networks=60, rounds=2, seed=0)
    predictor = fit(TablePredictor(), folder / "data")
    return export(predictor.net, predictor.fitted_card, folder / "net", ["ts"])[0]


def answers(capsys, *command: str) -> list[dict]:
    capsys.readouterr()
    assert main(["predict", *command, "--sample", "3", "--seed", "0", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["answers"]


def test_json_has_the_intervals_of_the_estimator(capsys, exported):
    estimator = latpred.load(exported)
    for answer in answers(capsys, str(exported), "--interval", "0.8"):
        found = estimator.predict_interval(answer["architecture"], 0.8)
        assert answer["interval"] == {"lower": found.lower, "upper": found.upper, "coverage": 0.8}
        expected = estimator.explain(answer["architecture"])
        assert answer["value"] == expected.value
        assert (answer["distance"], answer["out_of_distribution"]) == (expected.distance, expected.far)


def test_without_the_option_there_are_none(capsys, exported):
    assert all("interval" not in answer for answer in answers(capsys, str(exported)))
    assert main(["predict", str(exported), "--sample", "1"]) == 0
    assert "interval" not in capsys.readouterr().out


def test_the_table_shows_them(capsys, exported):
    (answer, *_) = answers(capsys, str(exported), "--interval", "0.9")
    assert main(["predict", str(exported), "--sample", "3", "--seed", "0", "--interval", "0.9"]) == 0
    out = capsys.readouterr().out
    assert "90 % interval" in out
    assert f"{answer['interval']['lower']:.3f} to {answer['interval']['upper']:.3f}" in out
    assert "far from" not in out


def test_a_far_architecture_is_marked(capsys, exported, monkeypatch):
    monkeypatch.setattr(latpred.estimator.Estimator, "explain", far(latpred.estimator.Estimator.explain))
    assert main(["predict", str(exported), "--sample", "1"]) == 0
    assert "all measured; far from the training networks (2.5)" in capsys.readouterr().out


def far(explain):
    return lambda estimator, architecture: explain(estimator, architecture)._replace(distance=2.5)


@pytest.mark.parametrize(
    ("predictor", "coverage", "code", "message"),
    [
        ("net", "1.5", 2, "--interval: expected a number between 0 and 1, such as 0.9, found 1.5. Mend it."),
        ("net", "0.999", 1, "expected at least 999 validation networks for intervals of coverage 0.999, found 1"),
        ("golden", "0.9", 1, "expected a predictor with a calibration, found one that was fitted before latpred had"),
    ],
)
def test_bad_input(capsys, exported, predictor, coverage, code, message):
    path = exported if predictor == "net" else GOLDEN / "table.ts"
    assert main(["predict", str(path), "--sample", "1", "--interval", coverage]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
