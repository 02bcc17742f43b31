"""The readers of public data sets, on small files in their formats."""

from __future__ import annotations

import json

import numpy as np
import pytest
from imported import CELLS, FBNET, INDICES, OFA, fbnet_table, help_nasbench201, hw_nas_bench, nn_meter, write_pickle

from latpred.dataset.importers import read_help, read_hw_nas_bench, read_latbench, read_nn_meter
from latpred.dataset.importers.encodings import public_reader
from latpred.dataset.importers.help_files import device_of
from latpred.errors import ArchitectureError, ParseError, UsageError
from latpred.shipped import shipped_config
from latpred.spaces import load_space


def space(name):
    return load_space(shipped_config("spaces", name))


def cells_of(imported, device=0):
    """Return the cell and the latency of each run, in order."""
    runs = imported.devices[device].runs
    return [(imported.networks[run.network].architecture["arch_str"], run.latency_ms) for run in runs]


# HELP


def test_help_has_latencies_in_the_order_of_the_indices(tmp_path):
    help_nasbench201(tmp_path, pixel3=[3, 4.5, 5.25], _1080ti_32=[1.0, 2.0, 3.0])
    read = read_help(tmp_path, space("nasbench201"), keep_refused=False)
    assert [device.name for device in read.devices] == ["1080ti_32", "pixel3"]
    assert cells_of(read, 1) == list(zip(CELLS, [3.0, 4.5, 5.25], strict=True))
    assert read.devices[1].runs[0].block_latency_ms is None
    assert [path.name for path in read.files] == ["str_arch2idx.pt", "1080ti_32.pt", "pixel3.pt"]
    assert cells_of(read_help(tmp_path / "nasbench201", space("nasbench201"), ["pixel3"], keep_refused=False)) == [
        *zip(CELLS, [3.0, 4.5, 5.25], strict=True)
    ]


def test_help_of_fbnet_and_once_for_all(tmp_path):
    write_pickle(tmp_path / "fbnet/arch.pt", [*FBNET, FBNET[0]])
    write_pickle(tmp_path / "fbnet/latency/pixel3.pt", [1.0, 2.0, 3.0, 4.0])
    read = read_help(tmp_path, space("fbnet"), keep_refused=False)
    assert [network.architecture["blocks"][:2] for network in read.networks] == [
        ["k3_e1", "k3_e1"],
        ["skip", "skip"],
        ["k5_e6", "skip"],
    ]
    assert [run.network for run in read.devices[0].runs] == [0, 1, 2, 0]  # the fourth is another run of the first

    numbers = [{**OFA[0], "r": np.int64(128)}, OFA[1]]
    write_pickle(tmp_path / "ofa/ofa_archs.pt", {"dataset": "imagenet", "arch": numbers})
    write_pickle(tmp_path / "ofa/latency/titan_rtx_64.pt", [1.0, 2.0])
    read = read_help(tmp_path, space("ofa_mobilenet_v3"), keep_refused=False)
    assert read.networks[1].architecture == {
        "depth": [1, 2, 3, 4, 2, 3],
        "width": [[1], [3, 4], [3, 4, 6], [3, 4, 6, 3], [3, 4], [3, 4, 6]],
        "kernel": [[3], [3, 5], [3, 5, 7], [3, 5, 7, 3], [3, 5], [3, 5, 7]],
        "image_size": 224,
    }
    (tmp_path / "ofa/ofa_archs.json").write_text(json.dumps(list(OFA)))
    as_json = read_help(tmp_path, space("ofa_mobilenet_v3"), keep_refused=False)
    assert (as_json.networks, as_json.files[0].name) == (read.networks, "ofa_archs.json")


