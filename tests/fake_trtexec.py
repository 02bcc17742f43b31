"""A `trtexec` that builds no engine: it reads the ONNX it is given, and writes what TensorRT 8.6 would.

Layers are fused and called as TensorRT does it: a convolution with its activation and the addition behind it, h-swish
as `PWN`, and copies between formats. Every node of the model takes `NODE_MS`, a copy `COPY_MS`.
"""

from __future__ import annotations

import json
import re
import stat
import sys
from pathlib import Path

NODE_MS = 0.01
COPY_MS = 0.002
QUERIES = 5
STAMP = "[11/18/2023-17:34:03] [I] "
JSON_FILES = {"times", "profile", "layers"}


def fused_layers(graph):
    """Return the layers, each a list of nodes and the name that TensorRT would give it."""
    layers, nodes = [], [node for node in graph.node if node.op_type not in ("Identity", "Constant")]
    while nodes:
        group = [nodes.pop(0)]
        if group[0].op_type == "Conv":
            while nodes and nodes[0].op_type in ("Relu", "Add") and group[-1].output[0] in nodes[0].input:
                group.append(nodes.pop(0))
            name = " + ".join(node.name for node in group)
        elif group[0].op_type in ("HardSwish", "HardSigmoid", "Clip"):
            while nodes and nodes[0].op_type == "Mul" and group[-1].output[0] in nodes[0].input:
                group.append(nodes.pop(0))
            name = f"PWN({', '.join(node.name for node in group)})" if len(group) > 1 else f"PWN({group[0].name})"
        else:
            name = group[0].name
        layers.append(([node.name for node in group], name))
    return layers


def rows_of(graph):
    """Return (name, ms, nodes) of each row of a profile; every fifth layer has a copy before it."""
    rows = []
    for i, (nodes, name) in enumerate(fused_layers(graph)):
        if i % 5 == 0:
            rows.append((f"Reformatting CopyNode for Input Tensor 0 to {name}", COPY_MS, []))
        rows.append((name, NODE_MS * len(nodes), nodes))
    return rows


def log_of(whole_ms, device, version, command, failed=False):
    banner = f"TensorRT.trtexec [TensorRT v{version}] # {command}"
    lines = [f"&&&& RUNNING {banner}", f"{STAMP}=== Build Options ===", f"{STAMP}Precision: FP32"]
    lines += [f"{STAMP}=== Device Information ===", f"{STAMP}Selected Device: {device}", STAMP]
    if failed:
        lines += ["[11/18/2023-17:34:03] [E] Engine could not be created from network", f"&&&& FAILED {banner}"]
        return "\n".join(lines) + "\n"
    statistics = f"min = {whole_ms} ms, max = {whole_ms} ms, mean = {whole_ms} ms, median = {whole_ms} ms"
    lines += [f"{STAMP}Warmup completed 9 queries over 200 ms", f"{STAMP}Timing trace has {QUERIES} queries over 3 s"]
    lines += [f"{STAMP}=== Performance summary ===", f"{STAMP}GPU Compute Time: {statistics}", f"&&&& PASSED {banner}"]
    return "\n".join(lines) + "\n"


def times_of(whole_ms):
    query = {"startComputeMs": 201.0, "endComputeMs": 201.0 + whole_ms, "computeMs": whole_ms, "latencyMs": whole_ms}
    return json.dumps([query] * QUERIES)


def profile_of(rows, count=100):
    total = sum(ms for _, ms, _ in rows)
    entries = [
        {"name": name, "timeMs": ms * count, "averageMs": ms, "medianMs": ms, "percentage": 100 * ms / total}
        for name, ms, _ in rows
    ]
    return json.dumps([{"count": count}, *entries])


def layers_of(rows):
    layers = [
        {"Name": name, "LayerType": "x", "Metadata": "\x1e".join(f"[ONNX Layer: {node}]" for node in nodes)}
        for name, _, nodes in rows
    ]
    return json.dumps({"Layers": layers, "Bindings": []})


def main(arguments):
    """Do what the command line asks for; `--onnx` of a name in $FAKE_TRTEXEC_FAILS cannot be built."""
    import os

    import onnx

    options = dict(re.fullmatch(r"--(\w+)(?:=(.*))?", word).groups() for word in arguments)
    engine = options.get("loadEngine") or options.get("saveEngine")
    model = options.get("onnx") or Path(engine).read_text()
    if Path(model).stem == os.environ.get("FAKE_TRTEXEC_FAILS"):
        print(log_of(0, "Orin", 8601, " ".join(arguments), failed=True), end="")
        return 1
    if "saveEngine" in options:
        Path(engine).write_text(model)
    rows = rows_of(onnx.load(model).graph)
    whole_ms = round(sum(ms for _, ms, _ in rows) * 0.9, 6)  # a profiler adds time
    Path(options["exportTimes"]).write_text(times_of(whole_ms))
    Path(options["exportProfile"]).write_text(profile_of(rows))
    Path(options["exportLayerInfo"]).write_text(layers_of(rows))
    print(log_of(whole_ms, "Orin", 8601, " ".join(arguments)), end="")
    return 0


def install(folder):
    """Put an executable `trtexec` into `folder`."""
    folder.mkdir(exist_ok=True)
    script = folder / "trtexec"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__)} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
