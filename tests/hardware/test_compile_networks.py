"""Compiling: the same networks for every hardware, the same bytes each time, and a map that can be read back."""

import filecmp
import json
import shutil
import subprocess
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from offline import Once, make_compiled, make_prof
from torch import nn

from latpred.config import read_yaml
from latpred.errors import ConfigError, ProfilingError, UsageError
from latpred.hardware import (
    CompiledModel,
    Hardware,
    find_compiled,
    hardware_names,
    known_facts,
    make_hardware,
    next_folder,
    primitive_id,
    read_compiled,
    write_compiled,
)
from latpred.hardware.compiled import MAP
from latpred.hardware.onnx_files import layers_of
from latpred.hardware.registry import HardwareConfig
from latpred.shipped import shipped_config, shipped_names
from latpred.spaces.pool import BlockPool

ONNX = ("onnx", "onnxruntime", "openvino", "tensorrt", "tflite")
SCRIPTED = ONNX[1:]


def same(left, right):
    """Whether two folders hold the same bytes under the same names."""
    found = filecmp.dircmp(left, right)
    if found.left_only or found.right_only or found.funny_files:
        return False
    _, differing, errors = filecmp.cmpfiles(left, right, found.common_files, shallow=False)
    return not differing and not errors and all(same(left / name, right / name) for name in found.common_dirs)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return Once(tmp_path_factory.mktemp("once"))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", hardware_names())
def test_every_hardware_gives_the_same_bytes_twice_and_is_read_back(tmp_path, name):
    prof, compiled, folder = make_compiled(tmp_path, name)
    again = tmp_path / "again"
    write_compiled(again, prof, make_hardware(name))
    assert same(folder, again)
    assert compiled.networks.keys() == {network.network_id for network in prof.networks}
    assert compiled.config.hardware.parameters == make_hardware(name).hardware.parameters
    for network_id in compiled.networks:
        assert list((folder / network_id).glob(f"{network_id}.*"))
    for script in folder.glob("*.sh"):
        subprocess.run(["/bin/sh", "-n", script], check=True)
    assert name not in SCRIPTED or (folder / "run.sh").exists()
    readme = (folder / "README.md").read_text()
    assert f"--hardware {name} --prof PROF_DIR" in readme
    for path in (tmp_path, "latpred-"):
        assert str(path) not in readme


def test_every_hardware_has_a_configuration():
    assert shipped_names("hardware") == hardware_names()


@pytest.mark.parametrize("name", ONNX)
def test_the_shipped_configurations_say_all_that_can_be_set_as_it_is_without_one(name):
    file = shipped_config("hardware", name)
    assert make_hardware(name, file).hardware.parameters == read_yaml(file)["parameters"]
    assert make_hardware(name).hardware.parameters == read_yaml(file)["parameters"]


def test_the_models_are_onnx_and_compute_what_pytorch_does(once, tmp_path):
    prof, folder = once.prof, once.copy(tmp_path)
    (network,) = prof.networks
    file = folder / network.network_id / f"{network.network_id}.onnx"
    onnx.checker.check_model(onnx.load(file), full_check=True)
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    output = onnxruntime.InferenceSession(str(file)).run(None, {"image": image.numpy()})[0]
    with torch.inference_mode():
        expected = nn.Sequential(*BlockPool(prof.space, 0).modules(network))(image).numpy()
    assert np.abs(output - expected).max() < 1e-4 * np.abs(expected).max()
    assert 0.1 < np.sqrt((expected**2).mean()) < 10  # a network that answers 0 would pass as well


def test_the_map_names_every_node_of_each_block(once, tmp_path):
    prof, compiled, folder = once.prof, once.compiled, once.copy(tmp_path)
    (network,) = prof.networks
    model = onnx.load(folder / network.network_id / f"{network.network_id}.onnx")
    _, layers = compiled.networks[network.network_id]
    names = [name for block in layers for name in block]
    assert set(names) == {node.name for node in model.graph.node if node.op_type != "Identity"} | {"output"}
    assert layers[0][0] == "b00/Conv"
    assert layers[-1][-1] == "output"
    assert all(name.startswith(f"b{i:02d}/") for i, block in enumerate(layers) for name in block if name != "output")


