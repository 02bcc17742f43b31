"""`latpred compile`, `latpred genprof --compile`, and hardware of somebody else's."""

import subprocess
import sys

import pytest
from cli_paths import ROOT
from measured import tiny_space
from offline import make_prof

from latpred.cli import main
from latpred.errors import ConfigError
from latpred.hardware import hardware_names, make_hardware
from latpred.spaces import space_yaml

EXAMPLE = ROOT / "examples/new_hardware.py"


@pytest.fixture
def space(tmp_path):
    (tmp_path / "space.yaml").write_text(space_yaml(tiny_space()))
    return str(tmp_path / "space.yaml")


@pytest.mark.slow
def test_genprof_compiles_too(space, tmp_path, capsys):
    command = ["genprof", space, "--out", f"{tmp_path}/prof", "--num-sample", "2", "--seed", "0"]
    assert main([*command, "--compile", "tensorrt,onnxruntime"]) == 0
    out = capsys.readouterr().out
    assert "2 networks and " in out
    assert f"wrote {tmp_path}/prof/hardwares/1-onnxruntime" in out
    assert sorted(path.name for path in (tmp_path / "prof/hardwares").iterdir()) == ["0-tensorrt", "1-onnxruntime"]


def test_genprof_writes_nothing_for_a_hardware_that_is_not_there(space, tmp_path, capsys):
    assert main(["genprof", space, "--out", f"{tmp_path}/prof", "--compile", "tensorrt,tpu"]) == 2
    assert "hardware: expected one of the hardware dpu, onnx, onnxruntime, " in capsys.readouterr().err
    assert not (tmp_path / "prof").exists()


def test_compile_with_a_configuration_and_a_folder(tmp_path, capsys):
    make_prof(tmp_path / "prof", networks=1)
    (tmp_path / "fast.yaml").write_text(
        "hardware: tensorrt\nparameters: {precision: float16}\ndevice: {hardware: Orin}\n"
    )
    command = ["compile", f"{tmp_path}/prof", "--hardware", "tensorrt", "--config", f"{tmp_path}/fast.yaml"]
    assert main([*command, "--out", f"{tmp_path}/usb"]) == 0
    out = capsys.readouterr().out
    assert "1 networks and 5 primitives for tensorrt, " in out
    assert f"latpred parse RESULTS --hardware {tmp_path}/usb --prof {tmp_path}/prof --dataset DATASET" in out
    assert "--fp16" in (tmp_path / "usb/run.sh").read_text()
    assert "device: {hardware: Orin}" in (tmp_path / "usb/hardware.yaml").read_text()
    assert not (tmp_path / "prof/hardwares").exists()
    assert main([*command, "--out", f"{tmp_path}/usb"]) == 2
    assert "usb: expected nothing there yet, found something" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hardware: openvino\n", "x.yaml: expected a configuration of tensorrt, found one of 'openvino'"),
        ("hardware: tensorrt\nparameters: [1]\n", "x.yaml: expected the parameters to be a mapping, found list"),
        ("hardware: tensorrt\nparameter: {}\n", "unknown key 'parameter'"),
        ("hardware: tensorrt\ndevice: {hardware: 3}\n", "x.yaml: device: expected hardware to be a name, found 3"),
        ("hardware: tensorrt\nfile: mine.py\n", "x.yaml: unknown key 'file'"),
        ("!!python/object/apply:os.system ['touch made']\n", "x.yaml: expected YAML"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path, capsys, text, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_prof(tmp_path / "prof", networks=1)
    (tmp_path / "x.yaml").write_text(text)
    assert main(["compile", "prof", "--hardware", "tensorrt", "--config", "x.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prof", "x.yaml"]


@pytest.mark.slow
def test_a_hardware_in_a_file_is_executed_where_the_user_names_it(tmp_path, capsys):
    make_prof(tmp_path / "prof", networks=1)
    command = ["compile", f"{tmp_path}/prof", "--hardware", "torch_board"]
    assert main(command) == 2
    assert "found 'torch_board'. Correct the name, install the package" in capsys.readouterr().err
    assert main([*command, "--hardware-file", str(EXAMPLE)]) == 0
    assert "1 networks and 5 primitives for torch_board" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "mine.py: expected one class of Hardware whose name is 'mine', found none"),
        ("from latpred.hardware.tensorrt import TensorRT", "name is 'mine', found tensorrt"),
        ("raise RuntimeError('no\\nway')", "mine.py: expected a file that can be imported, got RuntimeError: no way"),
        (
            "from latpred.hardware.tensorrt import TensorRT\nclass Mine(TensorRT):\n    name, formats = 'mine', ('x',)",
            "mine.py: expected formats of csv, dpu, ",
        ),
    ],
)
def test_a_file_without_such_a_class_is_named(tmp_path, capsys, text, message):
    make_prof(tmp_path / "prof", networks=1)
    (tmp_path / "mine.py").write_text(text)
    command = ["compile", f"{tmp_path}/prof", "--hardware", "mine", "--hardware-file"]
    assert main([*command, f"{tmp_path}/mine.py"]) == 2
    assert message in capsys.readouterr().err
    (tmp_path / "other.py").write_text("from latpred.hardware.tensorrt import TensorRT")
    assert (
        main(["compile", f"{tmp_path}/prof", "--hardware", "tensorrt", "--hardware-file", f"{tmp_path}/other.py"]) == 2
    )
    assert "name is 'tensorrt', found tensorrt" in capsys.readouterr().err  # imported there, not of that file
    assert main([*command, f"{tmp_path}/lost.py"]) == 2
    assert "lost.py: expected a Python file (.py), found none there" in capsys.readouterr().err


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The example as an installed package, for the time of a test."""
    site = tmp_path / "site"
    info = site / "board_package-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "board_package.py").write_text(EXAMPLE.read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: board_package\nVersion: 1.0\n")
    points = "torch_board = board_package:TorchBoard\ntensorrt = board_package:TorchBoard\nbad = board_package:SCRIPT\n"
    (info / "entry_points.txt").write_text(f"[latpred.hardware]\n{points}lost = board_package:Lost\n")
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("board_package", None)


@pytest.mark.slow
def test_a_hardware_comes_from_an_installed_package(installed, tmp_path, capsys):
    own = ["dpu", "onnx", "onnxruntime", "openvino", "tensorrt", "tflite"]
    assert hardware_names() == sorted([*own, "bad", "lost", "torch_board"])
    assert type(make_hardware("tensorrt").hardware).__module__ == "latpred.hardware.tensorrt"  # no name is taken away
    make_prof(tmp_path / "prof", networks=1)
    assert main(["compile", f"{tmp_path}/prof", "--hardware", "torch_board"]) == 0
    assert "1 networks and 5 primitives for torch_board" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad", "expected a class of Hardware whose name is 'bad', found"),
        ("lost", "expected the hardware 'lost' in board_package:Lost, got: module 'board_package' has no attribute"),
    ],
)
def test_a_package_that_is_wrong_is_named(installed, name, message):
    with pytest.raises(ConfigError, match=message):
        make_hardware(name)


@pytest.mark.slow
def test_the_example_of_an_own_hardware_runs():
    command = [sys.executable, str(EXAMPLE)]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert "stored 10 runs" in done.stdout
    assert "values per block: 10 of 10 runs" in done.stdout
