"""Intervals and distances by an estimator."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import onnxruntime
import pytest
import torch
from fitting import TABLE_CHAIN, fit, make_data
from measured import make_measured, tiny_space

import latpred
from latpred.errors import ArtefactError, UnmeasuredError, UsageError
from latpred.estimator import Estimator
from latpred.export import export
from latpred.intervals import fit_domain, rank
from latpred.models import MLPPredictor, TablePredictor

GOLDEN = Path(__file__).parent / "golden/artifacts/v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Exports of a table, `net.*`, of one that lacks primitives, `few.*`, and of an MLP, `mlp.*`."""
    folder = tmp_path_factory.mktemp("intervals")
    make_measured(folder / "data", tiny_space(), networks=60, rounds=2, seed=0)
    make_measured(folder / "small", tiny_space(), networks=30, rounds=2, seed=0, assembled=False)
    predictor = fit(TablePredictor(), folder / "data")
    export(predictor.net, predictor.fitted_card, folder / "net", ["ts", "onnx", "pt2"])
    few = fit(TablePredictor(), folder / "small", uncovered="drop", val=0.7, test=0.1)
    export(few.net, few.fitted_card, folder / "few", ["ts"])
    torch.manual_seed(0)
    mlp = fit(MLPPredictor(hidden=(8,)), folder / "data", chain=[*TABLE_CHAIN, "padding"])
    export(mlp.net, replace(mlp.fitted_card, batch_chunk=7), folder / "mlp", ["ts"])
    return folder


@pytest.fixture
def architectures():
    space, rng = tiny_space(), Random(5)
    return [space.sample(rng) for _ in range(40)]


@pytest.mark.parametrize("name", ["net.ts", "net.onnx", "mlp.ts"])
def test_all_ways_of_asking_give_the_intervals_of_the_card(folder, architectures, name):
    """The MLP is asked for 7 encodings at a time."""
    estimator = latpred.load(folder / name)
    value = estimator.predict_batch(architectures)
    scores = estimator.card.calibration.scores
    half = scores[rank(len(scores), 0.8) - 1] * np.sqrt(value)
    found = estimator.predict_interval_batch(architectures, coverage=0.8)
    assert found.coverage == 0.8
    np.testing.assert_allclose(found.value, value, rtol=1e-5)
    np.testing.assert_allclose(found.lower, value - half, rtol=1e-5)
    np.testing.assert_allclose(found.upper, value + half, rtol=1e-5)
    ids = np.stack([estimator.space.encode(architecture) for architecture in architectures])
    for by_ids, by_architecture in zip(estimator.predict_interval_ids(ids, 0.8), found, strict=True):
        np.testing.assert_array_equal(by_ids, by_architecture)
    single = estimator.predict_interval(estimator.space.to_json(architectures[3]), 0.8)
    assert single == pytest.approx((found.lower[3], found.upper[3], found.value[3], 0.8), rel=1e-5)
    assert all(isinstance(number, float) for number in single)


def test_nine_tenths_is_the_default(folder, architectures):
    estimator = latpred.load(folder / "net.ts")
    assert estimator.predict_interval(architectures[0]) == estimator.predict_interval(architectures[0], 0.9)
    assert estimator.predict_interval_batch(architectures).coverage == 0.9
    widths = [i.upper - i.lower for i in (estimator.predict_interval(architectures[0], c) for c in (0.5, 0.8, 0.9))]
    assert widths == sorted(set(widths))


def test_an_empty_batch_has_no_intervals(folder):
    found = latpred.load(folder / "net.ts").predict_interval_batch([])
    assert [column.shape for column in found[:3]] == [(0,)] * 3


def test_unmeasured_primitives_have_no_interval(folder, architectures):
    strict, lenient = Estimator(folder / "few.ts"), Estimator(folder / "few.ts", missing="nan")
    value = lenient.predict_batch(architectures)
    assert np.isnan(value).any()
    found = lenient.predict_interval_batch(architectures, 0.5)
    for column in found[:3]:
        assert (np.isnan(column) == np.isnan(value)).all()
    with pytest.raises(UnmeasuredError, match=r"expected measured primitives, found .* never measured"):
        strict.predict_interval_batch(architectures, 0.5)
    bad = architectures[int(np.isnan(value).argmax())]
    assert lenient.explain(bad).out_of_distribution
    with pytest.raises(UnmeasuredError, match=r"expected measured primitives"):
        strict.predict_interval(bad, 0.5)


@pytest.mark.parametrize("coverage", [0, 1.0, -2, 90, "0.9"])
def test_a_coverage_outside_0_and_1_is_refused(folder, architectures, coverage):
    with pytest.raises(UsageError, match=rf"coverage: expected a number between 0 and 1, .* found {coverage!r}"):
        latpred.load(folder / "net.ts").predict_interval(architectures[0], coverage)


