"""`latpred parse`: results into a dataset, once; what one file says; bad input in one line."""

import json
import os
import subprocess

import fake_trtexec
import pytest
from cli_paths import ROOT
from offline import Once, csv_of, write_device

from latpred.cli import main
from latpred.dataset import Dataset

SAMPLES = ROOT / "tests/samples"
WHOLE = "name,latency_ms\nwhole,{}\n"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return Once(tmp_path_factory.mktemp("once"), networks=2)


@pytest.fixture
def folder(once, tmp_path, monkeypatch):
    """A folder with a compiled PROF_DIR, and results of two runs of one network and one of another."""
    monkeypatch.chdir(tmp_path)
    once.copy(tmp_path)
    a, b = once.ids
    write_device(tmp_path / "results")
    for name, whole in ((f"{a}.0", 2.0), (f"{a}.1", 2.2), (f"{b}.0", 3.0)):
        (tmp_path / f"results/{name}.csv").write_text(csv_of(once.compiled, name.partition(".")[0], whole))
    return tmp_path


def parse(*more, results="results", hardware="onnxruntime", dataset="data"):
    return main(["parse", results, "--hardware", hardware, "--prof", "prof", "--dataset", dataset, *more])


def rows(dataset="data"):
    runs = Dataset.open(dataset).read().runs
    return sorted(runs["overall"].tolist())


def test_results_become_rows_of_one_session(folder, once, capsys):
    assert parse() == 0
    out = capsys.readouterr().out
    for line in (
        "3 runs of 2 networks, read as csv",
        "values per block: 3 of 3 runs",
        "of the layers' time, 100.0% belongs to blocks, and 0.0% is overhead",
        "note: 1 networks have one run: their noise is unknown",
        "device: Board, onnxruntime 1.2.3, float32, 1 thread, batch 1, nchw",
        "next: latpred fit --config configs/runs/table.yaml --data.dataset data",
    ):
        assert f"{line}\n" in out
    dataset = Dataset.open("data")
    (record,) = dataset.sessions()
    assert f"stored 3 runs in {folder / 'data'}, session {record['session_id']}\n" in out
    assert record["session_id"].startswith("parse-onnxruntime-")
    assert record["offline"]["hardware"] == "onnxruntime"
    assert len(record["offline"]["digests"]) == 3
    assert dataset.validate() == []
    found = dataset.read()
    assert found.runs[["sequence", "round"]].to_numpy().tolist() == [[0, 0], [1, 0], [2, 1]]  # round by round
    assert [found.networks[i].network_id for i in found.runs["network"]] == [*once.ids, once.ids[0]]
    assert found.runs["overall"].tolist() == [2.0, 3.0, 2.2]


def test_the_same_results_are_stored_once_and_new_ones_added(folder, once, capsys):
    assert parse() == 0
    before = Dataset.open("data").keys()
    capsys.readouterr()
    assert parse() == 0
    assert "3 runs are in data already\n" in capsys.readouterr().out
    assert Dataset.open("data").keys() == before
    for file in sorted((folder / "results").glob("*.csv")):
        file.rename(folder / "results" / f"{file.stem.replace('.', '.run')}.csv")  # a name is no measurement
    (folder / f"results/{once.ids[1]}.9.csv").write_text(WHOLE.format(3.5))
    (folder / f"results/{once.ids[1]}.10.csv").write_text(WHOLE.format(3.5))  # as long as the one before, by chance
    assert parse() == 0
    assert "stored 2 runs" in capsys.readouterr().out
    assert rows() == [2.0, 2.2, 3.0, 3.5, 3.5]
    assert len(Dataset.open("data").sessions()) == 2
    assert parse() == 0
    assert rows() == [2.0, 2.2, 3.0, 3.5, 3.5]
    (folder / f"results/{once.ids[1]}.11.csv").write_text(WHOLE.format(3.5))
    assert parse() == 0
    assert rows() == [2.0, 2.2, 3.0, 3.5, 3.5, 3.5]


def test_the_same_results_have_the_same_session_id(folder):
    assert parse() == 0
    assert parse(dataset="other") == 0
    ids = [Dataset.open(name).sessions()[0]["session_id"] for name in ("data", "other")]
    assert ids[0] == ids[1]


def test_a_session_that_was_killed_before_its_first_run_is_made_again(folder, capsys):
    assert parse() == 0
    whole = Dataset.open("data")
    (record,) = whole.sessions()
    Dataset.create("killed", whole.card.space, whole.card.device)
    (folder / "killed/sessions" / f"{record['session_id']}.json").write_text(json.dumps(record))
    assert parse(dataset="killed") == 0
    assert f"session {record['session_id']}-2\n" in capsys.readouterr().out
    assert rows("killed") == rows()


