"""The cards that travel with datasets, checkpoints and exports."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from importlib import metadata

import pytest
from synthetic import DEVICE, PRIMITIVES, SPACE

from latpred.calibration import Calibration, Domain
from latpred.card import METRIC_UNITS, DatasetCard, PredictorCard, SpaceCard, library_versions
from latpred.errors import CardError
from latpred.vocabulary import Vocabulary

DATASET = DatasetCard(space=SPACE, device=DEVICE, created_at="2026-01-01T00:00:00+00:00", latpred_version="0.1.0")
PREDICTOR = PredictorCard(
    predictor="table",
    predictor_parameters={},
    chain=["block_sum", {"remove_anomaly": {"tolerance": 0.2}}],
    metric="latency_ms",
    unit="ms",
    space=SPACE,
    device=DEVICE,
    vocabulary=Vocabulary(PRIMITIVES[:3], ("token",), PRIMITIVES[3:4]),
    unmeasured_ids=[2],
    slots=5,
    batch_chunk=None,
    dataset="cpu",
    dataset_version=3,
    split={"seed": 0, "val": 0.2, "test": 0.2},
    training_network_ids=["00", "01"],
    errors={"val": {"mape": 0.03}},
    fit_seconds=1.5,
    versions={"torch": "2.13.0"},
    created_at="2026-01-01T00:00:00+00:00",
)
CALIBRATION = Calibration("root", (0.0, 0.1, 0.30000000000000004))
DOMAIN = Domain((1.0, 2.0), ((0.1, 0.2, 0.3), (1.0, 0.0, -1.0)), 2.5)
CALIBRATED = replace(PREDICTOR, calibration=CALIBRATION, domain=DOMAIN)
DOMAIN_JSON = json.loads(CALIBRATED.to_json())["domain"]
CARDS = {"dataset": DATASET, "predictor": PREDICTOR, "calibrated": CALIBRATED}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS.keys())
def test_the_text_gives_the_card_back(card):
    text = card.to_json()
    assert type(card).from_json(text, "f") == card
    assert json.loads(text)["schema_version"] == 1
    assert json.loads(text)["device"] == DEVICE.to_dict()
    assert list(json.loads(text)) == sorted(json.loads(text))


def changed(card, **values):
    return json.dumps(json.loads(card.to_json()) | values)


def without(card, *names):
    return json.dumps({key: value for key, value in json.loads(card.to_json()).items() if key not in names})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DATASET.to_json()[:50], "f: expected a card in JSON, got: .*. Restore the file from a copy."),
        ("[1]", "f: expected the card of a dataset, found 'list'. Give the path of a dataset."),
        (PREDICTOR.to_json(), "f: expected the card of a dataset, found 'predictor'"),
        (changed(DATASET, schema_version=2), "f: expected schema version 1, found 2. Update latpred."),
        (changed(DATASET, schema_version=0), "f: expected schema version 1, found 0. Make the file again."),
        (changed(DATASET, schema_version="2"), "f: expected schema version 1, found 2. Make the file again."),
        (without(DATASET, "schema_version"), "f: expected schema version 1, found None"),
        (without(DATASET, "created_at", "space"), "f: expected the keys space, created_at, found none of them"),
        (changed(DATASET, space={"name": "toy"}), r"f: expected a space and a device, got: KeyError\('parameters'\)"),
        (changed(DATASET, space=None), "f: expected a space and a device, got: TypeError"),
        (changed(DATASET, device={"hardware": "x"}), "f: device: expected the key 'runtime', found hardware. Make"),
        (
            changed(DATASET, device=DEVICE.to_dict() | {"threads": 0}),
            r"f: device.threads: expected an integer >= 1, found 0\. Make the file again\.$",
        ),
    ],
)
def test_a_text_that_is_no_card_of_a_dataset_is_refused(text, message):
    with pytest.raises(CardError, match=f"^{message}") as error:
        DatasetCard.from_json(text, "f")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DATASET.to_json(), "f: expected the card of a predictor, found 'dataset'. Give the path of a predictor."),
        (without(PREDICTOR, "slots"), "f: expected the keys slots, found none of them"),
        (changed(PREDICTOR, vocabulary={}), "f: expected a vocabulary, got: KeyError"),
        (changed(PREDICTOR, device=5), "f: expected a space and a device, got: TypeError"),
    ],
)
def test_a_text_that_is_no_card_of_a_predictor_is_refused(text, message):
    with pytest.raises(CardError, match=f"^{message}"):
        PredictorCard.from_json(text, "f")


def test_errors_are_added_by_split():
    errors = {"mape": 0.05}
    card = PREDICTOR.with_errors("test", errors)
    assert card.errors == {"val": {"mape": 0.03}, "test": {"mape": 0.05}}
    assert PREDICTOR.errors == {"val": {"mape": 0.03}}
    errors["mape"] = 1.0
    assert card.errors["test"] == {"mape": 0.05}
    assert replace(card, errors=PREDICTOR.errors) == PREDICTOR


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (SpaceCard("toy", {"a": 1, "b": [2]}), None),
        (SpaceCard("toys", {}), "space 'toy' against 'toys'"),
        (SpaceCard("toy", {"a": 1, "b": [3]}), r"toy.b = [2] against [3]"),
        (SpaceCard("toy", {"a": 1}), "toy.b = [2] against nothing"),
        (SpaceCard("toy", {"a": 1, "b": [2], "c": None}), "toy.c = nothing against None"),
    ],
)
def test_spaces_differ_in_words(other, difference):
    assert SpaceCard("toy", {"a": 1, "b": [2]}).describe_difference(other) == difference


def test_every_metric_ends_in_its_unit():
    assert {name.rpartition("_")[2]: unit for name, unit in METRIC_UNITS.items()} == {
        "ms": "ms",
        "mj": "mJ",
        "mb": "MB",
    }


def test_versions_of_python_and_of_the_libraries_are_kept(monkeypatch):
    versions = library_versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == metadata.version("torch")

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert library_versions()["torch"] == "not installed"


def test_what_is_known_of_errors_comes_back_to_the_last_bit():
    assert PredictorCard.from_json(CALIBRATED.to_json(), "f") == CALIBRATED


def test_a_card_of_before_there_were_intervals_has_none():
    old = PredictorCard.from_json(without(CALIBRATED, "calibration", "domain"), "f")
    assert (old.calibration, old.domain) == (None, None)
    assert old == PREDICTOR
    assert PredictorCard.from_json(PREDICTOR.to_json(), "f") == PREDICTOR


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ({"scale": "cube", "scores": []}, r"scale must be one of root, spread, got 'cube'"),
        ({"scale": "root", "scores": [2, 1]}, "scores must be sorted"),
        ({"scale": "root", "scores": [-1, 1]}, "scores must be finite and at least 0"),
        ({"scale": "root", "scores": ["inf"]}, "scores must be finite and at least 0"),
        ({"scale": "root"}, r"KeyError\('scores'\)"),
        ([1], "TypeError"),
    ],
)
def test_a_malformed_calibration_is_refused(calibration, message):
    with pytest.raises(CardError, match=rf"^f: expected a calibration, got: .*{message}.*\. Export or fit again\.$"):
        PredictorCard.from_json(changed(CALIBRATED, calibration=calibration), "f")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": [1]}, "a center of 1 needs as many directions, all of one length"),
        ({"directions": [[1], [1, 2]]}, "a center of 2 needs as many directions, all of one length"),
        ({"center": [1, "nan"]}, "center and directions must be finite"),
        ({"directions": [[1, 2], [1, "inf"]]}, "center and directions must be finite"),
        ({"reach": 0}, r"reach must be a finite number above 0, got 0\.0"),
        ({"reach": None}, "TypeError"),
    ],
)
def test_a_malformed_domain_is_refused(changes, message):
    with pytest.raises(CardError, match=rf"^f: expected a domain, got: .*{message}.*\. Export or fit again\.$"):
        PredictorCard.from_json(changed(CALIBRATED, domain=DOMAIN_JSON | changes), "f")


def test_a_domain_lacking_a_key_is_refused():
    with pytest.raises(CardError, match=r"^f: expected a domain, got: KeyError\('reach'\)"):
        PredictorCard.from_json(changed(CALIBRATED, domain={"center": [], "directions": []}), "f")
