"""Writing the compiled folder, `PROF_DIR/hardwares/<n>-<name>/`: models, map, configuration, README, scripts."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from latpred.config import canonical_json
from latpred.errors import ConfigError, LatpredError, UsageError
from latpred.genprof import ProfDir
from latpred.hardware.base import CompiledModel
from latpred.hardware.readme import readme
from latpred.hardware.registry import HardwareConfig
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces.pool import BlockPool

MAP = "prim_to_ops.json"
CONFIG = "hardware.yaml"
FOLDER = re.compile(r"(\d+)-([a-z][a-z0-9_]*)")
SCHEMA_VERSION = 1
_SEED = 0
"""Of the weights: any do, since the time of a convolution does not depend on them, but the same each time."""


@dataclass(frozen=True)
class CompileReport:
    """How compiling went."""

    networks: int
    primitives: int
    megabytes: float
    failed: tuple[tuple[str, str], ...]
    """The models that the device cannot express, each with the reason."""
    notes: tuple[str, ...]
    """What a person should know, a sentence each."""


def primitive_id(primitive: Primitive) -> str:
    """Return the name under which a primitive is compiled by itself."""
    return f"prim_{hashlib.sha256(canonical_json(primitive.to_dict()).encode()).hexdigest()[:16]}"


def next_folder(prof_dir: Path, name: str) -> Path:
    """Return the folder for the next compilation in a PROF_DIR; numbers count on over all hardware."""
    numbers = [int(match[1]) for match in map(FOLDER.fullmatch, folder_names(prof_dir)) if match]
    return prof_dir / "hardwares" / f"{max(numbers, default=-1) + 1}-{name}"


def folder_names(prof_dir: Path) -> list[str]:
    """Return what lies in the folder of compilations, unsorted; nothing if there is none."""
    folder = prof_dir / "hardwares"
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def write_compiled(path: Path, prof: ProfDir, config: HardwareConfig) -> CompileReport:
    """Compile all networks of a profiling set; the same set and configuration give the same bytes.

    Args:
        path: The folder to make.
        prof: The set.
        config: For which hardware.

    Raises:
        UsageError: If something stands at `path`, which is left as it is, or nothing could be compiled.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(str(path), "expected nothing there yet, found something", "Give another path or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # half a folder is never seen under its own name
    draft.mkdir()
    try:
        models, failed = _compile(draft, prof, config)
        ids = {network.network_id for network in prof.networks}
        if not ids & models.keys():
            reason = failed[0][1].rstrip(".")
            problem = f"expected to compile {len(ids)} networks, none could be: {reason}"
            raise UsageError(f"hardware {config.hardware.name}", problem, "Take another space or hardware")
        _describe(draft, prof, config, models)
        megabytes = sum(file.stat().st_size for file in draft.rglob("*") if file.is_file()) / 1e6
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    notes = tuple(dict.fromkeys(note for model in models.values() for note in model.notes))
    networks = len(ids & models.keys())
    return CompileReport(networks, len(models) - networks, megabytes, failed, notes)


def _compile(
    draft: Path, prof: ProfDir, config: HardwareConfig
) -> tuple[dict[str, CompiledModel], tuple[tuple[str, str], ...]]:
    """Write each model into a folder of its own; return what came of them, and why the others failed."""
    pool, models, failed = BlockPool(prof.space, _SEED), dict[str, CompiledModel](), list[tuple[str, str]]()
    for name, network in _to_compile(prof, primitives=config.hardware.compiles_primitives):
        folder = draft / name
        folder.mkdir()
        try:
            models[name] = config.hardware.compile(network, pool.modules(network), folder)
            _check_layers(models[name], network, f"{config.hardware.name}, {name}")
        except LatpredError as error:
            shutil.rmtree(folder)
            models.pop(name, None)
            failed.append((name, str(error)))
    return models, tuple(failed)


def _to_compile(prof: ProfDir, *, primitives: bool) -> Iterable[tuple[str, Network]]:
    for network in prof.networks:
        yield network.network_id, network
    if primitives:
        for primitive in sorted({primitive for network in prof.networks for primitive in network.primitives}):
            yield primitive_id(primitive), Network(prof.space.name, (primitive,), ("primitive",))


def _check_layers(model: CompiledModel, network: Network, where: str) -> None:
    """Refuse a map that cannot be read back; hardware is anybody's code."""
    names = [name for block in model.layers for name in block]
    if len(model.layers) != len(network.primitives) or len(set(names)) != len(names):
        found = f"layers of {len(model.layers)} blocks, {len(names) - len(set(names))} names twice"
        problem = f"expected the layers of {len(network.primitives)} blocks, each name once, found {found}"
        raise ConfigError(where, problem, "Mend the hardware's `compile`")


def _describe(draft: Path, prof: ProfDir, config: HardwareConfig, models: Mapping[str, CompiledModel]) -> None:
    """Write the map, the configuration, the README and the hardware's own files."""
    hardware = config.hardware
    own = {"hardware": hardware.name, "parameters": hardware.parameters, "device": config.facts.to_dict()}
    texts = {
        MAP: json.dumps(_map(prof, hardware.name, models), indent=1, sort_keys=True, allow_nan=False) + "\n",
        CONFIG: yaml.safe_dump(own, sort_keys=False, default_flow_style=None, width=120),
        "README.md": readme(hardware, len(models)),
    }
    for name, text in {**hardware.files(), **texts}.items():
        if Path(name).name != name or name in (".", ".."):
            raise ConfigError(
                f"hardware {hardware.name}", f"expected names of files, found {name!r}", "Mend its `files`"
            )
        (draft / name).write_text(text, encoding="utf-8")


def _map(prof: ProfDir, name: str, models: Mapping[str, CompiledModel]) -> dict[str, Any]:
    networks, primitives = {}, {}
    for model, network in _to_compile(prof, primitives=True):
        if model in models:
            pairs = zip(network.primitives, models[model].layers, strict=True)
            blocks = [{"primitive": p.to_dict(), "layers": list(layers)} for p, layers in pairs]
            if model.startswith("prim_"):
                primitives[model] = blocks[0]
            else:
                networks[model] = blocks
    return {
        "schema_version": SCHEMA_VERSION,
        "hardware": name,
        "space": prof.space.name,
        "networks": networks,
        "primitives": primitives,
    }