@pytest.mark.parametrize(
    ("name", "hardware", "batch"),
    [
        ("titan_rtx_256", "titan_rtx", 256),
        ("titanxp_1", "titanxp", 1),
        ("essential_ph_1", "essential_ph_1", 1),
        ("gold_6226", "gold_6226", 1),
        ("raspi4", "raspi4", 1),
    ],
)
def test_only_names_of_gpus_end_in_a_batch_size(name, hardware, batch):
    device = device_of(name)
    assert (device.hardware, device.batch, device.runtime, device.precision) == (hardware, batch, "unknown", "unknown")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], "one for each architecture of str_arch2idx.pt, found 2"),
        ({"a": 1}, "one for each architecture of str_arch2idx.pt, found a dict"),
        ([1.0, 0, 2.0], "pixel3.pt, 1: expected the latency to be a number > 0, found 0"),
        ([1.0, None, 2.0], "pixel3.pt, 1: expected the latency to be a number > 0, found None"),
        ([1.0, float("nan"), 2.0], "pixel3.pt, 1: expected the latency to be a number > 0, found nan"),
        ([1.0, float("inf"), 2.0], "expected the latency to be a number > 0, found inf"),
        ([1.0, True, 2.0], "expected the latency to be a number > 0, found True"),
        ([1.0, "2,5", 2.0], "expected the latency to be a number > 0, found a str"),
    ],
)
def test_help_names_the_file_and_the_place_of_what_is_wrong(values, message, tmp_path):
    help_nasbench201(tmp_path, pixel3=values)
    with pytest.raises(ParseError) as error:
        read_help(tmp_path, space("nasbench201"), keep_refused=False)
    assert message in str(error.value)
    assert "pixel3.pt" in str(error.value)


def test_help_lists_what_is_no_measurement_if_told_to_go_on(tmp_path):
    help_nasbench201(tmp_path, pixel3=[1.0, -2, 3.0])
    (device,) = read_help(tmp_path, space("nasbench201"), keep_refused=True).devices
    assert [run.latency_ms for run in device.runs] == [1.0, 3.0]
    assert [run.network for run in device.runs] == [0, 2]
    assert len(device.refused) == 1
    assert "pixel3.pt, 1: expected the latency to be a number > 0, found -2" in device.refused[0]


