"""The DPU: what is written, which programs run on it, and which block each row of its tables belongs to."""

import json
import re
import subprocess
from pathlib import Path
from random import Random

import pytest
from measured import tiny_space

from latpred.config import read_yaml
from latpred.formats import parse_file
from latpred.genprof import ProfDir
from latpred.hardware import BlockNames, block_times, make_hardware, write_compiled
from latpred.hardware.dpu import Dpu
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces.pool import BlockPool

CONFIG = Path(__file__).parents[2] / "configs" / "hardware" / "dpu.yaml"


@pytest.fixture
def network():
    return tiny_space().network(tiny_space().sample(Random(0)))


@pytest.fixture
def modules(network):
    return BlockPool(tiny_space(), seed=0).modules(network)


@pytest.fixture
def folder(network, tmp_path):
    folder = tmp_path / network.network_id
    folder.mkdir()
    return folder


def tool(tmp_path, name, script):
    """Write a program that stands in for a vendor's."""
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_both_files_and_tells_the_layers_of_each_block(network, modules, folder):
    model = Dpu().compile(network, modules, folder)
    name = network.network_id
    assert names(folder) == [f"{name}.caffemodel", f"{name}.prototxt"]
    text = (folder / f"{name}.prototxt").read_text()
    assert text.startswith(f'name: "{name}"\n')
    assert 'source: "../calibration.txt"' in text
    listed = re.findall(r'^  name: "(.*)"$', text, re.MULTILINE)
    assert listed == ["data", "data", *(layer for block in model.layers for layer in block)]
    assert len(model.layers) == len(network.primitives)
    assert model.notes == ()


