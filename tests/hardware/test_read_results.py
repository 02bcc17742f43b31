"""Results -> runs: what is put together, what is refused and why."""

import json
import os
import re
import shutil
from datetime import UTC, datetime

import fake_trtexec
import onnx
import pytest
from cli_paths import ROOT
from offline import Once, csv_of, write_device

from latpred.errors import ConfigError, UsageError
from latpred.hardware import ParsedRun, Reading, Refused, ResultReader, known_facts, read_compiled

SAMPLES = ROOT / "tests/samples"
WHOLE = "name,latency_ms\nwhole,{}\n"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return Once(tmp_path_factory.mktemp("csv"), networks=2)


@pytest.fixture(scope="module")
def trt(tmp_path_factory):
    return Once(tmp_path_factory.mktemp("trt"), "tensorrt", networks=2)


def put(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(compiled, folder, **reading):
    return list(ResultReader(compiled, Reading(compiled.config.hardware, **reading)).read(folder))


def runs(found):
    return [item.run for item in found if isinstance(item, ParsedRun) and item.run is not None]


def reasons(found):
    return [f"{item.where}: {item.reason}" for item in found if isinstance(item, Refused)]


def test_a_csv_gives_the_whole_and_the_blocks(once, tmp_path):
    a, b = once.ids
    put(tmp_path, {f"{a}.0.csv": csv_of(once.compiled, a), f"{b}/0.csv": WHOLE.format(3.5)})
    os.utime(tmp_path / f"{a}.0.csv", (1_700_000_000, 1_700_000_000))
    first, second = runs(read(once.compiled, tmp_path))
    network, layers = once.compiled.networks[a]
    names = [[name for name in block if name != "output"] for block in layers]
    assert (first.network_id, first.overall_latency_ms, first.status) == (a, 2.0, "ok")
    assert first.block_latency_ms == pytest.approx([2.0 * len(block) / sum(map(len, names)) for block in names])
    assert first.block_method == ("profile_share",) * len(layers)
    assert first.overhead_ms == 0
    assert (first.space, first.primitives, first.role) == ("mnasnet_ofa", network.primitives, network.roles)
    assert json.loads(first.architecture) == network.architecture
    assert first.started_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (second.network_id, second.overall_latency_ms) == (b, 3.5)
    assert (second.block_latency_ms, second.block_method, second.overhead_ms) == (None, None, None)
    first.check()
    second.check()


def test_files_of_a_network_are_its_runs(once, tmp_path):
    a, b = once.ids
    put(tmp_path, {f"{a}/{i}.csv": WHOLE.format(1 + i) for i in (0, 1, 10)})
    put(tmp_path, {f"{b}_monday.csv": WHOLE.format(5), f"{b}_tuesday.csv": WHOLE.format(6)})
    found = runs(read(once.compiled, tmp_path))
    assert [(run.network_id, run.round, run.overall_latency_ms) for run in found] == [
        (a, 0, 1), (a, 1, 2), (a, 2, 11), (b, 0, 5), (b, 1, 6)
    ]  # fmt: skip


def test_the_runs_of_a_csv_are_rows_and_equal_ones_have_equal_digests(once, tmp_path):
    (a, b), text = once.ids, "network,name,latency_ms,run\n{0},whole,1,x\n{1},whole,2,x\n{0},whole,3,y\n{1},whole,2,y\n"
    put(tmp_path, {"everything.csv": text.format(a, b)})
    found = read(once.compiled, tmp_path)
    assert [(run.network_id, run.round, run.overall_latency_ms) for run in runs(found)] == [
        (a, 0, 1), (a, 1, 3), (b, 0, 2), (b, 1, 2)
    ]  # fmt: skip
    digests = [item.digest for item in found]
    assert digests[2] == digests[3]
    assert len(set(digests)) == 3
    put(tmp_path, {"everything.csv": text.format(a, b) + f"{a},whole,9,z\n{b},whole,9,z\n"})
    assert [item.digest for item in read(once.compiled, tmp_path)][:2] == digests[:2]


def test_a_whole_beside_a_profile_counts_more_than_that_of_the_profiling_tool(once, tmp_path):
    a, _ = once.ids
    _, layers = once.compiled.networks[a]
    names = [name for block in layers for name in block if name != "output"]
    kernels = [
        {"cat": "Node", "pid": 1, "name": f"{name}_kernel_time", "ph": "X", "ts": 100 * i, "dur": 60,
         "args": {"op_name": "Conv", "node_index": str(i)}}
        for i, name in enumerate(names)
    ]  # fmt: skip
    run = {"cat": "Session", "pid": 1, "name": "model_run", "ph": "X", "ts": 0, "dur": 100 * len(names), "args": {}}
    put(tmp_path, {f"{a}/0/profile.json": json.dumps([*kernels, run]), f"{a}/0/whole.csv": WHOLE.format(0.5)})
    put(tmp_path, {f"{a}/1/profile.json": json.dumps([*kernels, run])})
    both, alone = (item for item in read(once.compiled, tmp_path))
    assert both.run.overall_latency_ms == 0.5
    assert sum(both.run.block_latency_ms) + both.run.overhead_ms == pytest.approx(0.5)
    assert both.notes == ()
    assert alone.run.overall_latency_ms == 0.1 * len(names)
    assert alone.notes == ("the whole was measured with the profiler on",)
    assert both.times.total == pytest.approx(0.06 * len(names))


def tensorrt_files(trt, network_id, folder, **change):
    rows = fake_trtexec.rows_of(onnx.load(folder / network_id / f"{network_id}.onnx").graph)
    whole = round(sum(ms for _, ms, _ in rows), 6)
    files = {
        "trtexec.log": fake_trtexec.log_of(whole, change.get("device", "Orin"), change.get("version", 8601), "x"),
        "times.json": fake_trtexec.times_of(whole),
        "profile.json": fake_trtexec.profile_of(rows),
        "layers.json": fake_trtexec.layers_of(rows),
    }
    return files, whole


def test_tensorrts_names_lead_to_their_blocks(trt, tmp_path):
    folder = trt.copy(tmp_path)
    for network_id in trt.ids:
        files, _ = tensorrt_files(trt, network_id, folder)
        put(tmp_path / "r", {f"{network_id}/0/{name}": text for name, text in files.items()})
        del files["layers.json"]  # names alone tell the same
        put(tmp_path / "r", {f"{network_id}/1/{name}": text for name, text in files.items()})
    found = read(trt.compiled, tmp_path / "r")
    assert reasons(found) == []
    assert len(found) == 4
    for item in found:
        _, layers = trt.compiled.networks[item.run.network_id]
        nodes = [len([name for name in block if name != "output"]) for block in layers]
        # A copy belongs to the block whose input it is.
        assert sum(item.times.blocks) == pytest.approx(item.times.total)
        assert item.times.by_position == 0
        for time, count in zip(item.times.blocks, nodes, strict=True):
            assert 0 <= round((time - count * fake_trtexec.NODE_MS) / fake_trtexec.COPY_MS, 6) <= 2
        assert {name: fact.value for name, fact in item.facts.known.items()} == {
            "hardware": "Orin", "runtime_version": "8.6.1", "precision": "float32"
        }  # fmt: skip
        item.run.check()


def test_the_digest_does_not_depend_on_names(trt, tmp_path):
    a, _ = trt.ids
    files, _ = tensorrt_files(trt, a, trt.copy(tmp_path))
    names = sorted(files)
    put(tmp_path / "r", {f"{a}/0/{name}": files[name] for name in names})
    put(tmp_path / "r", {f"{a}/1/{name}": files[other] for name, other in zip(names, reversed(names), strict=True)})
    put(tmp_path / "r", {f"{a}/2/{name}": files[name] for name in names[:-1]})
    digests = [item.digest for item in read(trt.compiled, tmp_path / "r")]
    assert digests[0] == digests[1] != digests[2]


def test_networks_of_different_length_have_names_of_their_own(tmp_path):
    many = Once(tmp_path, networks=8)
    results = {f"{network_id}.csv": csv_of(many.compiled, network_id) for network_id in many.ids}
    put(tmp_path / "r", results)
    found = runs(read(many.compiled, tmp_path / "r"))
    assert {len(run.primitives) for run in found} == {5, 6}
    assert len(found[0].primitives) == 5
    assert all(run.overhead_ms == 0 for run in found)


def test_what_is_no_name_of_a_processor_is_not_taken_for_one(tmp_path):
    openvino = Once(tmp_path, "openvino")
    (tmp_path / "r").mkdir()
    shutil.copy(SAMPLES / "openvino.log", tmp_path / "r" / f"{openvino.ids[0]}.log")
    (item,) = read(openvino.compiled, tmp_path / "r")
    assert "hardware" not in item.facts.known
    assert item.facts.known["runtime_version"].value.startswith("20")


def test_tensorrts_words_for_precisions(trt):
    told = {"FP32": "float32", "FP32+FP16": "float16", "FP32+INT8": "int8", "FP32+FP16+INT8": "best", "TF32": "tf32"}
    assert {word: trt.compiled.config.hardware.precision_of(word) for word in told} == told


def test_primitives_measured_alone_are_the_blocks_of_networks_without_layers(trt, tmp_path):
    (a, b), log = trt.ids, fake_trtexec.log_of
    names = {primitive: name for name, (primitive, _) in trt.compiled.primitives.items()}
    blocks = trt.compiled.networks[a][0].primitives
    put(tmp_path, {f"{a}.log": log(9, "Orin", 8601, "x"), f"{b}.log": log(8, "Orin", 8601, "x")})
    for i, primitive in enumerate(blocks[:-1]):
        put(tmp_path, {f"{names[primitive]}/{k}.log": log(i + k, "Orin", 8601, "x") for k in (1, 2, 6)})
    found = read(trt.compiled, tmp_path)
    first, second = runs(found)
    values = dict(zip(blocks[:-1], range(2, 99), strict=False))  # the median of three runs
    assert first.block_latency_ms == tuple(values.get(primitive) for primitive in blocks)
    assert first.block_method == tuple(None if p == blocks[-1] else "isolated" for p in blocks)
    assert first.overhead_ms is None
    assert second.block_latency_ms == tuple(map(values.get, trt.compiled.networks[b][0].primitives))
    assert sum(item.run is None for item in found) == 3 * (len(blocks) - 1)
    first.check()


def test_an_engine_that_was_not_built_is_a_failed_run(trt, tmp_path):
    a, _ = trt.ids
    put(tmp_path, {f"{a}/0/trtexec.log": fake_trtexec.log_of(0, "Orin", 8601, "x", failed=True)})
    (run,) = runs(read(trt.compiled, tmp_path))
    assert (run.status, run.reason) == ("failed", "Engine could not be created from network")
    assert run.overall_latency_ms is None
    run.check()


def test_layers_in_which_blocks_cannot_be_found_are_no_values(once, tmp_path):
    a, _ = once.ids
    put(tmp_path, {f"{a}.0.csv": "name,latency_ms\nwhole,2\nx,1\nb00/Conv,1\n"})
    text = csv_of(once.compiled, a)
    put(tmp_path, {f"{a}.1.csv": "\n".join(line for line in text.splitlines() if not line.startswith("b01/"))})
    (tmp_path / f"{a}.2.csv").write_text(text + "reorder,0.01\n")
    poor, lost, good = read(once.compiled, tmp_path)
    assert good.run.overhead_ms == pytest.approx(2 / len(text.splitlines()[1:]))  # rows of a CSV have no order
    assert good.times.by_position == 0
    assert poor.run.block_latency_ms is poor.run.block_method is None
    assert poor.notes == ("no values per block where 50.0% of its layers' time belongs to blocks, less than 95%",)
    assert poor.times.overhead == {"x": 1}
    assert lost.run.overall_latency_ms == 2
    assert lost.notes == ("no values per block where block 1 has no layer of its own: another block's does its work",)


REFUSED = [
    ({"{a}.log": ""}, r"{a}\.log: expected a tool's file, found an empty one\. Run the tool again"),
    ({"notes.txt": "hello"}, r"notes\.txt: expected a file of .*, found none of their signatures"),
    ({"{a}.csv": "name,latency_ms\nb00/Conv,1\n"}, r"expected the whole network, found 1 layers alone\."),
    ({"deadbeefdeadbeef.csv": WHOLE.format(1)}, "expected a network of the compiled folder, found deadbeefdeadbeef"),
    ({"x.csv": "network,name,latency_ms\ndeadbeefdeadbeef,whole,1\n"}, r"deadbeefdeadbeef\. It was never compiled"),
    ({"x.csv": WHOLE.format(1)}, r"x\.csv: expected a network in the path or the file, found no name\. Call the file"),
    ({"x.csv": "network,name,latency_ms\nmy net,whole,1\n"}, "found the name 'my net'"),
    (
        {"{a}.csv": "network,name,latency_ms\n{b},whole,1\n"},
        r"{a}\.csv: expected the network {a} as in its path, found {b}\. Rename it",
    ),
    ({"{a}/0/1.csv": WHOLE.format(1)}, r"1\.csv: expected one run in the path, found 0 and 1"),
    ({"{a}.0.csv": WHOLE.format(1), "{a}/0.csv": WHOLE.format(2)}, "one file of each kind in a run, found 2 of csv"),
    ({"{a}.csv": "name,latency_ms\nwhole,1.5,3\n"}, r"{a}\.csv: line 2: expected 2 cells"),
    ({"{a}.csv": "name,latency_ms\nwhole,\"1,5\"\n"}, r"found '1,5'\. Run the tool with LC_ALL=C"),
    ({"{a}.csv": "name,latency_ms\nwhole,15 %\n"}, "expected latency_ms to be a number >= 0, found '15 %'"),
    ({"{a}.csv": "name,latency_ms,latency_us\nwhole,1,1000\n"}, "expected the columns name and latency_ms"),
    ({"{a}.csv": "name,latency_parsec\nwhole,1\n"}, "found 'parsec'"),
    ({"{a}.txt": "&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec"}, "onnxruntime or csv .* one of trtexec"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "message"), REFUSED)
def test_what_is_no_run_is_refused_in_one_line(once, tmp_path, files, message):
    a, b = once.ids

    def named(text):
        return text.replace("{a}", a).replace("{b}", b)

    put(tmp_path, {named(name): named(text) for name, text in files.items()})
    put(tmp_path, {f"{b}/7/good.csv": WHOLE.format(4)})
    found = read(once.compiled, tmp_path)
    (reason,) = reasons(found)
    assert "\n" not in reason
    assert re.search(named(message), reason), reason
    assert [run.overall_latency_ms for run in runs(found)] == [4]  # the others are read all the same


def test_a_truncated_part_takes_its_run_with_it_and_an_unknown_file_does_not(trt, tmp_path):
    a, _ = trt.ids
    files, whole = tensorrt_files(trt, a, trt.copy(tmp_path))
    put(tmp_path / "r", {f"{a}/0/{name}": text for name, text in files.items()})
    put(tmp_path / "r", {f"{a}/0/times.json": files["times.json"][:200]})
    put(tmp_path / "r", {f"{a}/1/{name}": text for name, text in files.items()})
    put(tmp_path / "r", {f"{a}/1/notes.txt": "hello"})
    found = read(trt.compiled, tmp_path / "r")
    assert [run.overall_latency_ms for run in runs(found)] == [whole]
    broken, unknown = reasons(found)
    assert "times.json: " in broken
    assert "notes.txt: expected a file of" in unknown


def test_unnumbered_files_of_several_kinds_twice_are_refused(trt, tmp_path):
    a, _ = trt.ids
    files, _ = tensorrt_files(trt, a, trt.copy(tmp_path))
    for day in ("monday", "tuesday"):
        put(tmp_path / "r", {f"{day}/{a}.{name}": files[name] for name in ("trtexec.log", "times.json")})
    (reason,) = reasons(read(trt.compiled, tmp_path / "r"))
    assert "expected one file of each kind in a run, found 2 of trtexec log, 2 of trtexec times" in reason
    assert f"Number the runs in the names, {a}.0.<ending>" in reason


def test_the_wrong_format_is_named(once, tmp_path):
    a, _ = once.ids
    put(tmp_path, {f"{a}.csv": WHOLE.format(1)})
    (reason,) = reasons(read(once.compiled, tmp_path, format="trtexec"))
    assert f"{a}.csv: expected a file of trtexec, found the signature of csv. Leave the format out, or name" in reason


def test_energies_and_memories_stand_in_a_csv_of_their_own(once, tmp_path):
    a, b = once.ids
    _, layers = once.compiled.networks[a]
    rows = "".join(f"{block[0]},0.001\n" for block in layers)
    put(tmp_path / "e", {f"{a}.csv": f"name,energy_j\nwhole,0.004\n{rows}", f"{b}.csv": "name,energy_mj\nwhole,7\n"})
    first, second = runs(read(once.compiled, tmp_path / "e", metric="energy_mj"))
    assert (first.overall_energy_mj, first.overall_latency_ms) == (4, None)
    count = len(layers)
    assert first.block_energy_mj == pytest.approx([4 / count] * count)
    assert (first.overhead_ms, second.overall_energy_mj, second.block_energy_mj) == (None, 7, None)
    put(tmp_path / "m", {"all.csv": f"network,name,memory_bytes,run\n{a},whole,2500000,0\n{a},whole,3e6,1\n"})
    found = runs(read(once.compiled, tmp_path / "m", metric="memory_mb"))
    assert [run.overall_memory_mb for run in found] == [2.5, 3]
    for run in (first, second, *found):
        run.check()


@pytest.mark.parametrize(
    ("metric", "text", "message"),
    [
        (
            "energy_mj",
            "name,latency_ms\nwhole,1\n",
            r"line 1: expected the columns \[network,\]name,energy_mj\[,run\], found",
        ),
        ("energy_mj", "name,energy_mj,x\nwhole,1,2\n", "found 'name,energy_mj,x'"),
        ("energy_mj", "name,energy_mj\nwhole,0\n", "line 2: expected energy_mj to be a number > 0, found '0'"),
        ("energy_mj", "name,energy_mj\nwhole,nan\n", "found 'nan'"),
        ("energy_mj", "name,energy_mj\nwhole,1\nwhole,2\n", "line 3: expected a new name in its run, found 'whole'"),
        ("energy_mj", "name,energy_mj\nwhole\n", "line 2: expected 2 cells, found 1"),
        ("energy_mj", "name,energy_mj\n", "expected rows below the header, found none"),
        ("energy_mj", "name,energy_mj\nb00/Conv,1\n", "expected the whole network, found 1 layers alone"),
        (
            "memory_mb",
            "name,memory_mb\nwhole,1\nb00/Conv,1\n",
            "expected memory of the whole alone, found that of 'b00/Conv'",
        ),
        ("memory_mb", "\xff\xfe", "expected the columns"),
    ],
)
def test_malformed_values_are_named(once, tmp_path, metric, text, message):
    a, _ = once.ids
    put(tmp_path, {f"{a}.csv": text})
    (reason,) = reasons(read(once.compiled, tmp_path, metric=metric))
    assert re.search(message, reason), reason


def test_what_is_known_of_the_device_comes_from_four_places(once, tmp_path):
    write_device(tmp_path / "r", threads=1)
    (tmp_path / "mine.yaml").write_text("device: {hardware: Board}\n")
    facts = known_facts(once.compiled, tmp_path / "r", tmp_path / "mine.yaml")
    assert str(facts.device("r")) == "Board, onnxruntime 1.2.3, float32, 1 thread, batch 1, nchw"
    (tmp_path / "mine.yaml").write_text("device: {hardware: Other}\n")
    with pytest.raises(
        UsageError, match=r"mine\.yaml: device: expected the hardware 'Board' as in .*device\.yaml: device"
    ):
        known_facts(once.compiled, tmp_path / "r", tmp_path / "mine.yaml")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: expected a YAML file, found nothing there"):
        known_facts(once.compiled, tmp_path / "r", tmp_path / "nowhere.yaml")
    folder = once.copy(tmp_path)
    (folder / "hardware.yaml").write_text(
        "hardware: onnxruntime\nparameters: {threads: 2}\ndevice: {hardware: Board}\n"
    )
    with pytest.raises(UsageError, match="expected the threads 2 as in hardware onnxruntime, found 1"):
        known_facts(read_compiled(folder, once.prof), tmp_path / "r", None)
