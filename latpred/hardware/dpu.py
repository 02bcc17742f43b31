"""AMD Xilinx's DPU, an engine in programmable logic: Caffe models for its fixed-point tool and its compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from latpred.hardware.base import CompiledModel, Hardware
from latpred.hardware.caffe import INPUT, CaffeNetworks, Calibration
from latpred.hardware.caffe.external import check_command, run_command, shell_line
from latpred.network import Network

SCRIPT = "compile.sh"
_PLACES: Mapping[str, str] = MappingProxyType(
    {"name": '"$name"', "prototxt": '"$name".prototxt', "caffemodel": '"$name".caffemodel'}
)
"""What may stand in braces in a command, and what it is in the script."""


class Dpu(Hardware):
    """Networks as `<name>.prototxt` and `<name>.caffemodel`, and what external programs make of them.

    The layers of block 7 are called `b07_...`. Commands are lists of a program and its arguments, in which `{name}`,
    `{prototxt}` and `{caffemodel}` stand for the network's id and its files; they run in the network's folder.

    Args:
        dialect: Whose Caffe reads the models: `xilinx`, `bvlc` or `opencv`.
        batch: Images per pass.
        fixed_point: The command that turns floats into integers; empty if there is none.
        compiler: The command that makes a kernel for the DPU of what `fixed_point` wrote; empty if there is none.
        timeout_s: How long one command may take.
        calibration_list: The text file with paths of images that a model of dialect `xilinx` names, and a number for
            each: on the machine of `fixed_point`, whose working directory is the network's folder.
        calibration_folder: What the paths begin with, its last `/` included.
    """

    name = "dpu"
    runtime = "dpu"
    formats = ("dpu", "vaitrace")

    def __init__(
        self,
        dialect: str = "xilinx",
        batch: int = 1,
        fixed_point: Sequence[str] = (),
        compiler: Sequence[str] = (),
        timeout_s: float = 600,
        calibration_list: str = "../calibration.txt",
        calibration_folder: str = "",
    ) -> None:
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            raise ValueError(f"batch must be an integer >= 1, got {batch!r}")
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, got {timeout_s!r}")
        check_command("fixed_point", fixed_point, list(_PLACES))
        check_command("compiler", compiler, list(_PLACES))
        self.dialect, self.batch, self.timeout_s = dialect, batch, timeout_s
        self.commands_by_name = {"fixed_point": tuple(fixed_point), "compiler": tuple(compiler)}
        self.calibration = Calibration(calibration_list, calibration_folder)
        self._networks = CaffeNetworks(dialect, batch, self.calibration)

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "dialect": self.dialect,
            "batch": self.batch,
            **{name: list(arguments) for name, arguments in self.commands_by_name.items()},
            "timeout_s": self.timeout_s,
            "calibration_list": self.calibration.source,
            "calibration_folder": self.calibration.folder,
        }

    def compile(self, network: Network, modules: Sequence[nn.Module], folder: Path) -> CompiledModel:
        """Write the Caffe model and run the commands on it."""
        model = self._networks.network(folder.name, network, modules)
        places = {"name": folder.name, "prototxt": f"{folder.name}.prototxt", "caffemodel": f"{folder.name}.caffemodel"}
        (folder / places["prototxt"]).write_text(model.prototxt, encoding="utf-8")
        (folder / places["caffemodel"]).write_bytes(model.caffemodel)
        notes = self._run_commands(places, folder)
        if self.dialect == "xilinx" and not model.calibrated:
            note = f"{folder.name}: no layer '{INPUT}' that reads images to calibrate with, as its first block takes "
            notes = (f"{note}{network.primitives[0].C} channels", *notes)
        return CompiledModel(model.layers, notes)

    def _run_commands(self, places: Mapping[str, str], folder: Path) -> tuple[str, ...]:
        """Run one command after the other, until one leaves nothing for the next."""
        for name, arguments in self.commands_by_name.items():
            if not arguments:
                continue
            failure = run_command(arguments, places, folder, self.timeout_s)
            if failure is not None:
                left = "the Caffe models are written"
                if name == "compiler" and self.commands_by_name["fixed_point"]:
                    left += ", and what fixed_point made of them"
                return (f"{name}: {failure}; {left}, {SCRIPT} does the rest where the tools are",)
        return ()

    def device_facts(self) -> dict[str, Any]:
        """Return what the models fix; a DPU computes with integers of 8 bits, one thread feeds it."""
        return super().device_facts() | {"precision": "int8", "batch": self.batch, "threads": 1}

    def files(self) -> Mapping[str, str]:
        """Return the script that runs the commands on all models, for a machine that has the tools."""
        lines = [shell_line(arguments, _PLACES) for arguments in self.commands_by_name.values() if arguments]
        if not lines:
            return {}
        steps = " &&\n    ".join(lines)
        script = f"""#!/bin/sh
# Runs the tools of hardware.yaml on each network, in its folder. Made by `latpred compile`.
cd "$(dirname "$0")" || exit 1
failed=0
for model in */*.prototxt; do
  name=$(basename "$model" .prototxt)
  (
    cd "$name" || exit 1
    {steps}
  ) || {{ echo "$name: failed" >&2; failed=1; }}
done
exit $failed
"""
        return {SCRIPT: script}

    def commands(self) -> str:
        """Return what to do, first where the tools are, then on the device."""
        return _COMMANDS.format(script=_SCRIPT_STEP if self.files() else _BY_HAND, calibration=self.calibration.source)


_SCRIPT_STEP = f"""\
1. Where the fixed-point tool and the DPU's compiler are, usually a container of the vendor's: `sh {SCRIPT}` runs both
   in the folder of every network."""
_BY_HAND = """\
1. Run the fixed-point tool and the DPU's compiler on each `NETWORK/NETWORK.prototxt` and `.caffemodel`: no commands
   are configured (`fixed_point` and `compiler` in the YAML of `latpred compile --config`)."""
_COMMANDS = """{script}
   The fixed-point tool reads images by `{calibration}`, as seen from a network's folder: a line for each, its path and
   a number. For latencies, any images will do, and one is enough.
2. Have the compiler make a **debug** kernel: only those print the time of each node. Build your application with it.
3. On the board, `dexplorer -m profile`, then run the application some ten times and keep what it prints, one file for
   each run: `results/NETWORK.0.txt`, `results/NETWORK.1.txt`. Drop the first run, which loads the kernel.

A row of the table is a convolution together with the norm, activation or sum behind it; it bears the convolution's
name. With Vitis AI from 1.3 on, `vaitrace --txt` gives the time of the whole network.
What runs on the board's CPU is in no table: time the whole network there, too, and add it as `NETWORK.0.csv`.
"""
