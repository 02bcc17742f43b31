"""Exporting a dataset to one parquet file that any program reads."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from latpred.dataset.schema import PRIMITIVE, SCHEMA
from latpred.dataset.table import RunTable
from latpred.errors import ArtefactError

_GROUP_ROWS = 8192

_PER_BLOCK = ("primitives", "role", "block_latency_ms", "block_method", "block_energy_mj")

LONG_SCHEMA = pa.schema(
    [
        *(field for field in SCHEMA if field.name not in _PER_BLOCK),
        pa.field("block", pa.int64(), nullable=False),
        *PRIMITIVE,
        *(pa.field(name, SCHEMA.field(name).type.value_type) for name in _PER_BLOCK[1:]),
    ]
)
"""One row is one block of one run: the run's columns, the block's place from 0, its primitive and its values."""


def export_runs(table: RunTable, out: Path, metadata: dict[str, str], *, long: bool) -> None:
    """Write all rows to `out`, sorted by (session_id, sequence) and, if `long`, by block.

    Args:
        table: The runs.
        out: The file to make.
        metadata: Texts for the file's schema.
        long: Whether to write one row per block instead of one per run.

    Raises:
        ArtefactError: If `out` exists, or cannot be written.
    """
    rows = table.read(SCHEMA.names)
    order = pc.sort_indices(
        rows.select(["session_id", "sequence"]), [("session_id", "ascending"), ("sequence", "ascending")]
    )
    schema = (LONG_SCHEMA if long else SCHEMA).with_metadata(metadata)
    if out.exists():
        raise _exists(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        os.close(handle)
    except OSError as error:
        raise ArtefactError(str(out), f"expected to write there, got: {error}", "Choose another path") from error
    try:
        with pq.ParquetWriter(name, schema, compression="zstd") as writer:
            for start in range(0, len(rows), _GROUP_ROWS):
                group = rows.take(order[start : start + _GROUP_ROWS]).combine_chunks()
                writer.write_table((_unfolded(group) if long else group).replace_schema_metadata(metadata))
        Path(name).chmod(0o644)
        os.link(name, out)  # unlike a rename, fails where something stands already
    except FileExistsError:
        raise _exists(out) from None
    finally:
        Path(name).unlink()


def _unfolded(rows: pa.Table) -> pa.Table:
    """Return one row per block."""
    blocks = _column(rows, "primitives")
    run_of_block = pc.list_parent_indices(blocks).to_numpy()
    lengths = pc.list_value_length(blocks).to_numpy()
    places = np.arange(len(run_of_block)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    columns = {name: rows[name].take(pa.array(run_of_block)) for name in rows.column_names if name not in _PER_BLOCK}
    columns["block"] = pa.array(places, pa.int64())
    columns |= dict(zip([field.name for field in PRIMITIVE], pc.list_flatten(blocks).flatten(), strict=True))
    for name in _PER_BLOCK[1:]:
        columns[name] = _elements(_column(rows, name), run_of_block, places)
    return pa.table([columns[name] for name in LONG_SCHEMA.names], schema=LONG_SCHEMA)


def _elements(lists: pa.ListArray, run_of_block: NDArray[np.int64], places: NDArray[np.int64]) -> pa.Array:
    """Return the element of each block, null where its run has no list."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    starts = np.cumsum(lengths) - lengths
    absent = places >= lengths[run_of_block]
    return pc.list_flatten(lists).take(pa.array(starts[run_of_block] + places, mask=absent))


def _column(rows: pa.Table, name: str) -> pa.ListArray:
    chunks = rows[name].chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _exists(out: Path) -> ArtefactError:
    return ArtefactError(str(out), "expected a path where nothing is yet, found a file", "Remove it, or choose another")
