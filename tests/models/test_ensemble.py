"""ensemble: weights on validation networks, one net, and members that must belong together."""

import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from compared import make_compared, recarded
from fitting import fit, in_torch_only_process, make_data, make_trainer
from measured import append_runs, make_measured, measured_runs, tiny_space
from torch import nn

from latpred.errors import ArtefactError, CardError, ConfigError
from latpred.estimator import Estimator
from latpred.export import export
from latpred.models import EnsemblePredictor, LatencyPredictor, load_checkpoint, predictor_class
from latpred.models.ensemble import EnsembleNet
from latpred.models.weighting import simplex_weights
from latpred.network import Network
from latpred.primitive import Primitive

CHAIN = ["block_sum"]
NAMES = ("table", "regression", "mlp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The dataset `data`, its predictors, and `ensemble/best.ckpt`."""
    folder = make_compared(tmp_path_factory.mktemp("ensemble"))
    fit(ensemble(folder), folder / "data", folder / "ensemble", chain=CHAIN)
    return folder


def ensemble(folder, names=NAMES) -> EnsemblePredictor:
    return EnsemblePredictor([str(folder / f"{name}.ckpt") for name in names])


@pytest.fixture
def fitted(folder) -> LatencyPredictor:
    return load_checkpoint(folder / "ensemble/best.ckpt")


@pytest.fixture(scope="module")
def ids():
    space, rng = tiny_space(), Random(1)
    return torch.tensor([space.slot_ids(space.sample(rng)) for _ in range(24)])


def test_it_is_the_weighted_mean_of_its_members(folder, fitted, ids):
    data = make_data(folder / "data", CHAIN)
    data.setup("fit")
    batch = data.batch("val")
    members = [load_checkpoint(folder / f"{name}.ckpt").net for name in NAMES]
    with torch.no_grad():
        errors = torch.stack([net(batch.ids) / batch.target - 1 for net in members], dim=1).double().numpy()
        weights = torch.from_numpy(simplex_weights(errors, batch.weight.double().numpy()))
        expected = sum(w * net(ids) for w, net in zip(weights.float(), members, strict=True))
        torch.testing.assert_close(fitted.net(ids), expected)
    assert float(fitted.net.weight.sum()) == pytest.approx(1.0)
    left = np.average((errors @ weights.numpy()) ** 2, weights=batch.weight.numpy()) ** 0.5
    assert float(fitted.net.error) == pytest.approx(left, rel=1e-4)


def test_its_error_on_validation_networks_is_at_most_that_of_its_members(folder, fitted):
    """It is too good, because its weights saw them."""
    squares = {name: load_checkpoint(folder / f"{name}.ckpt").fitted_card.errors["val"]["rmspe"] for name in NAMES}
    assert fitted.fitted_card.errors["val"]["rmspe"] < 1.05 * min(squares.values())


def test_a_checkpoint_needs_nothing_of_its_members_files(folder, ids, tmp_path):
    (tmp_path / "best.ckpt").write_bytes((folder / "ensemble/best.ckpt").read_bytes())
    card = load_checkpoint(tmp_path / "best.ckpt").fitted_card
    assert str(folder) not in card.to_json()
    assert card.predictor == "ensemble"
    told = card.predictor_parameters["members"]
    assert {member["predictor"] for member in told} <= set(NAMES)
    assert told == json.loads(json.dumps(told))
    content = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert content["latpred_card"] == card.to_json()


@pytest.mark.slow
def test_an_export_gives_its_numbers(fitted, ids, tmp_path):
    expected = fitted.net(ids).detach()
    (ts,) = export(fitted.net, fitted.fitted_card, tmp_path / "net", ["ts"])
    torch.testing.assert_close(in_torch_only_process(ts, ids), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.from_numpy(Estimator(ts).predict_ids(ids.numpy())), expected, rtol=1e-5, atol=0)


@pytest.mark.slow
def test_the_other_exports_give_its_numbers(fitted, ids, tmp_path):
    expected = fitted.net(ids).detach()
    pt2, onnx = export(fitted.net, fitted.fitted_card, tmp_path / "net", ["pt2", "onnx"])
    torch.testing.assert_close(torch.export.load(pt2).module()(ids), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.from_numpy(Estimator(onnx).predict_ids(ids.numpy())), expected, rtol=1e-5, atol=0)


def test_neighbours_in_the_batch_do_not_change_a_prediction(fitted, ids):
    together = fitted.net(ids)
    torch.testing.assert_close(torch.cat([fitted.net(row[None]) for row in ids]), together)
    torch.testing.assert_close(fitted.net(ids.flip(0)).flip(0), together)


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.full((ids.shape[0],), self.value, dtype=torch.float64)


def test_the_spread_is_the_members_and_the_ensembles_error():
    """4 and 8 by three to one: mean 5, variance 3/4 * 1 + 1/4 * 9 = 3; an error of a fifth of 5 adds 1."""
    net = EnsembleNet([Constant(4.0), Constant(8.0)])
    net.weight.copy_(torch.tensor([0.75, 0.25]))
    net.error.copy_(torch.tensor(0.2))
    ids = torch.zeros(3, 6, dtype=torch.int64)
    assert net(ids).tolist() == [5.0] * 3
    assert net.spread(ids).tolist() == pytest.approx([2.0] * 3)
    assert net(ids).dtype == torch.float32
    script = torch.jit.script(net)
    assert script.spread(ids).tolist() == pytest.approx([2.0] * 3)


def test_a_network_that_a_member_cannot_answer_for_is_nan_and_no_other(fitted, ids):
    lost = int(ids[3][ids[3] >= 0][-1])
    table = next(m for m in fitted.net.modules() if type(m).__name__ == "BlockTable")
    table.value[lost + 1] = torch.nan
    table.measured[lost + 1] = False
    uses = (ids == lost).any(1)
    assert not uses.all()
    assert torch.equal(fitted.net(ids).isnan(), uses)
    assert torch.equal(~fitted.covered(ids), uses)


def test_a_member_of_weight_0_is_left_out(folder, tmp_path):
    """A table of twice the values only harms."""
    recarded(folder / "table.ckpt", tmp_path / "twice.ckpt", unmeasured_ids=[3])
    content = torch.load(tmp_path / "twice.ckpt", weights_only=True)
    for name, value in content["state_dict"].items():
        if name.endswith("table.value"):
            value.mul_(2)
    torch.save(content, tmp_path / "twice.ckpt")
    members = [str(folder / "table.ckpt"), str(tmp_path / "twice.ckpt")]
    predictor = fit(EnsemblePredictor(members), folder / "data", tmp_path, chain=CHAIN)
    assert predictor.net.weight.tolist() == [1.0]
    (told,) = predictor.fitted_card.predictor_parameters["members"]
    assert told["predictor"] == "table"
    assert predictor.fitted_card.unmeasured_ids == []
    loaded = load_checkpoint(tmp_path / "best.ckpt")
    table = load_checkpoint(folder / "table.ckpt")
    ids = torch.tensor([[3, 1, 4, 1, -1, -1]])
    torch.testing.assert_close(loaded.net(ids), table.net(ids))


def test_what_any_member_has_not_measured_is_unmeasured(folder, tmp_path):
    for name, lacking in (("table", [3, 5]), ("regression", [5, 7])):
        recarded(folder / f"{name}.ckpt", tmp_path / f"{name}.ckpt", unmeasured_ids=lacking)
    predictor = fit(ensemble(tmp_path, ("table", "regression")), folder / "data", tmp_path, chain=CHAIN)
    names = [told["predictor"] for told in predictor.fitted_card.predictor_parameters["members"]]
    expected = sorted({i for name in names for i in {"table": [3, 5], "regression": [5, 7]}[name]})
    assert predictor.fitted_card.unmeasured_ids == expected
    assert load_checkpoint(tmp_path / "best.ckpt")._unmeasured_ids() == expected


def test_it_is_scored_again_as_it_was(folder, fitted):
    again = EnsemblePredictor(fitted.fitted_card.predictor_parameters["members"])
    scores = make_trainer().validate(again, make_data(folder / "data", CHAIN), folder / "ensemble/best.ckpt")
    errors = {name.removeprefix("val/"): value for name, value in scores[0].items()}
    assert errors == pytest.approx(fitted.fitted_card.errors["val"])


def test_the_same_members_give_the_same_numbers(folder, fitted, ids):
    again = fit(ensemble(folder), folder / "data", chain=CHAIN)
    assert torch.equal(again.net(ids), fitted.net(ids))


def test_it_is_found_by_its_name():
    assert predictor_class("ensemble") is EnsemblePredictor


def refused(error, message, folder, names=NAMES, **options):
    with pytest.raises(error, match=message):
        fit(ensemble(folder, names), options.pop("dataset", folder / "data"), chain=CHAIN, **options)


@pytest.mark.parametrize("members", [[], ["one/best.ckpt"]])
def test_one_member_is_no_ensemble(members):
    with pytest.raises(
        ConfigError, match=rf"model\.members: expected at least two checkpoints, found {len(members)}\."
    ):
        EnsemblePredictor(members)


def test_a_member_twice_is_refused(folder):
    refused(ConfigError, r"model\.members: expected each checkpoint once, found .*mlp\.ckpt twice", folder,
            ("table", "mlp", "mlp"))  # fmt: skip


def test_a_member_that_is_not_there_is_named(folder):
    refused(ArtefactError, r"no\.ckpt: expected a checkpoint, found nothing there", folder, ("table", "no"))


def test_descriptions_cannot_be_fitted_again(folder, fitted):
    with pytest.raises(ConfigError, match="expected checkpoints to be fitted again, found descriptions from a card"):
        fit(EnsemblePredictor(fitted.fitted_card.predictor_parameters["members"]), folder / "data", chain=CHAIN)


def test_an_ensemble_is_no_member(folder):
    message = r"ensemble/best\.ckpt: expected a single predictor, found an ensemble\. Give its members"
    refused(ConfigError, message, folder, ("table", "ensemble/best"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_seed": 7}, r"table\.ckpt: the member and the dataset have different splits: seed 0 against 7"),
        ({"val": 0.2}, r"table\.ckpt: the member and the dataset have different splits: val 0\.25 against 0\.2"),
        ({"test": 0.1}, r"table\.ckpt: the member and the dataset have different splits: test 0\.25 against 0\.1"),
    ],
)
def test_members_of_another_split_are_refused(folder, options, message):
    refused(CardError, message, folder, **options)


def test_members_of_another_space_device_or_metric_are_refused(folder, tmp_path):
    space = tiny_space()
    other = type(space)(**(space.parameters | {"kernel_choice": [3, 7]}))
    make_measured(tmp_path / "other", other, networks=20, rounds=2, seed=0)
    message = r"different spaces: mnasnet_ofa\.kernel_choice = \[3, 5\] against \[3, 7\]"
    refused(CardError, message, folder, dataset=tmp_path / "other")
    device = load_checkpoint(folder / "mlp.ckpt").fitted_card.device
    there = replace(device, hardware="Other CPU")
    make_measured(tmp_path / "there", space, networks=20, rounds=2, seed=0, device=there)
    refused(CardError, r"for the device 'Test CPU.*', the dataset is of 'Other CPU", folder, dataset=tmp_path / "there")
    recarded(folder / "mlp.ckpt", tmp_path / "mlp.ckpt", metric="energy_mj", unit="mJ")
    (tmp_path / "table.ckpt").write_bytes((folder / "table.ckpt").read_bytes())
    message = r"predicts energy_mj in mJ, the data is latency_ms in ms"
    refused(CardError, message, tmp_path, ("table", "mlp"), dataset=folder / "data")


def test_a_member_of_another_vocabulary_is_refused(folder, tmp_path):
    """Somebody has measured a network since, with a block that the space does not have."""
    space = tiny_space()
    dataset = make_measured(tmp_path / "more", space, networks=60, rounds=4, seed=0, noise=0.05)
    options = {"prim_type": "conv_bn_act", "activation": "relu", "affine": True}
    glue = Primitive.from_dict({"spatial_size": 8, "C": 4, "C_out": 4} | options)
    network = Network(space.name, (glue, space.vocabulary().primitives[0]), ("glue", "primitive"))
    append_runs(dataset, measured_runs([network], 3, session_id="s1"))
    size = len(load_checkpoint(folder / "mlp.ckpt").fitted_card.vocabulary)
    message = rf"table\.ckpt: .* different vocabularies: {size} primitives against {size + 1}\. Fit the member again"
    refused(CardError, message, folder, dataset=tmp_path / "more")


def test_a_member_that_was_trained_on_held_out_networks_is_refused(folder, tmp_path):
    data = make_data(folder / "data", CHAIN)
    data.setup("fit")
    for part in ("val", "test"):
        held_out = data.network_ids(part)[0]
        recarded(folder / "mlp.ckpt", tmp_path / "mlp.ckpt", training_network_ids=[held_out])
        (tmp_path / "table.ckpt").write_bytes((folder / "table.ckpt").read_bytes())
        message = re.escape(f"trained on 1 held-out networks, the first is {held_out}")
        refused(CardError, message, tmp_path, ("table", "mlp"), dataset=folder / "data")


def test_a_card_without_descriptions_is_refused(folder, tmp_path):
    recarded(folder / "ensemble/best.ckpt", tmp_path / "x.ckpt", predictor_parameters={"members": ["a", "b"]})
    with pytest.raises(CardError, match=r"expected descriptions of the members, found 'a'\. Fit it again"):
        load_checkpoint(tmp_path / "x.ckpt")
