"""Exporting a dataset to a folder of parsed runs as the reference system (aw_nas) has them."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from latpred.dataset.awnas_primitives import write_primitive
from latpred.dataset.networks import read_networks
from latpred.dataset.table import RunTable
from latpred.errors import ArtefactError

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_COLUMNS = (
    *("network_id", "session_id", "sequence", "status", "overhead_ms"),
    *("overall_latency_ms", "block_latency_ms", "overall_energy_mj", "block_energy_mj"),
)


def export_awnas(table: RunTable, out: Path) -> tuple[int, int]:
    """Write `out/<network_id>/<run>.yaml` for each ok run with a latency, the runs of a network counted from 0.

    Latencies are in ms and energies in mJ, as in the dataset. Blocks without a value have no performances.

    Args:
        table: The runs.
        out: The folder to make, whole or not at all.

    Returns:
        How many runs were written, and how many had no latency to write.

    Raises:
        ArtefactError: If something stands at `out`, or it cannot be written.
    """
    if out.exists():
        problem = "expected a path where nothing is yet, found something"
        raise ArtefactError(str(out), problem, "Remove it, or choose another")
    rows = table.read(_COLUMNS).sort_by([("session_id", "ascending"), ("sequence", "ascending")])
    networks = read_networks(table)
    primitives = {
        network_id: [write_primitive(primitive) for primitive in network.primitives]
        for network_id, network in networks.items()
    }
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    counts: dict[str, int] = {}
    try:
        draft.mkdir(parents=True)
        for row in _with_latency(rows.to_batches()):
            run = counts.get(row["network_id"], 0)
            counts[row["network_id"]] = run + 1
            file = draft / row["network_id"] / f"{run}.yaml"
            file.parent.mkdir(exist_ok=True)
            content = _run(row, primitives[row["network_id"]])
            file.write_text(yaml.dump(content, Dumper=_DUMPER, sort_keys=False), encoding="utf-8")
        draft.rename(out)
    except OSError as error:
        raise ArtefactError(str(out), f"expected to write there, got: {error}", "Choose another path") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sum(counts.values()), len(rows) - sum(counts.values())


def _with_latency(batches: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - pyarrow has no types
    for batch in batches:
        for row in batch.to_pylist():
            if row["status"] == "ok" and row["overall_latency_ms"] is not None:
                yield row


def _run(row: Mapping[str, Any], primitives: list[dict[str, Any]]) -> dict[str, Any]:
    latencies = row["block_latency_ms"] or [None] * len(primitives)
    energies = row["block_energy_mj"] or [None] * len(primitives)
    content: dict[str, Any] = {"overall_latency": row["overall_latency_ms"]}
    if row["overall_energy_mj"] is not None:
        content["overall_energy"] = row["overall_energy_mj"]
    if row["overhead_ms"] is not None:
        content["block_sum_latency"] = sum(value or 0.0 for value in latencies) + row["overhead_ms"]
    content["primitives"] = [
        {"performances": _performances(latency, energy), **fields}
        for fields, latency, energy in zip(primitives, latencies, energies, strict=True)
    ]
    return content


def _performances(latency: float | None, energy: float | None) -> dict[str, float]:
    given = {"latency": latency, "energy": energy}
    return {name: value for name, value in given.items() if value is not None}