def test_the_same_input_gives_the_same_bytes(network, modules, folder, tmp_path):
    Dpu(dialect="opencv").compile(network, modules, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = tmp_path / "again" / network.network_id
    again.mkdir(parents=True)
    Dpu(dialect="opencv").compile(network, BlockPool(tiny_space(), seed=0).modules(network), again)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == before


def test_runs_the_fixed_point_tool_and_then_the_compiler(network, modules, folder, tmp_path):
    fixed = tool(tmp_path, "fix", 'mkdir fixed && cat "$1" "$2" > fixed/deploy')
    compiler = tool(tmp_path, "dnnc", 'test -s fixed/deploy && cp fixed/deploy "$1.elf"')
    dpu = Dpu(fixed_point=[fixed, "{prototxt}", "{caffemodel}"], compiler=[compiler, "net_{name}"])
    assert dpu.compile(network, modules, folder).notes == ()
    name = network.network_id
    both = (folder / f"{name}.prototxt").read_bytes() + (folder / f"{name}.caffemodel").read_bytes()
    assert (folder / f"net_{name}.elf").read_bytes() == both


def test_absent_programs_are_reported_with_what_was_still_produced(network, modules, folder):
    dpu = Dpu(fixed_point=["no_such_fix"], compiler=["no_such_dnnc"])
    (note,) = dpu.compile(network, modules, folder).notes
    assert note == (
        "fixed_point: there is no program 'no_such_fix' on this machine; the Caffe models are written, "
        "compile.sh does the rest where the tools are"
    )
    assert len(names(folder)) == 2


def test_a_failing_compiler_is_reported_with_its_last_words(network, modules, folder, tmp_path):
    fixed = tool(tmp_path, "fix", "echo done > fixed")
    compiler = tool(tmp_path, "dnnc", "echo '[E] kernel 7 is too large' >&2; exit 2")
    (note,) = Dpu(fixed_point=[fixed], compiler=[compiler]).compile(network, modules, folder).notes
    assert note == (
        f"compiler: '{compiler}' failed with 2: [E] kernel 7 is too large; the Caffe models are written, "
        "and what fixed_point made of them, compile.sh does the rest where the tools are"
    )
    assert "fixed" in names(folder)


def test_the_compiler_does_not_run_on_what_the_fixed_point_tool_did_not_write(network, modules, folder, tmp_path):
    fixed = tool(tmp_path, "fix", "exit 1")
    compiler = tool(tmp_path, "dnnc", "echo ran > ran")
    (note,) = Dpu(fixed_point=[fixed], compiler=[compiler]).compile(network, modules, folder).notes
    assert note.startswith(f"fixed_point: '{fixed}' failed with 1: it said nothing; the Caffe models are written, comp")
    assert "ran" not in names(folder)
    (folder / "ran").unlink(missing_ok=True)
    assert Dpu(compiler=[compiler]).compile(network, modules, folder).notes == ()
    assert "ran" in names(folder)


def test_a_first_block_that_takes_no_image_cannot_be_calibrated_and_says_so(tmp_path):
    primitive = Primitive("conv_1x1", 4, 5, 3)
    network = Network("one", (primitive,), ("primitive",))
    folder = tmp_path / "0123456789abcdef"
    folder.mkdir()
    modules = BlockPool(tiny_space(), seed=0).modules(network)
    assert Dpu().compile(network, modules, folder).notes == (
        "0123456789abcdef: no layer 'data' that reads images to calibrate with, as its first block takes 5 channels",
    )


def test_the_script_does_the_same_where_the_tools_are(network, modules, folder, tmp_path):
    fixed = tool(tmp_path, "fix", 'cp "$1" fixed')
    compiler = tool(tmp_path, "dnnc", 'cp fixed "$1.elf"')
    dpu = Dpu(fixed_point=[fixed, "{prototxt}"], compiler=[compiler, "net {name}"])
    dpu.compile(network, modules, folder)
    for made in ("fixed", f"net {network.network_id}.elf"):
        (folder / made).unlink()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.prototxt").mkdir()  # which `cp` refuses
    (script,) = dpu.files().values()
    assert list(dpu.files()) == ["compile.sh"]
    (tmp_path / "compile.sh").write_text(script)
    done = subprocess.run(
        ["/bin/sh", str(tmp_path / "compile.sh")], capture_output=True, text=True, cwd="/", check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "broken: failed")
    assert (folder / f"net {network.network_id}.elf").read_bytes() == next(folder.glob("*.prototxt")).read_bytes()
    assert Dpu().files() == {}
    assert "sh compile.sh" in dpu.commands()
    assert "no commands\n   are configured" in Dpu().commands()


def test_parameters_make_the_same_hardware():
    dpu = Dpu("bvlc", 2, ["a", "{name}"], ["b"], 5, "images.txt", "photos/")
    assert Dpu(**dpu.parameters).parameters == dpu.parameters
    assert dpu.parameters == {
        "dialect": "bvlc",
        "batch": 2,
        "fixed_point": ["a", "{name}"],
        "compiler": ["b"],
        "timeout_s": 5,
        "calibration_list": "images.txt",
        "calibration_folder": "photos/",
    }
    assert dpu.device_facts() == {"layout": "nchw", "precision": "int8", "batch": 2, "threads": 1}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dialect": "caffe2"}, "dialect must be one of bvlc, opencv, xilinx, got 'caffe2'"),
        ({"batch": 0}, "batch must be an integer >= 1, got 0"),
        ({"batch": True}, "batch must be an integer >= 1, got True"),
        ({"timeout_s": 0}, "timeout_s must be above 0, got 0"),
        ({"fixed_point": "vai_q"}, "fixed_point must be a list of a program and its arguments, got 'vai_q'"),
        ({"compiler": ["c", "{net}"]}, "compiler may have {name}, {prototxt}, {caffemodel} in it, got {net}"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Dpu(**parameters)


def test_the_shipped_configuration_compiles_a_profiling_set_without_the_tools(network, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    config = make_hardware("dpu", CONFIG)
    assert config.hardware.parameters == read_yaml(CONFIG)["parameters"]
    report = write_compiled(tmp_path / "0-dpu", ProfDir(tiny_space(), (network,), ()), config)
    assert (report.networks, report.primitives, report.failed) == (1, 0, ())
    (note,) = report.notes
    assert note.startswith("fixed_point: there is no program 'vai_q_caffe' on this machine; the Caffe models are")
    assert names(tmp_path / "0-dpu") == sorted(
        [network.network_id, "README.md", "compile.sh", "hardware.yaml", "prim_to_ops.json"]
    )
    script = (tmp_path / "0-dpu" / "compile.sh").read_text()
    assert 'vai_q_caffe quantize -model "$name".prototxt -weights "$name".caffemodel -output_dir fixed' in script
    assert "--net_name net_\"$name\" --options '{'\"'\"'mode'\"'\"': '\"'\"'debug'\"'\"'}'" in script
    blocks = json.loads((tmp_path / "0-dpu" / "prim_to_ops.json").read_text())["networks"][network.network_id]
    assert blocks[0]["layers"] == ["b00_Conv"]
    assert len(blocks) == len(network.primitives)


def test_rows_of_the_profile_find_their_blocks(network, modules, folder):
    model = Dpu().compile(network, modules, folder)
    convs = [name for block in model.layers for name in block if name.endswith("_Conv")]
    rows = [
        f"{i + 1:4d} {name:>30} {1.0:13.3f} {0.1:7.2f} {(i + 1) / 1000:11.3f} {1.0:10.1f} {1.0:11.1f}% {1.0:7.1f}"
        for i, name in enumerate(convs)
    ]
    total = sum(range(1, len(convs) + 1)) / 1000
    header = "  ID                       NodeName Workload(MOP) Mem(MB) RunTime(ms) Perf(GOPS) Utilization    MB/S"
    last = f"{'All':>35} {len(convs):13.3f} {1.0:7.2f} {total:11.3f} {1.0:10.1f} {1.0:11.1f}% {1.0:7.1f}"
    table = [
        f'[DNNDK] Performance profile - DPU Kernel "net_{network.network_id}" DPU Task "net-0"',
        "=" * 101,
        header,
        *rows,
        "",
        "                Total Nodes In Avg:",
        last,
        "=" * 101,
        "",
    ]
    file = folder / "profile.txt"
    file.write_text("\n".join(table))
    profile = parse_file(file)
    times = block_times(profile.layers, BlockNames(model.layers), Dpu(), len(model.layers), in_order=True)
    wanted = [sum(i + 1 for i, name in enumerate(convs) if name in block) / 1000 for block in model.layers]
    assert times.blocks == pytest.approx(wanted)
    assert min(times.blocks) > 0
    assert (times.by_position, times.overhead) == (0.0, {})
