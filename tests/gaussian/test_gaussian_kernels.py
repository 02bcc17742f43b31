"""The parts of a covariance."""

import pytest
import torch
from measured import tiny_space
from processes import FACTS, some_networks

from latpred.gaussian import PARTS, AdditiveKernel, BlockFacts, mix
from latpred.vocabulary import Vocabulary

COUNTS = some_networks(60)[1]
KERNEL = AdditiveKernel(FACTS, COUNTS)


def test_every_part_varies_by_1_among_the_networks():
    grams = KERNEL.gram(KERNEL.networks(COUNTS), KERNEL.networks(COUNTS))
    spread = grams.diagonal(dim1=1, dim2=2).mean(1) - grams.mean((1, 2))
    expected = torch.ones(len(PARTS), dtype=torch.float64)
    expected[0] = 0  # the constant is the same for all
    torch.testing.assert_close(spread, expected)
    assert grams[0].eq(1).all()
    assert (torch.linalg.eigvalsh(grams) > -1e-9).all()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_by_hand(part):
    a, b = COUNTS[3], COUNTS[8]
    gram = KERNEL.gram(KERNEL.networks(a[None]), KERNEL.networks(b[None]))[PARTS.index(part), 0, 0]
    found = float(gram * KERNEL.scale[PARTS.index(part)])
    totals = FACTS.totals(COUNTS)
    kept = totals.std(0) > 1e-6
    places = ((totals - totals.mean(0)) / totals.std(0, correction=0))[:, kept]
    apart = float((places[3] - places[8]).square().mean())
    blocks = torch.cdist(FACTS.coordinates, FACTS.coordinates).square()

    def between(length):
        return float(a @ torch.exp(-blocks / (2 * length**2)) @ b)

    expected = {
        "constant": 1.0,
        "counts": float(a @ b),
        "blocks_near": between(1),
        "blocks_far": between(3),
        "totals": float(places[3] @ places[8]),
        "totals_near": torch.exp(torch.tensor(-apart / 2)).item(),
        "totals_far": torch.exp(torch.tensor(-apart / 18)).item(),
    }
    assert found == pytest.approx(expected[part], rel=1e-6)


def test_covariances_of_blocks_are_those_of_the_networks_that_have_one_each():
    """But for the parts over totals, and the constant."""
    variances = torch.tensor([0.0, 0.5, 0.25, 2.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    single = KERNEL.networks(torch.eye(len(FACTS.amounts), dtype=torch.float64))
    torch.testing.assert_close(KERNEL.between(variances), mix(KERNEL.gram(single, single), variances))


def test_equal_networks_have_no_totals():
    """None varies, so none is looked at; every part is finite."""
    kernel = AdditiveKernel(FACTS, COUNTS[:1].repeat(3, 1))
    networks = kernel.networks(COUNTS[:1].repeat(3, 1))
    assert networks.totals.shape == (3, 0)
    gram = kernel.gram(networks, networks)
    assert gram.isfinite().all()
    assert (gram[PARTS.index("totals")] == 0).all()


def test_tokens_are_like_nothing_else():
    vocabulary = Vocabulary(tiny_space().vocabulary().primitives, ("token",))
    facts = BlockFacts.of(tiny_space(), vocabulary)
    counts = torch.cat([COUNTS, torch.ones(len(COUNTS), 1, dtype=torch.float64)], 1)
    between = AdditiveKernel(facts, counts).between_blocks
    assert all(not matrix[-1].any() for matrix in between.values())


def test_some_networks_are_taken():
    networks = KERNEL.networks(COUNTS)
    taken = networks.take(torch.tensor([5, 2]))
    assert len(taken) == 2
    assert torch.equal(taken.counts, COUNTS[[5, 2]])
    assert torch.equal(taken.totals, networks.totals[[5, 2]])
