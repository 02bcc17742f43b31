"""Folders of the reference system: read, written, and there and back."""

from __future__ import annotations

from copy import deepcopy
from random import Random

import pytest
import yaml
from measured import append_runs, make_measured, measured_runs, tiny_space
from synthetic import DEVICE, make_run

from latpred.dataset import Dataset
from latpred.dataset.bulk import NetworkColumns
from latpred.dataset.importers import read_awnas, write_dataset
from latpred.errors import ArtefactError, ParseError
from latpred.genprof import assemble
from latpred.primitive import Primitive

SPACE = tiny_space()
STEM = {"prim_type": "conv_3x3", "spatial_size": 32, "C": 3, "C_out": 8, "stride": 2, "affine": True}


def block(size, C, C_out, stride, kernel, expansion, activation, se, **performances):
    """Return a MobileNet block as the reference writes it."""
    fields = {"prim_type": "mobilenet_v3_block", "spatial_size": size, "C": C, "C_out": C_out, "stride": stride}
    fields |= {"affine": True, "kernel_size": kernel, "activation": activation, "use_se": se, "expansion": expansion}
    return fields | ({"performances": performances} if performances else {})


def run_of_six_blocks():
    """Return a run of the architecture of depths 1, 2, 2: its blocks' latencies are 1, 2, .. 6 ms."""
    return {
        "overall_latency": 20.5,
        "block_sum_latency": 21.25,
        "primitives": [
            {"performances": {"latency": 1.0}, **STEM},
            block(16, 8, 8, 1, 3, 1, "relu", False, latency=2.0),
            block(16, 8, 16, 2, 3, 3, "relu", False, latency=3.0),
            block(8, 16, 16, 1, 5, 4, "relu", False, latency=4.0),
            block(8, 16, 24, 2, 3, 4, "h_swish", True, latency=5.0),
            block(4, 24, 24, 1, 3, 4, "h_swish", True, latency=6.0),
        ],
    }


ARCHITECTURE = {"depth": [1, 2, 2], "width": [[1], [3, 4], [4, 4]], "kernel": [[3], [3, 5], [3, 3]], "image_size": 32}


def write(folder, runs):
    """Write runs by their path in `folder`."""
    for name, content in runs.items():
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder


def read(folder, prof=None, *, keep_refused=False):
    return read_awnas(folder, SPACE, DEVICE, prof, keep_refused=keep_refused)


def test_one_folder_is_a_network_and_one_file_a_run(tmp_path):
    slower = run_of_six_blocks() | {"overall_latency": 22.5}
    found = read(write(tmp_path, {"0/10": slower, "0/2": run_of_six_blocks()}))
    (network,) = found.networks
    assert network.architecture == ARCHITECTURE
    assert network == SPACE.network(SPACE.from_json(ARCHITECTURE))
    assert [(run.network, run.latency_ms) for run in found.devices[0].runs] == [(0, 20.5), (0, 22.5)]  # 2 before 10
    run = found.devices[0].runs[0]
    assert run.block_latency_ms == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert run.overhead_ms == pytest.approx(0.25)
    assert found.notes == ["1 networks are architectures of mnasnet_ofa, 0 are assembled"]
    assert [file.name for file in found.files] == ["2.yaml", "10.yaml"]


def test_values_beside_the_fields_files_without_folders_and_old_names(tmp_path):
    content = run_of_six_blocks()
    del content["block_sum_latency"]
    for fields in content["primitives"]:
        fields["latency"] = fields.pop("performances")["latency"]
        fields["spatial_size"] = float(fields["spatial_size"])  # as older versions compute it
        fields["prim_type"] = fields["prim_type"].replace("mobilenet_v3_block", "mbv3_block")
    found = read(write(tmp_path / "my runs", {"net7": content}))
    assert found.devices[0].name == "my-runs"
    assert found.networks[0].architecture == ARCHITECTURE
    assert found.devices[0].runs[0].block_latency_ms == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert found.devices[0].runs[0].overhead_ms is None


def test_energy_stands_beside_latency_and_a_block_may_lack_both(tmp_path):
    content = run_of_six_blocks() | {"overall_energy": 7.5, "overall_memory": 3.25}
    content["primitives"][0]["performances"] = {"latency": "1e-05", "energy": 0.5}  # YAML 1.1 takes 1e-05 for text
    del content["primitives"][1]["performances"]
    run = read(write(tmp_path, {"0/0": content})).devices[0].runs[0]
    assert (run.latency_ms, run.energy_mj, run.memory_mb) == (20.5, 7.5, 3.25)
    assert run.block_latency_ms == (1e-05, None, 3.0, 4.0, 5.0, 6.0)
    assert run.block_energy_mj == (0.5, None, None, None, None, None)


