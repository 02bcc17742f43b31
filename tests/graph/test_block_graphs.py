"""Networks as ONNX: the same numbers as PyTorch's, names that tell the block, the same bytes each time."""

import copy
import ctypes
import re
import sys
import warnings
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from measured import tiny_space
from onnx.reference import ReferenceEvaluator
from torch import nn

from latpred.errors import ProfilingError
from latpred.graph import BlockGraphs, block_of
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces.pool import BlockPool


def network(*primitives):
    return Network("chain", primitives, ("primitive",) * len(primitives))


def conv(C=3, C_out=3, size=4):
    return Primitive("conv_1x1", size, C, C_out)


def drawn(seed=0):
    space = tiny_space()
    found = space.network(space.sample(Random(seed)))
    return found, BlockPool(space, seed=0).modules(found)


def expected(modules, image):
    with torch.inference_mode():
        return nn.Sequential(*modules)(image).numpy()


def run(model, image):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["output"], {"image": image.numpy()})[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_computes_what_pytorch_computes(seed):
    found, modules = drawn(seed)
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    output = run(BlockGraphs(batch=2).network(found, modules), image)
    np.testing.assert_allclose(output, expected(modules, image), rtol=0, atol=1e-5)
    assert np.abs(output).max() > 0.5


def test_onnxs_own_evaluator_agrees():
    modules = [nn.Conv2d(3, 5, 1).eval(), nn.Sequential(nn.BatchNorm2d(5), nn.ReLU(inplace=True)).eval()]
    image = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model = BlockGraphs(1).network(network(conv(C_out=5), Primitive("norm", 4, 5, 5)), modules)
    output = ReferenceEvaluator(model).run(["output"], {"image": image.numpy()})[0]
    np.testing.assert_allclose(output, expected(modules, image), rtol=0, atol=1e-6)


def test_every_node_tensor_and_weight_tells_its_block():
    found, modules = drawn()
    graph = BlockGraphs(1).network(found, modules).graph
    blocks = [block_of(node.name) for node in graph.node]
    assert blocks == sorted(blocks)
    assert set(blocks) == set(range(len(modules)))
    tensors = {tensor for node in graph.node for tensor in (*node.input, *node.output)} - {"image", "output"}
    assert all(re.match(r"b\d\d/", name) for name in tensors)
    assert {name for name in tensors if block_of(name) == 0} >= {"b00/output", "b00/weight"}
    assert {weight.name for weight in graph.initializer} <= tensors
    for node in graph.node:  # a block reads nothing but its own tensors and the output of the block before it
        position = block_of(node.name)
        before = "image" if position == 0 else f"b{position - 1:02d}/output"
        assert {name for name in node.input if block_of(name) != position} <= {before}


def test_the_path_of_the_module_stays_in_the_name():
    found, modules = drawn()
    names = {node.name for node in BlockGraphs(1).network(found, modules).graph.node}
    assert "b02/body/expand/Conv" in names


def test_the_model_is_valid_and_every_shape_is_static():
    found, modules = drawn()
    model = BlockGraphs(3).network(found, modules)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
    }
    last = len(modules) - 1
    assert set(shapes) >= {"image", "output", *(f"b{position:02d}/output" for position in range(last))}
    assert shapes["image"] == [3, 3, 32, 32]
    for position, primitive in enumerate(found.primitives):
        name = "output" if position == last else f"b{position:02d}/output"
        assert shapes[name] == [3, primitive.C_out, primitive.out_size, primitive.out_size]
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "output"]


def test_equal_blocks_have_weights_of_their_own():
    module = nn.Conv2d(3, 3, 1).eval()
    weights = BlockGraphs(1).network(network(conv(), conv()), [module, module]).graph.initializer
    assert sorted(weight.name for weight in weights) == ["b00/bias", "b00/weight", "b01/bias", "b01/weight"]
    assert len({weight.raw_data for weight in weights}) == 2


def test_equal_primitives_may_be_different_modules():
    modules = [nn.Conv2d(3, 3, 1).eval(), nn.Conv2d(3, 3, 1).eval()]
    image = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    output = run(BlockGraphs(1).network(network(conv(), conv()), modules), image)
    np.testing.assert_allclose(output, expected(modules, image), rtol=0, atol=1e-6)


def test_a_block_is_exported_once(monkeypatch):
    exported = []
    export = torch.onnx.export
    monkeypatch.setattr(
        torch.onnx, "export", lambda module, *rest, **more: [exported.append(module), export(module, *rest, **more)]
    )
    graphs, first, second = BlockGraphs(1), nn.Conv2d(3, 3, 1).eval(), nn.Conv2d(3, 5, 1).eval()
    graphs.network(network(conv(), conv(), conv(C_out=5)), [first, first, second])
    graphs.network(network(conv(), conv(C_out=5)), [first, second])
    assert exported == [first, second]


