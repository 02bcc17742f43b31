"""The example and the benchmark, run as a user would."""

import importlib.util
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from fitting import fit
from measured import measured_runs, network_latency_ms, tiny_space

import latpred
from latpred.dataset import Dataset
from latpred.export import export
from latpred.genprof import assemble, sampled
from latpred.models import TablePredictor
from latpred.profiling import load_device, new_session_record, profile

ROOT = Path(__file__).parents[2]
DEVICE = ROOT / "configs/devices/cpu_torch.yaml"


def run(script, *arguments):
    command = [sys.executable, "-W", "ignore", str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A table of the tiny space, measured on this machine."""
    folder, space, config = tmp_path_factory.mktemp("nas"), tiny_space(), load_device(DEVICE)
    dataset = Dataset.create(folder / "data", space.card(), config.resolve())
    record = new_session_record(config, 0)
    networks = [*sampled(space, 20, 0), *assemble(space).networks]
    with dataset.session(record) as writer:
        for one in profile(networks, space, config, 4, session_id=record["session_id"], seed=0):
            writer.append(one)
    table = fit(TablePredictor(), folder / "data")
    export(table.net, table.fitted_card, folder / "table.ts", ["ts"])
    return folder / "table.ts"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("nas_reward", ROOT / "examples/nas_reward.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class MadeUpSession:
    """Stands in for measuring: known latencies, without noise."""

    def __init__(self, networks, space, device, rounds, *, session_id, seed):
        self.runs = measured_runs(networks, rounds, session_id=session_id, noise=0)
        self.total = len(self.runs)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __iter__(self):
        return iter(self.runs)


def test_the_measured_stand_beside_their_architectures(example, monkeypatch):
    monkeypatch.setattr(example, "profile", MadeUpSession)
    space, rng = tiny_space(), Random(0)
    found = [example.Found(space.sample(rng), 0.7, 2.0, 0.5) for _ in range(5)]
    measured = example.measure(space, found, load_device(DEVICE), 2, 0)
    rows = example.rows_of(space, found, measured)
    for one, row in zip(found, rows, strict=True):
        latency_ms = network_latency_ms(space.network(one.architecture))
        assert row["architecture"] == space.to_json(one.architecture)
        assert row["measured_ms"] == pytest.approx(latency_ms)
        assert row["difference"] == pytest.approx(2 / latency_ms - 1)
        assert row["label_noise"] == 0
    one_round = example.rows_of(space, found, example.measure(space, found, load_device(DEVICE), 1, 0))
    assert [row["label_noise"] for row in one_round] == [None] * 5
    report = {"evaluations": 1, "device": "d", "target_ms": 1.0, "best": one_round}
    example.show(report)


def test_the_proxy_rises_with_the_flops_and_saturates(example):
    space, rng = tiny_space(), Random(0)
    drawn = sorted({space.sample(rng) for _ in range(31)}, key=str)
    proxy = example.ProxyAccuracy(space, drawn)
    flops = {a: sum(space.type_of(p).cost(p).flops for p in space.primitives(a)) for a in drawn}
    ranked = sorted(drawn, key=flops.get)
    assert [proxy.flops(a) for a in ranked] == [flops[a] for a in ranked]
    assert [proxy(a) for a in ranked] == sorted(map(proxy, drawn))
    reference = statistics.median(flops.values())
    for architecture in drawn:
        assert proxy(architecture) == pytest.approx(0.8 - 0.2 * math.exp(-flops[architecture] / reference))


@pytest.mark.slow
def test_the_example_measures_what_it_found(predictor, tmp_path):
    report_file = tmp_path / "report.json"
    options = ["--device", DEVICE, "--evaluations", 300, "--rounds", 4, "--seed", 0, "--json", report_file]
    done = run("examples/nas_reward.py", predictor, *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(report_file.read_text())
    assert len(report["best"]) == 5
    estimator = latpred.load(predictor)
    rewards = [row["reward"] for row in report["best"]]
    assert rewards == sorted(rewards, reverse=True)
    for row in report["best"]:
        assert row["predicted_ms"] == pytest.approx(estimator(row["architecture"]), rel=1e-6)
        latency_share = row["predicted_ms"] / report["target_ms"]
        assert row["reward"] == pytest.approx(row["proxy_accuracy"] * latency_share**-0.07, rel=1e-6)
        assert 0.6 < row["proxy_accuracy"] < 0.8
        assert row["difference"] == pytest.approx(row["predicted_ms"] / row["measured_ms"] - 1)
        assert 1 / 20 < row["predicted_ms"] / row["measured_ms"] < 20  # tells units apart, on a busy machine too
        assert row["label_noise"] >= 0
    distinct = {json.dumps(row["architecture"]) for row in report["best"]}
    assert len(distinct) == 5
    for words in ("proxy accuracy", "predicted ms", "measured ms", "label noise", str(estimator.card.device)):
        assert words in done.stdout


@pytest.mark.slow
def test_the_example_says_what_is_wrong_in_one_line(predictor, tmp_path):
    done = run("examples/nas_reward.py", predictor, "--target-ms", -2)
    assert done.returncode == 2
    assert done.stderr == "nas_reward: error: target_ms: expected a latency > 0 ms, found -2.0. Mend it.\n"
    other = tmp_path / "device.yaml"
    other.write_text("device: {hardware: Another CPU}\n")
    done = run("examples/nas_reward.py", predictor, "--device", other)
    assert done.returncode == 1
    assert "expected an estimator of the device 'Another CPU, torch" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_benchmark_splits_the_time(predictor, tmp_path):
    done = run("benchmarks/search.py", predictor, "--evaluations", 500, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [figures[name]["children_per_cycle"] for name in ("one", "batches")] == [1, 20]
    for row in figures.values():
        parts = row["predictor_s"] + row["evolution_s"] + row["rest_s"]
        assert parts == pytest.approx(row["seconds"])
        assert min(row["predictor_s"], row["evolution_s"], row["rest_s"]) > 0
