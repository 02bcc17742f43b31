"""TFLite / LiteRT, measured with its `benchmark_model`."""

from __future__ import annotations

from typing import Any

from latpred.hardware.onnx_files import ScriptedHardware, over_all_models

_PRECISIONS = ("float32", "float16", "int8")


class TFLite(ScriptedHardware):
    """Networks as ONNX, a line to convert them with a converter of the user's, and the lines for benchmark_model.

    Args:
        converter: Command that turns an ONNX file into a TFLite file; `{onnx}` and `{tflite}` stand for the paths.
        precision: That the converter makes: `float32`, `float16`, `int8`.
        batch: Images per pass.
        threads: That the interpreter uses.
        xnnpack: Whether to run on XNNPACK, which is what an application gets; a profile then has its operators inside
            the delegate's row.
    """

    name = "tflite"
    runtime = "tflite"
    formats = ("tflite", "litert")

    def __init__(
        self,
        converter: str = "python convert.py {onnx} {tflite}",
        precision: str = "float32",
        batch: int = 1,
        threads: int = 1,
        xnnpack: bool = True,
    ) -> None:
        super().__init__(batch, threads)
        if not isinstance(converter, str) or "{onnx}" not in converter or "{tflite}" not in converter:
            raise ValueError(f"converter must hold {{onnx}} and {{tflite}}, got {converter!r}")
        if "\n" in converter:
            raise ValueError(f"converter must be one line, got {converter!r}")
        if not isinstance(xnnpack, bool):
            raise ValueError(f"xnnpack must be true or false, got {xnnpack!r}")
        if precision not in _PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(_PRECISIONS)}, got {precision!r}")
        self.converter, self.precision, self.xnnpack = converter, precision, xnnpack

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "converter": self.converter,
            "precision": self.precision,
            "batch": self.batch,
            "threads": self.threads,
            "xnnpack": self.xnnpack,
        }

    def device_facts(self) -> dict[str, Any]:
        """Return what the models and the script fix; TFLite keeps its activations as NHWC."""
        return super().device_facts() | {"precision": self.precision, "layout": "nhwc"}

    def script(self) -> str:
        """Return the script; the profile comes from a run of its own, since it slows the network down."""
        convert = self.converter.replace("{onnx}", '"$model"').replace("{tflite}", '"$tflite"')
        how = f"--num_threads={self.threads} --use_xnnpack={str(self.xnnpack).lower()}"
        return over_all_models(
            f"""
tflite=${{model%.onnx}}.tflite
[ -f "$tflite" ] || {convert} || {{ echo "$model: not converted"; continue; }}
benchmark_model --graph="$tflite" {how} > "$out/benchmark_model.txt" 2>&1
benchmark_model --graph="$tflite" {how} --enable_op_profiling=true --op_profiling_output_mode=csv \\
  --op_profiling_output_file="$out/ops.csv" > /dev/null 2>&1
""",
            runs=3,
        )

    def commands(self) -> str:
        """Return what to do on the device."""
        return f"""Converters from ONNX to TFLite are large and change often, so latpred brings none. The script calls
`{self.converter}` for each network that has no `.tflite` beside its `.onnx`; set `converter` in the configuration, or
convert the networks beforehand. A converter that renames layers loses what belongs to which block: the latency of the
whole network remains.

With the `.tflite` files in their places and `benchmark_model` on the path:

    sh run.sh

Each run leaves `benchmark_model.txt` and `ops.csv` in `results/NETWORK/RUN/`. The tool tells neither the processor's
name nor its own version: write `results/device.yaml`, `device: {{hardware: NAME, runtime_version: "2.19"}}`.
"""
