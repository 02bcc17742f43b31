"""What `accuracy.py` found, as tables for a terminal and as a page."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_FEW = ("task", "k", "ours", "+-", "random", "pools", "published", "ceiling", "gap closed", "devices missing")
_ABOUT = """\
`python benchmarks/accuracy.py --data DIR --report FILE`, where DIR has HELP's files. Spearman correlations are means
over the new devices, and then over draws and two pools of source networks; +- is the standard error of that mean.
`ours` chooses the networks to measure by variance reduction, `random` draws them. HELP's published figure comes from
code that measures 10 reference and 10 further networks. Published figures are for all devices of a task: where some are
missing here, the comparison is not exact."""
_SINGLE = ("space", "device", "N", "MAPE %", "+-", "RMSPE %", "Spearman", "ridge MAPE %", "fit s")


def few_shot_rows(found: dict[str, Any]) -> list[list[str]]:
    """Return a row of text for each task."""
    rows = []
    for name, task in found.items():
        published = ", ".join(f"{method} {value:.3f}" for method, value in task["published_by"].items())
        rows.append(
            [
                name,
                str(task["samples"]),
                f"{task['spearman']:.4f}",
                f"{task['standard_error']:.4f}",
                f"{task['random']:.4f}",
                " / ".join(f"{mean:.4f}" for mean in task["pools"]),
                published,
                f"{task['ceiling']:.3f}",
                f"{100 * task['gap_closed']:.0f} %",
                ", ".join(task["missing_devices"]) or "none",
            ]
        )
    return rows


def single_device_rows(found: dict[str, Any]) -> list[list[str]]:
    """Return a row of text for each device and number of training networks."""
    return [
        [
            space,
            device,
            count,
            f"{100 * row['mape']:.3f}",
            f"{100 * row['mape_std']:.3f}",
            f"{100 * row['rmspe']:.3f}",
            f"{row['spearman']:.4f}",
            f"{100 * row['ridge_mape']:.3f}",
            f"{row['fit_seconds']:.1f}",
        ]
        for space, devices in found.items()
        for device, counts in devices.items()
        for count, row in counts.items()
    ]


def console(results: dict[str, Any]) -> None:
    """Print both tables."""
    for title, columns, rows in (
        ("new devices: Spearman", _FEW, few_shot_rows(results["few_shot"])),
        ("single devices", _SINGLE, single_device_rows(results["single_device"])),
    ):
        table = Table(*columns, title=title)
        for row in rows:
            table.add_row(*row)
        Console(width=170).print(table)


def markdown(results: dict[str, Any]) -> str:
    """Return the page."""
    parts = [
        "# Accuracy on the public measurements of HELP",
        "",
        _ABOUT,
        "",
        "## New devices",
        "",
        *_table(_FEW, few_shot_rows(results["few_shot"])),
        "",
        "Each new device:",
        "",
        *(
            f"- {name}: " + ", ".join(f"{device} {value:.3f}" for device, value in task["targets"].items())
            for name, task in results["few_shot"].items()
        ),
        "",
        "## Single devices",
        "",
        "`gp` from N networks, on 4,000 others; +- is the standard deviation over draws of both.",
        "",
        *_table(_SINGLE, single_device_rows(results["single_device"])),
        "",
    ]
    return "\n".join(parts)


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
