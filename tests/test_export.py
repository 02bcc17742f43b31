"""Files that `export` writes: nothing is overwritten, and damaged ones are named."""

import re
import zipfile
from pathlib import Path

import pytest
import torch
from fitting import fit
from measured import make_measured, tiny_space

from latpred.errors import ArtefactError, CardError, UsageError
from latpred.export import export, load_onnx, load_torchscript
from latpred.models import TablePredictor


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "data"
    make_measured(path, tiny_space(), networks=30, rounds=2, seed=0)
    return fit(TablePredictor(), path)


def test_an_existing_file_is_left_as_it_is_and_nothing_is_written(predictor, tmp_path):
    (tmp_path / "net.onnx").write_text("mine")
    with pytest.raises(ArtefactError, match=r"net\.onnx: expected a path where nothing stands, found a file"):
        export(predictor.net, predictor.fitted_card, tmp_path / "net.ts", ["ts", "onnx"])
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_text() == "mine"


def test_overwrite_replaces_it(predictor, tmp_path):
    (tmp_path / "net.ts").write_text("mine")
    export(predictor.net, predictor.fitted_card, tmp_path / "net.ts", ["ts"], overwrite=True)
    assert load_torchscript(tmp_path / "net.ts")[1] == predictor.fitted_card
    assert [path.name for path in tmp_path.iterdir()] == ["net.ts"]


@pytest.mark.parametrize(("formats", "found"), [(["ts", "caffe"], "'caffe'"), ([], "none")])
def test_unknown_formats_are_refused(predictor, tmp_path, formats, found):
    with pytest.raises(UsageError, match=rf"--formats: expected some of ts,pt2,onnx, found {found}"):
        export(predictor.net, predictor.fitted_card, tmp_path / "net", formats)
    assert not list(tmp_path.iterdir())


def test_the_net_stays_in_training_mode(predictor, tmp_path):
    predictor.net.train()
    export(predictor.net, predictor.fitted_card, tmp_path / "net", ["ts"])
    assert predictor.net.training
    predictor.net.eval()


@pytest.mark.parametrize(("suffix", "load"), [(".ts", load_torchscript), (".onnx", load_onnx)])
def test_damaged_files_are_named(predictor, tmp_path, suffix, load):
    path = tmp_path / f"net{suffix}"
    with pytest.raises(ArtefactError, match=r"expected an exported predictor, found no file there"):
        load(path)
    export(predictor.net, predictor.fitted_card, path, [suffix[1:]])
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a predictor"):
        path.write_bytes(content)
        with pytest.raises(ArtefactError, match=rf"{re.escape(str(path))}: expected .*could not read it"):
            load(path)


def test_torchscript_of_others_is_refused(tmp_path):
    path = tmp_path / "other.ts"
    torch.jit.script(torch.nn.Linear(2, 1)).save(str(path))
    with pytest.raises(CardError, match=r"other\.ts: expected a file that latpred exported, found one without a card"):
        load_torchscript(path)


def test_a_newer_schema_names_both_versions(predictor, tmp_path):
    path, newer = tmp_path / "net.ts", tmp_path / "newer.ts"
    export(predictor.net, predictor.fitted_card, path, ["ts"])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(newer, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry).replace(b'"schema_version":1', b'"schema_version":2'))
    with pytest.raises(CardError, match=r"newer\.ts: expected schema version 1, found 2\. Update latpred"):
        load_torchscript(newer)


@pytest.mark.parametrize("suffix", ["ts", "pt2", "onnx"])
def test_an_export_holds_no_path_of_the_machine_it_was_made_on(predictor, tmp_path, suffix):
    (path,) = export(predictor.net, predictor.fitted_card, tmp_path / "net", [suffix])
    content = path.read_bytes()
    if suffix != "onnx":
        with zipfile.ZipFile(path) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
    for place in (Path(__file__).parents[1], Path(torch.__file__).parent, tmp_path):
        assert str(place).encode() not in content
