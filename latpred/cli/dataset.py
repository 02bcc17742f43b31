"""`latpred dataset info`, `history`, `validate`, `report` and `export`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from latpred.cli.parser import command_parser, refuse_existing
from latpred.config import write_new
from latpred.dataset import Dataset
from latpred.errors import UsageError
from latpred.spaces import space_from_card

_FORMATS = ("parquet", "awnas")


def _open(path: Path, version: int | None = None) -> Dataset:
    dataset = Dataset.open(path, version)
    for message in dataset.leftover:
        print(message)
    return dataset


def info(arguments: list[str]) -> int:
    """Show what a dataset holds."""
    parser = command_parser("dataset info", info)
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("--version", type=int, help="an older version")
    options = parser.parse_args(arguments)
    dataset = _open(options.dataset, options.version)
    space = space_from_card(dataset.card.space)
    found = dataset.info(space.vocabulary().primitives)
    table = Table(show_header=False, title=str(options.dataset))
    table.add_row("space", space.name)
    table.add_row("device", str(dataset.card.device))
    table.add_row("metrics", ", ".join(found.metrics) or "none yet")
    table.add_row("version", f"{dataset.version} of {found.versions}")
    table.add_row("sessions", str(found.sessions))
    table.add_row("networks", f"{found.networks_sampled} sampled, {found.networks_assembled} assembled")
    table.add_row("runs", f"{found.runs_ok} ok, {found.runs_failed} failed")
    table.add_row("primitives", f"{found.primitives_covered} covered of {found.primitives_in_space} in the space")
    if found.first_started_at is not None and found.last_started_at is not None:
        table.add_row(
            "measured", f"{found.first_started_at:%Y-%m-%d %H:%M} to {found.last_started_at:%Y-%m-%d %H:%M} UTC"
        )
    Console().print(table)
    return 0


def history(arguments: list[str]) -> int:
    """List the versions of a dataset."""
    parser = command_parser("dataset history", history)
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    options = parser.parse_args(arguments)
    table = Table("version", "time (UTC)", "operation", "runs added", "runs")
    for version in _open(options.dataset).history():
        time = f"{version.timestamp:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(version.number), time, version.operation, str(version.runs_added), str(version.runs_total))
    Console().print(table)
    return 0


def validate(arguments: list[str]) -> int:
    """Check every row of a dataset."""
    parser = command_parser("dataset validate", validate)
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    options = parser.parse_args(arguments)
    problems = Dataset.open(options.dataset, fold=False).validate()  # leftover journals are problems, too
    for problem in problems:
        print(problem)
    print(f"{options.dataset}: {len(problems)} problems" if problems else f"{options.dataset}: no problems")
    return 1 if problems else 0


def report(arguments: list[str]) -> int:
    """Tell how noisy a dataset is, and how well its blocks add up."""
    parser = command_parser("dataset report", report)
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("--metric", default="latency_ms", help="latency_ms, energy_mj or memory_mb")
    parser.add_argument("--exclude-sessions", nargs="+", default=[], metavar="ID", help="sessions to leave out")
    parser.add_argument("--figure", type=Path, help="draw it there, too, .png")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    options = parser.parse_args(arguments)
    for path, name in ((options.figure, "--figure"), (options.json, "--json")):
        if path is not None:
            refuse_existing(path, name)
    if options.figure is not None and options.figure.suffix != ".png":
        raise UsageError(str(options.figure), "expected a path that ends in .png", "Mend --figure")
    from latpred.report.additivity import additivity  # statistics that the other commands need not wait for
    from latpred.report.additivity_tables import print_additivity

    dataset = _open(options.dataset)
    vocabulary = space_from_card(dataset.card.space).vocabulary().primitives
    found, points = additivity(dataset, vocabulary, options.metric, options.exclude_sessions)
    print_additivity(found)
    if options.json is not None:
        write_new(options.json, json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n")
        print(f"wrote {options.json}")
    if options.figure is not None:
        from latpred.report.additivity_figure import additivity_figure, write_figure  # takes as long as all the rest

        write_figure(additivity_figure(found, points), options.figure)
        print(f"wrote {options.figure}")
    return 0


def export(arguments: list[str]) -> int:
    """Write a dataset as one parquet file, or as aw_nas has it."""
    parser = command_parser("dataset export", export)
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("--out", type=Path, required=True, help="file or folder to write, must not exist")
    parser.add_argument("--format", default="parquet", help="parquet or awnas: <network_id>/<run>.yaml")
    parser.add_argument("--version", type=int, help="an older version")
    parser.add_argument("--long", action="store_true", help="one row per block instead of one per run")
    options = parser.parse_args(arguments)
    if options.format not in _FORMATS:
        raise UsageError(
            "--format", f"expected one of {', '.join(_FORMATS)}, found '{options.format}'", "Mend the name"
        )
    if options.format == "awnas" and options.long:
        raise UsageError("--long", "expected it with --format parquet, found awnas", "Leave it out")
    dataset = _open(options.dataset, options.version)
    if options.format == "awnas":
        written, without = dataset.export_awnas(options.out)
        print(f"wrote {options.out}: {written} runs" + (f", {without} without a latency left out" if without else ""))
        return 0
    dataset.export(options.out, long=options.long)
    print(f"wrote {options.out}")
    return 0
