"""Folders of parsed runs as the reference system (aw_nas) writes them: `<net>/<run>.yaml`, or `<net>.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from latpred.config import read_yaml
from latpred.dataset.awnas_primitives import network_of, read_primitive
from latpred.dataset.importers.base import Imported, ImportedDevice, ImportedRun, label, value_of
from latpred.device import Device
from latpred.errors import ConfigError, ParseError
from latpred.primitive import Primitive
from latpred.run import Values
from latpred.spaces import SearchSpace

_PERFORMANCES: Mapping[str, str] = {"latency": "latency_ms", "energy": "energy_mj", "memory": "memory_mb"}
"""latpred's metric by the reference's name of a performance. It states no units: its own profiler writes ms, and mJ
and MB are what its offline hardware is taken to mean."""
_METRICS = ("latency", "energy")
_SAME = 1e-6
"""Relative difference below which the stated and the real sum of blocks are the same."""
_BLOCK_METHOD = "unknown"
"""The reference profiles online with time stamps and imports offline tables; its files do not say which."""


@dataclass(frozen=True)
class _Block:
    """A primitive of a file, with what it took."""

    primitive: Primitive
    values: Mapping[str, float]
    where: str


def read_awnas(
    folder: Path, space: SearchSpace[Any], device: Device, prof: Path | None = None, *, keep_refused: bool
) -> Imported:
    """Read all runs in a folder.

    Args:
        folder: Of the parsed runs.
        space: That they were profiled for.
        device: That they were measured on.
        prof: The reference's folder of profiling networks, with `prof_nets/<net>.yaml`: gives the order of the blocks
            where the files have not all of them in execution order, as those of its hardware `xavier`.
        keep_refused: Whether to go on behind a file that is no measurement, and list it.

    Raises:
        ParseError: Naming the file and the block, what was expected and what was found.
    """
    places: dict[tuple[Primitive, ...], int] = {}
    runs, refused, files = [], [], []
    for name, file in _files(folder):
        files.append(file)
        try:
            blocks, overall, overhead = _read(file, space)
            primitives, ordered = _ordered(blocks, file, name, space, prof)
            place = places.setdefault(primitives, len(places))
            runs.append(_run(place, ordered, overall, overhead))
        except ParseError as error:
            if not keep_refused:
                raise
            refused.append(str(error))
    found = ImportedDevice(label(folder.name), device, runs, refused=refused)
    networks = [network_of(primitives, space) for primitives in places]
    assembled = sum(network.assembled for network in networks)
    note = f"{len(networks) - assembled} networks are architectures of {space.name}, {assembled} are assembled"
    return Imported("awnas", space, networks, [found], files, notes=[note])


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of the network and the file of each run, in order."""
    if not folder.is_dir():
        raise ParseError(str(folder), "expected a folder of parsed runs, found none", "Check the path")
    found = sorted(folder.glob("*/*.yaml"), key=_in_order) or sorted(folder.glob("*.yaml"), key=_in_order)
    if not found:
        problem = "expected <net>/<run>.yaml in it, found no such file"
        raise ParseError(str(folder), problem, "Give the --result-dir of `awnas-hw parse`, or its --perf_dir")
    for file in found:
        yield (file.parent.name if file.parent != folder else file.stem), file


def _in_order(path: Path) -> tuple[str, int, str]:
    """Return the key that puts run 2 before run 10."""
    return path.parent.name, int(path.stem) if path.stem.isdecimal() else -1, path.stem


def _read(file: Path, space: SearchSpace[Any]) -> tuple[list[_Block], dict[str, float], float | None]:
    """Return the blocks of a run as they are written, its overall values by metric, and its overhead, ms."""
    try:
        content = read_yaml(file)
    except ConfigError as error:
        raise ParseError(error.where, error.problem, error.remedy) from None
    written = content.get("primitives")
    if not isinstance(written, list) or not written or not all(isinstance(fields, dict) for fields in written):
        raise ParseError(f"{file}: primitives", f"expected a list of mappings, found {written!r:.60}", "Mend the file")
    blocks = [_block(fields, space, f"{file}: primitives[{i}]") for i, fields in enumerate(written)]
    overall = {
        metric: value_of(_number(content[f"overall_{name}"]), str(file), f"overall_{name}")
        for name, metric in _PERFORMANCES.items()
        if content.get(f"overall_{name}") is not None
    }
    if not overall:
        problem = f"expected overall_latency, found {', '.join(map(str, content))}"
        raise ParseError(
            str(file), problem, "Parse the whole network's result, too, or leave such runs out with --skip"
        )
    return blocks, overall, _overhead(content, blocks, file)


