"""ONNX's operators in Caffe's layers, and what is refused."""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from caffe_reference import run_caffe
from google.protobuf import text_format
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from latpred.errors import ProfilingError
from latpred.hardware.caffe import DIALECTS, CaffeNetworks, Messages
from latpred.hardware.caffe.convert import convert_model
from latpred.network import Network
from latpred.primitive import Primitive

SIZE, C = 6, 4


class Does(nn.Module):
    """A block that is a function, with a parameter for those that need one."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(C, generator=generator))
        self.matrix = nn.Parameter(torch.randn(C, C, generator=generator))

    def forward(self, x):
        return self.function(self, x)


def network():
    return Network("one", (Primitive("block", SIZE, C, C),), ("primitive",))


def convert(block, dialect="bvlc", batch=2):
    return CaffeNetworks(dialect, batch).network("net", network(), [block.eval()])


def kinds(model, dialect="bvlc"):
    return [layer.type for layer in Messages(dialect).from_text(model.prototxt).layer][1:]


def squeezed(block, x):
    return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


FUNCTIONS = {
    "leaky": (nn.LeakyReLU(0.25), ["ReLU"]),
    "tanh": (nn.Tanh(), ["TanH"]),
    "softmax": (nn.Softmax(1), ["Softmax"]),
    "softmax_of_rows": (nn.Softmax(-1), ["Softmax"]),
    "hard_sigmoid": (nn.Hardsigmoid(), ["Power", "Clip", "Power"]),
    "hard_swish": (nn.Hardswish(), ["Power", "Clip", "Power", "Eltwise"]),
    "hard_swish_by_hand": (Does(lambda _, x: x * F.relu6(x + 3) / 6), ["Power", "Clip", "Eltwise", "Power"]),
    "add_number": (Does(lambda _, x: x + 3), ["Power"]),
    "subtract_number": (Does(lambda _, x: x - 3), ["Power"]),
    "subtract_from_number": (Does(lambda _, x: 3 - x), ["Power"]),
    "multiply_by_number": (Does(lambda _, x: x * 3), ["Power"]),
    "divide_by_number": (Does(lambda _, x: x / 3), ["Power"]),
    "difference": (Does(lambda _, x: x - F.relu(x)), ["ReLU", "Eltwise"]),
    "gate": (Does(squeezed), ["Pooling", "Sigmoid", "Flatten", "Scale"]),
    "gate_first": (
        Does(lambda _, x: torch.sigmoid(F.adaptive_max_pool2d(x, 1)) * x),
        ["Pooling", "Sigmoid", "Flatten", "Scale"],
    ),
    "add_channel_means": (Does(lambda _, x: x + x.mean((2, 3), keepdim=True)), ["Pooling", "Deconvolution", "Eltwise"]),
    "add_mean": (
        Does(lambda _, x: x.mean((1, 2, 3), keepdim=True) + x),
        ["Pooling", "Convolution", "Deconvolution", "Eltwise"],
    ),
    "means_without_axes": (
        Does(lambda _, x: F.relu(x.mean((2, 3)))[:, :, None, None]),
        ["Pooling", "Flatten", "ReLU", "Reshape"],
    ),
    "global_maximum": (nn.AdaptiveMaxPool2d(1), ["Pooling"]),
    "concat": (Does(lambda _, x: torch.cat([x, F.relu(x)], 1)), ["ReLU", "Concat"]),
    "reshape": (Does(lambda _, x: F.relu(x.reshape(x.shape[0], 2, 2, -1))), ["Reshape", "ReLU"]),
    "reshape_there_and_back": (Does(lambda _, x: x.reshape(-1, 144).reshape(-1, C, SIZE, SIZE).relu()), ["ReLU"]),
    "dropout": (nn.Sequential(nn.Dropout(), nn.ReLU()), ["ReLU"]),
    "dilated": (nn.Conv2d(C, 2, 3, padding=2, dilation=2), ["Convolution"]),
    "oblong": (nn.Conv2d(C, 2, (3, 1), stride=(2, 1), padding=(1, 0), groups=2), ["Convolution"]),
    "oblong_pool": (nn.AvgPool2d((2, 3), (2, 1), (0, 1), count_include_pad=True), ["Pooling"]),
    "oblong_pool_of_pixels": (nn.AvgPool2d((2, 3), (2, 1), (0, 1), count_include_pad=False), ["Pooling", "Scale"]),
    "pool_beyond_the_image": (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), ["Pooling", "Scale"]),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(144, 5)), ["InnerProduct"]),
    "linear_without_bias": (nn.Sequential(nn.Flatten(), nn.Linear(144, 5, bias=False)), ["InnerProduct"]),
    "linear_not_transposed": (
        Does(lambda b, x: torch.addmm(b.weight, x.mean((2, 3)), b.matrix)),
        ["Pooling", "InnerProduct"],
    ),
    "norm_of_rows": (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144)), ["Flatten", "BatchNorm", "Scale"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operators_by_caffes_rules(name):
    block, expected_kinds = FUNCTIONS[name]
    image = torch.randn(2, C, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 3
    with torch.inference_mode():
        wanted = block.eval()(image).numpy()
    model = convert(block)
    assert kinds(model) == expected_kinds
    output = list(run_caffe("bvlc", model.prototxt, model.caffemodel, image.numpy()).values())[-1]
    assert output.shape == wanted.shape
    np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


REFUSED = {
    "gelu": (nn.GELU(), "Erf '/Erf': expected one of the operators that Caffe has layers for, Add, AveragePool, "),
    "slice": (Does(lambda _, x: x[:, :2]), "Slice '/Slice': expected one of the operators that Caffe has layers for"),
    "clip": (nn.Hardtanh(-1, 1), "Clip '/Clip': expected the bounds 0 and 6, as of ReLU6, found [-1.0, 1.0]."),
    "clip_below": (
        Does(lambda _, x: x.clamp(min=0)),
        "Clip '/Clip': expected the bounds 0 and 6, as of ReLU6, found [0.0, None].",
    ),
    "holes": (
        nn.MaxPool2d(2, 1, dilation=2),
        "MaxPool '/MaxPool': expected windows without holes, found some with dilations.",
    ),
    "row": (
        nn.Conv1d(C, C, 1),
        "expected a form in ONNX, got RuntimeError: Expected 2D (unbatched) or 3D (batched) input to conv1d",
    ),
    "rows": (
        Does(lambda b, x: F.conv1d(x.flatten(2), b.weight[None, :, None])),
        "Conv '/Conv': expected a convolution of images, found weights of 3 axes.",
    ),
    "mean_of_channels": (
        Does(lambda _, x: x.mean(1, keepdim=True)),
        "ReduceMean '/ReduceMean': expected a mean over whole images, found one over the axes [1] of [2, 4, 6, 6].",
    ),
    "vector": (
        Does(lambda b, x: x + b.weight[:, None, None]),
        "Add '/Add': expected constants of a single number, found one of [4, 1, 1].",
    ),
    "quotient": (
        Does(lambda _, x: x / x.sigmoid()),
        "Div '/Div': expected a divisor that is a number, found '/Sigmoid_output_0'.",
    ),
    "zero": (Does(lambda _, x: x / 0), "Div '/Div': expected a divisor that is a number and not 0, found '/Constant"),
    "image_gate": (
        Does(lambda _, x: x * x.mean((1, 2, 3), keepdim=True)),
        "Mul '/Mul': expected equal shapes, or one number for each channel, found [(2, 4, 6, 6), (2, 1, 1, 1)].",
    ),
    "column": (
        Does(lambda _, x: x + F.max_pool2d(x, (6, 1))),
        "Add '/Add': expected equal shapes, or one number for each image or channel, found [2, 4, 1, 6].",
    ),
    "images_mixed": (
        Does(lambda _, x: x.reshape(1, -1, 6, 6).relu()),
        "'/Reshape': expected images to stay apart, found (2, 4, 6, 6) in the shape (1, 8, 6, 6).",
    ),
    "rows_of_pixels": (
        nn.Linear(SIZE, 3, bias=False),
        "MatMul '/MatMul': expected features of each image in one row, found an input of 4 axes.",
    ),
    "factor": (
        Does(lambda b, x: torch.addmm(b.weight, x.mean((2, 3)), b.matrix, beta=2)),
        "Gemm '/Gemm': expected alpha, beta and transA of 1, 1 and 0, found [1.0, 2.0, 0].",
    ),
    "one_bias": (
        Does(lambda b, x: torch.addmm(b.weight[:1].detach(), x.mean((2, 3)), b.matrix)),
        "Gemm '/Gemm': expected a bias for each of 4 outputs, found 1.",
    ),
    "made_weights": (
        Does(lambda _, x: F.conv2d(x, x.reshape(8, 4, 3, 3))),
        "Conv '/Conv': expected weights that are constant, found those of '/Reshape_output_0'.",
    ),
    "constant": (
        Does(lambda _, x: torch.cat([x, torch.ones(2, 1, 6, 6)], 1)),
        "Concat '/Concat': expected an input that depends on the block's, found the constant '",
    ),
    "two_outputs": (Does(lambda _, x: (x, x.relu())), "expected a block that gives one tensor, found 2."),
    "no_input": (Does(lambda b, _: b.weight.relu()), "expected a block that reads one tensor, found 0."),
    "broken": (Does(lambda _, x: x.nope()), "expected a form in ONNX, got AttributeError: 'Tensor' object has no"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_caffe_cannot_express_is_refused_with_the_blocks_name(name):
    block, problem = REFUSED[name]
    with pytest.raises(ProfilingError) as caught:
        convert(block)
    assert str(caught.value).startswith(f"block 0 (block 6px 4->4 s1 k1): {problem}")


def from_onnx(op, *weights, **attributes):
    """Convert a node that PyTorch's exporter does not write, and return what its layers give for an image."""
    names = [f"w{i}" for i in range(len(weights))]
    node = helper.make_node(op, ["x", *names], ["y"], name="/node", **attributes)
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy"]
    values[0] = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, C, SIZE, SIZE])
    constants = [numpy_helper.from_array(weight, name) for name, weight in zip(names, weights, strict=True)]
    graph = helper.make_graph([node], "block", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    block = convert_model(model, DIALECTS["bvlc"], "block 3")
    messages = Messages("bvlc")
    net = messages.net("n")
    shape = [{"dim": [2, C, SIZE, SIZE]}]
    net.layer.add(name="input", type="Input", top=["input"], input_param={"shape": shape})
    for layer in block.layers:
        blobs = [{"data": blob.tobytes(), "shape": {"dim": blob.shape}} for blob in layer.blobs]
        net.layer.add(**layer.head(), **layer.parameters, blobs=blobs)
    image = np.random.default_rng(0).standard_normal((2, C, SIZE, SIZE)).astype(np.float32)
    output = run_caffe("bvlc", text_format.MessageToString(net), net.SerializeToString(), image)[block.output]
    return output, ReferenceEvaluator(model).run(None, {"x": image})[0]


@pytest.mark.parametrize(
    ("op", "weights", "attributes"),
    [
        ("HardSigmoid", (), {}),
        ("HardSigmoid", (), {"alpha": 0.4, "beta": 0.1}),
        ("GlobalMaxPool", (), {}),
        ("LeakyRelu", (), {}),
        ("Softmax", (), {}),
        ("Conv", (np.ones((2, C, 3, 3), np.float32),), {}),
        ("BatchNormalization", tuple(np.arange(1, 5, dtype=np.float32) / k for k in range(1, 5)), {}),
    ],
)
def test_what_a_node_leaves_out_is_onnxs_default(op, weights, attributes):
    output, wanted = from_onnx(op, *weights, **attributes)
    np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"pads": [0, 0, 1, 1]}, "the same padding on opposite sides, found [0, 0, 1, 1]."),
        ({"auto_pad": "SAME_UPPER"}, "a padding in numbers, found SAME_UPPER."),
    ],
)
def test_padding_that_caffe_has_not_is_refused(attributes, problem):
    with pytest.raises(ProfilingError) as caught:
        from_onnx("Conv", np.ones((2, C, 3, 3), np.float32), **attributes)
    assert str(caught.value).startswith(f"block 3: Conv '/node': expected {problem}")


