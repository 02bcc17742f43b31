"""ONNX Runtime on a machine without latpred: a Python script, or its `onnxruntime_perf_test`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latpred.hardware.onnx_files import ScriptedHardware, over_all_models

_PROFILER = "profile_networks.py"


class OnnxRuntime(ScriptedHardware):
    """Networks for ONNX Runtime on a CPU, with a script that needs nothing but onnxruntime and numpy.

    Args:
        batch: Images per pass.
        threads: That a pass uses.
        passes: Passes of a run.
    """

    name = "onnxruntime"
    runtime = "onnxruntime"
    formats = ("onnxruntime",)

    def __init__(self, batch: int = 1, threads: int = 1, passes: int = 20) -> None:
        super().__init__(batch, threads)
        if not isinstance(passes, int) or isinstance(passes, bool) or passes < 2:
            raise ValueError(f"passes must be an integer >= 2, got {passes!r}")  # the first is the profiler's warm-up
        self.passes = passes

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().parameters | {"passes": self.passes}

    def device_facts(self) -> dict[str, Any]:
        """Return what the models and the script fix."""
        return super().device_facts() | {"precision": "float32"}

    def files(self) -> Mapping[str, str]:
        """Return the two scripts."""
        profiler = Path(__file__).with_name("on_device") / _PROFILER
        return {**super().files(), _PROFILER: profiler.read_text(encoding="utf-8")}

    def script(self) -> str:
        """Return the script for devices without Python."""
        return over_all_models(
            f"""
onnxruntime_perf_test -e cpu -m times -r {self.passes} -x {self.threads} -y 1 -I -p "$out/profile" "$model" \\
  > "$out/perf_test.txt" 2>&1 && rm "$out/perf_test.txt" || echo "$out: failed, see perf_test.txt"
""",
            runs=5,
        )

    def commands(self) -> str:
        """Return what to do on the device."""
        return f"""Copy this folder to the device. Where it has Python, `onnxruntime` and `numpy`, start there

    python {_PROFILER} --passes {self.passes} --threads {self.threads}

It measures each network five times, in rounds over all of them. Each run leaves `whole.csv`, the latency of plain
passes, and `profile.json`, ONNX Runtime's profile, in `results/NETWORK/RUN/`; `results/device.yaml` names the device.

Where there is no Python, start `sh run.sh`, with `onnxruntime_perf_test` on the path: it leaves the profile alone, and
the latency of a network is then that of profiled passes, some 16 % above that of plain ones. Write
`results/device.yaml` yourself: `device: {{hardware: NAME, runtime_version: "1.31.1"}}`.
"""