def test_a_dry_run_stores_nothing_and_says_the_same(folder, once, capsys):
    (folder / "results/deadbeefdeadbeef.csv").write_text(WHOLE.format(1))
    assert parse("--dry-run") == 0
    out = capsys.readouterr().out
    assert "not stored: results/deadbeefdeadbeef.csv: expected a network of the compiled folder, found dead" in out
    assert "would store 3 runs in data\n" in out
    assert not (folder / "data").exists()
    assert main(["parse", "results", "--hardware", "0-onnxruntime", "--prof", "prof", "--dry-run"]) == 0
    assert "would store 3 runs\n" in capsys.readouterr().out
    assert parse() == 0
    assert parse("--dry-run") == 0
    assert "would store 0 runs in data\n" in capsys.readouterr().out


def test_energy_and_memory_are_sessions_of_the_same_dataset(folder, once, capsys):
    assert parse() == 0
    after = {"energy": "latpred fit --config configs/runs/table.yaml --data.dataset data --data.metric energy_mj"}
    after["memory"] = "latpred dataset info data"
    for metric, column, value in (("energy", "energy_mj", 40), ("memory", "memory_mb", 12)):
        write_device(folder / metric)
        (folder / metric / f"{once.ids[0]}.csv").write_text(f"name,{column}\nwhole,{value}\n")
        assert parse("--hwobj-type", metric, results=metric) == 0
        assert capsys.readouterr().out.endswith(f"next: {after[metric]}\n")
        assert Dataset.open("data").read(column).runs["overall"].tolist() == [value]
    assert len(rows()) == 3


def test_a_failed_build_is_a_failed_run(folder, once, capsys, tmp_path_factory):
    trt = Once(tmp_path_factory.mktemp("trt"), "tensorrt")
    (network_id,) = trt.ids
    trt.copy(folder / "t")
    (folder / "logs").mkdir()
    (folder / f"logs/{network_id}.log").write_text(fake_trtexec.log_of(0, "Orin", 8601, "x", failed=True))
    command = ["parse", "logs", "--hardware", "tensorrt", "--prof", "t/prof", "--dataset", "data"]
    assert main(command) == 1  # nothing but failures
    assert f"failed: network {network_id}: Engine could not be created from network\n" in capsys.readouterr().out
    assert Dataset.open("data").info().runs_failed == 1
    assert main(command) == 1
    assert Dataset.open("data").info().runs_failed == 1


