"""`latpred import`: what it tells, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from imported import CELLS, INDICES, help_nasbench201, hw_nas_bench, nn_meter, write_pickle
from measured import make_measured, tiny_space

from latpred.cli import main
from latpred.dataset import Dataset, estimate
from latpred.spaces import space_yaml

SHARED = Path(__file__).parents[3] / "shared/data/help"
DEVICE = "unknown unknown, unknown, 1 thread, batch"


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture
def help_folder(tmp_path):
    return help_nasbench201(tmp_path, pixel3=[3, 4.5, 5.25], titanx_32=[1.0, 2.0, 3.0])


def test_help_becomes_a_dataset_for_each_device(help_folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("import", "help", help_folder, "--space-name", "nasbench201", "--out", out, "--order-is-time") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"pixel3 -> {out}/pixel3: 3 runs of 3 networks, 3 to 5.25 ms; pixel3, {DEVICE} 1, unknown",
        f"titanx_32 -> {out}/titanx_32: 3 runs of 3 networks, 1 to 3 ms; titanx, {DEVICE} 32, unknown",
        f"wrote {out}/pixel3: 3 runs",
        f"wrote {out}/titanx_32: 3 runs",
        f"next: latpred fit --config configs/runs/table.yaml --data.dataset {out}/pixel3",
    ]
    dataset = Dataset.open(out / "pixel3")
    assert dataset.validate() == []
    assert dataset.card.space.name == "nasbench201"
    read = dataset.read()
    cells = [read.networks[i].architecture["arch_str"] for i in read.runs["network"]]
    assert list(zip(cells, read.runs["overall"], strict=True)) == list(zip(CELLS, [3.0, 4.5, 5.25], strict=True))
    assert list(read.runs["sequence"]) == [0, 1, 2]
    assert set(read.runs["round"]) == {0}
    (record,) = dataset.sessions()
    assert record["environment"]["measured"] == "elsewhere"
    about = record["import"]
    assert (about["format"], about["device"], about["order_is_time"]) == ("help", "pixel3", True)
    assert [file["name"] for file in about["files"]] == ["str_arch2idx.pt", "pixel3.pt", "titanx_32.pt"]
    assert all(len(file["sha256"]) == 64 for file in about["files"])
    assert sorted(path.name for path in out.iterdir()) == ["pixel3", "titanx_32"]  # no drafts


def test_facts_about_the_device_can_be_given(help_folder, tmp_path):
    words = [
        "import",
        "help",
        help_folder,
        "--space-name",
        "nasbench201",
        "--devices",
        "pixel3",
        "--out",
        tmp_path / "o",
    ]
    facts = ["--runtime", "tflite", "--runtime-version", "2.1", "--precision", "float32", "--threads", "4"]
    assert run(*words, *facts, "--layout", "nhwc", "--devices", "pixel3") == 0
    device = Dataset.open(tmp_path / "o/pixel3").card.device
    assert device.key == "pixel3_tflite-2.1_float32_t4_b1_nhwc"


def test_a_second_import_is_refused_and_nothing_is_overwritten(help_folder, tmp_path, capsys):
    words = ["import", "help", help_folder, "--space-name", "nasbench201", "--out", tmp_path / "out"]
    assert run(*words, "--devices", "titanx_32") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert run(*words) == 1
    assert capsys.readouterr().err == (
        f"latpred: error: {tmp_path}/out/titanx_32: expected nothing there yet, found something. "
        "It may have been imported before: open it, or choose another --out or --devices.\n"
    )
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_dry_run_tells_what_would_not_be_imported_and_writes_nothing(tmp_path, capsys):
    folder = help_nasbench201(tmp_path, pixel3=[3, 0, -1])
    words = ["import", "help", folder, "--space-name", "nasbench201", "--out", tmp_path / "out"]
    assert run(*words, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"pixel3 -> {tmp_path}/out/pixel3: 1 runs of 1 networks, 3 to 3 ms; ")
    assert lines[1].startswith(
        f"  left out: {folder}/latency/pixel3.pt, 1: expected the latency to be a number > 0, found"
    )
    assert lines[3:] == ["dry run: nothing was written"]
    assert not (tmp_path / "out").exists()


def test_what_is_no_measurement_stops_the_import_unless_it_is_skipped(tmp_path, capsys):
    folder = help_nasbench201(tmp_path, pixel3=[3, 0, 5.0])
    words = ["import", "help", folder, "--space-name", "nasbench201", "--out", tmp_path / "out"]
    assert run(*words) == 1
    assert "pixel3.pt, 1: expected the latency to be a number > 0, found 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(*words, "--skip") == 0
    dataset = Dataset.open(tmp_path / "out/pixel3")
    assert list(dataset.read().runs["overall"]) == [3.0, 5.0]
    assert dataset.sessions()[0]["import"]["refused"] == 1


def test_nothing_but_refused_values_is_no_dataset(tmp_path, capsys):
    folder = help_nasbench201(tmp_path, pixel3=[0, 0, 0])
    words = ["import", "help", folder, "--space-name", "nasbench201", "--out", tmp_path / "out", "--skip"]
    assert run(*words) == 1
    captured = capsys.readouterr()
    assert "pixel3: expected measurements, found none that can be imported" in captured.err
    assert not (tmp_path / "out").exists()


def test_many_refused_values_are_counted(tmp_path, capsys):
    rows = [{"id": "nasbench201_0", "phone": -1} for _ in range(8)]
    lines, architectures = nn_meter(tmp_path, [*rows, {"id": "nasbench201_1", "phone": 1}, {"id": "nasbench201_2"}])
    words = ["import", "nn-meter", lines, "--architectures", architectures, "--space-name", "nasbench201"]
    assert run(*words, "--out", tmp_path / "out", "--dry-run") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1] == "  not measured there: 1 networks"
    assert sum(line.startswith("  left out: ") for line in told) == 6
    assert told[-2] == "  left out: 3 more"


def test_the_other_pickles_and_lines(tmp_path, capsys):
    bench = hw_nas_bench(tmp_path / "x.pickle")
    assert run("import", "hw-nas-bench", bench, "--space-name", "nasbench201", "--out", tmp_path / "hw") == 0
    assert "note: eyeriss_arithmetic_intensity is not imported" in capsys.readouterr().out
    assert list(Dataset.open(tmp_path / "hw/edgegpu").read("energy_mj").runs["overall"]) == [24.2, 14.0, 6.5]
    sampling = ["--num-sample", "7", "--seed", "1", "--devices", "pixel3"]
    assert run("import", "hw-nas-bench", bench, "--space-name", "fbnet", "--out", tmp_path / "fb", *sampling) == 0
    dataset = Dataset.open(tmp_path / "fb/pixel3")
    assert dataset.validate() == []
    assert len(dataset.read().networks) == 7

    file = write_pickle(tmp_path / "mobile-cpu-int8.pickle", dict.fromkeys(INDICES, 0.25))
    assert run("import", "latbench", file, "--space-name", "nasbench201", "--out", tmp_path / "lb") == 0
    assert list(Dataset.open(tmp_path / "lb/mobile-cpu-int8").read().runs["overall"]) == [250.0] * 3


def test_a_malicious_pickle_is_one_line_and_executes_nothing(tmp_path, capsys):
    mark = tmp_path / "mark"
    bomb = f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode()
    (tmp_path / "bad.pickle").write_bytes(bomb)
    for command in ("latbench", "hw-nas-bench"):
        words = ["import", command, tmp_path / "bad.pickle", "--space-name", "nasbench201", "--out", tmp_path / "out"]
        assert run(*words) == 1
        error = capsys.readouterr().err
        assert error.startswith(
            f"latpred: error: {tmp_path}/bad.pickle, byte 0: expected plain data, found the name posix.s"
        )
        assert error.count("\n") == 1
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_csv_and_awnas_write_one_dataset(tmp_path, capsys):
    space = tiny_space()
    (tmp_path / "space.yaml").write_text(space_yaml(space))
    make_measured(tmp_path / "cpu", space, networks=4, rounds=2)
    assert run("dataset", "export", tmp_path / "cpu", "--format", "awnas", "--out", tmp_path / "parsed") == 0
    shared = ["--space", tmp_path / "space.yaml", "--hardware", "My CPU", "--threads", "2"]
    assert run("import", "awnas", tmp_path / "parsed", *shared, "--out", tmp_path / "back") == 0
    assert "note: 4 networks are architectures of mnasnet_ofa, " in capsys.readouterr().out
    before, after = Dataset.open(tmp_path / "cpu"), Dataset.open(tmp_path / "back")
    columns = ["network_id", "estimate", "runs"]
    assert estimate(before.read()).networks[columns].equals(estimate(after.read()).networks[columns])
    assert (after.card.device.hardware, after.card.device.threads) == ("My CPU", 2)

    sampled = next(n for n in before.read().networks if not n.assembled)
    architecture = json.dumps(sampled.architecture).replace('"', '""')
    (tmp_path / "a.csv").write_text(f'architecture,latency_ms\n"{architecture}",2.5\n')
    assert run("import", "csv", tmp_path / "a.csv", *shared, "--out", tmp_path / "csv") == 0
    read = Dataset.open(tmp_path / "csv").read()
    assert (read.networks[0].network_id, list(read.runs["overall"])) == (sampled.network_id, [2.5])


@pytest.mark.parametrize(
    ("column", "command"),
    [
        ("latency_ms", "latpred fit --config configs/runs/table.yaml --data.dataset {out}"),
        ("energy_mj", "latpred fit --config configs/runs/table.yaml --data.dataset {out} --data.metric energy_mj"),
        ("memory_mb", "latpred dataset info {out}"),
    ],
)
def test_the_next_command_is_of_what_was_measured(column, command, tmp_path, capsys):
    (tmp_path / "a.csv").write_text(f'architecture,{column}\n"""{CELLS[0]}""",2.5\n')
    words = ["import", "csv", tmp_path / "a.csv", "--space-name", "nasbench201", "--hardware", "Board"]
    assert run(*words, "--out", tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"next: {command.format(out=tmp_path / 'out')}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--space-name", "nasbench202"], "configs/spaces: unknown name 'nasbench202', expected one of fbnet, "),
        ([], "--space: expected it or --space-name, found neither. Give one of them"),
        (["--space", "x.yaml", "--space-name", "fbnet"], "--space: expected it or --space-name, found both"),
        (["--space-name", "nasbench201", "--devices", "pixel2"], "--devices: expected devices of "),
        (["--space-name", "nasbench201", "--threads", "0"], "device.threads: expected an integer >= 1, found 0"),
    ],
)
def test_a_mistake_in_the_options_exits_with_2(words, message, help_folder, tmp_path, capsys):
    assert run("import", "help", help_folder, "--out", tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_export_knows_two_formats(tmp_path, capsys):
    make_measured(tmp_path / "cpu", tiny_space(), networks=2, rounds=1, assembled=False)
    words = ["dataset", "export", tmp_path / "cpu", "--out", tmp_path / "out"]
    assert run(*words, "--format", "yaml") == 2
    assert "--format: expected one of parquet, awnas, found 'yaml'" in capsys.readouterr().err
    assert run(*words, "--format", "awnas", "--long") == 2
    assert "--long: expected it with --format parquet, found awnas" in capsys.readouterr().err
    assert run(*words, "--format", "awnas") == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}/out: 2 runs\n"
    assert run(*words, "--format", "awnas") == 1
    assert "expected a path where nothing is yet" in capsys.readouterr().err


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "space", "devices", "runs"),
    [("fbnet", "fbnet", 20, 5000), ("ofa", "ofa_mobilenet_v3", 6, 5000), ("nasbench201", "nasbench201", 21, 15625)],
)
def test_all_devices_of_help(folder, space, devices, runs, tmp_path, capsys):
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    words = ["import", "help", SHARED / folder, "--space-name", space, "--devices", "all", "--out", tmp_path / "out"]
    assert run(*words, "--dry-run", "--skip") == 0
    told = [line for line in capsys.readouterr().out.splitlines() if " -> " in line]
    assert [line.partition(" -> ")[0] for line in told] == sorted(
        path.stem for path in (SHARED / folder / "latency").glob("*.pt")
    )
    assert len(told) == devices
    counts = [int(line.partition(" runs of ")[0].rpartition(" ")[2]) for line in told]
    assert all(0.99 * runs <= count <= runs for count in counts)  # a few values are no measurements


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "space", "device", "runs"),
    [
        ("fbnet", "fbnet", "pixel3", 5000),
        ("ofa", "ofa_mobilenet_v3", "titan_rtx_64", 5000),
        pytest.param("nasbench201", "nasbench201", "samsung_a50", 15625, marks=pytest.mark.slow),
    ],
)
def test_the_real_files_of_help(folder, space, device, runs, tmp_path):
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    from latpred.dataset.importers.plain_pickle import read_pickle_file

    words = ["import", "help", SHARED / folder, "--space-name", space, "--devices", device, "--out", tmp_path]
    assert run(*words) == 0
    read = Dataset.open(tmp_path / device).read()
    assert list(read.runs["overall"]) == read_pickle_file(SHARED / folder / f"latency/{device}.pt")
    assert len(read.networks) == len(read.runs) == runs
    assert (estimate(read).networks["runs"] == 1).all()
