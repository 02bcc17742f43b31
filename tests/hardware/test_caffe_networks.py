"""Caffe models give PyTorch's numbers, in OpenCV's reader and by Caffe's own rules."""

import copy
import re
from functools import cache
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
import torch
from caffe_reference import run_caffe
from measured import tiny_space
from torch import nn

from latpred.errors import ProfilingError
from latpred.hardware.caffe import CaffeNetworks, Calibration, Messages
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces import load_space
from latpred.spaces.pool import BlockPool

SPACES = Path(__file__).parents[2] / "configs" / "spaces"
SAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "vendor-samples"
TOLERANCE = 1e-4


@cache
def space(name):
    return tiny_space() if name == "tiny" else load_space(SPACES / f"{name}.yaml")


def drawn(name, seed):
    found = space(name).network(space(name).sample(Random(seed)))
    return found, BlockPool(space(name), seed=0).modules(found)


def one_block(primitive):
    return Network("one", (primitive,), ("primitive",))


def image_for(network, batch=1):
    first = network.primitives[0]
    shape = (batch, first.C, first.spatial_size, first.spatial_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def expected(modules, image):
    with torch.inference_mode():
        return nn.Sequential(*modules)(image).numpy()


def by_opencv(model, image):
    text = np.frombuffer(model.prototxt.encode(), np.uint8)
    net = cv2.dnn.readNetFromCaffe(text, np.frombuffer(model.caffemodel, np.uint8))
    net.setInput(image.numpy(), "data")
    return net.forward()


def by_reference(dialect, model, image):
    return list(run_caffe(dialect, model.prototxt, model.caffemodel, image.numpy()).values())[-1]


def check(output, wanted):
    assert output.shape == wanted.shape
    difference = np.abs(output - wanted).max() / np.abs(wanted).max()
    print(f"largest difference: {difference:.1e} of the largest output")
    assert difference <= TOLERANCE
    assert np.sqrt(np.square(wanted).mean()) > 0.05  # not the 1e-7 of untouched weights, where any tolerance passes


@pytest.mark.parametrize("name", ["mnasnet_ofa_112", "mnasnet_ofa_112_head", "ssd_ofa", "tiny"])
def test_opencv_computes_what_pytorch_computes(name):
    network, modules = drawn(name, seed=0)
    image = image_for(network)
    model = CaffeNetworks("opencv").network("net", network, modules)
    check(by_opencv(model, image), expected(modules, image))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnasnet_ofa_112", "mnasnet_ofa_112_head", "ssd_ofa"])
def test_opencv_computes_what_pytorch_computes_for_many_networks(name):
    pool, networks = BlockPool(space(name), seed=1), CaffeNetworks("opencv")
    for seed in range(1, 9):
        network = space(name).network(space(name).sample(Random(seed)))
        modules, image = pool.modules(network), image_for(network)
        check(by_opencv(networks.network("net", network, modules), image), expected(modules, image))


@pytest.mark.parametrize("dialect", ["bvlc", "opencv", "xilinx"])
def test_every_dialect_computes_it_by_caffes_own_rules(dialect):
    network, modules = drawn("tiny", seed=1)
    image = image_for(network, batch=2)
    model = CaffeNetworks(dialect, 2, Calibration("images.txt")).network("net", network, modules)
    check(by_reference(dialect, model, image), expected(modules, image))


@pytest.mark.parametrize("name", ["mnasnet_ofa_112_head", "ssd_ofa"])
def test_a_primitive_alone(name):
    pool, networks = BlockPool(space(name), seed=0), CaffeNetworks("opencv")
    by_type = {}
    for primitive in sorted(space(name).all_primitives(), key=lambda primitive: (primitive.spatial_size, primitive)):
        kind = (primitive.prim_type, *sorted(primitive.options.items()))
        by_type.setdefault((kind[0], str(kind[2:4]), primitive.stride, primitive.kernel_size), primitive)
    assert len(by_type) >= 10
    for primitive in Random(0).sample(sorted(by_type.values()), 10):
        network, modules = one_block(primitive), [pool.block(primitive)]
        image = image_for(network)
        wanted = expected(modules, image)
        assert np.sqrt(np.square(wanted).mean()) < 3
        check(by_opencv(networks.network("net", network, modules), image), wanted)


@pytest.mark.parametrize(
    ("primitive", "layers"),
    [
        (Primitive("conv_bn_act", 6, 3, 5, 2, 3, '{"activation":"h_swish","affine":false}'), 7),
        (Primitive("conv_bn_act", 6, 3, 5, 1, 3, '{"activation":"relu6","affine":true}'), 4),
        (Primitive("conv_bn_act", 6, 3, 5, 1, 3, '{"activation":"swish","affine":true}'), 5),
        (Primitive("conv_bn_act", 6, 3, 5, 1, 3, '{"activation":"none","affine":true}'), 3),
        (Primitive("conv_1x1", 5, 3, 4, 2, 1), 1),
        (Primitive("linear", 1, 6, 4, kwargs='{"activation":"h_swish"}'), 6),
        (Primitive("linear", 1, 6, 4, kwargs='{"activation":"none"}'), 2),
        (Primitive("global_avg_pool", 6, 3, 3, 6, 6), 1),
        (Primitive("max_pool", 8, 3, 3, 1, 3), 1),
        (Primitive("max_pool", 7, 3, 3, 2, 2), 1),
        (Primitive("max_pool", 7, 3, 3, 2, 3), 1),
        (Primitive("avg_pool", 8, 3, 3, 1, 3), 2),
        (Primitive("avg_pool", 7, 3, 3, 2, 5), 2),
        (Primitive("avg_pool", 7, 3, 3, 2, 2), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("dialect", ["bvlc", "opencv"])
def test_plain_layers(primitive, layers, dialect):
    network, modules = one_block(primitive), [BlockPool(space("tiny"), seed=0).block(primitive)]
    image = image_for(network, batch=2)
    model, wanted = CaffeNetworks(dialect, 2).network("net", network, modules), expected(modules, image)
    assert len(model.layers[0]) == layers
    check(by_reference(dialect, model, image), wanted)
    if dialect == "opencv":
        check(by_opencv(model, image), wanted)


def test_what_a_predictor_adds_to_the_feature_map_is_right_too():
    primitive = next(p for p in sorted(space("ssd_ofa").all_primitives()) if p.prim_type == "ssd_predictor")
    block = BlockPool(space("ssd_ofa"), seed=0).block(primitive)
    image = image_for(one_block(primitive))
    model = CaffeNetworks("bvlc").network("net", one_block(primitive), [block])
    outputs = run_caffe("bvlc", model.prototxt, model.caffemodel, image.numpy())
    with torch.inference_mode():
        scores, boxes = block.predict(image)
    check(outputs["b00_classes_classes_3_Conv"], scores.numpy())
    check(outputs["b00_boxes_boxes_3_Conv"], boxes.numpy())
    mean = float(scores.mean() + boxes.mean())
    np.testing.assert_allclose(outputs["b00_Add"], mean, rtol=1e-4, atol=0)
    np.testing.assert_allclose(outputs["b00_Add_1"] - image.numpy(), mean, rtol=1e-4, atol=0)


def test_a_pixels_depthwise_convolution_is_cropped_where_opencv_reads_beyond_it():
    primitive, block = Primitive("depthwise", 1, 4, 4, 1, 3), nn.Conv2d(4, 4, 3, padding=1, groups=4).eval()
    image = image_for(one_block(primitive))
    kernels = {}
    for dialect in ("opencv", "xilinx"):
        model = CaffeNetworks(dialect).network("net", one_block(primitive), [block])
        kernels[dialect] = list(Messages(dialect).from_text(model.prototxt).layer[1].convolution_param.kernel_size)
        check(by_reference(dialect, model, image), expected([block], image))
    assert kernels == {"opencv": [1], "xilinx": [3]}
    larger = Primitive("depthwise", 2, 4, 4, 1, 3)
    model = CaffeNetworks("opencv").network("net", one_block(larger), [block])
    check(by_opencv(model, image_for(one_block(larger))), expected([block], image_for(one_block(larger))))


def test_norms_are_two_layers_with_their_own_weights():
    block = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2, eps=0.5)).eval()
    with torch.no_grad():
        block[1].running_mean.copy_(torch.tensor([1.0, 2.0]))
        block[1].running_var.copy_(torch.tensor([3.0, 4.0]))
        block[1].weight.copy_(torch.tensor([5.0, 6.0]))
        block[1].bias.copy_(torch.tensor([7.0, 8.0]))
    model = CaffeNetworks("bvlc").network("net", one_block(Primitive("block", 2, 3, 2)), [block])
    _, norm, scale = Messages("bvlc").from_bytes(model.caffemodel).layer
    assert (norm.type, scale.type) == ("BatchNorm", "Scale")
    assert [np.frombuffer(blob.data, "<f4").tolist() for blob in norm.blobs] == [[1, 2], [3, 4], [1]]
    assert [np.frombuffer(blob.data, "<f4").tolist() for blob in scale.blobs] == [[5, 6], [7, 8]]
    text = Messages("bvlc").from_text(model.prototxt).layer
    assert (text[2].batch_norm_param.use_global_stats, text[2].batch_norm_param.eps) == (True, 0.5)
    assert text[3].scale_param.bias_term


def test_layers_tell_their_block_and_compilers_can_make_symbols_of_them():
    network, modules = drawn("tiny", seed=0)
    model = CaffeNetworks("xilinx").network("net", network, modules)
    layers = Messages("xilinx").from_text(model.prototxt).layer
    names = [name for block in model.layers for name in block]
    assert names == [layer.name for layer in layers][1:]
    assert names == [layer.name for layer in Messages("xilinx").from_bytes(model.caffemodel).layer]
    assert len(set(names)) == len(names)
    assert len(model.layers) == len(modules)
    for position, block in enumerate(model.layers):
        assert block
        assert all(re.fullmatch(rf"b{position:02d}_[0-9A-Za-z_]+", name) for name in block)
    assert {"b02_body_expand_Conv", "b02_body_expand_norm_BatchNormalization"} <= set(model.layers[2])


def test_the_same_network_gives_the_same_bytes_and_nothing_of_this_machine():
    network, modules = drawn("tiny", seed=0)
    networks = CaffeNetworks("opencv")
    model = networks.network("net", network, modules)
    assert networks.network("net", network, modules) == model
    assert CaffeNetworks("opencv").network("net", network, modules) == model
    content = model.prototxt.encode() + model.caffemodel
    assert b".py" not in content
    assert str(Path(__file__).parents[2]).encode() not in content


def test_a_block_is_exported_once_and_stays_as_it_is(monkeypatch):
    exported, export = [], torch.onnx.export
    monkeypatch.setattr(
        torch.onnx, "export", lambda module, *rest, **more: [exported.append(module), export(module, *rest, **more)]
    )
    network, modules = drawn("tiny", seed=0)
    before = copy.deepcopy([module.state_dict() for module in modules])
    networks = CaffeNetworks("opencv")
    networks.network("net", network, modules)
    networks.network("net", network, modules)
    assert len(exported) == len(set(network.primitives))
    assert not any(part.training for module in modules for part in module.modules())
    for module, state in zip(modules, before, strict=True):
        for name, value in module.state_dict().items():
            assert torch.equal(value, state[name])


def test_pooling_sizes_are_rounded_down_in_each_dialects_words():
    block, primitive = nn.MaxPool2d(3, 2, 1).eval(), Primitive("max_pool", 8, 3, 3, 2, 3)
    network = one_block(primitive)
    models = {name: CaffeNetworks(name).network("net", network, [block]) for name in ("bvlc", "opencv")}
    assert "round_mode: FLOOR" in models["bvlc"].prototxt
    assert "ceil_mode: false" in models["opencv"].prototxt
    image = image_for(network)
    for name, model in models.items():
        check(by_reference(name, model, image), expected([block], image))
    check(by_opencv(models["opencv"], image), expected([block], image))
    with pytest.raises(ProfilingError) as caught:
        CaffeNetworks("xilinx").network("net", network, [block])
    assert str(caught.value) == (
        f"block 0 ({primitive}): MaxPool '/MaxPool': expected [5, 5] pixels, as this Caffe rounds sizes up, "
        "found [4, 4]. Leave such blocks out of the space, or compile for other hardware."
    )


def test_a_window_behind_the_image_does_not_count():
    # (5 + 2 - 2) / 3 rounds up to 2, so there are 3 windows, but the third begins behind the padded image
    block, network = nn.MaxPool2d(2, 3, 1).eval(), one_block(Primitive("max_pool", 5, 3, 3, 3, 2))
    model = CaffeNetworks("xilinx").network("net", network, [block])
    check(by_reference("xilinx", model, image_for(network)), expected([block], image_for(network)))


def test_models_for_calibration_read_images_where_the_first_block_takes_them():
    network, modules = drawn("tiny", seed=0)
    calibration = Calibration("images.txt", "photos/")
    model = CaffeNetworks("xilinx", 2, calibration).network("net", network, modules)
    images, source = Messages("xilinx").from_text(model.prototxt).layer[:2]
    assert model.calibrated
    assert (images.type, list(images.top), images.include[0].phase) == ("ImageData", ["data", "label"], 0)
    how = images.image_data_param
    found = (how.source, how.root_folder, how.batch_size, how.new_height, how.new_width, how.shuffle)
    assert found == ("images.txt", "photos/", 2, 32, 32, False)
    assert (source.type, list(source.top), source.include[0].phase) == ("Input", ["data"], 1)
    assert list(source.input_param.shape[0].dim) == [2, 3, 32, 32]
    features = one_block(Primitive("conv_1x1", 4, 5, 3))
    block = nn.Conv2d(5, 3, 1).eval()
    for dialect, given, network_, blocks in (
        ("xilinx", calibration, features, [block]),
        ("xilinx", None, network, modules),
        ("bvlc", calibration, network, modules),
    ):
        model = CaffeNetworks(dialect, 2, given).network("net", network_, blocks)
        assert not model.calibrated
        assert "ImageData" not in model.prototxt
        assert "phase" not in model.prototxt


@pytest.mark.parametrize(
    ("dialect", "batch", "message"),
    [
        ("caffe2", 1, "dialect must be one of bvlc, opencv, xilinx, got 'caffe2'"),
        ("bvlc", 0, "batch must be an integer >= 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(dialect, batch, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CaffeNetworks(dialect, batch)


def test_networks_that_do_not_fit_are_refused():
    first, second = Primitive("conv_1x1", 4, 3, 5), Primitive("conv_1x1", 4, 3, 3)
    network = Network("pair", (first, second), ("primitive",) * 2)
    blocks = [nn.Conv2d(3, 5, 1).eval(), nn.Conv2d(3, 3, 1).eval()]
    taken = re.escape("expected an input of (1, 3, 4, 4) as its primitive says, the block before it gives (1, 5, 4, 4)")
    with pytest.raises(ProfilingError, match=r"^block 1 \(conv_1x1 4px 3->3 s1 k1\): " + taken):
        CaffeNetworks("bvlc").network("net", network, blocks)
    with pytest.raises(ProfilingError, match=r"^network net: expected a block for each of 2 primitives, found 1"):
        CaffeNetworks("bvlc").network("net", network, blocks[:1])


def test_a_block_that_does_nothing_has_no_layers():
    primitives = (Primitive("nothing", 4, 3, 3), Primitive("conv_1x1", 4, 3, 3), Primitive("nothing", 4, 3, 3))
    network = Network("idle", primitives, ("primitive",) * 3)
    conv, idle = nn.Conv2d(3, 3, 1).eval(), nn.Identity().eval()
    model = CaffeNetworks("opencv").network("net", network, [idle, conv, idle])
    assert model.layers == ((), ("b01_Conv",), ())
    check(by_opencv(model, image_for(network)), expected([conv], image_for(network)))
    with pytest.raises(ProfilingError, match=r"^network net: expected a layer, found blocks that do nothing"):
        CaffeNetworks("opencv").network("net", one_block(primitives[0]), [idle])


@pytest.mark.shared
@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no shared samples beside this checkout")
def test_reads_a_model_that_others_wrote_as_opencv_reads_it():
    prototxt, caffemodel = (SAMPLES / f"caffe_tiny.{end}" for end in ("prototxt", "caffemodel"))
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    image = np.random.default_rng(0).standard_normal((1, 3, 33, 33)).astype(np.float32)
    net.setInput(image, "data")
    layers = Messages("opencv").from_bytes(caffemodel.read_bytes()).layer
    assert [[list(blob.shape.dim) for blob in layer.blobs] for layer in layers if layer.name == "b1"] == [
        [[8], [8], [1]]
    ]
    assert net.forward().size > 0