def _number(value: object) -> object:
    """Return what stands there; the reference's yaml.dump writes `1e-05`, which YAML 1.1 takes for text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _block(fields: Mapping[str, Any], space: SearchSpace[Any], where: str) -> _Block:
    """Read a primitive with `performances: {latency: ..}`, or with its `latency` beside its fields."""
    nested = fields.get("performances", {})
    if not isinstance(nested, dict):
        raise ParseError(where, f"expected performances to be a mapping, found {nested!r:.60}", "Mend the file")
    flat = {name: fields[name] for name in _PERFORMANCES if name in fields}
    rest = {key: value for key, value in fields.items() if key != "performances" and key not in flat}
    primitive = read_primitive(rest, space, where)
    values = {
        _PERFORMANCES[name]: value_of(_number(value), f"{where} ({primitive})", name)
        for name, value in {**flat, **nested}.items()
        if name in _METRICS and value is not None
    }
    return _Block(primitive, values, where)


def _overhead(content: Mapping[str, Any], blocks: Sequence[_Block], file: Path) -> float | None:
    """Return by how much the pass with block values took longer than its blocks, ms; None if it is not stated."""
    if content.get("block_sum_latency") is None:
        return None
    whole = value_of(_number(content["block_sum_latency"]), str(file), "block_sum_latency")
    total = sum(block.values.get("latency_ms", 0.0) for block in blocks)
    if whole < total * (1 - _SAME):
        problem = f"expected block_sum_latency to be at least the blocks' sum {total:g}, found {whole:g}"
        raise ParseError(str(file), problem, "The file contradicts itself; parse it again")
    return max(0.0, whole - total)


def _ordered(
    blocks: Sequence[_Block], file: Path, name: str, space: SearchSpace[Any], prof: Path | None
) -> tuple[tuple[Primitive, ...], list[_Block | None]]:
    """Return the blocks in execution order, and what is known of each."""
    if prof is None:
        for i, (before, block) in enumerate(pairwise(blocks), start=1):
            if before.primitive.C_out != block.primitive.C:
                problem = f"expected block {i} to take the {before.primitive.C_out} channels of the block before, "
                problem += f"found {block.primitive}"
                remedy = "Give the folder of the profiling networks with --prof: it has the order of the blocks"
                raise ParseError(str(file), problem, remedy)
        return tuple(block.primitive for block in blocks), list(blocks)
    genotypes = _genotypes(prof / "prof_nets" / f"{name}.yaml", space)
    measured: dict[Primitive, list[_Block]] = {}
    for block in blocks:
        measured.setdefault(block.primitive, []).append(block)
    ordered = [measured[primitive].pop(0) if measured.get(primitive) else None for primitive in genotypes]
    if left := [block for of_it in measured.values() for block in of_it]:
        count = genotypes.count(left[0].primitive)
        problem = f"expected the primitive {left[0].primitive} {count} times, as network {name} has it, found it again"
        raise ParseError(left[0].where, problem, "Parse again: two networks' results may lie in one folder")
    return tuple(genotypes), ordered


def _genotypes(file: Path, space: SearchSpace[Any]) -> list[Primitive]:
    """Return the blocks of a profiling network in execution order."""
    try:
        model = read_yaml(file).get("final_model_cfg")
    except ConfigError as error:
        raise ParseError(error.where, error.problem, "Give the folder that the networks were profiled from") from None
    written = model.get("genotypes") if isinstance(model, dict) else None
    if not isinstance(written, list) or not written or not all(isinstance(fields, dict) for fields in written):
        problem = f"expected a list of primitives in final_model_cfg.genotypes, found {written!r:.60}"
        raise ParseError(str(file), problem, "Make the profiling networks again")
    return [read_primitive(fields, space, f"{file}: genotypes[{i}]") for i, fields in enumerate(written)]


def _run(
    place: int, blocks: Sequence[_Block | None], overall: Mapping[str, float], overhead: float | None
) -> ImportedRun:
    latency, energy = (_values(blocks, metric) for metric in ("latency_ms", "energy_mj"))
    method = None if latency is None and energy is None else _BLOCK_METHOD
    return ImportedRun(
        place, **overall, block_latency_ms=latency, block_energy_mj=energy, overhead_ms=overhead, block_method=method
    )


def _values(blocks: Sequence[_Block | None], metric: str) -> Values | None:
    values = tuple(None if block is None else block.values.get(metric) for block in blocks)
    return None if all(value is None for value in values) else values
