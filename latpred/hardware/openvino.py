"""OpenVINO, measured with its `benchmark_app`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from latpred.hardware.onnx_files import ScriptedHardware, over_all_models

_HINTS: Mapping[str, str] = MappingProxyType({"float32": "f32", "bfloat16": "bf16", "float16": "f16"})


class OpenVINO(ScriptedHardware):
    """Networks for benchmark_app, one stream, one request at a time.

    Args:
        plugin: OpenVINO's word for the processor: `CPU`, `GPU`, `NPU`.
        precision: `float32`, `bfloat16` or `float16`; left to itself, a CPU that has bfloat16 takes that.
        batch: Images per pass.
        threads: Of a CPU.
        iterations: Passes of a run that measures, and of one that counts the time of each layer.
    """

    name = "openvino"
    runtime = "openvino"
    formats = ("openvino",)

    def __init__(
        self, plugin: str = "CPU", precision: str = "float32", batch: int = 1, threads: int = 1, iterations: int = 200
    ) -> None:
        super().__init__(batch, threads)
        if precision not in _HINTS:
            raise ValueError(f"precision must be one of {', '.join(_HINTS)}, got {precision!r}")
        if plugin not in ("CPU", "GPU", "NPU"):
            raise ValueError(f"plugin must be one of CPU, GPU, NPU, got {plugin!r}")
        if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 1:
            raise ValueError(f"iterations must be an integer >= 1, got {iterations!r}")
        self.plugin, self.precision, self.iterations = plugin, precision, iterations

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "plugin": self.plugin,
            "precision": self.precision,
            "batch": self.batch,
            "threads": self.threads,
            "iterations": self.iterations,
        }

    def device_facts(self) -> dict[str, Any]:
        """Return what the models and the script fix."""
        return super().device_facts() | {"precision": self.precision}

    def script(self) -> str:
        """Return the script.

        The run with counters comes first: it is slower, and the plain one then overwrites its report, not its counters.
        """
        threads = f" -nthreads {self.threads}" if self.plugin == "CPU" else ""
        how = f"-d {self.plugin} -hint none -nstreams 1{threads} -infer_precision {_HINTS[self.precision]}"
        return over_all_models(
            f"""
app="benchmark_app -m $model {how} -ip f32 -api sync -niter {self.iterations}"
$app -pc -report_type detailed_counters -report_folder "$out" > "$out/counters.txt" 2>&1 && rm "$out/counters.txt"
$app -report_type no_counters -report_folder "$out" > "$out/benchmark_app.log" 2>&1 || echo "$out: failed, see the log"
""",
            runs=3,
        )

    def commands(self) -> str:
        """Return what to do on the device."""
        return """Copy this folder to the device, and start there, with OpenVINO's `benchmark_app` on the path:

    sh run.sh

It measures each network three times: plainly, and with the time of each layer. Each run leaves `benchmark_app.log`,
`benchmark_report.csv` and `benchmark_detailed_counters_report.csv` in `results/NETWORK/RUN/`.

benchmark_app does not tell the processor's name: write it into `results/device.yaml`, `device: {hardware: NAME}`.
"""