def test_help_of_something_else(tmp_path):
    help_nasbench201(tmp_path, pixel3=[1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match=r"--devices: expected devices of .*, found 'pixel2'. Take some of pixel3, or"):
        read_help(tmp_path, space("nasbench201"), ["pixel2"], keep_refused=False)
    with pytest.raises(UsageError, match=r"--space: expected a space that HELP measured, .* found ssd_ofa"):
        read_help(tmp_path, space("ssd_ofa"), keep_refused=False)
    with pytest.raises(ParseError, match="fbnet: expected a folder 'latency' with files"):
        read_help(tmp_path, space("fbnet"), keep_refused=False)
    write_pickle(tmp_path / "fbnet/latency/a.pt", [1.0])
    with pytest.raises(ParseError, match=r"fbnet: expected arch.pt in it, found none"):
        read_help(tmp_path, space("fbnet"), keep_refused=False)
    write_pickle(tmp_path / "fbnet/arch.pt", [[0] * 21])
    with pytest.raises(ParseError, match=r"arch.pt, 0: space fbnet: expected blocks to have 22 entries"):
        read_help(tmp_path, space("fbnet"), keep_refused=False)
    write_pickle(tmp_path / "fbnet/arch.pt", [[9] * 22])
    with pytest.raises(ParseError, match=r"expected indices\[0\] to be an integer from 0 to 8, found 9"):
        read_help(tmp_path, space("fbnet"), keep_refused=False)
    write_pickle(tmp_path / "nasbench201/str_arch2idx.pt", {CELLS[0]: 0, CELLS[1]: 2})
    with pytest.raises(ParseError, match="expected the indices 0 to 1, each once"):
        read_help(tmp_path, space("nasbench201"), keep_refused=False)
    write_pickle(tmp_path / "nasbench201/str_arch2idx.pt", {"|max_pool~0|": 0})
    with pytest.raises(ParseError, match=r"str_arch2idx.pt, 0: space nasbench201: expected arch_str to be a string"):
        read_help(tmp_path, space("nasbench201"), keep_refused=False)


@pytest.mark.parametrize("name", ["fbnet", "nasbench201"])
@pytest.mark.parametrize("written", [[0] * 21, [0] * 5, [99], [0.5] * 6, ["0"] * 22])
def test_a_public_form_that_is_not_of_the_space_is_refused(name, written):
    with pytest.raises(ArchitectureError, match=f"space {name}: expected "):
        public_reader(space(name))(written)


def test_lists_that_hold_one_another_end(tmp_path):
    nested = [0] * 22
    for _ in range(40):
        nested = [nested, nested]
    write_pickle(tmp_path / "fbnet/arch.pt", [nested])
    write_pickle(tmp_path / "fbnet/latency/a.pt", [1.0])
    with pytest.raises(ParseError, match="expected an architecture, found more than 10000 values"):
        read_help(tmp_path, space("fbnet"), keep_refused=False)


def test_once_for_alls_encoding_must_fit(tmp_path):
    write_pickle(tmp_path / "ofa/latency/a.pt", [1.0])
    for change, message in [
        ({"ks": [3] * 19}, "expected ks and e to have 4 entries for each of d"),
        ({"d": [2, 2, 2, 2, "2"]}, "expected ks and e to have 4 entries for each of d"),
        ({"d": [2, 2, 2, 2, 5]}, r"expected depth\[5\] to be one of 2, 3, 4, found 5"),
        ({"r": 100}, "expected image_size to be one of 128, "),
        ({"more": 1}, "expected an architecture with the keys depth"),
    ]:
        (tmp_path / "ofa/ofa_archs.json").write_text(json.dumps([{**OFA[0], **change}]))
        with pytest.raises(ParseError, match=message):
            read_help(tmp_path, space("ofa_mobilenet_v3"), keep_refused=False)


# HW-NAS-Bench


def test_hw_nas_bench_has_latency_and_energy_of_networks(tmp_path):
    read = read_hw_nas_bench(hw_nas_bench(tmp_path / "x.pickle"), space("nasbench201"), keep_refused=False)
    assert [device.name for device in read.devices] == ["edgegpu", "raspi4"]
    assert cells_of(read) == list(zip(CELLS, [5.8, 3.5, 1.5], strict=True))
    assert [run.energy_mj for run in read.devices[0].runs] == [24.2, 14.0, 6.5]
    assert [run.energy_mj for run in read.devices[1].runs] == [None] * 3
    assert read.notes == ["eyeriss_arithmetic_intensity is not imported: latpred has no such metric"]


def test_hw_nas_bench_may_hold_numpys_arrays(tmp_path):
    path = hw_nas_bench(tmp_path / "x.pickle", raspi4_latency=np.array([1.5, 2.5, 3.5]))
    read = read_hw_nas_bench(path, space("nasbench201"), ["raspi4"], keep_refused=False)
    assert [run.latency_ms for run in read.devices[0].runs] == [1.5, 2.5, 3.5]


def test_hw_nas_benchs_fbnet_is_the_sum_of_its_table(tmp_path):
    path = hw_nas_bench(tmp_path / "x.pickle")
    read = read_hw_nas_bench(path, space("fbnet"), num_sample=40, seed=3, keep_refused=False)
    assert read.notes == ["drew 40 networks with seed 3: the file has blocks only, a network is their sum"]
    assert [device.name for device in read.devices] == ["edgegpu", "pixel3"]
    strides = {0, 1, 5, 9, 13, 17, 21}  # layers that change the shape; the first one does not, and neither does
    changing = strides - {0}
    for device, factor, energy_factor in (("edgegpu", 0.5, 2.0), ("pixel3", 1, None)):
        runs = next(found.runs for found in read.devices if found.name == device)
        for run in runs:
            network = read.networks[run.network]
            blocks = network.architecture["blocks"]
            skipped = sum(block == "skip" and i not in changing for i, block in enumerate(blocks))
            expected = [0.25]
            for i, block in enumerate(blocks):
                if block == "skip":
                    expected += [0.0625] if i in changing else []
                else:
                    expected.append(int(block[1]) * int(block[4]))
            expected += [0.5, None, 0.125]  # pooling takes no time in this table
            known = [None if value is None else value * factor for value in expected]
            assert run.block_latency_ms == pytest.approx(known)
            assert run.overhead_ms == pytest.approx(skipped * 0.0625 * factor)
            total = sum(value or 0 for value in expected) + skipped * 0.0625
            assert run.latency_ms == pytest.approx(total * factor)
            assert run.energy_mj == (None if energy_factor is None else pytest.approx(total * energy_factor))
            assert (run.block_energy_mj is None) == (energy_factor is None)
            assert run.block_method == "isolated"
    again = read_hw_nas_bench(path, space("fbnet"), num_sample=40, seed=4, keep_refused=False)
    assert again.networks != read.networks


def test_hw_nas_bench_says_what_is_lacking_or_wrong(tmp_path):
    path = hw_nas_bench(tmp_path / "x.pickle", edgegpu_latency=[1.0, 2.0])
    with pytest.raises(ParseError, match=r"cifar10.edgegpu_latency: expected 3 values, one for each arch.*, found 2"):
        read_hw_nas_bench(path, space("nasbench201"), keep_refused=False)
    path = hw_nas_bench(tmp_path / "x.pickle", edgegpu_latency=[1.0, -2.0, 3.0])
    with pytest.raises(ParseError, match=r"edgegpu_latency\[1\]: expected the latency to be a number > 0, found -2.0"):
        read_hw_nas_bench(path, space("nasbench201"), keep_refused=False)
    kept = read_hw_nas_bench(path, space("nasbench201"), keep_refused=True).devices[0]
    assert ([run.latency_ms for run in kept.runs], len(kept.refused)) == ([1.0, 3.0], 1)
    path = hw_nas_bench(tmp_path / "x.pickle", config=None)
    with pytest.raises(ParseError, match=r"cifar10.config: expected a list of architectures, found none"):
        read_hw_nas_bench(path, space("nasbench201"), keep_refused=False)
    with pytest.raises(UsageError, match=r"expected image_size and classes of a space that it has, .* \(48, 10\)"):
        read_hw_nas_bench(path, type(space("nasbench201"))(image_size=48), keep_refused=False)
    with pytest.raises(ParseError, match=r"nasbench201.ImageNet16-120: expected a mapping, found nothing"):
        read_hw_nas_bench(path, type(space("nasbench201"))(image_size=16, classes=120), keep_refused=False)
    with pytest.raises(UsageError, match=r"--space: expected a space of HW-NAS-Bench, .* found mnasnet_ofa"):
        read_hw_nas_bench(path, space("mnasnet_ofa_112"), keep_refused=False)
    with pytest.raises(ParseError, match=r"fbnet.edgegpu_latency: expected the block ConvNorm_H224_W224_Cin3_Cout16_"):
        read_hw_nas_bench(path, type(space("fbnet"))(image_size=224), num_sample=1, keep_refused=False)
    write_pickle(path, {"fbnet": {"edgegpu_latency": fbnet_table(float("nan"))}})
    with pytest.raises(ParseError, match=r"fbnet.edgegpu_latency.ConvNorm_.*: expected the value to be a number > 0"):
        read_hw_nas_bench(path, space("fbnet"), num_sample=1, keep_refused=False)
    write_pickle(path, [1])
    with pytest.raises(ParseError, match=r"x.pickle: expected a mapping, found a list"):
        read_hw_nas_bench(path, space("fbnet"), keep_refused=False)


# LatBench


@pytest.mark.parametrize("protocol", [0, 3])
def test_latbench_has_seconds_by_operation_indices(protocol, tmp_path):
    content = dict(zip(INDICES, [0.0125, np.float64(0.5), 0.001], strict=True))
    path = write_pickle(tmp_path / "desktop-gpu-gtx-1080-ti-fp32.pickle", content, protocol)
    read = read_latbench([path], space("nasbench201"), keep_refused=False)
    assert cells_of(read) == list(zip(CELLS, [12.5, 500.0, 1.0], strict=True))
    device = read.devices[0].device
    assert (device.hardware, device.precision) == ("desktop-gpu-gtx-1080-ti", "float32")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({INDICES[0]: 12.5}, r"\(4, 2, 1, 2, 1, 1\): expected a latency in seconds, found 12.5"),
        ({INDICES[0]: [[0.1, 0.2]]}, "expected the latency in seconds to be a number > 0, found a list"),
        ({INDICES[0]: "invalid"}, "expected the latency in seconds to be a number > 0, found a str"),
        ({(0, 1): 0.1}, r"space nasbench201: expected 6 operation indices from 0 to 4, found \[0, 1\]"),
        ({(0, 1, 2, 3, 4, 5): 0.1}, "expected 6 operation indices from 0 to 4"),
        ([(INDICES[0], 0.1)], "expected a dict of operation indices and seconds, found a list"),
        ({}, "expected a dict of operation indices and seconds"),
    ],
)
def test_latbench_in_another_form_is_refused(content, message, tmp_path):
    path = write_pickle(tmp_path / "a.pickle", content)
    with pytest.raises(ParseError, match=message):
        read_latbench([path], space("nasbench201"), keep_refused=False)


