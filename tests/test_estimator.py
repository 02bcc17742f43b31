"""The estimator: architecture in, number out."""

import math
import multiprocessing
import pickle
import re
from random import Random

import numpy as np
import pytest
from fitting import fit
from measured import make_measured, tiny_space

import latpred
from latpred.errors import ArchitectureError, ArtefactError, UnmeasuredError, UsageError
from latpred.estimator import Estimator
from latpred.export import export
from latpred.models import TablePredictor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Exports of a table: `net.*` knows every primitive, `few.*` only those of a few networks."""
    folder, space = tmp_path_factory.mktemp("estimator"), tiny_space()
    make_measured(folder / "data", space, networks=30, rounds=2, seed=0)
    make_measured(folder / "few", space, networks=30, rounds=2, seed=0, assembled=False)
    predictor = fit(TablePredictor(), folder / "data")
    export(predictor.net, predictor.fitted_card, folder / "net.ts", ["ts", "onnx", "pt2"])
    few = fit(TablePredictor(), folder / "few", uncovered="drop", val=0.7, test=0.1)
    export(few.net, few.fitted_card, folder / "few.ts", ["ts", "onnx"])
    return folder


@pytest.fixture
def architectures():
    space, rng = tiny_space(), Random(5)
    return [space.sample(rng) for _ in range(40)]


def unmeasured_by_hand(estimator, architecture):
    """The primitives without a value in the table, from the card and the architecture alone."""
    unmeasured = {estimator.card.vocabulary.by_id[i] for i in estimator.card.unmeasured_ids}
    return sorted(unmeasured & set(estimator.space.primitives(architecture)))


@pytest.mark.parametrize("name", ["net.ts", "net.onnx"])
def test_all_ways_of_asking_agree(folder, architectures, name):
    estimator = latpred.load(folder / name)
    single = [estimator(architecture) for architecture in architectures]
    assert all(isinstance(value, float) and value > 0 for value in single)
    assert estimator.predict_batch(architectures) == pytest.approx(single, rel=1e-6)
    ids = np.stack([estimator.space.encode(architecture) for architecture in architectures])
    assert estimator.predict_ids(ids) == pytest.approx(single, rel=1e-6)
    as_json = [estimator.space.to_json(architecture) for architecture in architectures]
    assert [estimator(value) for value in as_json] == single
    answer = estimator.explain(architectures[0])
    assert (answer.value, answer.unmeasured, answer.estimated) == (single[0], (), False)


def test_an_empty_batch_is_an_empty_answer(folder):
    assert latpred.load(folder / "net.ts").predict_batch([]).shape == (0,)


@pytest.mark.parametrize("name", ["few.ts", "few.onnx"])
def test_unmeasured_primitives_are_named_never_0(folder, architectures, name):
    strict, lenient = Estimator(folder / name), Estimator(folder / name, missing="nan")
    unmeasured = {a: unmeasured_by_hand(strict, a) for a in architectures}
    assert any(unmeasured.values())
    assert not all(unmeasured.values())
    for architecture, primitives in unmeasured.items():
        answer = lenient.explain(architecture)
        assert list(answer.unmeasured) == primitives
        assert math.isnan(answer.value) == bool(primitives)
        if primitives:
            with pytest.raises(UnmeasuredError, match=re.escape(str(primitives[0]))):
                strict(architecture)
        else:
            assert strict(architecture) == lenient(architecture)
    with pytest.raises(UnmeasuredError, match=r"never measured on Test CPU"):
        strict.predict_batch(architectures)
    expected = [bool(unmeasured[a]) for a in architectures]
    assert np.isnan(lenient.predict_batch(architectures)).tolist() == expected


def test_estimates_fill_the_gaps_and_are_flagged(folder, architectures):
    lenient, filled = Estimator(folder / "few.ts", missing="nan"), Estimator(folder / "few.ts", missing="estimate")
    whole = latpred.load(folder / "net.ts")
    for architecture in architectures:
        answer = filled.explain(architecture)
        assert answer.estimated == bool(unmeasured_by_hand(filled, architecture))
        # The made-up latencies follow the sizes: an estimate is of the right order.
        assert answer.value == pytest.approx(whole(architecture), rel=0.5)
        if not answer.estimated:
            assert answer.value == lenient(architecture)


def test_estimates_need_the_torchscript(folder):
    with pytest.raises(ArtefactError, match=r"few\.onnx: expected a \.ts with a block table"):
        Estimator(folder / "few.onnx", missing="estimate")


def test_ids_outside_the_vocabulary_are_refused(folder):
    estimator = latpred.load(folder / "net.ts")
    slots, size = estimator.card.slots, len(estimator.card.vocabulary)
    for bad in (-2, size):
        with pytest.raises(UsageError, match=rf"ids: expected ids from -1 to {size - 1}, found .*{bad}"):
            estimator.predict_ids(np.full((1, slots), bad))
    with pytest.raises(UsageError, match=rf"ids: expected the shape \[batch, {slots}\], found \[1, {slots + 1}\]"):
        estimator.predict_ids(np.zeros((1, slots + 1), dtype=np.int64))


def test_foreign_architectures_are_refused(folder, architectures):
    estimator = latpred.load(folder / "net.ts")
    value = estimator.space.to_json(architectures[0]) | {"image_size": 33}
    with pytest.raises(ArchitectureError, match=r"33"):
        estimator(value)


def test_it_is_picklable(folder, architectures):
    estimator = latpred.load(folder / "net.ts")
    again = pickle.loads(pickle.dumps(estimator))  # noqa: S301 - our own bytes
    assert again(architectures[0]) == estimator(architectures[0])


@pytest.mark.slow
def test_a_spawned_process_answers(folder, architectures):
    estimator = latpred.load(folder / "net.ts")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        answers = pool.map(estimator, architectures[:4])
    assert answers == [estimator(architecture) for architecture in architectures[:4]]


@pytest.mark.parametrize(
    ("name", "message"),
    [("net.pt2", r"expected an exported predictor, \.ts or \.onnx, found '\.pt2'"), ("x.ts", r"no file there")],
)
def test_other_files_are_refused(folder, name, message):
    with pytest.raises(ArtefactError, match=message):
        latpred.load(folder / name)


def test_an_unknown_way_of_missing_is_refused(folder):
    with pytest.raises(UsageError, match=r"missing: expected raise, nan or estimate, found 'zero'"):
        Estimator(folder / "net.ts", missing="zero")
