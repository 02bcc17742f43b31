"""`latpred import awnas-config`, and the imports of what others measured."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from latpred.cli.parser import command_parser, refuse_existing
from latpred.cli.target import next_command
from latpred.config import write_new
from latpred.dataset.bulk import NetworkColumns
from latpred.dataset.importers import (
    Imported,
    ImportedDevice,
    check_targets,
    read_awnas,
    read_csv,
    read_help,
    read_hw_nas_bench,
    read_latbench,
    read_nn_meter,
    unknown_device,
    with_facts,
    write_dataset,
)
from latpred.errors import DatasetError, UsageError
from latpred.shipped import shipped_config
from latpred.spaces import SearchSpace, load_space, space_yaml
from latpred.spaces.reference_config import read_reference_config

_FACTS = ("runtime", "runtime_version", "precision", "layout")
_COUNTS = ("threads", "batch")
_SHOWN = 5
"""Refused values that are printed of each device."""


def awnas_config(arguments: list[str]) -> int:
    """Write a search space from the reference's files."""
    parser = command_parser("import awnas-config", awnas_config)
    parser.add_argument("config", type=Path, help="YAML with its search space")
    parser.add_argument("hwobj_config", type=Path, help="YAML of its hardware object: prof_prims_cfg, model")
    parser.add_argument("--out", type=Path, required=True, help="YAML of the search space to write, must not exist")
    options = parser.parse_args(arguments)
    refuse_existing(options.out, "--out")
    read = read_reference_config(options.config, options.hwobj_config)
    header = f"# Read from {options.config.name} and {options.hwobj_config.name} of the reference system.\n"
    write_new(options.out, header + space_yaml(read.space))
    print(f"wrote {options.out}: {read.space.name}, {len(read.space.vocabulary())} primitives")
    for note in read.notes:
        print(f"note: {note}")
    for theirs, ours in read.preprocessors:
        print(f"preprocessor: {theirs} -> {ours}")
    model = "table"
    if read.model is not None:
        model = read.model[1]
        print(f"model: {read.model[0]} -> {model}, the run configuration of `latpred genmodel --model {model}`")
    if read.preprocessors:
        print(f"chain: [{', '.join(ours for _, ours in read.preprocessors)}], as data.preprocessors of a run")
    print(f"next: latpred genprof {options.out} --out PROF_DIR")
    print("      latpred profile PROF_DIR --device DEVICE.yaml --dataset DATASET")
    print(f"      latpred genmodel {options.out} DATASET --model {model} --out {model}.ts")
    return 0


def help_(arguments: list[str]) -> int:
    """Import HELP's latencies of NAS-Bench-201, FBNet and once-for-all."""
    parser = _parser("import help", help_)
    parser.add_argument("folder", type=Path, help="folder of one space of HELP's data, or the one above")
    _add_devices(parser)
    options = parser.parse_args(arguments)
    return _finish(read_help(options.folder, _space(options), options.devices, keep_refused=_keeps(options)), options)


def hw_nas_bench(arguments: list[str]) -> int:
    """Import HW-NAS-Bench: NAS-Bench-201's networks, and sums of its blocks of FBNet."""
    parser = _parser("import hw-nas-bench", hw_nas_bench)
    parser.add_argument("file", type=Path, help="HW-NAS-Bench-v1_0.pickle; nothing in it is executed")
    _add_devices(parser)
    parser.add_argument("--num-sample", type=int, default=1000, help="of FBNet: networks to draw")
    parser.add_argument("--seed", type=int, default=0, help="of that drawing")
    options = parser.parse_args(arguments)
    found = read_hw_nas_bench(
        options.file,
        _space(options),
        options.devices,
        num_sample=options.num_sample,
        seed=options.seed,
        keep_refused=_keeps(options),
    )
    return _finish(found, options)


def latbench(arguments: list[str]) -> int:
    """Import LatBench's pickles of NAS-Bench-201, one for each device."""
    parser = _parser("import latbench", latbench)
    parser.add_argument("files", type=Path, nargs="+", help="its pickles; nothing in them is executed")
    options = parser.parse_args(arguments)
    return _finish(read_latbench(options.files, _space(options), keep_refused=_keeps(options)), options)


def nn_meter(arguments: list[str]) -> int:
    """Import nn-Meter's latencies of NAS-Bench-201."""
    parser = _parser("import nn-meter", nn_meter)
    parser.add_argument("file", type=Path, help="nasbench201s.jsonl of its bench data set")
    parser.add_argument(
        "--architectures", type=Path, required=True, help="nn-Meter's nasbench201.json or HELP's str_arch2idx.pt"
    )
    _add_devices(parser)
    options = parser.parse_args(arguments)
    space, keeps = _space(options), _keeps(options)
    return _finish(
        read_nn_meter(options.file, space, options.architectures, options.devices, keep_refused=keeps), options
    )


