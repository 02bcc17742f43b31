"""NAS-Bench-201: public strings, live edges, and the same function and cost as the public networks."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
import torch
from torch import nn

from latpred.errors import ArchitectureError, PrimitiveError
from latpred.genprof import assemble
from latpred.primitive import Primitive
from latpred.spaces.nasbench201 import NASBench201
from latpred.spaces.nasbench201_architecture import EDGES, OPERATIONS, NASBench201Architecture
from latpred.spaces.nasbench201_cell import EdgeBlock
from latpred.spaces.pool import BlockPool

TEXT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
OPS = ("nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_1x1")
SPACE = NASBench201()
SMALL = NASBench201(image_size=8, channels=4, cells=2, classes=3)


def edges_of(space, ops):
    """The primitives of the first cell: operation, edge, liveness, C and C_out."""
    cell = space.primitives(NASBench201Architecture(tuple(ops)))[1:7]
    return [(p.prim_type, p.options["edge"], p.options["live"], p.C, p.C_out) for p in cell]


def test_the_public_string_and_indices_are_read_and_written():
    architecture = SPACE.from_string(TEXT)
    assert architecture == NASBench201Architecture(OPS)
    assert architecture.to_string() == TEXT
    assert architecture.to_indices() == [3, 0, 1, 4, 0, 2]
    assert NASBench201Architecture.from_indices([3, 0, 1, 4, 0, 2]) == architecture
    assert SPACE.to_json(architecture) == {"arch_str": TEXT}


def test_all_15625_architectures_come_back_from_their_strings():
    texts = set()
    for indices in product(range(5), repeat=6):
        architecture = NASBench201Architecture.from_indices(indices)
        texts.add(architecture.to_string())
        assert NASBench201Architecture.from_string(architecture.to_string()).to_indices() == list(indices)
    assert len(texts) == 15625


@pytest.mark.parametrize(
    "text",
    [
        "",
        "|none~0|",
        TEXT[:-1],  # its last bar is missing
        TEXT[1:],
        TEXT + "+|none~0|",
        TEXT.replace("nor_conv_1x1~2", "nor_conv_1x1~1"),  # twice from node 1
        TEXT.replace("~2", "~3"),
        TEXT.replace("skip_connect~1", "skip_connect"),
        TEXT.replace("|none~0|", "|none~0||"),
        TEXT.replace("|none~0|skip_connect~1|", "|skip_connect~1|none~0|"),
        7,
    ],
)
def test_what_is_no_public_string_is_refused(text):
    with pytest.raises(ArchitectureError, match=r"^space nasbench201: expected arch_str to be a string such as \|nor"):
        SPACE.from_string(text)
    with pytest.raises(ArchitectureError, match="found") as error:
        SPACE.from_json({"arch_str": text})
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ((*OPS[:2], "conv", *OPS[3:]), r"expected ops\[2\] to be one of none, skip_connect, .*, found 'conv'"),
        (OPS[:5], r"expected ops to have 6 entries, one for each edge, found \('nor_conv_3x3'"),
        ("none", "expected ops to have 6 entries, one for each edge, found 'none'"),
        (3, "expected ops to have 6 entries, one for each edge, found 3"),
        ((*OPS[:5], ["none"]), r"expected ops\[5\] to be one of .*, found \['none'\]"),
    ],
)
def test_other_operations_are_refused(ops, message):
    for method in (SPACE.slot_ids, SPACE.to_json):
        with pytest.raises(ArchitectureError, match=f"^space nasbench201: {message}"):
            method(NASBench201Architecture(ops))
    with pytest.raises(ArchitectureError, match=f"^space nasbench201: {message}"):
        SPACE.mutate(NASBench201Architecture(ops), Random(0))


def test_an_unknown_operation_in_a_string_is_named():
    with pytest.raises(ArchitectureError, match=r"expected ops\[0\] to be one of .*, found 'nor_conv_7x7'"):
        SPACE.from_string(TEXT.replace("nor_conv_3x3", "nor_conv_7x7"))


@pytest.mark.parametrize("indices", [[0] * 5, [0] * 7, [0, 0, 0, 0, 0, 5], [0, 0, 0, 0, 0, -1]])
def test_other_indices_are_refused(indices):
    with pytest.raises(ValueError, match="expected 6 operation indices from 0 to 4, found"):
        NASBench201Architecture.from_indices(indices)


PATHS = [(3,), (0, 4), (1, 5), (0, 2, 5)]
"""The edges of each path from node 0 to node 3, as places in EDGES."""


def test_an_edge_is_live_if_it_is_on_an_open_path():
    for passes in product([False, True], repeat=6):
        architecture = NASBench201Architecture(tuple("skip_connect" if passed else "none" for passed in passes))
        open_paths = [path for path in PATHS if all(passes[edge] for edge in path)]
        assert architecture.live() == tuple(any(edge in path for path in open_paths) for edge in range(6))


def test_a_dead_edge_is_another_primitive():
    """Node 1 gets a convolution that nobody reads."""
    found = edges_of(SPACE, ("nor_conv_3x3", "skip_connect", "none", "none", "none", "avg_pool_3x3"))
    assert found == [
        ("nb201_nor_conv_3x3", "0-1", False, 16, 32),
        ("nb201_skip_connect", "0-2", True, 32, 48),
        ("nb201_none", "1-2", False, 48, 48),
        ("nb201_none", "0-3", False, 48, 48),
        ("nb201_none", "1-3", False, 48, 32),
        ("nb201_avg_pool_3x3", "2-3", True, 32, 16),
    ]


def test_the_network_around_the_cells():
    primitives = SPACE.primitives(NASBench201Architecture(OPS))
    assert len(primitives) == SPACE.slots == 96
    around = [
        (i, p.prim_type, p.spatial_size, p.C, p.C_out) for i, p in enumerate(primitives) if "edge" not in p.kwargs
    ]
    assert around == [
        (0, "conv_bn_act", 32, 3, 16),
        (31, "nb201_residual", 32, 16, 32),
        (62, "nb201_residual", 16, 32, 64),
        (93, "nb201_bn_relu", 8, 64, 64),
        (94, "global_avg_pool", 8, 64, 64),
        (95, "linear", 1, 64, 10),
    ]
    assert len(SPACE.all_primitives()) == 3 * (6 + 5 * 8 + 4) + 6


@pytest.mark.parametrize(
    ("indices", "mega_macs", "mega_parameters"),
    [  # as the benchmark's own files state them (NATS-Bench, issues 18, 24 and 36)
        ((4, 2, 1, 2, 1, 1), 15.64737, None),
        ((3, 3, 4, 1, 3, 1), 113.95137, 0.802426),
        ((1, 0, 3, 4, 3, 3), 113.95137, 0.802426),
    ],
)
def test_costs_are_the_published_ones(indices, mega_macs, mega_parameters):
    primitives = SPACE.primitives(NASBench201Architecture.from_indices(indices))
    costs = [SPACE.type_of(primitive).cost(primitive) for primitive in primitives]
    assert sum(cost.flops for cost in costs) / 2e6 == pytest.approx(mega_macs - 1e-5, abs=1e-8)  # they count 10 biases
    if mega_parameters is not None:
        assert sum(cost.parameters for cost in costs) == round(1e6 * mega_parameters)


class Cell(nn.Module):
    """A cell as the graph that it is."""

    def __init__(self, operations):
        super().__init__()
        self.operations = operations

    def forward(self, features):
        nodes = {0: features}
        for (source, target), operation in zip(EDGES, self.operations, strict=True):
            value = operation(nodes[source])
            nodes[target] = nodes[target] + value if target in nodes else value
        return nodes[3]


@pytest.mark.parametrize("seed", range(6))
def test_the_chain_computes_what_the_graph_computes(seed):
    rng, pool = Random(seed), BlockPool(SMALL, 0)
    modules = pool.modules(SMALL.network(SMALL.sample(rng)))
    graph, cell = [], []
    for module in modules:
        if isinstance(module, EdgeBlock):
            cell.append(module.operation)
        if len(cell) == 6:
            graph.append(Cell(cell))
            cell = []
        elif not isinstance(module, EdgeBlock):
            graph.append(module)
    assert len(graph) == 1 + 6 + 2 + 3
    image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        expected = nn.Sequential(*graph)(image)
        assert torch.equal(nn.Sequential(*modules)(image), expected)
    assert expected.abs().max() > 0


def test_operations_by_hand():
    """One channel of ones on 2 x 2 pixels: padding dims no average, and `none` is nothing."""
    ones = torch.ones(1, 1, 2, 2)
    for op, expected in (("none", 0.0), ("skip_connect", 1.0), ("avg_pool_3x3", 1.0)):
        kernel, kwargs = 3 if "3x3" in op else 1, '{"edge":"0-1","live":false}'
        block = SPACE.block(Primitive(f"nb201_{op}", 2, 1, 2, 1, kernel, kwargs))
        assert block(ones).tolist() == [[[[1.0, 1.0]] * 2, [[expected, expected]] * 2]]


def test_a_convolution_comes_behind_the_activation():
    block = SPACE.block(Primitive("nb201_nor_conv_1x1", 2, 1, 2, 1, 1, '{"edge":"0-1","live":true}')).eval()
    features = torch.tensor([[[[-5.0, 2.0], [0.0, 1.0]]]])
    before = features.clone()
    with torch.no_grad():
        block.operation[1].weight.fill_(3.0)
        found = block(features)[0, 1]
    torch.testing.assert_close(found, torch.tensor([[0.0, 6.0], [0.0, 3.0]]), rtol=1e-4, atol=0)
    assert torch.equal(features, before)


def test_negative_features_end_before_the_pooling():
    block = SPACE.block(Primitive("nb201_bn_relu", 1, 2, 2)).eval()
    assert block(torch.tensor([-1.0, 2.0]).reshape(1, 2, 1, 1)).flatten().tolist() == pytest.approx([0, 2], rel=1e-4)


@pytest.mark.parametrize(
    ("primitive", "message"),
    [
        (
            Primitive("nb201_none", 8, 5, 8, 1, 1, '{"edge":"0-2","live":false}'),
            r"C, C_out, .* \(4, 6, 1, 1\), found \(5",
        ),
        (
            Primitive("nb201_none", 8, 1, 3, 1, 1, '{"edge":"0-2","live":false}'),
            r"\(2, 3, 1, 1\), found \(1, 3, 1, 1\)",
        ),
        (Primitive("nb201_nor_conv_3x3", 8, 4, 8, 1, 1, '{"edge":"0-1","live":true}'), r"\(4, 8, 1, 3\), found \(4"),
        (
            Primitive("nb201_none", 8, 4, 8, 1, 1, '{"edge":"0-4","live":true}'),
            "edge to be one of 0-1, .*, found '0-4'",
        ),
        (Primitive("nb201_none", 8, 4, 8, 1, 1, '{"edge":"0-1"}'), "live is missing"),
        (Primitive("nb201_residual", 8, 4, 8, 1, 3), r"stride and kernel_size \(2, 3\), found \(1, 3\)"),
        (Primitive("nb201_bn_relu", 8, 4, 8), r"C_out, stride and kernel_size \(4, 1, 1\), found \(8, 1, 1\)"),
    ],
    ids=str,
)
def test_what_cannot_be_a_block_is_refused(primitive, message):
    kind = SPACE.type_of(primitive)
    for method in (kind.build, kind.cost):
        with pytest.raises(PrimitiveError, match=message):
            method(primitive)


def test_every_primitive_can_be_profiled_by_itself():
    assembly = assemble(SMALL)
    placed = [
        p for n in assembly.networks for p, role in zip(n.primitives, n.roles, strict=True) if role == "primitive"
    ]
    assert sorted(placed) == list(SMALL.vocabulary().primitives)
    assert not assembly.unplaced


@pytest.mark.parametrize("name", ["image_size", "channels", "cells", "classes"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_a_parameter_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be an integer >= 1, got {value}$"):
        NASBench201(**{name: value})


def test_networks_with_equal_operations_are_told_apart():
    first, second = (["none"] * 5 for _ in range(2))
    ids = {SPACE.network(NASBench201Architecture(("skip_connect", *first))).network_id}
    ids.add(SPACE.network(NASBench201Architecture((*second, "skip_connect"))).network_id)
    assert len(ids) == 2


def test_an_architecture_of_every_operation_is_drawn():
    drawn = [SPACE.sample(Random(seed)).ops for seed in range(60)]
    assert {op for ops in drawn for op in ops} == set(OPERATIONS)
