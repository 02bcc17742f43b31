"""What a fit leaves in TensorBoard."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_paths import ROOT
from fitting import TABLE_CHAIN, make_data
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from measured import block_latency_ms, make_measured, tiny_space
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from latpred.cli import main
from latpred.errors import UsageError
from latpred.models import MLPPredictor, load_checkpoint
from latpred.report import inspection
from latpred.report.inspection import Inspection, figures

METRICS = ("mape", "rmspe", "within_1", "within_5", "within_10", "spearman", "kendall")
IMAGES = [
    "block_table",
    "val/block_error_by_position",
    "val/block_error_by_primitive_type",
    "val/predicted_vs_measured",
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inspection") / "data"
    make_measured(path, tiny_space(), networks=40, rounds=2, seed=0, noise=0.05)
    return path


@pytest.fixture(scope="module", params=["table", "mlp"])
def logged(request, dataset, tmp_path_factory) -> tuple[str, EventAccumulator, Path]:
    """A predictor's name, what its fit logged, and its checkpoint."""
    runs, name = tmp_path_factory.mktemp("runs"), request.param
    command = ["fit", "--config", str(ROOT / f"configs/runs/{name}.yaml"), "--data.dataset", str(dataset)]
    if name == "mlp":  # the shipped file validates every fifth of 200 epochs
        command += ["--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "1"]
    assert main([*command, "--runs", str(runs)]) == 0
    (folder,) = runs.glob("logs/*/*/*")
    (checkpoint,) = runs.glob("checkpoints/*/*/*/best.ckpt")
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return name, events, checkpoint


def test_losses_metrics_and_learning_rate(logged):
    name, events, _ = logged
    tags = set(events.Tags()["scalars"])
    assert {f"val/{metric}" for metric in METRICS} <= tags
    learned = {"train/loss", "val/loss", "lr-AdamW"}
    assert tags & learned == (learned if name == "mlp" else set())
    for tag in tags & {"train/loss", "val/loss", "val/mape"}:
        values = [event.value for event in events.Scalars(tag)]
        assert len(values) == (3 if name == "mlp" else 1)
        assert np.isfinite(values).all()
    if name == "mlp":
        rates = [event.value for event in events.Scalars("lr-AdamW")]
        assert rates[0] == pytest.approx(1e-3)
        assert rates == sorted(rates, reverse=True)  # along a cosine
        assert 0 <= rates[-1] < 5e-4


def test_hyper_parameters_stand_beside_the_final_metrics(logged):
    name, events, checkpoint = logged
    card = load_checkpoint(checkpoint).fitted_card
    final = {f"final/{metric}": card.errors["val"][metric] for metric in METRICS}
    found = {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"] if tag.startswith("final/")}
    assert found == pytest.approx(final)
    content = events.PluginTagToContent("hparams")
    session = HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info.hparams
    expected = {"predictor": name, "dataset_version": card.dataset_version}
    expected |= {"chain": " ".join(card.chain), "training_networks": len(card.training_network_ids)}
    if name == "mlp":
        expected |= {"lr": 0.001, "weight_decay": 0.1, "huber": 0.05, "hidden": "[100, 100, 100]"}
    values = {key: getattr(value, value.WhichOneof("kind")) for key, value in session.items()}
    assert values == expected
    experiment = HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
    assert {info.name.tag for info in experiment.metric_infos} == set(final)


def test_the_figures_are_pictures(logged):
    _, events, _ = logged
    assert sorted(events.Tags()["images"]) == IMAGES
    for tag in IMAGES:
        (event,) = events.Images(tag)
        assert event.encoded_image_string.startswith(b"\x89PNG")
        pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)).convert("L"), dtype=float)
        assert pixels.shape == (event.height, event.width)
        assert all(200 <= side <= 3000 for side in pixels.shape)
        assert pixels.std() > 5


