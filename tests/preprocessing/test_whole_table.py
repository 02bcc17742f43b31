"""The table learned from whole networks: what it takes from them, and what it does not claim to know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from list_space import ListSpace
from measured import block_latency_ms, network_latency_ms, tiny_space

from latpred.dataset import MeasuredNetwork
from latpred.genprof import assemble, sampled
from latpred.network import Network
from latpred.preprocessing import learn_from_wholes
from latpred.preprocessing.additive_fit import fit_additive
from latpred.preprocessing.features import primitive_features
from latpred.primitive import Primitive

SPACE = tiny_space()
NETWORKS = sampled(SPACE, 60, seed=0)
VOCABULARY = SPACE.vocabulary()
FEATURES = primitive_features(SPACE, VOCABULARY)
KWARGS = '{"activation":"relu","affine":true}'


def learned(networks, latencies, *, space=SPACE, half_width=None):
    vocabulary = space.vocabulary().with_extra([p for network in networks for p in network.primitives])
    measured = [MeasuredNetwork(n.network_id, n.architecture, n.primitives, n.roles) for n in networks]
    half_width = [np.inf] * len(networks) if half_width is None else half_width
    labels = pd.DataFrame({"estimate": latencies, "half_width": half_width}, index=range(5, 5 + len(networks)))
    return learn_from_wholes(space, vocabulary, measured, labels, primitive_features(space, vocabulary))


def sums(network, value, vocabulary=VOCABULARY):
    return sum(value[vocabulary.ids[primitive]] for primitive in network.primitives)


def test_sums_are_those_of_networks_that_were_not_seen():
    found = learned(NETWORKS[:30], [network_latency_ms(network) for network in NETWORKS[:30]])
    assert found.networks == 30
    assert np.isfinite(found.value).all()
    assert np.isnan(found.share).all()
    for network in NETWORKS[30:]:
        assert sums(network, found.value) == pytest.approx(network_latency_ms(network), rel=1e-3)


def test_values_are_those_of_the_fit_on_counts():
    latencies = [network_latency_ms(network) * (1 + 0.02 * (i % 5)) for i, network in enumerate(NETWORKS)]
    half_width = [0.01 * (1 + i % 3) for i in range(len(NETWORKS))]
    counts = np.array([[network.primitives.count(p) for p in VOCABULARY.primitives] for network in NETWORKS], float)
    weight = 1 / (np.square(half_width) + 0.02**2)  # the typical half width is 0.02
    costs = [SPACE.type_of(p).cost(p) for p in VOCABULARY.primitives]
    expected = fit_additive(counts, np.array(latencies), weight / weight.mean(), np.array(costs, float))
    np.testing.assert_allclose(learned(NETWORKS, latencies, half_width=half_width).value, expected, rtol=1e-6)


def test_assembled_networks_teach_as_well():
    """They hold every primitive, and glue, which has a place behind the space's vocabulary."""
    stem, glue = NETWORKS[0].primitives[0], Primitive("conv_1x1", 16, 8, 12)
    networks = [*NETWORKS[:40], *assemble(SPACE).networks, Network(SPACE.name, (stem, glue), ("primitive", "glue"))]
    vocabulary = VOCABULARY.with_extra([p for network in networks for p in network.primitives])
    assert vocabulary.extra == (glue,)
    found = learned(networks, [network_latency_ms(network) for network in networks])
    assert found.value.shape == (len(vocabulary),)
    for network in networks:
        assert sums(network, found.value, vocabulary) == pytest.approx(network_latency_ms(network), rel=1e-3)


def test_what_no_network_has_is_unmeasured():
    lost = VOCABULARY.primitives[-1]
    networks = [network for network in NETWORKS if lost not in network.primitives]
    assert 10 < len(networks) < len(NETWORKS)
    found = learned(networks, [network_latency_ms(network) for network in networks])
    assert np.isnan(found.value[-1])
    assert np.isnan(found.share[-1])
    assert np.isfinite(found.value[:-1]).all()
    assert str(found) == f"{len(VOCABULARY) - 1} primitives, from {len(networks)} whole networks"


def test_what_the_whole_space_has_together_has_values():
    """The stem and the first block are in each of its networks; only their sum is known, and only it is asked for."""
    stem = NETWORKS[0].primitives[0]
    always = [p for p in VOCABULARY.primitives if all(p in network.primitives for network in NETWORKS)]
    assert stem in always
    assert len(always) > 1
    found = learned(NETWORKS, [network_latency_ms(network) for network in NETWORKS])
    assert np.isfinite(found.value).all()


