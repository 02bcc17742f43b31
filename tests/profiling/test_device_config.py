import re
from pathlib import Path

import pytest
import torch

from latpred.errors import ConfigError
from latpred.profiling import DeviceConfig, Measuring, RequestedDevice, load_device
from latpred.profiling.environment import cpu_model

SHIPPED = Path(__file__).parents[2] / "configs/devices/cpu_torch.yaml"


def test_shipped_file_holds_the_defaults():
    assert load_device(SHIPPED) == load_device(str(SHIPPED)) == DeviceConfig()


def test_auto_hardware_resolves_to_what_really_runs():
    device = DeviceConfig().resolve()
    assert device.hardware == cpu_model()
    assert device.runtime_version == torch.__version__.split("+")[0]
    assert device.to_dict() | {"hardware": "", "runtime_version": ""} == {
        "hardware": "",
        "runtime": "torch",
        "runtime_version": "",
        "precision": "float32",
        "threads": 1,
        "batch": 1,
        "layout": "nchw",
    }


def test_everything_that_is_written_is_taken(tmp_path):
    path = tmp_path / "device.yaml"
    path.write_text(
        "device: {hardware: My Board, runtime: torch, precision: float32, threads: 2, batch: 4, layout: nhwc}\n"
        "measuring: {pin: false, warmup_passes: 3, min_warmup_s: 1, max_warmup_s: 2.5, hold_memory: false, "
        "anchor_every: 7, loaded_networks: 9, memory: false, energy: true, cuda_graphs: true}\n"
    )
    config = load_device(path)
    assert config.measuring == Measuring(False, 3, 1.0, 2.5, False, 7, 9, False, True, True)
    device = config.resolve()
    assert (device.hardware, device.threads, device.batch, device.layout) == ("My Board", 2, 4, "nhwc")


def test_measuring_may_be_left_out(tmp_path):
    path = tmp_path / "device.yaml"
    path.write_text("device: {}\n")
    assert load_device(path) == DeviceConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device: {thread: 1}", "FILE: device: unknown key 'thread', expected one of batch, .*'threads'"),
        ("device: {}\nmeasuring: {pinn: true}", "FILE: measuring: unknown key 'pinn', .*Perhaps 'pin'"),
        ("device: {}\nmeasure: {}", "FILE: unknown key 'measure', expected one of device, measuring"),
        ("measuring: {}", "FILE: expected the key 'device', found measuring"),
        ("device: {}\nmeasuring:", "FILE: measuring: expected a mapping, found NoneType"),
        ("device: torch", "FILE: device: expected a mapping, found str"),
        (
            "device: {runtime: tensorrt}",
            "FILE: device: runtime must be one of onnxruntime, openvino, torch, torchscript, got 'tensorrt'",
        ),
        ("device: {hardware: 'cuda:x'}", "hardware must be 'auto', 'cuda', 'cuda:N' or the CPU's name, got 'cuda:x'"),
        ("device: {hardware: cuda0}", "hardware must be 'auto', 'cuda', 'cuda:N' or the CPU's name, got 'cuda0'"),
        (
            "device: {hardware: 'CUDA:0', runtime: onnxruntime}",
            "FILE: device: runtime must be torch with hardware CUDA:0, got 'onnxruntime'",
        ),
        ("device: {hardware: null}", "FILE: device: expected hardware to be str, found null"),
        ("device: {hardware: ' '}", "hardware must be 'auto', 'cuda', 'cuda:N' or the CPU's name, got ' '"),
        ("device: {precision: int8}", "precision must be one of float32 with runtime torch, got 'int8'"),
        ("device: {layout: chwn}", "layout must be one of nchw, nhwc with runtime torch, got 'chwn'"),
        ("device: {threads: 0}", "threads must be an integer >= 1, got 0"),
        ("device: {threads: null}", "FILE: device: expected threads to be int, found null"),
        ("device: {threads: two}", "FILE: device: expected threads to be int, found 'two'"),
        ("device: {batch: -1}", "batch must be an integer >= 1, got -1"),
        ("device: {}\nmeasuring: {pin: null}", "FILE: measuring: expected pin to be bool, found null"),
        ("device: {}\nmeasuring: {hold_memory: 1}", "FILE: measuring: expected hold_memory to be bool, found 1"),
        ("device: {}\nmeasuring: {anchor_every: 0}", "anchor_every must be an integer >= 1, got 0"),
        ("device: {}\nmeasuring: {loaded_networks: -4}", "loaded_networks must be an integer >= 1, got -4"),
        ("device: {}\nmeasuring: {warmup_passes: -1}", "warmup_passes must be an integer >= 0, got -1"),
        ("device: {}\nmeasuring: {min_warmup_s: -0.5}", "min_warmup_s must lie between 0 and 600, got -0.5"),
        ("device: {}\nmeasuring: {max_warmup_s: .nan}", "max_warmup_s must lie between 0 and 600, got nan"),
        ("device: {}\nmeasuring: {max_warmup_s: 0.1}", "max_warmup_s must be >= min_warmup_s = 0.5, got 0.1"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "device.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message.replace("FILE", re.escape(str(path)))) as caught:
        load_device(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["threads", "batch"])
def test_true_is_no_count(field):
    with pytest.raises(ValueError, match=f"{field} must be an integer >= 1, got True"):
        RequestedDevice(**{field: True})
