"""NVIDIA TensorRT, measured with its `trtexec`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from latpred.hardware.onnx_files import ScriptedHardware, over_all_models

_FLAGS: Mapping[str, str] = MappingProxyType({"float32": "", "float16": "--fp16", "int8": "--int8", "best": "--best"})
_PRINTED: Mapping[str, str] = MappingProxyType(
    {"fp32+fp16": "float16", "fp32+int8": "int8", "fp32+fp16+int8": "best", "fp32+fp16+bf16+int8": "best"}
)
"""trtexec lists every precision that layers may run in, and float32 is always among them."""


class TensorRT(ScriptedHardware):
    """Networks and single primitives for trtexec, TensorRT 8 and later; an engine is built once and run several times.

    Args:
        precision: `float32`, `float16`, `int8`, or `best` of these for each layer.
        batch: Images per pass.
        warm_up_ms: How long trtexec warms up.
        duration_s: How long it measures.
    """

    name = "tensorrt"
    runtime = "tensorrt"
    formats = ("trtexec",)
    compiles_primitives = True
    tells_hardware = True

    def __init__(self, precision: str = "float32", batch: int = 1, warm_up_ms: int = 500, duration_s: int = 3) -> None:
        super().__init__(batch)
        if precision not in _FLAGS:
            raise ValueError(f"precision must be one of {', '.join(_FLAGS)}, got {precision!r}")
        for name, value in (("warm_up_ms", warm_up_ms), ("duration_s", duration_s)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
        self.precision, self.warm_up_ms, self.duration_s = precision, warm_up_ms, duration_s

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "precision": self.precision,
            "batch": self.batch,
            "warm_up_ms": self.warm_up_ms,
            "duration_s": self.duration_s,
        }

    def device_facts(self) -> dict[str, Any]:
        """Return what the models and the script fix."""
        return super().device_facts() | {"precision": self.precision}

    def precision_of(self, told: str) -> str:
        """Return the precision that was asked for, of those that trtexec lists."""
        return _PRINTED.get(told.lower()) or super().precision_of(told)

    def script(self) -> str:
        """Return the script; the first run builds the engine, the others load it."""
        precision = f" {_FLAGS[self.precision]}" if _FLAGS[self.precision] else ""
        return over_all_models(
            f"""
engine=engines/$name.engine
mkdir -p engines
from="--onnx=$model --saveEngine=$engine{precision}"
if [ -f "$engine" ]; then from="--loadEngine=$engine{precision}"; fi
trtexec $from --warmUp={self.warm_up_ms} --duration={self.duration_s} --avgRuns=1 --profilingVerbosity=detailed \\
  --separateProfileRun --dumpProfile --exportTimes="$out/times.json" --exportProfile="$out/profile.json" \\
  --exportLayerInfo="$out/layers.json" > "$out/trtexec.log" 2>&1 || echo "$out: trtexec failed, see trtexec.log"
""",
            runs=3,
        )

    def commands(self) -> str:
        """Return what to do on the device."""
        return """Copy this folder to the device, and start there, with `trtexec` on the path:

    sh run.sh

It builds an engine of each network and of each single primitive (`prim_...`), and runs it three times. Each run leaves
`trtexec.log`, `times.json`, `profile.json` and `layers.json` in `results/MODEL/RUN/`. An engine that cannot be built
leaves its log alone, and becomes a failed run.

TensorRT 7 knows neither `--exportLayerInfo` nor `--profilingVerbosity`, and 8.0 to 8.5 may lack others: take out what
`trtexec --help` does not list. The log alone is enough for the latency of a network.
"""