def test_the_same_network_gives_the_same_bytes_and_no_path_of_this_machine():
    found, modules = drawn()
    graphs = BlockGraphs(1)
    serialized = graphs.network(found, modules).SerializeToString(deterministic=True)
    assert graphs.network(found, modules).SerializeToString(deterministic=True) == serialized
    assert BlockGraphs(1).network(found, modules).SerializeToString(deterministic=True) == serialized
    for path in (Path(torch.__file__).parents[1], Path(__file__).parents[2], Path(sys.prefix)):
        assert str(path).encode() not in serialized
    assert b".py" not in serialized


def test_the_modules_stay_as_they_are():
    found, modules = drawn()
    before = copy.deepcopy([module.state_dict() for module in modules])
    BlockGraphs(1).network(found, modules)
    assert not any(part.training for module in modules for part in module.modules())
    for module, state in zip(modules, before, strict=True):
        torch.testing.assert_close(dict(module.state_dict()), dict(state), rtol=0, atol=0)


class Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return torch.relu(x + 1) * 2
        return x - 1


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # the only way to an If
@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_block_with_branches_keeps_them_apart_from_the_others(value):
    modules = [torch.jit.script(Branches()), torch.jit.script(Branches())]
    model = BlockGraphs(1).network(network(conv(), conv()), modules)
    onnx.checker.check_model(model, full_check=True)
    image = torch.full((1, 3, 4, 4), value)
    np.testing.assert_allclose(run(model, image), expected(modules, image))
    branches = [attribute.g for node in model.graph.node for attribute in node.attribute if attribute.HasField("g")]
    assert len(branches) == 4
    assert {block_of(node.name) for graph in branches for node in graph.node} == {0, 1}


def test_a_block_that_does_nothing_hands_its_input_on():
    modules = [nn.Identity(), nn.Conv2d(3, 3, 1).eval(), nn.Identity()]
    image = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    output = run(BlockGraphs(1).network(network(conv(), conv(), conv()), modules), image)
    np.testing.assert_allclose(output, expected(modules, image), rtol=0, atol=1e-6)


class Capped(nn.Module):
    def forward(self, x):
        return torch.clamp(x, max=0.5)  # the operator's least value is an input that is left out


def test_an_input_that_is_left_out_stays_out():
    image = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model = BlockGraphs(1).network(network(conv(), conv()), [Capped(), nn.Conv2d(3, 3, 1).eval()])
    assert "" in model.graph.node[-2].input
    onnx.checker.check_model(model, full_check=True)
    assert run(model, image).shape == (1, 3, 4, 4)


class Twins(nn.Module):
    def forward(self, x):
        return x + 1, x + 2


class Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).real


def test_a_block_without_a_form_in_onnx_is_named_and_nothing_is_printed(capfd):
    expected_text = (
        r"block 1 \(conv_1x1 4px 3->3 s1 k1\): expected a form in ONNX, got UnsupportedOperatorError: .*fft_fft"
    )
    with pytest.raises(ProfilingError, match=expected_text) as caught:
        BlockGraphs(1).network(network(conv(), conv()), [nn.Conv2d(3, 3, 1).eval(), Spectrum()])
    assert "\n" not in str(caught.value)
    ctypes.CDLL(None).fflush(None)  # what the exporter prints waits in C's buffer
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_and_no_warning_gets_out(capfd):
    found, modules = drawn()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BlockGraphs(1).network(found, modules)
    assert capfd.readouterr() == ("", "")


def test_a_block_that_gives_two_tensors_is_refused():
    with pytest.raises(ProfilingError, match=r"block 0 \(.*\): expected a block that gives one tensor, found 2"):
        BlockGraphs(1).network(network(conv()), [Twins()])


def test_a_block_that_does_not_fit_the_one_before_it_is_refused():
    modules = [nn.Conv2d(3, 5, 1).eval(), nn.Conv2d(3, 3, 1).eval()]
    expected_text = (
        r"block 1 \(.*\): expected an input of \[2, 3, 4, 4\] as its .*, the block before it gives \[2, 5, 4, 4\]"
    )
    with pytest.raises(ProfilingError, match=expected_text):
        BlockGraphs(2).network(network(conv(C_out=5), conv()), modules)


def test_one_module_for_each_primitive():
    with pytest.raises(ProfilingError, match="expected a block for each of 2 primitives, found 1"):
        BlockGraphs(1).network(network(conv(), conv()), [nn.Conv2d(3, 3, 1).eval()])


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="batch must be an integer >= 1, got 0"):
        BlockGraphs(0)