def test_what_is_no_architecture_is_assembled_and_foreign_blocks_are_glue(tmp_path):
    glue = {"prim_type": "conv_1x1", "spatial_size": 16, "C": 8, "C_out": 16, "stride": 2, "affine": True}
    last = block(8, 16, 16, 1, 5, 4, "relu", False, latency=4.0)
    content = {"overall_latency": 9.0, "primitives": [{"performances": {"latency": 1.0}, **STEM}, glue, last]}
    (network,) = read(write(tmp_path, {"0/0": content})).networks
    assert network.assembled
    assert network.roles == ("primitive", "glue", "primitive")
    assert network.primitives[1] == Primitive("conv_1x1", 16, 8, 16, 2, 1)


def test_a_network_with_blocks_in_another_order_needs_its_profiling_network(tmp_path):
    content = run_of_six_blocks()
    stem, first, *rest = content["primitives"]
    write(tmp_path / "runs", {"0/0": content | {"primitives": [*rest, first], "block_sum_latency": None}})
    with pytest.raises(ParseError, match=r"runs/0/0.yaml: expected block 4 to take the 24 channels of the block befor"):
        read(tmp_path / "runs")
    genotypes = [{k: v for k, v in fields.items() if k != "performances"} for fields in (stem, first, *rest)]
    write(tmp_path / "prof" / "prof_nets", {"0": {"final_model_cfg": {"genotypes": genotypes}}})
    found = read(tmp_path / "runs", tmp_path / "prof")
    assert found.networks[0].architecture == ARCHITECTURE
    assert found.devices[0].runs[0].block_latency_ms == (None, 2.0, 3.0, 4.0, 5.0, 6.0)
    write(tmp_path / "runs", {"0/1": content | {"primitives": [*rest, first, rest[1]], "block_sum_latency": None}})
    with pytest.raises(
        ParseError,
        match=r"0/1.yaml: primitives\[5\]: expected the primitive mobilenet_v3_block 8px 16->"
        r"16 s1 k5 .* 1 times, as network 0 has it, found it again",
    ):
        read(tmp_path / "runs", tmp_path / "prof")
    write(tmp_path / "prof" / "prof_nets", {"0": {"final_model_cfg": {}}})
    with pytest.raises(ParseError, match=r"prof_nets/0.yaml: expected a list of primitives in final_model_cfg"):
        read(tmp_path / "runs", tmp_path / "prof")
    with pytest.raises(ParseError, match=r"prof_nets/0.yaml: expected a YAML file, found nothing there"):
        read(tmp_path / "runs", tmp_path / "other")