def test_the_output_is_of_the_last_block_that_computes_something():
    nodes = [("Conv", "b00/Conv"), ("Relu", "b00/Relu"), ("Add", "b01/Add"), ("Identity", "b02/Identity")]
    graph = onnx.GraphProto(node=[onnx.NodeProto(op_type=kind, name=name) for kind, name in nodes])
    assert layers_of(graph, 3) == (("b00/Conv", "b00/Relu"), ("b01/Add", "output"), ())


def test_only_tensorrt_measures_each_distinct_primitive_alone(tmp_path):
    prof, compiled, folder = make_compiled(tmp_path, "tensorrt")
    distinct = {primitive for network in prof.networks for primitive in network.primitives}
    assert compiled.primitives.keys() == {primitive_id(primitive) for primitive in distinct}
    for name, (primitive, layers) in compiled.primitives.items():
        model = onnx.load(folder / name / f"{name}.onnx")
        assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:] == [
            primitive.C,
            primitive.spatial_size,
            primitive.spatial_size,
        ]
        assert len(layers) == 1
    assert make_compiled(tmp_path / "other", "openvino")[1].primitives == {}


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("tensorrt", {"precision": "float16", "duration_s": 7}, ["--fp16", "--duration=7", "--separateProfileRun"]),
        ("tensorrt", {}, ["--exportTimes=", "--exportProfile=", "--exportLayerInfo=", "--profilingVerbosity=detailed"]),
        ("openvino", {"precision": "bfloat16"}, ["-infer_precision bf16", "-report_type detailed_counters", "-pc"]),
        ("openvino", {"plugin": "GPU", "iterations": 9}, ["-d GPU -hint none -nstreams 1 -infer", "-niter 9"]),
        ("openvino", {"threads": 2}, ["-nthreads 2", "-infer_precision f32"]),
        ("onnxruntime", {"passes": 7, "threads": 3}, ["onnxruntime_perf_test", "-r 7", "-x 3"]),
        ("tflite", {"converter": "conv {onnx} -o {tflite}"}, ['conv "$model" -o "$tflite"', "--use_xnnpack=true"]),
        ("tflite", {"threads": 4, "xnnpack": False}, ["--num_threads=4", "--use_xnnpack=false"]),
    ],
)
def test_parameters_reach_the_script(tmp_path, name, parameters, words):
    file = tmp_path / "h.yaml"
    file.write_text(json.dumps({"hardware": name, "parameters": parameters}))
    hardware = make_hardware(name, file).hardware
    for word in words:
        assert word in hardware.script()
    assert {**hardware.parameters, **parameters} == hardware.parameters


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("tensorrt", {"precision": "fp16"}, "precision must be one of float32, float16, int8, best, got 'fp16'"),
        ("tensorrt", {"batch": 0}, "batch must be an integer >= 1, got 0"),
        ("tensorrt", {"duration_s": 0}, "duration_s must be an integer >= 1, got 0"),
        ("openvino", {"plugin": "cpu"}, "plugin must be one of CPU, GPU, NPU, got 'cpu'"),
        ("openvino", {"precision": "int8"}, "precision must be one of float32, bfloat16, float16, got 'int8'"),
        ("openvino", {"iterations": 0}, "iterations must be an integer >= 1, got 0"),
        ("onnxruntime", {"passes": 1}, "passes must be an integer >= 2, got 1"),
        ("onnxruntime", {"thread": 1}, "unknown key 'thread', .* Perhaps 'threads' was meant"),
        ("tflite", {"precision": "fp16"}, "precision must be one of float32, float16, int8, got 'fp16'"),
        ("onnx", {"runtime": " "}, "runtime must be a name, got ' '"),
        ("tflite", {"converter": "convert {onnx}"}, "converter must hold {onnx} and {tflite}"),
        ("tflite", {"converter": "a {onnx} {tflite}\nb"}, "converter must be one line"),
    ],
)
def test_parameters_that_cannot_be_are_named(tmp_path, name, parameters, message):
    file = tmp_path / "h.yaml"
    file.write_text(json.dumps({"hardware": name, "parameters": parameters}))
    with pytest.raises(ConfigError, match=f"h.yaml: parameters: {message}"):
        make_hardware(name, file)


