"""`latpred auto`: which predictor it keeps, and what it says of the others."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from cli_paths import ROOT
from measured import make_measured, tiny_space

import latpred
from latpred.cli import main
from latpred.cli.auto import choose_predictor
from latpred.datamodule import LatencyDataModule
from latpred.dataset import Dataset
from latpred.models import load_checkpoint
from latpred.shipped import shipped_config
from latpred.spaces import space_yaml

TABLE = "table.yaml"
QUICK = [TABLE, "regression.yaml", "quick.yaml"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("auto") / "data"
    make_measured(path, tiny_space(), networks=80, rounds=3, seed=0, noise=0.05)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder with run configurations that draw nothing, and `broken.yaml`, which cannot be fitted."""
    monkeypatch.chdir(tmp_path)
    for name in ("table", "regression", "ensemble"):
        add(tmp_path, name, name)
    add(tmp_path, "quick", "mlp", model={"hidden": [8]}, trainer={"max_epochs": 10})
    add(tmp_path, "broken", "mlp", model={"hidden": [0]})
    return tmp_path


def add(folder: Path, name: str, shipped: str, model=None, data=None, trainer=None) -> None:
    """Write a shipped configuration with other values, and without the callbacks behind ModelCheckpoint."""
    config = yaml.safe_load(shipped_config("runs", shipped).read_text())
    config["model"]["init_args"] = config["model"].get("init_args", {}) | (model or {})
    config["data"] |= data or {}
    config["trainer"] |= {"callbacks": config["trainer"]["callbacks"][:1]} | (trainer or {})
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


def write(folder: Path, candidates: list[str], **more: object) -> str:
    content = {"candidates": candidates, "ensemble": None, "data": {"val": 0.25, "test": 0.25}} | more
    (folder / "auto.yaml").write_text(yaml.safe_dump(content))
    return str(folder / "auto.yaml")


def auto(config: str, dataset: Path, *more: str) -> list[str]:
    return ["auto", "--config", config, "--data.dataset", str(dataset), *more]


def rows_of(path: Path) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(path.read_text())["rows"]}


def error_of(capsys, command: list[str], code: int) -> str:
    capsys.readouterr()
    assert main(command) == code
    return capsys.readouterr().err.splitlines()[-1].removeprefix("latpred: error: ")


def test_the_best_is_kept_and_all_are_told(dataset, here, capsys):
    config = write(here, QUICK)
    assert main(auto(config, dataset, "--json", "told/auto.json")) == 0
    out = capsys.readouterr().out
    content = json.loads((here / "told/auto.json").read_text())
    rows = rows_of(here / "told/auto.json")
    assert list(rows) == ["table", "regression", "quick"]
    assert [row["status"] for row in rows.values()] == ["fitted"] * 3
    best = min(rows, key=lambda name: rows[name]["mape"])
    assert (content["chosen"], content["members"]) == (best, [best])
    (kept,) = here.glob("runs/checkpoints/*/auto/*/best.ckpt")
    assert content["checkpoint"] == str(kept.relative_to(here))
    assert kept.read_bytes() == Path(rows[best]["checkpoint"]).read_bytes()
    for name, row in rows.items():
        (line,) = [line for line in out.splitlines() if re.match(rf"│ {name} ", line)]
        assert f" {100 * row['mape']:.2f} " in line
        assert f" {row['seconds']:.1f} " in line
        assert row["reason"] in line
        assert ("chosen" in line) == (name == best)
        assert row["mape"] == pytest.approx(load_checkpoint(Path(row["checkpoint"])).fitted_card.errors["val"]["mape"])
    assert content["networks"] == len(load_validation(dataset))
    assert f"candidates on {content['networks']} validation networks" in out


def load_validation(dataset: Path) -> list[str]:
    data = LatencyDataModule(str(dataset), ["block_sum"], val=0.25, test=0.25)
    data.setup("fit")
    return data.network_ids("val")


