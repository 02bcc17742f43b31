"""Objectives from YAML."""

import shutil
from random import Random

import pytest
import yaml
from fitting import fit
from measured import make_measured, network_latency_ms, tiny_space
from synthetic import DEVICE

import latpred
from latpred.errors import CardError, ConfigError
from latpred.export import export
from latpred.models import TablePredictor
from latpred.search import AccuracyObjective, HardwareObjective, MnasnetObjective, load_objective
from latpred.shipped import configs_folder, shipped_config
from latpred.spaces import space_yaml

MNASNET = {"objective": "mnasnet", "parameters": {"target_ms": 0.9, "alpha": 0, "beta": -1}}


def hardware(**parameters):
    return {"objective": "hardware", "parameters": {"estimators": {"latency_ms": "cpu.onnx"}} | parameters}


def container(*subs, **parameters):
    coefs = {"losses_coef": [0] * len(subs), "rewards_coef": [0] * (len(subs) - 1) + [1]}
    return {"objective": "container", "parameters": {"sub_objectives": list(subs)} | coefs | parameters}


@pytest.fixture
def write(exports):
    """Write a YAML beside the exports, and return its path; only the last one is there."""

    def write_(content):
        path = exports / "objective.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write_


def test_a_container_gives_the_reward_of_its_parts(write, architectures):
    path = write(container({"objective": "accuracy"}, hardware(), MNASNET))
    objective = load_objective(path, accuracy=lambda _: 0.6)
    assert [type(part) for part in objective.sub_objectives] == [AccuracyObjective, HardwareObjective, MnasnetObjective]
    latencies = [network_latency_ms(tiny_space().network(architecture)) for architecture in architectures]
    assert max(latencies) > 0.9
    expected = [0.6 * min(1, 0.9 / latency_ms) for latency_ms in latencies]
    assert objective.fitness(architectures) == pytest.approx(expected, rel=1e-5)


def test_one_objective_alone(write, architectures):
    assert list(load_objective(write(hardware())).perfs(architectures)) == ["latency_ms"]
    named = {"objective": "accuracy", "parameters": {"name": "top1"}}
    assert load_objective(write(named), accuracy=lambda _: 0.6).perf_names == ("top1",)


def test_space_and_device_are_checked(write, exports):
    (exports / "space.yaml").write_text(space_yaml(tiny_space()))
    objective = load_objective(write(hardware(space="space.yaml", device=DEVICE.to_dict())))
    assert (objective.space, objective.device) == (tiny_space().card(), DEVICE)
    other = shipped_config("spaces", "mnasnet_ofa_112")
    shutil.copy(other, exports / "other.yaml")
    with pytest.raises(CardError, match=r"latency_ms \(.*cpu\.onnx\): expected .* asked space, found another"):
        load_objective(write(hardware(space="other.yaml")))
    with pytest.raises(CardError, match=r"estimator of the device 'Test CPU 2, .*', found one of 'Test CPU,"):
        load_objective(write(hardware(device=DEVICE.to_dict() | {"hardware": "Test CPU 2"})))
    (exports / "device.yaml").write_text("device: {hardware: This One}\n")
    with pytest.raises(CardError, match=r"expected an estimator of the device 'This One, torch .*', found one of"):
        load_objective(write(hardware(device="device.yaml")))


def test_a_program_is_loaded_only_when_trusted(write, architectures):
    path = write(hardware(estimators={"latency_ms": "cpu.ts"}))
    with pytest.raises(
        ConfigError, match=r"latency_ms: expected an \.onnx, found .*cpu\.ts, which is a program\. Pass"
    ):
        load_objective(path)
    by_onnx = load_objective(write(hardware())).perfs(architectures)["latency_ms"]
    path = write(hardware(estimators={"latency_ms": "cpu.ts"}))
    assert load_objective(path, trust=True).perfs(architectures)["latency_ms"] == pytest.approx(by_onnx, rel=1e-5)