def test_latbench_is_of_nasbench201_only(tmp_path):
    with pytest.raises(UsageError, match="--space: expected nasbench201, the space of LatBench, found fbnet"):
        read_latbench([tmp_path / "a"], space("fbnet"), keep_refused=False)


# nn-Meter

CPU, VPU = "cortexA76cpu_tflite21", "myriadvpu_openvino2019r2"
ROWS = [
    {"id": "nasbench201_1", "graph": {"in": {"attr": {}}}, CPU: 11.7, VPU: None},
    {"id": "nasbench201_0", "graph": {}, CPU: 15.0, VPU: 3.5},
]


def test_nn_meter_has_ms_by_device_and_null_where_it_could_not_run(tmp_path):
    lines, architectures = nn_meter(tmp_path, ROWS)
    read = read_nn_meter(lines, space("nasbench201"), architectures, keep_refused=False)
    assert [device.name for device in read.devices] == [CPU, VPU]
    assert cells_of(read) == [(CELLS[1], 11.7), (CELLS[0], 15.0)]
    assert cells_of(read, 1) == [(CELLS[0], 3.5)]
    assert [device.absent for device in read.devices] == [0, 1]
    cpu, vpu = (device.device for device in read.devices)
    assert (cpu.hardware, cpu.runtime, cpu.runtime_version) == ("cortexA76cpu", "tflite", "2.1")
    assert (vpu.hardware, vpu.runtime, vpu.runtime_version) == ("myriadvpu", "openvino", "2019r2")


