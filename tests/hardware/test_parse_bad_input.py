"""Results that a person could bring by mistake, or that somebody made to do harm, through `latpred parse`.

Other bad input: tests/cli/test_parse.py (two devices, two versions, spoilt maps and YAMLs), test_read_results.py here
(each kind of file that is no run), tests/dataset/test_import_pickle.py (pickles and archives).
"""

import io
import json
import os
import pickle
import re
import shutil
import zipfile

import fake_trtexec
import pytest
from cli_paths import ROOT
from offline import Once, write_device

from latpred.cli import main
from latpred.dataset import Dataset
from latpred.errors import ParseError
from latpred.formats import FORMATS, detect
from latpred.hardware.compiled import MAP

SAMPLES = ROOT / "tests/samples"
WHOLE = "name,latency_ms\nwhole,{}\n"
OPENVINO_LOG = (SAMPLES / "openvino.log").read_text()
ORT = (SAMPLES / "onnxruntime_profile.json").read_text()


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return Once(tmp_path_factory.mktemp("once"), networks=2)


@pytest.fixture
def folder(once, tmp_path, monkeypatch):
    """The working folder: a compiled PROF_DIR, and a folder of results with the device in it."""
    monkeypatch.chdir(tmp_path)
    once.copy(tmp_path)
    write_device(tmp_path / "results")
    return tmp_path


def parse(*more, hardware="onnxruntime"):
    return main(["parse", "results", "--hardware", hardware, "--prof", "prof", "--dataset", "data", *more])


def put(folder, files):
    for name, content in files.items():
        path = folder / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def wholes():
    return sorted(Dataset.open("data").read().runs["overall"].tolist())