def csv(arguments: list[str]) -> int:
    """Import a CSV of measured networks of one device."""
    parser = _parser("import csv", csv)
    parser.add_argument("file", type=Path, help="architecture or network_id, latency_ms, run, block_0_ms, ..")
    _add_one_device(parser, "PROF_DIR with the networks behind network_id")
    options = parser.parse_args(arguments)
    device = unknown_device(options.hardware)
    found = read_csv(options.file, _space(options), device, options.prof, keep_refused=_keeps(options))
    return _finish(found, options, into=options.out)


def awnas(arguments: list[str]) -> int:
    """Import folders of parsed runs as the reference system writes them."""
    parser = _parser("import awnas", awnas)
    parser.add_argument("folder", type=Path, help="folder with <net>/<run>.yaml")
    _add_one_device(parser, "its --result-dir of genprof, where the runs lack the order of blocks, as Xavier's do")
    options = parser.parse_args(arguments)
    device = unknown_device(options.hardware)
    found = read_awnas(options.folder, _space(options), device, options.prof, keep_refused=_keeps(options))
    return _finish(found, options, into=options.out)


def _parser(command: str, function: Callable[[list[str]], int]) -> ArgumentParser:
    """Return a parser with the arguments that all imports share."""
    parser = command_parser(command, function)
    parser.add_argument("--space", type=Path, help="YAML of the search space")
    parser.add_argument("--space-name", help="a shipped search space instead (`latpred configs` lists them)")
    parser.add_argument("--out", type=Path, required=True, help="where to write, nothing may stand there")
    parser.add_argument("--order-is-time", action="store_true", help="the runs stand in the order of their measuring")
    parser.add_argument("--skip", action="store_true", help="leave out what is no measurement, instead of stopping")
    parser.add_argument("--dry-run", action="store_true", help="print what would be imported, and write nothing")
    for name in _FACTS:
        parser.add_argument(f"--{name.replace('_', '-')}", help="of the device, where the source does not say")
    for name in _COUNTS:
        parser.add_argument(f"--{name}", type=int, help="of the device, where the source does not say")
    return parser


def _add_devices(parser: ArgumentParser) -> None:
    parser.add_argument("--devices", nargs="+", metavar="NAME", help="the source's names of devices, or all (default)")


def _add_one_device(parser: ArgumentParser, prof: str) -> None:
    parser.add_argument("--hardware", required=True, help="the processor's name")
    parser.add_argument("--prof", type=Path, help=prof)


def _space(options: argparse.Namespace | Any) -> SearchSpace[Any]:  # noqa: ANN401 - jsonargparse's own namespace
    if (options.space is None) == (options.space_name is None):
        given = "neither" if options.space is None else "both"
        raise UsageError("--space", f"expected it or --space-name, found {given}", "Give one of them")
    return load_space(options.space or shipped_config("spaces", options.space_name))


def _keeps(options: Any) -> bool:  # noqa: ANN401 - jsonargparse's own namespace
    """Return whether to list what is no measurement instead of stopping at the first."""
    return bool(options.skip or options.dry_run)


def _finish(found: Imported, options: Any, into: Path | None = None) -> int:  # noqa: ANN401 - as above
    """Tell what was found, and write a dataset of each device unless this is a dry run.

    Args:
        found: What the source says.
        options: Of the command.
        into: The dataset's own folder, where the source is of one device; else a folder in --out for each.
    """
    facts = {name: getattr(options, name) for name in (*_FACTS, *_COUNTS) if getattr(options, name) is not None}
    found = with_facts(found, facts)
    targets = [into or options.out / device.name for device in found.devices]
    check_targets(targets)
    for note in found.notes:
        print(f"note: {note}")
    for device, target in zip(found.devices, targets, strict=True):
        _tell(device, target)
        if not device.runs and not options.dry_run:
            problem = "expected measurements, found none that can be imported"
            raise DatasetError(device.name, problem, "Leave the device out with --devices, or look with --dry-run")
    if options.dry_run:
        print("dry run: nothing was written")
        return 0
    columns = NetworkColumns(found.networks)
    for device, target in zip(found.devices, targets, strict=True):
        count = write_dataset(target, found, device, columns, order_is_time=options.order_is_time)
        print(f"wrote {target}: {count} runs")
    print(f"next: {next_command(targets[0], _metric(found.devices[0]))}")
    return 0


def _metric(device: ImportedDevice) -> str:
    """Return what was measured on a device, latency if that is among it."""
    if any(run.latency_ms is not None for run in device.runs):
        return "latency_ms"
    return "energy_mj" if any(run.energy_mj is not None for run in device.runs) else "memory_mb"


def _tell(device: ImportedDevice, target: Path) -> None:
    """Print what would be imported, and what would not and why."""
    networks = len({run.network for run in device.runs})
    values = [run.latency_ms for run in device.runs if run.latency_ms is not None]
    span = f", {min(values):.4g} to {max(values):.4g} ms" if values else ""
    print(f"{device.name} -> {target}: {len(device.runs)} runs of {networks} networks{span}; {device.device}")
    if device.absent:
        print(f"  not measured there: {device.absent} networks")
    for line in device.refused[:_SHOWN]:
        print(f"  left out: {line}")
    if len(device.refused) > _SHOWN:
        print(f"  left out: {len(device.refused) - _SHOWN} more")