def test_the_next_commands_work(dataset, here, capsys, monkeypatch):
    monkeypatch.setattr("latpred.report.compare._TIMED_S", 0.0)
    assert main(auto(write(here, [TABLE]), dataset)) == 0
    out = capsys.readouterr().out
    (compare,) = re.findall(r"next: latpred (compare .*)", out)
    (export,) = re.findall(r"^ +latpred (export .*)", out, re.MULTILINE)
    assert main(compare.split()) == 0
    assert main(export.split()) == 0
    assert latpred.load("runs/auto.ts").card.predictor == "table"


@pytest.mark.slow
def test_a_clearly_better_ensemble_is_kept(dataset, here, capsys, monkeypatch):
    monkeypatch.setattr("latpred.report.choice._CLEARLY", -1000.0)
    assert main(auto(write(here, QUICK, ensemble="ensemble.yaml"), dataset, "--json", "auto.json")) == 0
    content, rows = json.loads((here / "auto.json").read_text()), rows_of(here / "auto.json")
    assert content["chosen"] == "ensemble"
    assert sorted(content["members"]) == sorted(["table", "regression", "quick"])
    assert list(rows)[-1] == "ensemble"
    predictor = load_checkpoint(Path(content["checkpoint"]))
    assert predictor.name == "ensemble"
    told = [member["predictor"] for member in predictor.fitted_card.predictor_parameters["members"]]
    assert set(told) <= {"table", "regression", "mlp"}
    # The table has the error by weights that did not see the network; the card that by those that did.
    assert rows["ensemble"]["mape"] != predictor.fitted_card.errors["val"]["mape"]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ ensemble ")]
    assert "chosen" in line


def test_an_ensemble_that_is_not_better_is_told_and_not_fitted(dataset, here, capsys):
    config = write(here, [TABLE, "table_again.yaml"], ensemble="ensemble.yaml")
    add(here, "table_again", "table")
    assert main(auto(config, dataset, "--json", "auto.json")) == 0
    rows = rows_of(here / "auto.json")
    assert rows["ensemble"]["status"] == "not taken"
    assert rows["ensemble"]["reason"].startswith("not clearly better: ")
    assert rows["ensemble"]["mape"] == pytest.approx(rows["table"]["mape"])
    assert load_checkpoint(Path(json.loads((here / "auto.json").read_text())["checkpoint"])).name == "table"


@pytest.mark.slow
def test_an_ensemble_that_cannot_be_fitted_leaves_the_best_alone(dataset, here, monkeypatch):
    monkeypatch.setattr("latpred.report.choice._CLEARLY", -1000.0)
    (here / "no_ensemble.yaml").write_text((here / "broken.yaml").read_text())
    assert main(auto(write(here, QUICK, ensemble="no_ensemble.yaml"), dataset, "--json", "auto.json")) == 0
    rows = rows_of(here / "auto.json")
    assert rows["ensemble"]["status"] == "failed"
    best = min(("table", "regression", "quick"), key=lambda name: rows[name]["mape"])
    assert json.loads((here / "auto.json").read_text())["chosen"] == best


def test_a_candidate_that_fails_is_told_and_the_others_go_on(dataset, here, capsys):
    assert main(auto(write(here, ["broken.yaml", TABLE]), dataset, "--json", "auto.json")) == 0
    rows = rows_of(here / "auto.json")
    assert rows["broken"]["status"] == "failed"
    assert "hidden must be widths of at least 1, got [0]" in rows["broken"]["reason"]
    assert "broken: failed in " in capsys.readouterr().out
    assert rows["table"]["status"] == "fitted"


def test_a_class_that_may_not_be_named_is_a_failure(dataset, here):
    config = yaml.safe_load((here / "quick.yaml").read_text())
    config["model"] = {"class_path": "os.system"}
    (here / "hostile.yaml").write_text(yaml.safe_dump(config))
    assert main(auto(write(here, ["hostile.yaml", TABLE]), dataset, "--json", "auto.json")) == 0
    row = rows_of(here / "auto.json")["hostile"]
    assert row["status"] == "failed"
    assert "Importing 'os.system' is not allowed" in row["reason"]


