"""Any other tool that takes ONNX, such as Qualcomm's SNPE and QNN: the user knows its commands."""

from __future__ import annotations

from typing import Any

from latpred.formats import FORMATS
from latpred.hardware.onnx_files import OnnxHardware


class OnnxTool(OnnxHardware):
    """Networks as ONNX, without commands; results in any format that latpred reads.

    Args:
        runtime: What executes the networks, as in `Device.runtime`.
        precision: That they run in.
        batch: Images per pass.
        threads: That a pass uses.
        primitives: Whether to write each distinct primitive by itself, too.
    """

    name = "onnx"
    runtime = "other"
    formats = tuple(FORMATS)

    def __init__(
        self,
        runtime: str = "other",
        precision: str = "float32",
        batch: int = 1,
        threads: int = 1,
        primitives: bool = False,
    ) -> None:
        super().__init__(batch, threads)
        for name, word in (("runtime", runtime), ("precision", precision)):
            if not isinstance(word, str) or not word.strip():
                raise ValueError(f"{name} must be a name, got {word!r}")
        if not isinstance(primitives, bool):
            raise ValueError(f"primitives must be true or false, got {primitives!r}")
        self.own_runtime, self.precision, self.compiles_primitives = runtime, precision, primitives

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "runtime": self.own_runtime,
            "precision": self.precision,
            "batch": self.batch,
            "threads": self.threads,
            "primitives": self.compiles_primitives,
        }

    def device_facts(self) -> dict[str, Any]:
        """Return what the models fix, and what the user says of the tool."""
        return super().device_facts() | {"runtime": self.own_runtime, "precision": self.precision}

    def commands(self) -> str:
        """Return what to do on the device."""
        return """Each folder holds a model in ONNX; its input is `image`, its output `output`. Measure it with the
tool of the device, without a profiler for its latency, with one for its layers, and keep what the tool prints. For a
tool whose files latpred does not read, write its own CSV:

    name,latency_ms,run
    whole,4.15,0
    whole,4.17,1

Name the device in `results/device.yaml`: `device: {hardware: NAME, runtime_version: VERSION}`.
"""
