"""`latpred doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from latpred.cli.parser import command_parser, refuse_existing
from latpred.config import write_new
from latpred.profiling import DeviceConfig, load_device
from latpred.profiling.clock import choose_cpus, usable_cpus
from latpred.profiling.doctor import Diagnosis, check_device, diagnose, probe_to_dict
from latpred.profiling.energy import find_meter
from latpred.profiling.environment import describe_environment, hardware_kind
from latpred.profiling.lock import holder
from latpred.profiling.probe import own_load, probe

_STYLES = {"good": "green", "note": "dim", "warn": "yellow", "bad": "bold red"}
_VERDICTS = {
    "good": "good: measure now",
    "fair": "fair: measure now if it must be, with more rounds; the advice above makes it better",
    "poor": "poor: what is measured now would say more of the machine's other work than of the networks",
}


def run(arguments: list[str]) -> int:
    """Tell whether this is a good moment to measure on this machine.

    Exit code: 0 for a good or fair moment, 1 for a poor one, 2 for a mistake in the arguments.
    """
    parser = command_parser("doctor", run)
    parser.add_argument("--device", type=Path, help="YAML of the device to be measured: is it there, and does it run")
    parser.add_argument("--json", type=str, help="write all that was found there, too; - prints it instead")
    options = parser.parse_args(arguments)
    if options.json not in (None, "-"):
        refuse_existing(Path(options.json), "--json")
    config = DeviceConfig() if options.device is None else load_device(options.device)
    found, record = _examine(config, asked=options.device is not None)
    text = json.dumps(record, indent=1, allow_nan=False)
    if options.json == "-":
        print(text)
    else:
        _print(found, record["environment"])
        if options.json is not None:
            write_new(Path(options.json), text + "\n")
    return 1 if found.verdict == "poor" else 0


def _examine(config: DeviceConfig, *, asked: bool) -> tuple[Diagnosis, dict[str, Any]]:
    """Look at the machine; returns the diagnosis and the JSON with all that it came from.

    Args:
        config: Of the device to be measured.
        asked: Whether the user named it, so that its runtime is tried, too.
    """
    # The environment first: the probe is a load of its own.
    environment, before = describe_environment(), own_load()
    kind, threads = hardware_kind(config.device.hardware), config.device.threads
    probed = probe(choose_cpus(threads, usable_cpus()))
    found = diagnose(environment, probed, holder(kind), threads=threads, own_load=before, meter=find_meter(kind))
    if asked:
        found = Diagnosis((check_device(config), *found.findings))
    return found, found.to_dict() | {"probe": probe_to_dict(probed), "environment": environment}


def _print(found: Diagnosis, environment: dict[str, Any]) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    table = Table(title=f"{environment['cpu_model']}, {environment['system']} {environment['kernel']}")
    for title in ("", "", "found", "advice"):
        table.add_column(title, overflow="fold")
    for finding in found.findings:
        style = _STYLES[finding.severity]
        table.add_row(finding.subject, f"[{style}]{finding.severity}[/]", escape(finding.found), escape(finding.advice))
    console.print(table)
    print(f"verdict: {_VERDICTS[found.verdict]}")
