"""What the measured blocks of a few networks tell of every primitive."""

from random import Random

import numpy as np
import pytest
import torch
from measured import append_runs, block_latency_ms, make_measured, measured_runs, tiny_space
from synthetic import DEVICE

from latpred.dataset import Dataset, estimate
from latpred.genprof import sampled
from latpred.preprocessing.block_values import MeasuredBlocks, block_values, measured_blocks
from latpred.preprocessing.features import primitive_features
from latpred.vocabulary import Vocabulary

SPACE = tiny_space()
VOCABULARY = SPACE.vocabulary()
FEATURES = primitive_features(SPACE, VOCABULARY)
UNMEASURED = [3, 9]
TRUE = np.array([block_latency_ms(primitive) for primitive in VOCABULARY.primitives])


def blocks(networks, value=lambda network, primitive: TRUE[primitive]):
    """The blocks of networks of 4 primitives each."""
    rows = [(i, primitive, value(i, primitive)) for i, network in enumerate(networks) for primitive in network]
    network, primitive, values = zip(*rows, strict=True)
    return MeasuredBlocks(torch.tensor(network), torch.tensor(primitive), torch.tensor(values, dtype=torch.float64))


def drawn(count, without=()):
    rng = Random(0)
    return [rng.choices([i for i in range(len(TRUE)) if i not in without], k=4) for _ in range(count)]


def noisy(deviation):
    rng = Random(1)
    return lambda network, primitive: TRUE[primitive] * rng.lognormvariate(0, deviation)


def test_a_primitive_that_is_measured_often_is_worth_what_it_takes():
    found = block_values(blocks(drawn(2000), noisy(0.05)), FEATURES)
    np.testing.assert_allclose(found, TRUE, rtol=0.02)


def test_without_noise_all_that_was_measured_is_exact():
    np.testing.assert_allclose(block_values(blocks(drawn(60)), FEATURES), TRUE, rtol=1e-3)


def test_means_of_few_noisy_values_are_shrunk_to_what_the_features_say():
    """Costs that the features tell exactly: then what blocks of one primitive differ by is noise."""
    level = FEATURES[:, -1]  # bytes
    networks = drawn(20)
    data = blocks(networks, lambda network, primitive: level[primitive] * Random(f"{network}").lognormvariate(0, 0.3))
    found = block_values(data, FEATURES)
    primitive = data.primitive.numpy()
    means = np.array([np.log(data.value.numpy()[primitive == i]).mean() for i in np.unique(primitive)])
    true = np.log(level[np.unique(primitive)])
    shrunk = np.log(found[np.unique(primitive)])
    assert np.std(shrunk - true) < 0.6 * np.std(means - true)


def test_one_that_was_not_measured_is_like_those_of_its_features():
    found = block_values(blocks(drawn(300, UNMEASURED)), FEATURES)
    np.testing.assert_allclose(found[UNMEASURED], TRUE[UNMEASURED], rtol=0.3)


def test_another_device_tells_of_what_was_not_measured():
    """It is twice as fast, and knows what no feature says."""
    odd = TRUE * np.exp(np.random.default_rng(0).normal(size=len(TRUE)))
    known = blocks(drawn(300, UNMEASURED), lambda network, primitive: odd[primitive])
    with_base, without = (block_values(known, FEATURES, base) for base in (odd / 2, None))
    np.testing.assert_allclose(with_base, odd, rtol=1e-3)
    assert np.abs(np.log(without / odd))[UNMEASURED].max() > 0.3


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_network_that_was_disturbed_as_a_whole_does_not_count(factor):
    networks = drawn(12)
    data = blocks(networks, lambda network, primitive: TRUE[primitive] * (factor if network == 3 else 1.0))
    rest = data.take(torch.tensor([i for i in range(12) if i != 3]))
    np.testing.assert_array_equal(block_values(data, FEATURES), block_values(rest, FEATURES))