def together(counts, *, of_the_space):
    """Networks of blocks a, b, c as often as `counts` say, from a space that has each of them by itself if asked."""
    a, b, c = (Primitive("conv_bn_act", 8, C, C, kwargs=KWARGS) for C in (4, 8, 12))
    space = ListSpace(a, b, c) if of_the_space else ListSpace(c)
    networks = [Network("list_space", (a,) * i + (b,) * j + (c,) * k, ("glue",) * (i + j + k)) for i, j, k in counts]
    cost = {a: 1.0, b: 2.0, c: 4.0}
    latencies = [sum(cost[p] for p in network.primitives) for network in networks]
    found = learned(networks, latencies, space=space)
    ids = space.vocabulary().with_extra([a, b, c]).ids
    return [(found.value[ids[p]], found.share[ids[p]]) for p in (a, b, c)], found


def test_what_only_these_networks_have_together_is_unmeasured():
    """a and b, once and once or twice and twice: the space has networks of one alone, whose latency nobody knows."""
    values, found = together([(1, 1, 1), (2, 2, 1), (1, 1, 3), (0, 0, 2), (2, 2, 5)], of_the_space=True)
    (a, share_a), (b, share_b), (c, share_c) = values
    assert np.isnan([a, b, share_c]).all()
    assert c == pytest.approx(4.0, rel=1e-3)
    assert share_a + share_b == pytest.approx(3.0, rel=1e-3)
    assert min(share_a, share_b) > 0
    assert str(found).startswith("1 primitives, from 5 whole networks; 2 more cannot be told apart, because they only")


def test_twice_as_often_is_together_too():
    (a, _), (b, _), (c, _) = together([(1, 2, 1), (2, 4, 1), (0, 0, 3)], of_the_space=True)[0]
    assert np.isnan([a, b]).all()
    assert c == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize(
    ("counts", "of_the_space"),
    [
        ([(1, 1, 1), (2, 2, 1), (1, 1, 3), (0, 0, 2)], False),
        ([(1, 1, 1), (2, 2, 1), (1, 0, 3), (0, 0, 2)], True),
        ([(1, 1, 1), (1, 2, 2), (3, 1, 1), (0, 0, 2)], True),
    ],
    ids=["no network of the space has them", "one network has one alone", "not as often"],
)
def test_what_can_be_told_apart_has_values(counts, of_the_space):
    values, found = together(counts, of_the_space=of_the_space)
    assert np.isfinite([value for value, _ in values]).all()
    assert np.isnan(found.share).all()


def test_the_same_networks_give_the_same_values():
    latencies = [network_latency_ms(network) for network in NETWORKS]
    once, again = (learned(NETWORKS, latencies) for _ in range(2))
    np.testing.assert_array_equal(once.value, again.value)


def test_the_architectures_that_are_asked_are_always_the_same():
    class Listening(ListSpace):
        def sample(self, rng):
            heard.append(rng.random())
            return super().sample(rng)

    block = Primitive("conv_bn_act", 8, 4, 4, kwargs=KWARGS)
    drawn = []
    for _ in range(2):
        heard = []
        learned([Network("list_space", (block,), ("glue",))], [1.0], space=Listening(block))
        drawn.append(heard)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 100


def test_tokens_and_empty_slots_are_no_primitives():
    """A space whose encoding has a token, and slots that stay empty."""

    class Marked(type(SPACE)):
        def tokens(self):
            return ("even", "odd")

        def slot_ids(self, architecture):
            ids = super().slot_ids(architecture)
            return [*ids, self.vocabulary().token_ids["odd"]]

    space = Marked(**SPACE.parameters)
    networks = [replace(network, encoding=None, architecture=None) for network in NETWORKS]
    found = learned(networks, [network_latency_ms(network) for network in networks], space=space)
    assert found.value.shape == (len(VOCABULARY) + 2,)
    assert np.isnan(found.value[-2:]).all()
    assert np.isfinite(found.value[:-2]).all()


def test_values_come_near_those_of_the_blocks():
    """Where all networks have a block of some kind, only differences are known; the costs tell the rest, roughly."""
    networks = [*NETWORKS, *assemble(SPACE).networks]
    found = learned(networks, [network_latency_ms(network) for network in networks])
    true = np.array([block_latency_ms(p) for p in VOCABULARY.primitives])
    correlation = np.corrcoef(np.log(found.value[: len(true)]), np.log(true))[0, 1]
    assert correlation > 0.9
