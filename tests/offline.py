"""A small compiled folder, and results that a device could have brought back, for tests of `latpred.hardware`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from measured import tiny_space

from latpred.genprof import ProfDir, read_prof_dir, sampled, write_prof_dir
from latpred.hardware import Compiled, make_hardware, read_compiled, write_compiled


def make_prof(path: Path, networks: int = 2, seed: int = 0) -> ProfDir:
    """Write a PROF_DIR of the tiny space."""
    space = tiny_space()
    write_prof_dir(path, space, sampled(space, networks, seed), sorted(space.all_primitives()))
    return read_prof_dir(path)


def make_compiled(path: Path, name: str = "onnxruntime", networks: int = 2) -> tuple[ProfDir, Compiled, Path]:
    """Write a PROF_DIR and compile it; returns both as read back, and the compiled folder."""
    prof = make_prof(path / "prof", networks)
    folder = path / "prof/hardwares" / f"0-{name}"
    write_compiled(folder, prof, make_hardware(name))
    return prof, read_compiled(folder, prof), folder


def csv_of(compiled: Compiled, network_id: str, whole_ms: float = 2.0, layer_ms: float = 0.01) -> str:
    """Return latpred's CSV of one run, with `layer_ms` for each layer; names are those of the compiled folder."""
    _, layers = compiled.networks[network_id]
    names = [name for block in layers for name in block if name != "output"]
    return "\n".join(["name,latency_ms", f"whole,{whole_ms}", *(f"{name},{layer_ms}" for name in names)]) + "\n"


def write_device(results: Path, **facts: object) -> None:
    """Write what the tools' files do not tell."""
    results.mkdir(parents=True, exist_ok=True)
    known = {"hardware": "Board", "runtime_version": "1.2.3", **facts}
    (results / "device.yaml").write_text(json.dumps({"device": known}))


class Once:
    """What `make_compiled` makes, made once; each test changes a copy of it.

    Args:
        path: An empty folder to make it in.
        name: The hardware.
        networks: How many.
    """

    def __init__(self, path: Path, name: str = "onnxruntime", networks: int = 1) -> None:
        self._path = path
        self.prof, self.compiled, folder = make_compiled(path, name, networks)
        self._folder = folder.relative_to(path)
        self.ids = sorted(self.compiled.networks)

    def copy(self, path: Path) -> Path:
        """Copy the PROF_DIR, with the compiled folder in it, to `path`/prof; returns the latter."""
        shutil.copytree(self._path / "prof", path / "prof")
        return path / self._folder