def test_a_network_of_large_blocks_among_small_ones_is_not_disturbed():
    """Such are those of the largest images in a detector's space."""
    small, large = np.argsort(TRUE)[:4].tolist(), int(np.argmax(TRUE))
    assert TRUE[large] > 4 * TRUE[small].max()
    found = block_values(blocks([small, small, small, [large] * 4, drawn(1)[0]]), FEATURES)
    assert found[large] == pytest.approx(TRUE[large], rel=0.01)


def test_of_two_networks_nobody_knows_which_was_disturbed():
    data = blocks(drawn(2), lambda network, primitive: TRUE[primitive] * (100.0 if network else 1.0))
    assert np.isfinite(block_values(data, FEATURES)).all()


def test_one_block_is_enough():
    found = block_values(blocks([[5]]), FEATURES)
    assert found[5] == pytest.approx(TRUE[5])
    assert (found > 0).all()


def test_tokens_take_nothing():
    vocabulary = Vocabulary(VOCABULARY.primitives, ("token",))
    features = primitive_features(SPACE, vocabulary)
    found = block_values(blocks(drawn(10)), features, np.append(TRUE, np.nan))
    assert found[vocabulary.token_ids["token"]] == 0
    assert (found[:-1] > 0).all()


def test_networks_are_taken_by_their_places():
    data = blocks([[0], [1, 2], [3]])
    taken = data.take(torch.tensor([2, 1]))
    assert sorted(zip(taken.network.tolist(), taken.primitive.tolist(), strict=True)) == [(0, 3), (1, 1), (1, 2)]
    torch.testing.assert_close(taken.value, torch.from_numpy(TRUE[taken.primitive.numpy()]))
    assert len(data.take(torch.tensor([], dtype=torch.int64))) == 0


def test_they_are_medians_of_the_runs_of_a_dataset(tmp_path):
    dataset = make_measured(tmp_path / "d", SPACE, networks=6, rounds=5, noise=0.1, assembled=False)
    read = dataset.read()
    codes = [1, 4]
    found = measured_blocks(read, estimate(read), VOCABULARY, codes)
    drift = 1 + estimate(read).runs["drift"].to_numpy()
    for place, code in enumerate(codes):
        rows = np.nonzero(read.runs["network"].to_numpy() == code)[0]
        starts = read.block_offsets[rows]
        size = len(read.networks[code].primitives)
        values = [[read.block_values[s + i] / drift[r] for s, r in zip(starts, rows, strict=True)] for i in range(size)]
        mine = found.network == place
        np.testing.assert_allclose(found.value[mine], np.median(values, axis=1))
        assert found.primitive[mine].tolist() == [VOCABULARY.ids[p] for p in read.networks[code].primitives]
    assert len(found) == sum(len(read.networks[code].primitives) for code in codes)


def test_a_dataset_without_values_of_blocks_has_none(tmp_path):
    dataset = Dataset.create(tmp_path / "d", SPACE.card(), DEVICE)
    runs = [without_blocks(run) for run in measured_runs(sampled(SPACE, 3, 0), 1)]
    append_runs(dataset, runs)
    read = dataset.read()
    assert measured_blocks(read, estimate(read), VOCABULARY, [0, 1, 2]) is None


def test_primitives_that_are_not_asked_for_are_left_out(tmp_path):
    """Assembled networks may have some that no architecture has."""
    dataset = make_measured(tmp_path / "d", SPACE, networks=6, assembled=False)
    read = dataset.read()
    few = Vocabulary(VOCABULARY.primitives[:5], ())
    found = measured_blocks(read, estimate(read), few, [0, 1, 2, 3, 4, 5])
    assert set(found.primitive.tolist()) <= {0, 1, 2, 3, 4}


def without_blocks(run):
    fields = {name: getattr(run, name) for name in run.__slots__}
    return type(run)(**fields | {"block_latency_ms": (None,) * len(run.block_latency_ms)})