def test_nn_meters_numbers_are_those_of_helps_file(tmp_path):
    lines, _ = nn_meter(tmp_path, ROWS)
    path = write_pickle(tmp_path / "str_arch2idx.pt", {cell: i for i, cell in enumerate(CELLS)})
    read = read_nn_meter(lines, space("nasbench201"), path, [CPU], keep_refused=False)
    assert cells_of(read) == [(CELLS[1], 11.7), (CELLS[0], 15.0)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "resnet18_0", CPU: 1.0}, "line 1: expected the id of a network of NAS-Bench-201, nasbench201_<number>"),
        ({"id": "nasbench201_7", CPU: 1.0}, "expected the architecture 7 in nasbench201.json, found none"),
        ({"id": "nasbench201_1", CPU: 0}, f"line 1: expected {CPU} to be a number > 0, found 0"),
        ({"id": 7, CPU: 1.0}, "expected text under the key 'id', found a int"),
        ({CPU: 1.0}, "expected text under the key 'id', found the keys"),
        ([1], "line 1: expected an object, found a list"),
        ({"id": "nasbench201_1", "../out": 1.0}, "expected a device's name of letters, digits, '_', '.', '-', found"),
    ],
)
def test_nn_meter_names_the_line_of_what_is_wrong(row, message, tmp_path):
    lines, architectures = nn_meter(tmp_path, [row])
    with pytest.raises(ParseError) as error:
        read_nn_meter(lines, space("nasbench201"), architectures, keep_refused=False)
    assert message in str(error.value)


def test_nn_meter_refuses_files_of_another_kind(tmp_path):
    lines, architectures = nn_meter(tmp_path, ROWS)
    with lines.open("a") as file:
        file.write('{"id": "nasbench201_0"')
    with pytest.raises(ParseError, match=r"nasbench201s.jsonl, line 3, line 1: expected JSON, found the end of"):
        read_nn_meter(lines, space("nasbench201"), architectures, keep_refused=False)
    architectures.write_text('{"a": 1.5}')
    with pytest.raises(ParseError, match=r"expected \{number: \{config: \{arch_str: ..\}\}\} or \{string: number\}"):
        read_nn_meter(lines, space("nasbench201"), architectures, keep_refused=False)
