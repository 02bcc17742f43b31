"""The whole offline path, with the vendors' own tools: compile, measure, parse, fit, predict, and against online."""

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import fake_trtexec
import numpy as np
import onnx
import onnxruntime
import pytest
from cli_paths import ROOT

from latpred.dataset import Dataset
from latpred.formats import Profile, parse_file
from latpred.graph import BlockGraphs
from latpred.hardware import BlockNames, block_times, make_hardware
from latpred.hardware.onnx_files import layers_of
from latpred.spaces import load_space
from latpred.spaces.pool import BlockPool

LEVELS = ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_LAYOUT", "ENABLE_ALL")
NETWORKS = 3


@pytest.fixture(scope="module")
def models():
    """MobileNetV3 networks of the reference space as ONNX, with the names of each block's layers."""
    space = load_space(ROOT / "configs/spaces/mnasnet_ofa_112.yaml")
    pool, graphs, rng = BlockPool(space, 0), BlockGraphs(1), Random(0)
    drawn = [space.network(space.sample(rng)) for _ in range(NETWORKS)]
    found = [graphs.network(network, pool.modules(network)) for network in drawn]
    return [(model, layers_of(model.graph, len(n.primitives))) for model, n in zip(found, drawn, strict=True)]


def times(profile: Profile, layers, hardware: str):
    return block_times(profile.layers, BlockNames(layers), make_hardware(hardware).hardware, len(layers), in_order=True)


def check(found, by_position: float):
    """Nearly all of the layers' time is in blocks, and no block is without; most of it is found by name."""
    assert sum(found.blocks) >= 0.95 * found.total
    assert found.by_position <= by_position * found.total
    assert found.fused == 0
    assert min(found.blocks) > 0


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_onnxruntimes_layers_land_in_their_blocks(models, level, tmp_path):
    for model, layers in models:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.enable_profiling = 1, True
        options.profile_file_prefix = str(tmp_path / "profile")
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for _ in range(10):
            session.run(None, {"image": np.zeros((1, 3, 112, 112), np.float32)})
        # Changes of layout, and the parts of h-swish where it has no kernel, have names without a block.
        check(times(parse_file(session.end_profiling()), layers, "onnxruntime"), by_position=0.15)


@pytest.mark.slow
def test_openvinos_layers_land_in_their_blocks(models, tmp_path):
    pytest.importorskip("openvino")
    app = Path(sys.executable).with_name("benchmark_app")
    if not app.exists():
        pytest.skip("benchmark_app is not installed beside Python")
    for i, (model, layers) in enumerate(models):
        folder = tmp_path / str(i)
        folder.mkdir()
        onnx.save(model, folder / "n.onnx")
        how = "-d CPU -hint none -nstreams 1 -nthreads 1 -infer_precision f32 -niter 20 -api sync -pc"
        command = [str(app), "-m", "n.onnx", *how.split(), "-report_type", "detailed_counters", "-report_folder", "."]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        check(
            times(parse_file(folder / "benchmark_detailed_counters_report.csv"), layers, "openvino"), by_position=0.02
        )


def test_tensorrts_names_land_in_their_blocks(models, tmp_path):
    for model, layers in models:
        (tmp_path / "profile.json").write_text(fake_trtexec.profile_of(fake_trtexec.rows_of(model.graph)))
        found = times(parse_file(tmp_path / "profile.json"), layers, "tensorrt")
        check(found, by_position=0)
        nodes = [len([name for name in block if name != "output"]) for block in layers]
        for time, count in zip(found.blocks, nodes, strict=True):  # one or two layers in ten have a copy before them
            assert (
                count * fake_trtexec.NODE_MS <= time + 1e-9 <= count * fake_trtexec.NODE_MS + 4 * fake_trtexec.COPY_MS
            )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_way(tmp_path):
    pytest.importorskip("openvino")
    command = [sys.executable, str(ROOT / "examples/offline/run.py"), "--out", f"{tmp_path}/out"]
    command += ["--networks", "20", "--runs", "1", "--rounds", "3"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for tool in ("onnxruntime", "openvino"):
        dataset = Dataset.open(tmp_path / f"out/offline-{tool}")
        assert dataset.card.device.runtime == tool
        assert dataset.card.device == Dataset.open(tmp_path / f"out/online-{tool}").card.device
        found = dataset.read()
        assert len(found.networks) == len(found.runs) == 20
        assert np.isfinite(found.block_values).all()
        assert dataset.validate() == []
        assert (tmp_path / f"out/{tool}.ts").exists()
        (line,) = re.findall(rf"^{tool}: networks differ by .*$", done.stdout, re.MULTILINE)
        level, moved = re.search(r"level ([+-][\d.]+)%.* ([\d.]+)% of the time stands in other blocks", line).groups()
        assert np.isfinite(float(level))  # how far off it is depends on what else the machine does
        assert float(moved) < 30
