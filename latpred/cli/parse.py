"""`latpred parse`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from latpred.cli.parsed import Found, fresh, store, tell
from latpred.cli.parser import command_parser
from latpred.cli.shown import show, write_json
from latpred.cli.target import next_command, open_target
from latpred.dataset import Dataset
from latpred.errors import UsageError
from latpred.formats import FORMATS, parse_networks
from latpred.genprof import read_prof_dir
from latpred.hardware import Compiled, Reading, ResultReader, find_compiled, known_facts, read_compiled
from latpred.spaces import SearchSpace

_METRICS = {"latency": "latency_ms", "energy": "energy_mj", "memory": "memory_mb"}


def run(arguments: list[str]) -> int:
    """Read what the tools of a device have written, into a dataset."""
    options = _parser().parse_args(arguments)
    if options.show or options.json is not None:
        if options.hwobj_type != "latency":
            problem = f"expected --hwobj-type latency with --show or --json, found {options.hwobj_type}"
            raise UsageError("latpred parse", problem, "Take --dry-run with the PROF_DIR: no tool's file has others")
        return _show(options.results, options.format, options.json)
    for name in ("hardware", "prof", *(() if options.dry_run else ("dataset",))):
        if getattr(options, name) is None:
            problem = f"expected --{name}, found none"
            raise UsageError("latpred parse", problem, "Give it, or --show to see what one file says")
    prof = read_prof_dir(options.prof)
    compiled = read_compiled(find_compiled(options.prof, options.hardware), prof, options.hardware_file)
    reading = Reading(compiled.config.hardware, options.format, _METRICS[options.hwobj_type])
    found = Found(known_facts(compiled, options.results, options.device))
    for parsed in ResultReader(compiled, reading).read(options.results):
        found.add(parsed)
    tell(found)
    if not found.runs:
        raise UsageError(str(options.results), "expected results to store, found none", "See above why")
    return _store(found, prof.space, compiled, reading, options)


def _parser() -> ArgumentParser:
    parser = command_parser("parse", run)
    parser.add_argument("results", type=Path, help="folder brought from the device; with --show, one file")
    parser.add_argument("--hardware", help="as compiled: its name, or its folder in PROF_DIR/hardwares, or a path")
    parser.add_argument("--prof", type=Path, help="folder that `latpred genprof` wrote, and that was compiled")
    parser.add_argument("--dataset", type=Path, help="folder of the dataset, made if there is none")
    parser.add_argument("--format", choices=["auto", *FORMATS], default="auto", help="of the files")
    parser.add_argument("--hwobj-type", choices=list(_METRICS), default="latency", help="what was measured")
    parser.add_argument("--device", type=Path, help="YAML with what the files do not tell of the device")
    parser.add_argument(
        "--dry-run", action="store_true", help="store nothing; tell what would be, and what not and why"
    )
    parser.add_argument("--hardware-file", type=Path, help="Python file with a class of your own; it is executed")
    parser.add_argument("--show", action="store_true", help="tell what one file says; no PROF_DIR is needed")
    parser.add_argument("--json", help="with --show: write all that the file says there, too; - prints it")
    return parser


def _show(file: Path, format_: str, out: str | None) -> int:
    """Tell what one file says."""
    profiles = parse_networks(file, format_)
    if out != "-":
        show(profiles)
    if out is not None:
        write_json(profiles, out)
    return 0


def _store(
    found: Found,
    space: SearchSpace[Any],
    compiled: Compiled,
    reading: Reading,
    options: Any,  # noqa: ANN401 - jsonargparse's namespace
) -> int:
    """Store what is not there yet; returns the exit code."""
    device = found.facts.device(str(options.results))
    print(f"device: {device}")
    dataset = None if options.dataset is None else open_target(options.dataset, space, device)
    new = fresh(found.runs, dataset)
    if there := len(found.runs) - len(new):
        print(f"{there} runs are in {options.dataset} already")
    if options.dry_run:
        print(f"would store {len(new)} runs" + (f" in {options.dataset}" if options.dataset else ""))
        return 0
    if dataset is None:
        dataset = Dataset.create(options.dataset, space.card(), device)
    if new:
        session_id = store(new, dataset, reading.hardware, reading.metric)
        print(f"stored {len(new)} runs in {dataset.path}, session {session_id}")
    print(f"next: {next_command(options.dataset, reading.metric)}")
    failed = [run for run, _ in found.runs if run.status == "failed"]
    return 1 if len(failed) == len(found.runs) else 0
