"""What kernels see of networks."""

import math

import torch
from processes import FACTS, SPACE, some_networks

from latpred.gaussian import BlockFacts, count_blocks
from latpred.primitive import Primitive
from latpred.spaces.nasbench201 import NASBench201
from latpred.vocabulary import Vocabulary


def test_blocks_are_counted_and_nothing_is_not():
    counts = count_blocks(torch.tensor([[0, 2, 2, -1], [-1, -1, -1, -1]]), 3)
    assert counts.tolist() == [[1, 0, 2], [0, 0, 0]]
    assert counts.dtype == torch.float64


def test_totals_are_logarithms_of_costs_and_numbers_of_blocks():
    _, counts, _ = some_networks(5)
    entries = SPACE.vocabulary().by_id
    flops = [
        sum(n * SPACE.type_of(p).cost(p).flops for n, p in zip(row, entries, strict=True)) for row in counts.tolist()
    ]
    totals = FACTS.totals(counts)
    torch.testing.assert_close(totals[:, 0], torch.tensor(flops, dtype=torch.float64).log())
    assert FACTS.logged.tolist() == [True] * 4 + [False] * (totals.shape[1] - 4)
    torch.testing.assert_close(totals[:, 4], counts.sum(1))
    kernels_of_5 = sum(counts[:, i] for i, p in enumerate(entries) if p.kernel_size == 5)
    assert any(torch.equal(column, kernels_of_5) for column in totals.T)


def test_a_total_of_nothing_is_finite():
    assert FACTS.totals(torch.zeros(1, len(SPACE.vocabulary()), dtype=torch.float64))[0, 0] == math.log(1e-9)


def test_what_tells_blocks_apart():
    """Numbers lie one deviation apart or so; a type or a switch moves a block as far as 1.5 of them, a text 0.5."""

    def primitive(C, **options):
        return Primitive.from_dict({"prim_type": "conv_bn_act", "spatial_size": 8, "C": C, "C_out": C, **options})

    entries = [primitive(4, affine=True, activation=name) for name in ("relu", "none")]
    entries += [primitive(4, affine=False, activation="relu"), primitive(8, affine=True, activation="relu")]
    vocabulary = Vocabulary(tuple(sorted(entries)), ("token",))
    facts = BlockFacts.of(SPACE, vocabulary)
    place = [facts.coordinates[vocabulary.ids[entry]] for entry in entries]
    told = (place[0] - place[1]).abs()
    assert sorted(told[told > 0].tolist()) == [0.5, 0.5]  # one value less, another more
    told = (place[0] - place[2]).abs()
    assert [value for value in told.tolist() if value > 1] == [1.5] * 2  # affine, and affine of this type
    assert len(place[0]) > 10
    assert float((place[0] - place[3]).norm()) > 1
    assert not facts.coordinates[vocabulary.token_ids["token"]].any()
    assert not facts.amounts[vocabulary.token_ids["token"]].any()


def test_wiring_is_seen():
    """A dead edge is another block than a live one, and is counted by itself."""
    space = NASBench201()
    vocabulary = space.vocabulary()
    facts = BlockFacts.of(space, vocabulary)
    live = torch.tensor([entry.options.get("live") is True for entry in vocabulary.by_id])
    columns = [column > 0 for column, logged in zip(facts.amounts.T, facts.logged, strict=True) if not logged]
    assert any(torch.equal(column, live) for column in columns)
