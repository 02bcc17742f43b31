"""Small files in the formats of others, with made-up latencies."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

CELLS = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)
"""Cells of NAS-Bench-201; the first two are its numbers 0 and 1."""
INDICES = ((4, 2, 1, 2, 1, 1), (3, 3, 4, 1, 3, 1), (0, 0, 0, 0, 0, 0))
"""The same cells as operation indices."""
FBNET = ([0] * 22, [8] * 22, [7, 8] * 11)
OFA = (
    {"ks": [3] * 20, "e": [6] * 20, "d": [2] * 5, "r": 128},
    {"ks": [3, 5, 7, 3] * 5, "e": [3, 4, 6, 3] * 5, "d": [2, 3, 4, 2, 3], "r": 224},
)


def write_pickle(path: Path, value: Any, protocol: int = 2) -> Path:
    """Write a pickle, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def help_nasbench201(folder: Path, **latencies: Any) -> Path:
    """Write HELP's files of NAS-Bench-201, `latencies` by device; the strings are not in the order of the indices."""
    write_pickle(folder / "nasbench201/str_arch2idx.pt", {CELLS[i]: i for i in (2, 0, 1)})
    for device, values in latencies.items():
        write_pickle(folder / f"nasbench201/latency/{device.lstrip('_')}.pt", values)
    return folder / "nasbench201"


def hw_nas_bench(path: Path, **changes: Any) -> Path:
    """Write HW-NAS-Bench's pickle with three cells on CIFAR-10, and a table of all of FBNet's blocks for CIFAR-100."""
    cells: dict[str, Any] = {
        "config": [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": cell, "num_classes": 10} for cell in CELLS],
        "edgegpu_latency": [5.8, 3.5, 1.5],
        "edgegpu_energy": [24.2, 14.0, 6.5],
        "raspi4_latency": [10.5, 20.5, 3.0],
        "eyeriss_arithmetic_intensity": [1.0, 2.0, 3.0],
    }
    tables = {"edgegpu_latency": fbnet_table(0.5), "edgegpu_energy": fbnet_table(2.0), "pixel3_latency": fbnet_table(1)}
    content = {"nasbench201": {"cifar10": cells | changes}, "fbnet": tables}
    return write_pickle(path, content, 4)


def fbnet_table(factor: float) -> dict[str, float]:
    """Return a table of blocks in HW-NAS-Bench's names; a block takes kernel * expansion * factor."""
    stages = [(16, 1, 1), (24, 4, 1), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1)]
    table = {
        "ConvNorm_H32_W32_Cin3_Cout16_kernel3_stride1_group1": 0.25 * factor,
        "ConvNorm_H4_W4_Cin352_Cout1504_kernel1_stride1_group1": 0.5 * factor,
        "AvgP_H4_W4_Cin1504_Cout1504_kernel4_stride1": 0,
        "FC_Cin1504_Cout100": 0.125 * factor,
    }
    size, C = 32, 16
    for C_out, layers, first in stages:
        for layer in range(layers):
            stride = first if layer == 0 else 1
            shape = f"H{size}_W{size}_Cin{C}_Cout{C_out}"
            table[f"Skip_{shape}_stride{stride}"] = 0.0625 * factor
            for kernel, expansion, group in [(k, e, g) for k in (3, 5) for e, g in ((1, 1), (1, 2), (3, 1), (6, 1))]:
                name = f"ConvBlock_{shape}_exp{expansion}_kernel{kernel}_stride{stride}_group{group}"
                table[name] = kernel * expansion * factor
            size, C = -(-size // stride), C_out
    return table


def nn_meter(folder: Path, rows: list[dict[str, Any]]) -> tuple[Path, Path]:
    """Write nn-Meter's JSON lines and its file of architectures."""
    lines = folder / "nasbench201s.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    architectures = folder / "nasbench201.json"
    config = {"name": "infer.tiny", "C": 16, "N": 5, "num_classes": 10}
    content = {str(i): {"config": {**config, "arch_str": cell}, "acc": 90.0} for i, cell in enumerate(CELLS)}
    architectures.write_text(json.dumps(content))
    return lines, architectures