def test_a_norm_in_training_is_refused():
    with pytest.raises(ProfilingError, match="expected a norm in eval mode, found one in training"):
        CaffeNetworks("bvlc", 2).network("net", network(), [nn.BatchNorm2d(C).train()])


def test_a_block_whose_shapes_contradict_each_other_is_refused(monkeypatch):
    image = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, C, SIZE, SIZE])
    larger = helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [1, C, SIZE + 3, SIZE])
    relu = helper.make_node("Relu", ["input"], ["output"], "/Relu")
    model = helper.make_model(helper.make_graph([relu], "block", [image], [larger]))
    monkeypatch.setattr("latpred.hardware.caffe.convert.export_block", lambda *_, **__: model)
    expected = (
        r"^block 0 \(block 6px 4->4 s1 k1\): expected tensors whose shapes ONNX can tell, got .*\. Mend the block"
    )
    with pytest.raises(ProfilingError, match=expected):
        convert(nn.ReLU())


def test_the_refusal_names_the_block_that_is_wrong():
    primitives = (Primitive("conv_1x1", SIZE, C, C), Primitive("gelu_block", SIZE, C, C))
    pair = Network("pair", primitives, ("primitive",) * 2)
    with pytest.raises(ProfilingError, match=r"^block 1 \(gelu_block 6px 4->4 s1 k1\): Erf '/Erf': expected one of"):
        CaffeNetworks("bvlc").network("net", pair, [nn.Conv2d(C, C, 1).eval(), nn.GELU().eval()])


def test_names_that_become_equal_are_told_apart():
    block = nn.Sequential()
    block.add_module("a_b", nn.ReLU())
    block.add_module("a", nn.Sequential())
    block.a.add_module("b", nn.Sigmoid())
    block.a.add_module("b_Sigmoid", nn.Tanh())
    block.add_module("a_b_Sigmoid", nn.Sequential(nn.ReLU()))
    block.add_module("a_b_", nn.Sigmoid())
    (names,) = convert(block).layers
    assert len(set(names)) == 5
    assert "b00_a_b_Sigmoid" in names
    assert names[-1] == "b00_a_b_Sigmoid_2"