class Spoil(Callback):
    """Make the last epoch's state a bad one: e times as much for every network."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == trainer.max_epochs - 1:
            with torch.no_grad():
                pl_module.net.correction.center.add_(1.0)


def trainer_of(folder: Path, *callbacks: Callback, logger=True, epochs=1) -> Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        num_sanity_val_steps=0,
        logger=TensorBoardLogger(folder) if logger else False,
        callbacks=[*callbacks, Inspection()],
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )


def test_figures_are_of_the_best_state_not_of_the_last(dataset, tmp_path, monkeypatch):
    drawn = []
    original = inspection.scatter_figure
    monkeypatch.setattr(inspection, "scatter_figure", lambda *args: drawn.append(args) or original(*args))
    data, predictor = make_data(dataset, [*TABLE_CHAIN, "padding"]), MLPPredictor(hidden=(4,))
    trainer_of(tmp_path, ModelCheckpoint(tmp_path, "best", "val/mape"), Spoil(), epochs=2).fit(predictor, data)
    best, batch = load_checkpoint(tmp_path / "best.ckpt"), data.batch("val")
    ((measured, predicted, unit, title),) = drawn
    with torch.no_grad():
        np.testing.assert_allclose(predicted, best.net(batch.ids).numpy(), rtol=1e-6)
        np.testing.assert_allclose(predictor.net(batch.ids).numpy(), predicted * np.e, rtol=0.05)
    np.testing.assert_array_equal(measured, batch.target.numpy())
    mape = np.mean(np.abs(predicted - measured) / measured)
    assert (unit, title) == ("ms", f"mlp on {len(measured)} validation networks, MAPE {100 * mape:.2f} %")


def test_networks_without_an_answer_are_not_drawn(dataset, tmp_path):
    data = make_data(dataset, [*TABLE_CHAIN, "padding"])
    predictor = MLPPredictor(hidden=(4,))
    trainer_of(tmp_path, ModelCheckpoint(tmp_path, "best", "val/mape")).fit(predictor, data)
    best, ids = load_checkpoint(tmp_path / "best.ckpt"), data.batch("val").ids
    lost = int(ids[0][ids[0] >= 0][-1])
    uses = (ids == lost).any(1)
    assert 2 <= (~uses).sum() < len(ids)
    table = best.net.front.table
    table.value[lost + 1], table.measured[lost + 1] = torch.nan, False
    found = figures(best, predictor)
    assert sorted(found) == IMAGES
    assert f"on {int((~uses).sum())} validation networks" in found["val/predicted_vs_measured"].axes[0].get_title()


def test_the_table_is_held_against_blocks_of_validation_networks(dataset, tmp_path, monkeypatch):
    tables, errors = [], {}
    table_figure, error_figure = inspection.table_figure, inspection.error_figure
    monkeypatch.setattr(inspection, "table_figure", lambda *args: tables.append(args) or table_figure(*args))
    monkeypatch.setattr(
        inspection, "error_figure", lambda rows, by, title: errors.update({by: rows}) or error_figure(rows, by, title)
    )
    data, predictor = make_data(dataset, [*TABLE_CHAIN, "padding"]), MLPPredictor(hidden=(4,))
    trainer_of(tmp_path, ModelCheckpoint(tmp_path, "best", "val/mape")).fit(predictor, data)
    ((value, vocabulary, unit),) = tables
    assert (len(value), unit) == (len(vocabulary), "ms")
    for primitive in vocabulary.primitives:
        assert value[vocabulary.ids[primitive]] == pytest.approx(block_latency_ms(primitive), rel=0.15)

    ids = data.batch("val").ids
    assert list(errors) == ["kind", "position"]
    for rows in errors.values():
        assert len(rows) == int((ids >= 0).sum())  # one for each block of each validation network
        assert rows["error"].abs().max() < 0.3
    found = figures(load_checkpoint(tmp_path / "best.ckpt"), predictor)
    for name, by in (("primitive_type", "kind"), ("position", "position")):
        labels = found[f"val/block_error_by_{name}"].axes[0].get_yticklabels()
        counts = errors[by][by].value_counts().sort_index()
        assert [label.get_text() for label in labels] == [f"{key} ({count})" for key, count in counts.items()]


def test_without_tensorboard_nothing_is_drawn(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "figures", lambda *_: pytest.fail("figures were drawn"))
    data = make_data(dataset, [*TABLE_CHAIN, "padding"])
    trainer_of(tmp_path, logger=False).fit(MLPPredictor(hidden=(4,)), data)


def test_it_needs_a_checkpoint(dataset, tmp_path):
    data = make_data(dataset, [*TABLE_CHAIN, "padding"])
    message = r"trainer\.callbacks: Inspection needs a ModelCheckpoint that saved, found none\. Add one"
    with pytest.raises(UsageError, match=message):
        trainer_of(tmp_path).fit(MLPPredictor(hidden=(4,)), data)
