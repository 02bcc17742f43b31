"""`latpred compare`."""

import json
from pathlib import Path

import pytest
from compared import make_compared, recarded
from measured import make_measured, tiny_space

import latpred
from latpred.cli import main
from latpred.dataset import Dataset
from latpred.export import export
from latpred.models import load_checkpoint
from latpred.report import compare as module
from latpred.report.compare import compare


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_TIMED_S", 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The predictors of `compared`, and `chosen.ckpt`: the regression, said to be best on validation."""
    folder = make_compared(tmp_path_factory.mktemp("compared"))
    errors = {"val": load_checkpoint(folder / "regression.ckpt").fitted_card.errors["val"] | {"mape": 1e-6}}
    recarded(folder / "regression.ckpt", folder / "chosen.ckpt", errors=errors)
    return folder


def error_of(capsys, command: list[str], code: int) -> str:
    capsys.readouterr()
    assert main(command) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("latpred: error: ")


def test_the_table_and_its_json(folder, capsys, tmp_path):
    paths = [folder / "table.ckpt", folder / "mlp.ckpt"]
    assert main(["compare", f"{folder}/data", *map(str, paths), "--json", f"{tmp_path}/new/table.json"]) == 0
    out = capsys.readouterr().out
    found = compare(Dataset.open(folder / "data"), paths)
    assert f"errors on {found.networks} held-out networks, label noise {100 * found.label_noise:.2f} %" in out
    for row in found.rows:
        (line,) = [line for line in out.splitlines() if row.name in line]
        assert f" {100 * row.metrics['mape']:.2f} " in line
    assert "left out" not in out
    content = json.loads((tmp_path / "new/table.json").read_text())
    assert {k: content[k] for k in ("networks", "uncovered", "label_noise")} == {
        "networks": found.networks,
        "uncovered": 0,
        "label_noise": found.label_noise,
    }
    for row, expected in zip(content["rows"], found.rows, strict=True):
        assert row["metrics"] == expected.metrics
        for name in ("name", "val_mape", "fit_seconds"):
            assert row[name] == getattr(expected, name)
        assert row["path"] == (str(expected.path) if expected.path else None)
        assert (row["us_per_prediction"] is None) == (expected.us_per_prediction is None)


def test_the_best_by_validation_is_exported_and_answers_as_its_checkpoint(folder, capsys, tmp_path):
    paths = [f"{folder}/{name}.ckpt" for name in ("table", "chosen", "mlp")]
    assert main(["compare", f"{folder}/data", *paths, "--export-best", f"{tmp_path}/new/best.ts"]) == 0
    out = capsys.readouterr().out
    assert "best by validation MAPE: regression" in out
    assert f"wrote {tmp_path}/new/best.ts" in out.replace("\n", "")
    estimator = latpred.load(tmp_path / "new/best.ts")
    (expected,) = export_of(folder / "chosen.ckpt", tmp_path / "expected.ts")
    space = estimator.space
    architectures = [space.from_json(n.architecture) for n in Dataset.open(folder / "data").read().networks[:20]
                     if not n.assembled]  # fmt: skip
    assert estimator.card.predictor == "regression"
    assert (estimator.predict_batch(architectures) == latpred.load(expected).predict_batch(architectures)).all()


def export_of(checkpoint: Path, out: Path) -> list[Path]:
    predictor = load_checkpoint(checkpoint)
    return export(predictor.net, predictor.fitted_card, out, [out.suffix[1:]])


def test_the_best_that_is_an_export_is_copied(folder, capsys, tmp_path):
    (chosen,) = export_of(folder / "chosen.ckpt", tmp_path / "chosen.ts")
    command = ["compare", f"{folder}/data", f"{folder}/table.ckpt", str(chosen)]
    assert main([*command, "--export-best", f"{tmp_path}/new/best.ts"]) == 0
    assert "best by validation MAPE: regression (chosen.ts)" in capsys.readouterr().out
    assert (tmp_path / "new/best.ts").read_bytes() == chosen.read_bytes()


def test_networks_left_out_are_counted(folder, capsys, tmp_path, monkeypatch):
    original = module.predict_in_chunks

    def spoiled(*arguments):
        values = original(*arguments).copy()
        values[0] = float("nan")
        return values

    monkeypatch.setattr(module, "predict_in_chunks", spoiled)
    assert main(["compare", f"{folder}/data", f"{folder}/table.ckpt"]) == 0
    assert "1 held-out networks left out: some predictor cannot answer for them" in capsys.readouterr().out


def test_unknown_label_noise_is_null(folder, capsys, tmp_path):
    make_measured(tmp_path / "one", tiny_space(), networks=60, rounds=1, seed=0)
    command = ["compare", f"{tmp_path}/one", f"{folder}/table.ckpt", "--json", f"{tmp_path}/table.json"]
    assert main(command) == 0
    assert "label noise unknown" in capsys.readouterr().out
    assert json.loads((tmp_path / "table.json").read_text())["label_noise"] is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--export-best", "there.ts"], "there.ts: expected a path where nothing stands for --export-best, found one"),
        (["--json", "there.ts"], "there.ts: expected a path where nothing stands for --json, found one"),
        (["--export-best", "x.pt"], "x.pt: expected a path that ends in .ts. Mend --export-best"),
        (
            ["x.onnx", "--export-best", "x.ts"],
            "x.onnx: expected checkpoints or .ts with --export-best, found an .onnx, which cannot become a .ts. Give",
        ),
    ],
)
def test_paths_are_refused_before_anything_runs(folder, capsys, tmp_path, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.ts").write_text("mine")
    monkeypatch.setattr("latpred.cli.compare.compare", lambda *_: pytest.fail("it ran"))
    assert message in error_of(capsys, ["compare", f"{folder}/data", f"{folder}/table.ckpt", *more], 2)
    assert [path.name for path in tmp_path.iterdir()] == ["there.ts"]
    assert (tmp_path / "there.ts").read_text() == "mine"


def test_mistakes_are_named(folder, capsys, tmp_path):
    command = ["compare", f"{folder}/data", f"{folder}/table.ckpt"]
    assert "expected each predictor once" in error_of(capsys, [*command, f"{folder}/table.ckpt"], 2)
    message = error_of(capsys, [*command, f"{tmp_path}/no.ckpt"], 1)
    assert f"{tmp_path}/no.ckpt: expected a checkpoint, found nothing there" in message
    message = error_of(capsys, [*command, f"{folder}/data/card.json"], 1)
    assert "expected an exported predictor, .ts or .onnx, found '.json'" in message


def test_no_best_without_a_validation_error(folder, capsys, tmp_path):
    bare = recarded(folder / "table.ckpt", tmp_path / "bare.ckpt", errors={})
    message = error_of(capsys, ["compare", f"{folder}/data", str(bare), "--export-best", f"{tmp_path}/best.ts"], 1)
    assert "best.ts: expected a predictor whose card has its error on validation networks, found none" in message
    assert not (tmp_path / "best.ts").exists()