def test_what_the_tool_is_and_whether_primitives_are_compiled_is_said_for_plain_onnx(tmp_path):
    file = tmp_path / "h.yaml"
    file.write_text("hardware: onnx\nparameters: {runtime: snpe, precision: int8, primitives: true}\n")
    prof, config = make_prof(tmp_path / "prof", networks=1), make_hardware("onnx", file)
    report = write_compiled(tmp_path / "out", prof, config)
    assert (report.networks, report.primitives) == (1, len(set(prof.networks[0].primitives)))
    facts = known_facts(read_compiled(tmp_path / "out", prof), tmp_path, None)
    assert facts.missing() == ["hardware", "runtime_version"]
    assert (facts.known["runtime"].value, facts.known["precision"].value) == ("snpe", "int8")


def test_nothing_is_overwritten_and_numbers_count_on(once, tmp_path):
    prof, folder = once.prof, once.copy(tmp_path)
    before = sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    with pytest.raises(UsageError, match=r"0-onnxruntime: expected nothing there yet, found something"):
        write_compiled(folder, prof, make_hardware("onnxruntime"))
    assert sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file()) == before
    assert next_folder(tmp_path / "prof", "tensorrt").name == "1-tensorrt"
    shutil.copytree(folder, folder.with_name("7-onnxruntime"))
    assert next_folder(tmp_path / "prof", "tensorrt").name == "8-tensorrt"
    assert find_compiled(tmp_path / "prof", "onnxruntime").name == "7-onnxruntime"
    assert find_compiled(tmp_path / "prof", "0-onnxruntime") == folder
    assert find_compiled(tmp_path / "elsewhere", str(folder)) == folder
    assert names_in(folder.parent) == ["0-onnxruntime", "7-onnxruntime"]  # no drafts


def test_what_was_never_compiled_is_named(once, tmp_path):
    once.copy(tmp_path)
    with pytest.raises(
        UsageError, match=r"expected a folder compiled for 'tensorrt', found 0-onnxruntime\. Run `latpred"
    ):
        find_compiled(tmp_path / "prof", "tensorrt")
    with pytest.raises(UsageError, match="expected a folder compiled for 'x', found none"):
        find_compiled(tmp_path, "x")


class Picky(Hardware):
    """Refuses networks with more than `most` blocks, or whose map is wrong."""

    name, runtime, formats = "picky", "picky", ("csv",)

    def __init__(self, most=4, names=("a", "b"), files=()):
        self.most, self.names, self.own = most, names, dict(files)

    parameters = property(lambda self: {"most": self.most})

    def compile(self, network, modules, folder):
        (folder / "x").write_text("half")
        if len(network.primitives) > self.most:
            raise ProfilingError(f"block {self.most} ({network.primitives[self.most]})", "expected fewer", "Mend it")
        return CompiledModel(tuple((f"{name}{i}",) for i, name in enumerate(self.names)), ("a command is absent",))

    def commands(self):
        return ""

    def files(self):
        return self.own