def test_a_chain_that_cannot_work_is_skipped(dataset, here):
    add(here, "short", "mlp", data={"preprocessors": ["block_sum", "remove_anomaly", "padding"]})
    assert main(auto(write(here, ["short.yaml", TABLE]), dataset, "--json", "auto.json")) == 0
    row = rows_of(here / "auto.json")["short"]
    assert row["status"] == "skipped"
    assert row["reason"] == "step 'padding' needs one row per block, which nothing before it gives"
    assert row["seconds"] is None


def test_a_predictor_that_cannot_answer_for_held_out_networks_is_skipped(here):
    """The table lacks primitives that no training network has; block_sum_net goes by features."""
    make_measured(here / "few", tiny_space(), networks=24, rounds=2, seed=0, assembled=False)
    add(here, "features", "block_sum_net", trainer={"max_epochs": 5})
    listed = write(here, [TABLE, "features.yaml"], data={"val": 0.6, "test": 0.2})
    assert main(auto(listed, here / "few", "--json", "auto.json")) == 0
    rows = rows_of(here / "auto.json")
    assert rows["table"]["status"] == "skipped"
    assert re.search(r"\d+ of \d+ networks in 'val' hold a primitive that no training", rows["table"]["reason"])
    assert rows["features"]["status"] == "fitted"


def test_all_see_the_split_and_version_of_the_list(dataset, here, tmp_path):
    version = Dataset.open(dataset).version
    found = choose_predictor(auto(write(here, [TABLE, "quick.yaml"]), dataset, "--data.split_seed", "5")[1:])
    for attempt in found.choice.attempts:
        card = load_checkpoint(attempt.checkpoint).fitted_card
        assert card.split == {"seed": 5, "val": 0.25, "test": 0.25}
        assert card.dataset_version == version
    assert found.checkpoint.parent.parent.name == "auto"


def test_a_budget_that_is_over_leaves_the_rest_untried(dataset, here, capsys):
    """The first is fitted all the same: there is always an answer."""
    assert main(auto(write(here, QUICK), dataset, "--budget", "0s", "--json", "auto.json")) == 0
    rows = rows_of(here / "auto.json")
    assert [row["status"] for row in rows.values()] == ["fitted", "not tried", "not tried"]
    assert rows["quick"]["reason"].startswith("the budget of 0 s was over after ")
    assert json.loads((here / "auto.json").read_text())["chosen"] == "table"
    assert "quick: not tried, the budget of 0 s was over" in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_not_fitted_does_not_use_the_budget_up(dataset, here):
    assert main(auto(write(here, ["broken.yaml", *QUICK]), dataset, "--budget", "0s", "--json", "auto.json")) == 0
    statuses = [row["status"] for row in rows_of(here / "auto.json").values()]
    assert statuses == ["failed", "fitted", "not tried", "not tried"]


@pytest.mark.slow
def test_a_long_fit_ends_with_the_budget(dataset, here):
    add(here, "long", "mlp", model={"hidden": [8]}, trainer={"max_epochs": 1_000_000})
    assert main(auto(write(here, [TABLE, "long.yaml"]), dataset, "--budget", "3s", "--json", "auto.json")) == 0
    row = rows_of(here / "auto.json")["long"]
    assert (row["status"], row["stopped"]) == ("fitted", True)
    assert row["mape"] is not None


