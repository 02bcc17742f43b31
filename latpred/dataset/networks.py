"""The networks behind the rows: each is turned into Python objects once, however many runs it has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latpred.dataset.table import RunTable
from latpred.errors import DatasetError, PrimitiveError
from latpred.network import Network, Role
from latpred.primitive import Primitive
from latpred.run import Run

_COLUMNS = ("network_id", "space", "architecture", "primitives", "role")


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network that has rows in a dataset."""

    network_id: str
    architecture: Any
    """The JSON form of the architecture (plain lists, dicts, numbers); None for an assembled network."""
    primitives: tuple[Primitive, ...]
    """The blocks in execution order."""
    roles: tuple[Role, ...]

    @property
    def assembled(self) -> bool:
        """Whether the network was put together for profiling, and is no architecture of the space."""
        return self.architecture is None

    @classmethod
    def of(cls, run: Run) -> MeasuredNetwork:
        """Return the network that `run` visited."""
        architecture = None if run.architecture is None else json.loads(run.architecture)
        return cls(run.network_id, architecture, run.primitives, run.role)


def check_network(run: Run, known: Mapping[str, MeasuredNetwork]) -> MeasuredNetwork:
    """Return the network of `run`, which must be what its network_id stands for.

    Args:
        run: The run.
        known: The networks so far, by network_id.

    Raises:
        DatasetError: If the network_id stands for other blocks.
    """
    network = MeasuredNetwork.of(run)
    before = known.get(network.network_id)
    where = f"run {run.sequence} of session {run.session_id}"
    if before is not None:
        if before != network:
            field = next(name for name in vars(before) if getattr(before, name) != getattr(network, name))
            problem = (
                f"expected the {field} that network {network.network_id} has in the dataset, found "
                f"{_first_difference(getattr(before, field), getattr(network, field))}"
            )
            raise DatasetError(where, problem, "Take network_id from Network.network_id")
    elif network.assembled:  # the id of an architecture takes its encoding too, which only the space knows
        expected = Network(run.space, run.primitives, run.role).network_id
        if network.network_id != expected:
            problem = f"expected the network_id {expected} for these primitives, found {network.network_id}"
            raise DatasetError(where, problem, "Take network_id from Network.network_id")
    return network


def read_networks(table: RunTable) -> dict[str, MeasuredNetwork]:
    """Return every network that has rows, by network_id in sorted order.

    Files that hold only networks which were met before are skipped, and no file is read beyond its last new one.

    Raises:
        DatasetError: If a file cannot be read, or a row holds no network.
    """
    found: dict[str, MeasuredNetwork] = {}
    for fragment in table.fragments():
        ids = [batch.column(0) for batch in table.batches(["network_id"], fragments=[fragment])]
        lacking = set(pc.unique(pa.chunked_array(ids, pa.string())).to_pylist()) - found.keys()
        rows = table.batches(_COLUMNS, fragments=[fragment])
        while lacking:
            new = _networks_in(next(rows), lacking)
            found |= new
            lacking -= new.keys()
        rows.close()
    return dict(sorted(found.items()))


def _networks_in(batch: pa.RecordBatch, wanted: Set[str]) -> dict[str, MeasuredNetwork]:
    """Return the networks of `batch` that are wanted, from their first rows."""
    first: dict[str, int] = {}
    for index, network_id in enumerate(batch.column("network_id").to_pylist()):
        if network_id in wanted:
            first.setdefault(network_id, index)
    rows = batch.take(pa.array(list(first.values()), pa.int64()))
    networks = {}
    texts, roles = rows.column("architecture").to_pylist(), rows.column("role").to_pylist()
    try:
        blocks = _blocks(rows.column("primitives"))
        for network_id, text, primitives, role in zip(first, texts, blocks, roles, strict=True):
            architecture = None if text is None else json.loads(text)
            networks[network_id] = MeasuredNetwork(network_id, architecture, primitives, tuple(role))
    except (PrimitiveError, TypeError, ValueError) as error:
        where = f"networks {next(iter(first))} and following"
        raise DatasetError(where, f"expected blocks, found: {error}", "`latpred dataset validate` has more") from None
    return networks


def _blocks(lists: pa.ListArray) -> list[tuple[Primitive, ...]]:
    """Return the primitives of each list; each distinct one becomes a Python object once."""
    if not len(lists):
        return []
    flat = pc.list_flatten(lists)
    texts = [pc.cast(field, pa.string()) for field in flat.flatten()]
    keys = pc.binary_join_element_wise(*texts, "\x1f", null_handling="replace", null_replacement="\x1e")
    codes = keys.dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    distinct = [Primitive(**fields) for fields in flat.take(pa.array(first)).to_pylist()]
    ends = np.cumsum(pc.list_value_length(lists).to_numpy()).tolist()
    return [tuple(distinct[code] for code in codes[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _first_difference(before: Any, found: Any) -> str:  # noqa: ANN401 - the fields of a network
    """Name where two values part, without printing all of a long list."""
    if isinstance(before, tuple) and isinstance(found, tuple):
        if len(before) != len(found):
            return f"{len(found)} of them instead of {len(before)}"
        index = next(i for i, pair in enumerate(zip(before, found, strict=True)) if pair[0] != pair[1])
        return f"at {index}: {found[index]} instead of {before[index]}"
    return f"{found} instead of {before}"