def archive(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, content in members.items():
            written.writestr(name, content)
    return file.getvalue()


BOMB = b"cposix\nsystem\n(S'touch made'\ntR."
REFUSED = {
    "another format than named": (
        {"{a}.json": ORT},
        ["--format", "trtexec"],
        "results/{a}.json: expected a file of trtexec, found the signature of onnxruntime. Leave the format out, or",
    ),
    "the file of another tool": (
        {"{a}.log": OPENVINO_LOG},
        [],
        "results/{a}.log: expected a file of onnxruntime or csv for onnxruntime, found one of openvino. Give the hard",
    ),
    "two units in a header": (
        {"{a}.csv": "name,latency_ms,latency_us\nwhole,1,1000\n"},
        [],
        "line 1: expected the columns name and latency_ms, and of network, op_type, run each at most once, found 'name",
    ),
    "an energy among latencies": (
        {"{a}.csv": "name,energy_mj\nwhole,4\n"},
        [],
        "results/{a}.csv: expected a file of csv, dpu, ",
    ),
    "a latency among energies": (
        {"{a}.csv": WHOLE.format(4)},
        ["--hwobj-type", "energy"],
        "line 1: expected the columns [network,]name,energy_mj[,run], found 'name,latency_ms'. Write a CSV with that",
    ),
    "a network that was never compiled": (
        {"deadbeefdeadbeef.csv": WHOLE.format(1)},
        [],
        "expected a network of the compiled folder, found deadbeefdeadbeef. It was never compiled: remove it, or name",
    ),
    "layers without their whole": (
        {"{a}.csv": "name,latency_ms\nb00/Conv,1\nb00/Relu,2\n"},
        [],
        "results/{a}.csv: expected the whole network, found 2 layers alone. Bring the tool's log too, or a CSV with",
    ),
    "an empty log": ({"{a}.log": ""}, [], "results/{a}.log: expected a tool's file, found an empty one. Run the tool"),
    "a log of blanks": ({"{a}.log": " \n\n"}, [], "results/{a}.log: expected a tool's file, found an empty one."),
    "per cent": (
        {"{a}.csv": "name,latency_ms\nwhole,15 %\n"},
        [],
        "line 2: expected latency_ms to be a number >= 0, found '15 %'. Look at what the tool printed",
    ),
    "a decimal comma": (
        {"{a}.csv": 'name,latency_ms\nwhole,"1,234"\n'},
        [],
        "line 2: expected latency_ms to be a number >= 0, found '1,234'. Run the tool with LC_ALL=C, so that it writes",
    ),
    "a decimal comma that is a cell": (
        {"{a}.csv": "name,latency_ms\nwhole,1,234\n"},
        [],
        "line 2: expected 2 cells (name, latency_ms), found 3. Write the header",
    ),
    "a pickle": ({"{a}.pkl": BOMB}, [], "results/{a}.pkl: expected a file of csv, dpu, "),
    "a pickle of protocol 4": ({"{a}.log": pickle.dumps([1.5], 4)}, [], "found none of their signatures"),
    "a YAML that would call something": (
        {"{a}.yaml": "!!python/object/apply:os.system ['touch made']"},
        [],
        "results/{a}.yaml: expected a file of csv, dpu, ",
    ),
    "an archive": (
        {"{a}.zip": archive({"../made": "x", "/made": "x", f"{'../' * 9}made": "x"})},
        [],
        "results/{a}.zip: expected a file of csv, dpu, ",
    ),
    "a network that is a path": (
        {"all.csv": "network,name,latency_ms\n../../made,whole,1\n"},
        [],
        "expected a network in the path or the file, found the name '../../made'. Call the file NETWORK.RUN.<ending>",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_in_one_line_and_nothing_is_stored_or_executed(folder, once, capsys, what):
    files, options, message = REFUSED[what]
    a, _ = once.ids
    put(folder, {name.replace("{a}", a): content for name, content in files.items()})
    before = sorted(folder.rglob("*"))
    assert parse(*options) == 2
    out, error = capsys.readouterr()
    (line,) = [line for line in out.splitlines() if line.startswith("not stored: ")]
    assert message.replace("{a}", a) in line
    assert error == "latpred: error: results: expected results to store, found none. See above why.\n"
    assert sorted(folder.rglob("*")) == before
    assert not (folder.parent / "made").exists()


@pytest.mark.parametrize("what", [what for what, (_, options, _) in REFUSED.items() if not options])
def test_what_stands_beside_it_is_stored_all_the_same(folder, once, capsys, what):
    files, (a, b) = REFUSED[what][0], once.ids
    put(folder, {name.replace("{a}", a): content for name, content in files.items()})
    put(folder, {f"{b}.csv": WHOLE.format(3.5)})
    assert parse() == 0
    assert "not stored: " in capsys.readouterr().out
    assert wholes() == [3.5]


def test_units_that_differ_from_file_to_file_are_converted(folder, once):
    a, b = once.ids
    put(folder, {f"{a}.0.csv": "name,latency_us\nwhole,1500\n", f"{a}.1.csv": "name,latency_s\nwhole,0.0025\n"})
    put(folder, {f"{b}.0.csv": "name,latency_ns\nwhole,3500000\n", f"{b}.1.csv": WHOLE.format(4.5)})
    assert parse() == 0
    assert wholes() == pytest.approx([1.5, 2.5, 3.5, 4.5])


def test_units_that_are_mixed_within_a_log_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = Once(tmp_path, "openvino")
    for median in ("640.50 us", "0.64 ms"):
        log = OPENVINO_LOG.replace("Median:        640.50 us", f"Median:        {median}")
        write_device(tmp_path / "results", runtime_version="2026.4.1")
        put(tmp_path, {f"{made.ids[0]}.log": log.replace("bfloat16", "f32")})
        code = parse("--dry-run", hardware="openvino")
        out = capsys.readouterr().out
        if median.endswith("us"):
            assert (code, "not stored" in out) == (0, False)
        else:
            assert code == 2
            assert f"{made.ids[0]}.log: line 20: expected Average in ms as the others, found us. Give each" in out


def test_samples_that_are_all_equal_are_stored_and_told(folder, once, capsys):
    a, b = once.ids
    put(folder, {f"{a}.{run}.csv": WHOLE.format(2) for run in range(3)})
    put(folder, {f"{b}.csv": "name,latency_ms,run\nwhole,3,0\nwhole,3,1\n"})
    assert parse() == 0
    out = capsys.readouterr().out
    assert "5 runs of 2 networks, read as csv\n" in out
    assert "note: 2 networks have runs that are all equal: a file was copied, or the clock is too coarse\n" in out
    assert wholes() == [2, 2, 2, 3, 3]
    assert main(["dataset", "info", "data"]) == 0
    assert parse() == 0
    assert wholes() == [2, 2, 2, 3, 3]


def test_one_sample_is_stored_and_told(folder, once, capsys):
    put(folder, {f"{once.ids[0]}.csv": WHOLE.format(2)})
    assert parse() == 0
    out = capsys.readouterr().out
    assert "note: 1 networks have one run: their noise is unknown\n" in out
    assert "all equal" not in out
    assert wholes() == [2]


def test_runs_that_differ_are_not_called_equal(folder, once, capsys):
    put(folder, {f"{once.ids[0]}.{run}.csv": WHOLE.format(2 + run) for run in range(2)})
    assert parse() == 0
    assert "note:" not in capsys.readouterr().out


def test_peaks_of_memory_that_are_equal_are_no_surprise(folder, once, capsys):
    put(folder, {"all.csv": "network,name,memory_mb,run\n{0},whole,5,0\n{0},whole,5,1\n".format(once.ids[0])})
    assert parse("--hwobj-type", "memory") == 0
    assert "all equal" not in capsys.readouterr().out
    assert Dataset.open("data").read("memory_mb").runs["overall"].tolist() == [5, 5]


def test_a_pipe_and_a_broken_link_are_not_waited_for(folder, once, capsys):
    a, b = once.ids
    os.mkfifo(folder / f"results/{a}.0.csv")
    (folder / f"results/{a}.1.csv").symlink_to("nowhere")
    put(folder, {f"{b}.csv": WHOLE.format(1)})
    assert parse() == 0
    out = capsys.readouterr().out
    for run in range(2):
        assert f"not stored: results/{a}.{run}.csv: expected a file, found something else. Remove it\n" in out
    assert wholes() == [1]


@pytest.mark.parametrize("name", ["../../made", "/etc/passwd", "..", "prim_../x", "a\x00b"])
@pytest.mark.parametrize("key", ["networks", "primitives"])
def test_a_map_that_leads_elsewhere_is_refused(folder, once, capsys, name, key):
    file = next((folder / "prof/hardwares").glob(f"*/{MAP}"))
    content = json.loads(file.read_text())
    content[key][name] = next(iter(content["networks"].values()))
    file.write_text(json.dumps(content))
    put(folder, {f"{once.ids[0]}.csv": WHOLE.format(1)})
    assert parse() == 2
    error = capsys.readouterr().err
    assert f"{MAP}: expected networks and primitives of this profiling set, found {name!r}. Give the PROF_DIR" in error
    assert error.count("\n") == 1
    assert not (folder / "data").exists()


def test_layers_that_a_map_calls_by_paths_are_names_and_nothing_else(folder, once, capsys):
    file = next((folder / "prof/hardwares").glob(f"*/{MAP}"))
    content = json.loads(file.read_text())
    for block in (block for blocks in content["networks"].values() for block in blocks):
        block["layers"] = [f"../../{folder.name}/{name}" for name in block["layers"]]
    file.write_text(json.dumps(content))
    names = [name for block in content["networks"][once.ids[0]] for name in block["layers"]]
    put(folder, {f"{once.ids[0]}.csv": "\n".join([WHOLE.format(2).strip(), *(f"{name},1" for name in names), ""])})
    before = {path for path in folder.rglob("*") if "data" not in path.parts}
    assert parse() == 0
    assert "of the layers' time, 100.0% belongs to blocks" in capsys.readouterr().out
    assert {path for path in folder.rglob("*") if "data" not in path.relative_to(folder).parts} == before


def test_a_profiling_set_that_would_call_something_is_refused(folder, once, capsys):
    put(folder, {f"{once.ids[0]}.csv": WHOLE.format(1)})
    for name in ("space.yaml", "prof_prims.yaml", f"prof_nets/{once.ids[0]}.yaml"):
        file = folder / "prof" / name
        text = file.read_text()
        file.write_text("a: !!python/object/apply:os.system ['touch made']\n")
        assert parse() != 0
        error = capsys.readouterr().err
        assert f"{name}: " in error
        assert "could not determine a constructor for the tag" in error
        assert error.count("\n") == 1
        file.write_text(text)
    assert not (folder / "made").exists()
    assert parse() == 0


def test_an_engine_that_was_not_built_and_one_that_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trt = Once(tmp_path / "made", "tensorrt", networks=2)
    shutil.copytree(tmp_path / "made/prof", tmp_path / "prof")
    a, b = trt.ids
    put(tmp_path, {f"{a}.log": fake_trtexec.log_of(0, "Orin", 8601, "x", failed=True)})
    put(tmp_path, {f"{b}.log": fake_trtexec.log_of(1.5, "Orin", 8601, "x")})
    assert parse(hardware="tensorrt") == 0
    assert f"failed: network {a}: Engine could not be created from network\n" in capsys.readouterr().out
    assert (wholes(), Dataset.open("data").info().runs_failed) == ([1.5], 1)
    put(tmp_path, {f"{b}.1.log": fake_trtexec.log_of(1.6, "Xavier", 8601, "x")})
    assert parse(hardware="tensorrt") == 2
    assert "expected the hardware 'Orin' as in results/" in capsys.readouterr().err
    assert wholes() == [1.5]


def told(text, name):
    """All numbers that a format reads in a text; None if it refuses."""
    try:
        profiles = FORMATS[name].parse_networks(text, "x")
    except ParseError:
        return None
    return [[p.whole_ms, *p.runs_ms, *(layer.latency_ms for layer in p.layers)] for p in profiles]


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.iterdir()))
def test_decimal_commas_in_any_tools_file_are_refused(sample):
    text = (SAMPLES / sample).read_bytes().decode("utf-8", "replace")
    name = detect(text).name
    localized = re.sub(r"(?<=\d)\.(?=\d)", ",", text)
    # Whole numbers, such as the us of ONNX Runtime, have no decimal point: nothing changes for them.
    assert told(localized, name) in (None, told(text, name))


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.iterdir()))
def test_signs_of_per_cent_behind_times_are_refused(sample):
    text = (SAMPLES / sample).read_bytes().decode("utf-8", "replace")
    name = detect(text).name
    changed = re.sub(r"(\d)(?= (?:us|ms)\b|;|$)", r"\1%", text, flags=re.MULTILINE)
    assert told(changed, name) in (None, told(text, name))