def changed(path, value):
    """Return the run with the value at `path` replaced; None removes it."""
    content = deepcopy(run_of_six_blocks())
    target = content
    for key in path[:-1]:
        target = target[key]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["overall_latency"], None, "0.yaml: expected overall_latency, found block_sum_latency, primitives"),
        (["overall_latency"], 0, "0.yaml: expected overall_latency to be a number > 0, found 0"),
        (["overall_latency"], "12,5", "expected overall_latency to be a number > 0, found a str"),
        (["overall_latency"], "12%", "expected overall_latency to be a number > 0, found a str"),
        (["overall_latency"], float("nan"), "expected overall_latency to be a number > 0, found nan"),
        (["block_sum_latency"], 20.0, "expected block_sum_latency to be at least the blocks' sum 21, found 20"),
        (["primitives"], [], "0.yaml: primitives: expected a list of mappings, found []"),
        (["primitives"], None, "0.yaml: primitives: expected a list of mappings, found None"),
        (["primitives", 0], "conv", "primitives: expected a list of mappings"),
        (["primitives", 3, "performances"], 4.0, "primitives[3]: expected performances to be a mapping, found 4.0"),
        (
            ["primitives", 3, "performances", "latency"],
            -1,
            "primitives[3] (mobilenet_v3_block 8px 16->16 s1 k5 activatio"
            "n=relu affine=True expansion=4 use_se=False): expected latency to be a number > 0, found -1",
        ),
        (
            ["primitives", 1, "prim_type"],
            "vgg_block",
            "primitives[1]: expected a primitive of the space mnasnet_ofa, foun"
            "d C 8, C_out 8, activation relu, affine True, expansion 1, kernel_size 3, prim_type vgg_block",
        ),
        (
            ["primitives", 1, "activation"],
            "gelu",
            "(expected activation to be one of h_swish, none, relu, relu6",
        ),
        (["primitives", 1, "use_se"], None, "use_se is missing"),
        (["primitives", 1, "C"], None, "(expected a primitive with C, found"),
        (
            ["primitives", 1, "extra"],
            [1],
            "primitives[1]: expected a primitive of names and plain values, found 'extra' = a list",
        ),
        (["primitives", 0, "affine"], False, "expected the arguments none, found also affine"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(path, value, message, tmp_path):
    with pytest.raises(ParseError) as error:
        read(write(tmp_path, {"0/0": changed(path, value)}))
    assert message in str(error.value)
    assert str(tmp_path / "0/0.yaml") in str(error.value)


def test_what_is_no_measurement_can_be_left_out(tmp_path):
    write(tmp_path, {"0/0": run_of_six_blocks(), "0/1": changed(["overall_latency"], 0), "1/0": "[1]"})
    (device,) = read(tmp_path, keep_refused=True).devices
    assert len(device.runs) == 1
    assert "0/1.yaml: expected overall_latency to be a number > 0, found 0" in device.refused[0]
    assert "1/0.yaml: expected a mapping, found list" in device.refused[1]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch {}']", "!!python/name:os.system"])
def test_a_malicious_yaml_is_refused_and_executes_nothing(tag, tmp_path):
    mark = tmp_path / "mark"
    folder = write(tmp_path / "runs", {"0/0": "overall_latency: " + tag.format(mark)})
    with pytest.raises(ParseError, match=r"0.yaml: expected YAML, got: could not determine a constructor"):
        read(folder)
    assert not mark.exists()


def test_yaml_that_multiplies_itself_ends(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    lines += ["overall_latency: 1.0", "primitives: [{prim_type: conv_3x3, C: *a39}]"]
    with pytest.raises(ParseError, match="expected a primitive of names and plain values, found 'C' = a list"):
        read(write(tmp_path, {"0/0": "\n".join(lines)}))


def test_an_empty_folder_and_none(tmp_path):
    with pytest.raises(ParseError, match=r"expected <net>/<run>\.yaml in it, found no such file"):
        read(tmp_path)
    with pytest.raises(ParseError, match="no: expected a folder of parsed runs, found none"):
        read(tmp_path / "no")


def test_there_and_back_gives_the_same_networks_and_values(tmp_path):
    dataset = make_measured(tmp_path / "d", SPACE, networks=6, rounds=2)
    assert dataset.export_awnas(tmp_path / "out") == (2 * (6 + len(assemble(SPACE).networks)), 0)
    found = read(tmp_path / "out")
    write_dataset(tmp_path / "back", found, found.devices[0], NetworkColumns(found.networks), order_is_time=False)
    back = Dataset.open(tmp_path / "back")
    assert back.validate() == []
    before, after = dataset.read(), back.read()
    assert [network.network_id for network in after.networks] == [network.network_id for network in before.networks]
    assert [n.architecture for n in after.networks] == [n.architecture for n in before.networks]
    sampled = [n.roles for n in before.networks if not n.assembled]
    assert [n.roles for n in after.networks if not n.assembled] == sampled

    def runs(read):
        ids = [read.networks[i].network_id for i in read.runs["network"]]
        blocks = [
            tuple(read.block_values[a:b]) for a, b in zip(read.block_offsets, read.block_offsets[1:], strict=False)
        ]
        return sorted(zip(ids, read.runs["round"], read.runs["overall"], blocks, strict=True))

    assert runs(after) == runs(before)


def test_the_export_is_what_the_references_constructors_take(tmp_path):
    network = SPACE.network(SPACE.from_json(ARCHITECTURE))
    run = make_run(network, overall_latency_ms=20.5, overhead_ms=0.25, block_latency_ms=(1.0, 2.0, 3.0, 4.0, 5.0, None))
    dataset = Dataset.create(tmp_path / "d", SPACE.card(), DEVICE)
    failed = make_run(network, sequence=1, status="failed", reason="x", overall_latency_ms=9.0)
    energy = make_run(network, sequence=2, overall_latency_ms=None, overall_energy_mj=3.0, block_latency_ms=None)
    append_runs(dataset, [run, failed, energy])
    assert dataset.export_awnas(tmp_path / "out") == (1, 2)
    (file,) = (tmp_path / "out").glob("*/*.yaml")
    assert (file.parent.name, file.name) == (network.network_id, "0.yaml")
    expected = run_of_six_blocks()
    expected["primitives"][5]["performances"] = {}
    expected["block_sum_latency"] = 15.25
    assert yaml.safe_load(file.read_text()) == expected


def test_an_export_is_whole_or_not_at_all(tmp_path, monkeypatch):
    dataset = make_measured(tmp_path / "d", SPACE, networks=2, rounds=1, assembled=False)
    (tmp_path / "out").mkdir()
    with pytest.raises(ArtefactError, match="out: expected a path where nothing is yet, found something"):
        dataset.export_awnas(tmp_path / "out")
    monkeypatch.setattr("latpred.dataset.export_awnas._run", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(ArtefactError, match="new: expected to write there, got: no room"):
        dataset.export_awnas(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "out"]


def test_every_architecture_of_the_space_is_found_again(tmp_path):
    from latpred.dataset.awnas_primitives import network_of, read_primitive, write_primitive

    rng = Random(0)
    for _ in range(50):
        network = SPACE.network(SPACE.sample(rng))
        written = [write_primitive(primitive) for primitive in network.primitives]
        assert network_of([read_primitive(fields, SPACE, "x") for fields in written], SPACE) == network
    for network in measured_runs(assemble(SPACE).networks, 1):
        written = [write_primitive(primitive) for primitive in network.primitives]
        assert tuple(read_primitive(fields, SPACE, "x") for fields in written) == network.primitives
