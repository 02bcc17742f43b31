"""`latpred compile`."""

from __future__ import annotations

import shlex
from pathlib import Path

from latpred.cli.parser import command_parser
from latpred.genprof import read_prof_dir
from latpred.hardware import HardwareConfig, make_hardware, next_folder, write_compiled

_SHOWN = 5
"""Failed models that are named one by one."""


def run(arguments: list[str]) -> int:
    """Write the networks of a PROF_DIR as a device's tools take them."""
    parser = command_parser("compile", run)
    parser.add_argument("prof_dir", type=Path, help="folder that `latpred genprof` wrote")
    parser.add_argument(
        "--hardware", required=True, help="dpu, onnx, onnxruntime, openvino, tensorrt, tflite, or your own"
    )
    parser.add_argument("--config", type=Path, help="YAML of the hardware; without one, its defaults")
    parser.add_argument("--out", type=Path, help="folder to write, must not exist; PROF_DIR/hardwares/<n>-<name>")
    parser.add_argument("--hardware-file", type=Path, help="Python file with a class of your own; it is executed")
    options = parser.parse_args(arguments)
    config = make_hardware(options.hardware, options.config, options.hardware_file)
    compile_for(options.prof_dir, config, options.out)
    return 0


def compile_for(prof_dir: Path, config: HardwareConfig, out: Path | None = None) -> None:
    """Compile a PROF_DIR for one hardware, and print what came of it.

    Args:
        prof_dir: The PROF_DIR.
        config: The hardware.
        out: The folder to write; None for the next one in the PROF_DIR.
    """
    name = config.hardware.name
    path = out or next_folder(prof_dir, name)
    report = write_compiled(path, read_prof_dir(prof_dir), config)
    alone = f" and {report.primitives} primitives" if report.primitives else ""
    print(f"{report.networks} networks{alone} for {name}, {report.megabytes:.1f} MB")
    for model, reason in report.failed[:_SHOWN]:
        print(f"not compiled: {model}: {reason}")
    if len(report.failed) > _SHOWN:
        print(f"not compiled: {len(report.failed) - _SHOWN} more")
    for note in report.notes:
        print(f"note: {note}")
    print(f"wrote {path}")
    print(f"next: copy it to the device, and follow {path / 'README.md'}; then")
    which = str(path) if out else path.name
    words = ["latpred", "parse", "RESULTS", "--hardware", which, "--prof", str(prof_dir), "--dataset", "DATASET"]
    print(f"      {shlex.join(words)}")