@pytest.mark.slow
def test_a_shell_script_with_a_tool_gives_what_parse_reads(folder, tmp_path_factory, capsys):
    trt = Once(tmp_path_factory.mktemp("trt"), "tensorrt", networks=2)
    compiled = trt.copy(folder / "t")
    fake_trtexec.install(folder / "bin")
    env = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for primitive in compiled.glob("prim_*[!n]"):  # there are many, and each takes a process
        for file in primitive.iterdir():
            file.unlink()
    subprocess.run(["/bin/sh", "run.sh", "2"], cwd=compiled, env=env | {"FAKE_TRTEXEC_FAILS": trt.ids[0]}, check=True)
    command = ["parse", f"{compiled}/results", "--hardware", "tensorrt", "--prof", "t/prof", "--dataset", "data"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert f"failed: network {trt.ids[0]}: Engine could not be created from network\n" in out
    assert "device: Orin, tensorrt 8.6.1, float32, 1 thread, batch 1, nchw\n" in out
    assert "values per block: 2 of 2 runs\n" in out
    assert "stored 4 runs" in out


def of_other_code(path, network_id):
    (path / "results/device.yaml").write_text("device: !!python/object/apply:os.system ['touch made']")


def without(pattern):
    return lambda path, network_id: [file.unlink() for file in path.glob(pattern.format(network_id))]


def emptied(path, network_id):
    for file in path.glob("results/*.csv"):
        file.write_text("")


SPOILT = {
    "tells its hardware, runtime_version. Write 'device: {hardware": without("results/device.yaml"),
    "expected the threads 1 as in hardware onnxruntime, found 2": lambda p, _: write_device(p / "results", threads=2),
    "device.yaml: device: unknown key 'color'": lambda p, _: write_device(p / "results", color="x"),
    "device.yaml: expected YAML, got: could not determine a constructor": of_other_code,
    "results: expected files of results, found none": without("results/*"),
    "results: expected results to store, found none": emptied,
    "expected the map of a compiled folder, found none there": without("prof/hardwares/*/prim_to_ops.json"),
    "expected networks and primitives of this profiling set, found": without("prof/prof_nets/{}.yaml"),
    "hardware.yaml: expected a YAML file, found nothing there": without("prof/hardwares/*/hardware.yaml"),
}


@pytest.mark.parametrize(("message", "spoil"), SPOILT.items())
def test_bad_input_is_one_line_and_stores_nothing(folder, once, capsys, message, spoil):
    spoil(folder, once.ids[0])
    assert parse() == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (folder / "data").exists()
    assert not (folder / "made").exists()


def test_logs_of_two_devices_or_two_versions_are_refused(folder, tmp_path_factory, capsys):
    trt = Once(tmp_path_factory.mktemp("trt"), "tensorrt", networks=2)
    trt.copy(folder / "t")
    (folder / "logs").mkdir()
    command = ["parse", "logs", "--hardware", "tensorrt", "--prof", "t/prof", "--dataset", "data"]
    for (device, version), message in {
        ("Xavier", 8601): "expected the hardware 'Orin' as in logs/{0}.log, found 'Xavier'",
        ("Orin", 100300): "expected the runtime_version '8.6.1' as in logs/{0}.log, found '10.3.0'",
    }.items():
        for network_id, of in zip(trt.ids, (("Orin", 8601), (device, version)), strict=True):
            (folder / f"logs/{network_id}.log").write_text(fake_trtexec.log_of(1, *of, "x"))
        assert main(command) == 2
        error = capsys.readouterr().err
        assert f"logs/{trt.ids[1]}.log: {message.format(trt.ids[0])}. Keep the results of each device" in error
    assert not (folder / "data").exists()


def test_a_dataset_of_another_device_is_refused(folder, capsys):
    assert parse() == 0
    write_device(folder / "results", runtime_version="1.3")
    assert parse() == 1
    assert "the dataset is of the device 'Board, onnxruntime 1.2.3, " in capsys.readouterr().err
    assert len(rows()) == 3


def test_the_wrong_format_is_told_for_each_file(folder, once, capsys):
    assert parse("--format", "openvino") == 2
    out, error = capsys.readouterr()
    assert f"not stored: results/{once.ids[0]}.0.csv: expected a file of openvino, found the signature of csv" in out
    assert "expected results to store, found none" in error


@pytest.mark.parametrize("missing", ["--hardware", "--prof", "--dataset"])
def test_what_is_needed_is_named(folder, capsys, missing):
    given = {"--hardware": "onnxruntime", "--prof": "prof", "--dataset": "data"}
    words = [word for name, value in given.items() if name != missing for word in (name, value)]
    assert main(["parse", "results", *words]) == 2
    assert f"expected {missing}, found none. Give it, or --show" in capsys.readouterr().err


def test_show_tells_what_one_file_says(capsys):
    assert main(["parse", str(SAMPLES / "trtexec_8_6.log"), "--show"]) == 0
    out = capsys.readouterr().out
    for line in (
        "trtexec log: in ms",
        "version 8.6.1, device Orin",
        "whole: 1.91 ms, median of 5 runs, warm-up excluded",
        r"    1.760000 ms  /b0/Conv, a + 100% sure\x1e[b]",  # a control character does not reach the terminal
    ):
        assert f"{line}\n" in out
    assert "layers: 3, together 1.907 ms (median), of which 2.6% moves or reorders data" in out
    assert "note: GPU compute time is unstable, with coefficient of variance = 4.1%." in out


def test_show_as_json(tmp_path, capsys):
    sample = str(SAMPLES / "csv_networks.csv")
    assert main(["parse", sample, "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed) > 1
    assert {"tool", "network", "unit", "whole_ms", "layers"} <= printed[0].keys()
    assert main(["parse", sample, "--show", "--json", f"{tmp_path}/x.json"]) == 0
    assert json.loads((tmp_path / "x.json").read_text()) == printed
    assert f"network {printed[0]['network']}: in ms" in capsys.readouterr().out
    assert main(["parse", sample, "--show", "--json", f"{tmp_path}/x.json"]) == 2
    assert "x.json: expected a path where nothing stands for --json, found one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("trtexec_failed.log", "failed: builtin_op_importers|failed: "),
        ("openvino_detailed.csv", "whole: not in this file"),
        ("dpu_n2cube.txt", "dpu"),
    ],
)
def test_show_of_other_files(capsys, sample, words):
    assert main(["parse", str(SAMPLES / sample), "--show"]) == 0
    assert words.split("|")[-1] in capsys.readouterr().out


def test_show_is_of_latencies(capsys):
    assert main(["parse", str(SAMPLES / "csv_one.csv"), "--show", "--hwobj-type", "energy"]) == 2
    assert "expected --hwobj-type latency with --show or --json, found energy. Take --dry" in capsys.readouterr().err


def test_show_of_no_result(tmp_path, capsys):
    (tmp_path / "x").write_text("hello")
    assert main(["parse", f"{tmp_path}/x", "--show"]) == 1
    assert "x: expected a file of csv, dpu, " in capsys.readouterr().err