def test_genmodel_exports_what_auto_chooses(dataset, here, monkeypatch, capsys):
    config = write(here, [TABLE])
    monkeypatch.setattr(
        "latpred.cli.genmodel.shipped_config", lambda kind, name: {("runs", "auto"): config}[kind, name]
    )
    (here / "space.yaml").write_text(space_yaml(tiny_space()))
    assert main(["genmodel", "space.yaml", str(dataset), "--model", "auto", "--out", "model.ts"]) == 0
    assert latpred.load("model.ts").card.predictor == "table"
    assert "the least error of one predictor" in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_run_leaves_the_first_as_it_is(dataset, here):
    config = write(here, [TABLE])
    assert main(auto(config, dataset)) == 0
    (first,) = here.glob("runs/checkpoints/*/auto/*/best.ckpt")
    content = first.read_bytes()
    assert main(auto(config, dataset)) == 0
    assert len(list(here.glob("runs/checkpoints/*/auto/*/best.ckpt"))) == 2
    assert first.read_bytes() == content


@pytest.mark.slow
def test_the_data_is_the_same_for_a_predictor_fitted_alone(dataset, here):
    found = choose_predictor(auto(write(here, [TABLE]), dataset)[1:])
    command = ["fit", "--config", TABLE, "--data.dataset", str(dataset)]
    assert main([*command, "--data.val", "0.25", "--data.test", "0.25"]) == 0
    (alone,) = here.glob("runs/checkpoints/*/table/*/best.ckpt")
    ids = torch.tensor([[3, 1, 4, 1, -1, -1]])
    assert torch.equal(load_checkpoint(found.checkpoint).net(ids), load_checkpoint(alone).net(ids))


@pytest.mark.parametrize(
    ("candidates", "more", "code", "message"),
    [
        ([], [], 2, r"candidates: expected names of run configurations, found an empty list"),
        (["tabel"], [], 2, r"configs/runs: unknown name 'tabel', expected one of .*table"),
        (["no.yaml"], [], 2, r"no\.yaml: expected a run configuration, found no file there"),
        ([TABLE, "table"], [], 2, r"expected single predictors, each name once, found 'table' twice"),
        (["ensemble"], [], 2, r"found 'ensemble', which has its own key"),
        ([TABLE], ["--budget", "soon"], 2, r"--budget: expected a duration such as 90s, 10min or 2h, found 'soon'"),
        ([TABLE], ["--data.val", "1.5"], 2, r"val must lie in \[0, 1\), got 1\.5"),
        ([TABLE], ["--data.vall", "0.5"], 2, r"vall"),
        ([TABLE], ["--data.metric", "energy_mj"], 1, r"expected runs with energy_mj, found only latency_ms"),
        ([TABLE], ["--json", "quick.yaml"], 2, r"quick\.yaml: expected a path where nothing stands for --json"),
        (["broken.yaml"], [], 1, r"expected at least one candidate to be fitted, found none of 1 \(broken: .*hidden"),
    ],
)
def test_mistakes_are_named(dataset, here, capsys, candidates, more, code, message):
    assert re.search(message, error_of(capsys, auto(write(here, candidates), dataset, *more), code))
    assert not list(here.glob("runs/checkpoints/*/auto/*/best.ckpt"))


def test_a_misspelt_key_of_the_list_is_named(dataset, here, capsys):
    assert "bugdet" in error_of(capsys, auto(write(here, ["table"], bugdet="1min"), dataset), 2)
    assert "candidates" in error_of(capsys, ["auto", "--data.dataset", str(dataset)], 2)


def test_a_dataset_that_is_not_there_is_named_once(here, capsys):
    message = error_of(capsys, auto(write(here, QUICK), here / "no"), 1)
    assert "no: expected a dataset, found no readable card.json there" in message


@pytest.mark.slow
def test_the_shipped_list(dataset, here):
    config = ROOT / "configs/runs/auto.yaml"
    assert main(auto(str(config), dataset, "--json", "auto.json")) == 0
    rows = rows_of(here / "auto.json")
    names = yaml.safe_load(config.read_text())["candidates"]
    assert list(rows)[: len(names)] == names
    assert {row["status"] for name, row in rows.items() if name in names} == {"fitted"}
    content = json.loads((here / "auto.json").read_text())
    best = min(rows[name]["mape"] for name in names)
    assert rows[content["chosen"]]["mape"] <= best