def test_too_few_networks_say_how_many_are_needed(folder, architectures):
    estimator = latpred.load(folder / "net.ts")
    count = len(estimator.card.calibration.scores)
    message = rf"net\.ts: expected at least 99 validation networks for intervals of coverage 0\.99, found {count}\."
    with pytest.raises(ArtefactError, match=message):
        estimator.predict_interval(architectures[0], 0.99)


@pytest.mark.parametrize("name", ["table.ts", "table.onnx"])
def test_a_file_of_before_there_were_intervals_says_so(name):
    estimator = latpred.load(GOLDEN / name)
    architecture = json.loads((GOLDEN / "expected.json").read_text())["answers"][0]["architecture"]
    with pytest.raises(ArtefactError, match=rf"{name}: expected a predictor with a calibration, found one .* before"):
        estimator.predict_interval(architecture)
    answer = estimator.explain(architecture)
    assert (answer.distance, answer.far, answer.out_of_distribution) == (None, False, False)


def test_an_architecture_beyond_the_known_networks_is_far(folder, tmp_path, architectures):
    """The predictor is said to know only the shallow half of the networks."""
    predictor = fit(TablePredictor(), folder / "data")
    space, card = tiny_space(), predictor.fitted_card
    ids = np.stack([space.encode(architecture) for architecture in architectures])
    depth = (ids >= 0).sum(1)
    shallow = ids[depth == depth.min()]
    domain = fit_domain(card.vocabulary, shallow, shallow)
    (path,) = export(predictor.net, replace(card, domain=domain), tmp_path / "net", ["ts"])
    estimator = latpred.load(path)
    answers = [estimator.explain(architecture) for architecture in architectures]
    assert [answer.far for answer in answers] == [answer.distance > 1 for answer in answers]
    assert [answer.out_of_distribution for answer in answers] == (depth > depth.min()).tolist()
    assert 0 < sum(answer.far for answer in answers) < len(answers)


def test_torch_alone_gives_the_intervals_of_the_estimator(folder, architectures):
    estimator = latpred.load(folder / "net.ts")
    ids = torch.from_numpy(np.stack([estimator.space.encode(architecture) for architecture in architectures]))
    net = torch.jit.load(folder / "net.ts")
    lower, value, upper = net.interval(ids, 0.9)
    expected = estimator.predict_interval_batch(architectures)
    for found, column in zip((lower, upper, value), expected[:3], strict=True):
        torch.testing.assert_close(found, torch.from_numpy(column))
    distances = [estimator.explain(architecture).distance for architecture in architectures]
    assert net.distance(ids).tolist() == pytest.approx(distances, rel=1e-5)


def test_onnx_alone_gives_predictions_units_and_distances(folder, architectures):
    session = onnxruntime.InferenceSession(folder / "net.onnx")
    assert [output.name for output in session.get_outputs()] == ["prediction", "unit", "distance"]
    estimator = latpred.load(folder / "net.ts")
    ids = np.stack([estimator.space.encode(architecture) for architecture in architectures])
    prediction, unit, distance = session.run(None, {"ids": ids})
    card = json.loads(session.get_modelmeta().custom_metadata_map["card.json"])
    expected = estimator.predict_interval_ids(ids)
    scores = card["calibration"]["scores"]
    bound = scores[rank(len(scores), 0.9) - 1]
    np.testing.assert_allclose(prediction - bound * unit, expected.lower, rtol=1e-5)
    np.testing.assert_allclose(prediction + bound * unit, expected.upper, rtol=1e-5)
    assert distance.tolist() == pytest.approx([estimator.explain(a).distance for a in architectures], rel=1e-5)


def test_the_pt2_predicts_as_before_and_holds_the_scores(folder):
    program = torch.export.load(folder / "net.pt2")
    data = make_data(folder / "data")
    data.setup("test")
    ids = data.batch("test").ids
    estimator = latpred.load(folder / "net.ts")
    torch.testing.assert_close(program.module()(ids), torch.from_numpy(estimator.predict_ids(ids.numpy())))
    assert dict(program.named_buffers())["scores"].tolist() == list(estimator.card.calibration.scores)


def test_a_card_without_a_calibration_exports_the_bare_net(folder, tmp_path, architectures):
    predictor = fit(TablePredictor(), folder / "data")
    card = replace(predictor.fitted_card, calibration=None)
    (ts,) = export(predictor.net, card, tmp_path / "net", ["ts"])
    assert not hasattr(torch.jit.load(ts), "interval")
    with pytest.raises(ArtefactError, match=r"net\.ts: expected a predictor with a calibration"):
        latpred.load(ts).predict_interval(architectures[0])