def test_a_network_that_the_device_cannot_express_is_left_out_with_its_block(tmp_path):
    prof = make_prof(tmp_path / "prof", networks=8)
    sizes = {network.network_id: len(network.primitives) for network in prof.networks}
    assert set(sizes.values()) == {5, 6}
    names = tuple("abcde")
    report = write_compiled(tmp_path / "out", prof, HardwareConfig(Picky(most=5, names=names)))
    small = sorted(network_id for network_id, size in sizes.items() if size == 5)
    assert report.networks == len(small)
    assert sorted(network_id for network_id, _ in report.failed) == sorted(sizes.keys() - set(small))
    assert report.failed[0][1].startswith("block 5 (mobilenet_v3_block ")
    assert report.notes == ("a command is absent",)
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == small
    assert sorted(json.loads((tmp_path / "out" / MAP).read_text())["networks"]) == small


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        (Picky(most=1), r"hardware picky: expected to compile 2 networks, none could be: block 1 \("),
        (Picky(most=9, names="a"), "none could be: picky, .* expected the layers of . blocks, each name once, found"),
        (Picky(most=9, names="abcde", files=[("../x", "")]), r"expected names of files, found '\.\./x'"),
    ],
)
def test_a_hardware_that_is_wrong_writes_nothing(tmp_path, hardware, message):
    prof = make_prof(tmp_path / "prof", networks=2)
    with pytest.raises(UsageError, match=message):
        write_compiled(tmp_path / "out", prof, HardwareConfig(hardware))
    assert names_in(tmp_path) == ["prof"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema_version=2), "expected the schema version 1, found 2. Read it with the latpred"),
        (
            lambda m: m.update(hardware="dpu"),
            "expected the map of 'onnxruntime' and the space 'mnasnet_ofa', found one",
        ),
        (lambda m: m.update(space="other"), "found one of 'onnxruntime' and 'other'"),
        (lambda m: m.update(networks=[]), "expected networks to be a mapping"),
        (lambda m: m.pop("space"), "expected the key 'space'"),
        (
            lambda m: m["networks"].update({"../../etc": m["networks"].popitem()[1]}),
            r"expected networks and primitives of this profiling set, found '\.\./\.\./etc'",
        ),
        (lambda m: m["networks"].update(deadbeefdeadbeef=[]), "found 'deadbeefdeadbeef'. Give the PROF_DIR"),
        (lambda m: next(iter(m["networks"].values())).pop(), "expected the blocks of the network in the profiling set"),
        (lambda m: next(iter(m["networks"].values()))[0].update(layers="b00"), "expected a list of layers' names"),
        (lambda m: next(iter(m["networks"].values()))[0].update(layers=[3]), "expected a list of layers' names"),
        (
            lambda m: next(iter(m["networks"].values()))[0].update(layers=["output"]),
            "expected each layer in one block, found one in two",
        ),
    ],
)
def test_a_map_that_is_not_of_these_networks_is_refused(once, tmp_path, change, message):
    prof, folder = once.prof, once.copy(tmp_path)
    content = json.loads((folder / MAP).read_text())
    change(content)
    (folder / MAP).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message):
        read_compiled(folder, prof)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000])
def test_a_map_that_is_no_json_is_refused(once, tmp_path, text):
    prof, folder = once.prof, once.copy(tmp_path)
    (folder / MAP).write_text(text)
    with pytest.raises(
        ConfigError, match=r"prim_to_ops\.json: expected (the map of a compiled folder, got|a mapping, found list)"
    ):
        read_compiled(folder, prof)
    (folder / MAP).unlink()
    with pytest.raises(ConfigError, match=r"prim_to_ops\.json: expected the map of a compiled folder, found none"):
        read_compiled(folder, prof)


def test_a_configuration_that_would_execute_something_is_data(once, tmp_path):
    prof, folder = once.prof, once.copy(tmp_path)
    made = tmp_path / "made"
    (folder / "hardware.yaml").write_text(f"hardware: !!python/object/apply:os.mkdir ['{made}']\n")
    with pytest.raises(ConfigError, match=r"hardware\.yaml: expected YAML"):
        read_compiled(folder, prof)
    assert not made.exists()


def test_compiling_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_compiled(tmp_path, "tensorrt", networks=1)
