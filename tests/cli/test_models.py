"""`latpred models` lists the predictors that come with latpred, and their names are taken for paths."""

import json

import pytest

from latpred.cli import main
from latpred.pretrained import pretrained_names, read_pretrained

NAME = "mnasnet_ofa_112/cpu-epyc/torch"


def test_every_predictor_has_a_line_with_its_error(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    found = read_pretrained(NAME)
    (line,) = [line for line in out.splitlines() if line.startswith("│") and NAME in line]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells[2].startswith(found.card.predictor)
    assert cells[4:] == [
        str(len(found.card.training_network_ids)),
        str(found.measured["held_out"]),
        f"{100 * found.card.errors['test']['mape']:.2f}",
        f"{100 * found.measured['label_noise']:.2f}",
    ]
    for name in pretrained_names():
        assert f'latpred.load("{name}")' in out
    assert "shares its host with others" in out


def test_json_has_all_that_is_known(capsys):
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == pretrained_names()
    (row,) = [row for row in rows if row["name"] == NAME]
    assert row == read_pretrained(NAME).to_json()
    assert row["device"]["hardware"] == "AMD EPYC"
    assert row["machine"]["cores"] == 2


def test_predict_takes_a_name(capsys):
    assert main(["predict", NAME, "--sample", "2", "--seed", "0", "--interval", "0.9", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["device"]["runtime"] == "torch"
    for answer in found["answers"]:
        assert answer["interval"]["lower"] < answer["value"] < answer["interval"]["upper"]


def test_predict_names_those_there_are(capsys):
    assert main(["predict", "mnasnet_ofa_112/cpu-epyc/nothing", "--sample", "1"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        "latpred: error: mnasnet_ofa_112/cpu-epyc/nothing: expected a file, or the name of a predictor"
    )
    assert NAME in err


@pytest.mark.parametrize("word", ["--jsn", "mnasnet_ofa_112"])
def test_a_wrong_argument_is_named(capsys, word):
    assert main(["models", word]) == 2
    assert word in capsys.readouterr().err