TWO = [{"objective": "accuracy"}, hardware()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"objectiv": "hardware"}, r"objective\.yaml: unknown key 'objectiv', .* Perhaps 'objective' was meant"),
        ({"objective": "hardwear"}, r"one of the objectives accuracy, container, hardware, mnasnet, found 'hardwear'"),
        ({"objective": ["hardware"]}, r"one of the objectives .*, found \['hardware'\]"),
        ({"objective": "latpred.cli.main"}, r"one of the objectives .*, found 'latpred\.cli\.main'"),
        ({"objective": "hardware", "parameters": 3}, r"yaml: hardware: expected a mapping, found int"),
        (hardware(estimator="x"), r"hardware: unknown key 'estimator', .* Perhaps 'estimators' was meant"),
        (hardware(estimators=["cpu.onnx"]), r"hardware: estimators: expected a mapping, found list"),
        (hardware(estimators={}), r"hardware: estimators: expected at least one estimator, found none"),
        (hardware(estimators={"latency_ms": 3}), r"estimators\.latency_ms: expected the path of a file, found 3"),
        (hardware(estimators={"speed": "cpu.onnx"}), r"yaml: hardware: estimators: expected a name .*, found 'speed'"),
        (hardware(device={"hardwear": "x"}), r"hardware: device: unknown key 'hardwear'"),
        (hardware(space=None), r"hardware: space: expected the path of a file, found None"),
        ({"objective": "accuracy", "parameters": {"nam": "x"}}, r"accuracy: unknown key 'nam', .* Perhaps 'name'"),
        ({"objective": "accuracy", "parameters": {"name": 1}}, r"accuracy: expected name to be a text, found 1"),
        (MNASNET | {"parameters": {"target": 1}}, r"mnasnet: unknown key 'target', .* Perhaps 'target_ms' was meant"),
        (MNASNET | {"parameters": {"target_ms": 0}}, r"mnasnet: target_ms: expected a latency > 0 ms, found 0"),
        (MNASNET | {"parameters": {"target_ms": "x"}}, r"mnasnet: expected target_ms to be float, found 'x'"),
        (container(*TWO, losses=[]), r"container: unknown key 'losses', .* Perhaps 'losses_coef' was meant"),
        (container(*TWO, losses_coef=[1]), r"yaml: container: losses_coef: expected 2 coefficients, .*, found 1\."),
        (container(*TWO, rewards_coef=None), r"container: rewards_coef: expected a list of numbers, found None"),
        (container(*TWO, sub_objectives={}), r"container: expected sub_objectives to be a list, found dict"),
        (
            container(*TWO, MNASNET | {"parameters": {}}),
            r"sub_objectives\[2\]: mnasnet: expected the key 't",
        ),
        (container(*TWO, {"objective": "container"}), r"sub_objectives\[2\]: expected .* found 'container'"),
        (container(*TWO, 7), r"container: sub_objectives\[2\]: expected a mapping, found int"),
        (container(*TWO, TWO[0]), r"container: sub_objectives: expected each performance once, found accuracy"),
        ("objective: &a [*a]", r"one of the objectives"),
        ("- objective", r"objective\.yaml: expected a mapping, found list"),
    ],
)
def test_mistakes_are_named(write, content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_objective(write(content), accuracy=lambda _: 0.6)
    assert str(caught.value).count("\n") == 0


def test_the_accuracy_function_and_its_objective_belong_together(write):
    with pytest.raises(ConfigError, match=r"accuracy: expected a function for the accuracy, found none\. Pass it"):
        load_objective(write({"objective": "accuracy"}))
    with pytest.raises(ConfigError, match=r"expected an objective 'accuracy' for the function .*, found none"):
        load_objective(write(hardware()), accuracy=lambda _: 0.6)


@pytest.mark.slow
def test_the_shipped_file_works(tmp_path):
    """Its paths are those of a checkout: the space in ../spaces, and an export beside it."""
    shutil.copytree(configs_folder(), tmp_path / "configs")
    space = latpred.load_space(tmp_path / "configs/spaces/mnasnet_ofa_112.yaml")
    make_measured(tmp_path / "data", space, networks=12, rounds=1, noise=0)
    predictor = fit(TablePredictor(), tmp_path / "data")
    export(predictor.net, predictor.fitted_card, tmp_path / "configs/search/table.onnx", ["onnx"])
    objective = load_objective(tmp_path / "configs/search/hardware_obj.yaml", accuracy=lambda _: 0.75)
    architecture = space.sample(Random(0))
    latency_ms = network_latency_ms(space.network(architecture))
    perfs = objective.perfs([architecture])
    assert {name: column.tolist() for name, column in perfs.items()} == {
        "accuracy": [0.75],
        "latency_ms": [pytest.approx(latency_ms, rel=1e-5)],
    }
    assert objective.reward(perfs) == pytest.approx([0.75 * (latency_ms / 10) ** -0.07], rel=1e-5)
    assert objective.loss(perfs) == pytest.approx([0.25])
