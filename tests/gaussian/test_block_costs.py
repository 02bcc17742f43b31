"""What blocks cost."""

import numpy as np
import pytest
import torch
from measured import block_latency_ms
from processes import SPACE, fitted, noisy, some_networks

from latpred.gaussian import AdditiveKernel, BlockFacts, block_costs, count_blocks, fit, mix
from latpred.vocabulary import Vocabulary

IDS, COUNTS, LATENCY = some_networks(150)
TRUE = torch.tensor([block_latency_ms(p) for p in SPACE.vocabulary().by_id], dtype=torch.float64)
SHARES = torch.stack([count_blocks(slot[:, None], len(TRUE)).mean(0) for slot in IDS.T])
"""In which share of the networks each slot has each primitive, [slots, vocabulary]."""
ALWAYS = SHARES.sum(1) > 0.999
OPTIONAL = SHARES[~ALWAYS].sum(0) > 0
FIXED = SHARES.amax(0) > 0.999


@pytest.fixture(scope="module")
def posterior():
    return fitted(COUNTS, noisy(LATENCY, 0.005))


def test_they_add_up_to_the_average_network(posterior):
    average = COUNTS.mean(0)
    whole = posterior.mean(posterior.kernel.networks(average[None]))
    assert float(average @ block_costs(posterior, IDS).mean) == pytest.approx(float(whole))


def test_optional_blocks_cost_what_they_add(posterior):
    costs = block_costs(posterior, IDS)
    assert OPTIONAL.sum() == 8
    off = (costs.mean - TRUE)[OPTIONAL]
    assert (off.abs() < 3 * costs.deviation[OPTIONAL]).all()
    assert (off.abs() < 0.05 * TRUE[OPTIONAL]).all()


def test_others_cost_what_they_have_more_than_the_average_block_there(posterior):
    """The rest of the network is shared by the four places that are always taken."""
    costs = block_costs(posterior, IDS)
    assert ALWAYS.sum() == 4
    rest = (LATENCY.mean() - (COUNTS.mean(0) * TRUE)[OPTIONAL].sum()) / 4
    for place in SHARES[ALWAYS]:
        more = (TRUE - place @ TRUE)[place > 0]
        found = costs.mean[place > 0] - rest
        torch.testing.assert_close(found, more, rtol=0.02, atol=0.03)


def test_a_block_that_always_stands_there_is_compared_with_nothing(posterior):
    deviation = block_costs(posterior, IDS).deviation
    assert FIXED.sum() == 2
    assert torch.equal(deviation.isnan(), FIXED)
    assert (deviation[~FIXED] < 0.03).all()


@pytest.mark.parametrize("logarithm", [False, True])
def test_deviations_are_those_of_the_exchange(logarithm):
    """Of the difference between the changed network and the average one, by the textbook's formula."""
    latency = (2 * (LATENCY - LATENCY.mean()) / LATENCY.std()).exp() if logarithm else LATENCY
    posterior = fitted(COUNTS, noisy(latency, 0.01))
    assert posterior.scale.logarithm == logarithm
    kernel, average = posterior.kernel, COUNTS.mean(0)
    slot = int((ALWAYS & (SHARES.amax(1) < 0.9)).nonzero()[0])
    block = int(SHARES[slot].argmax())
    changed = average - SHARES[slot]
    changed[block] += 1
    both = kernel.networks(torch.stack([average, changed]))
    shared = mix(kernel.gram(both, posterior.networks), posterior.variances)
    covered = mix(kernel.gram(both, both), posterior.variances) - shared @ posterior.precision @ shared.T
    sign = torch.tensor([-1.0, 1.0]).double()
    unit = posterior.scale.spread * (float(posterior.mean(both)[1]) if logarithm else 1.0)
    expected = unit * float(sign @ covered @ sign) ** 0.5
    assert float(block_costs(posterior, IDS).deviation[block]) == pytest.approx(expected, rel=1e-3)


def test_a_block_that_no_network_has_is_less_sure(posterior):
    block = int(OPTIONAL.nonzero()[0])
    kept = COUNTS[:, block] == 0
    costs = block_costs(fitted(COUNTS[kept], noisy(LATENCY, 0.005)[kept]), IDS[kept])
    assert costs.mean[block].isfinite()
    assert costs.deviation[block] > 2 * block_costs(posterior, IDS).deviation[block]


def test_tokens_cost_nothing():
    facts = BlockFacts.of(SPACE, Vocabulary(SPACE.vocabulary().primitives, ("token",)))
    ids = torch.cat([IDS, torch.full((len(IDS), 1), len(TRUE))], 1)
    counts = count_blocks(ids, len(TRUE) + 1)
    posterior = fit(AdditiveKernel(facts, counts), counts, LATENCY, torch.ones_like(LATENCY))
    costs = block_costs(posterior, ids)
    assert costs.mean[-1] == costs.deviation[-1] == 0
    expected = block_costs(fitted(COUNTS, LATENCY), IDS).mean
    np.testing.assert_allclose(costs.mean[:-1], expected, atol=0.01)
