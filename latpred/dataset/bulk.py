"""Many runs at once, as columns: for what was measured elsewhere and lies in a file, not run by run."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from latpred.config import canonical_json
from latpred.dataset.networks import MeasuredNetwork
from latpred.dataset.schema import PRIMITIVE, SCHEMA
from latpred.errors import DatasetError, RunError
from latpred.network import Network
from latpred.primitive import Primitive

_NETWORK = ("network_id", "space", "architecture", "primitives", "role")
_GIVEN = ("session_id", "status", *_NETWORK)

VALUES = pa.schema(
    [pa.field("network", pa.int64(), nullable=False), *(field for field in SCHEMA if field.name not in _GIVEN)]
)
"""One row is one ok run: `network`, its network's place in a `NetworkColumns`, and the columns of `SCHEMA` that
neither the network nor the session gives."""

_OVERALL = ("overall_latency_ms", "overall_energy_mj", "overall_memory_mb")
_PER_BLOCK = ("block_latency_ms", "block_energy_mj", "block_method")
_ROWS = 2048
"""Rows of a batch: networks of a hundred blocks take some 10 kB each once their primitives are written out."""


class NetworkColumns:
    """Networks as the columns that a run has of its network; each distinct primitive is kept once.

    Args:
        networks: Distinct ones.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        ids: dict[Primitive, int] = {}
        codes = [ids.setdefault(primitive, len(ids)) for network in networks for primitive in network.primitives]
        self.networks = tuple(networks)
        self.lengths = np.array([len(network.primitives) for network in networks], dtype=np.int64)
        texts = {primitive: canonical_json(primitive.to_dict()) for primitive in ids}
        self.network_ids = [_network_id(network, texts) for network in networks]
        self._codes = np.array(codes, dtype=np.int32)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._distinct = pa.array(
            [{name: getattr(primitive, name) for name in Primitive.FIELDS} for primitive in ids], PRIMITIVE
        )

    def check(self, known: Mapping[str, MeasuredNetwork]) -> None:
        """Refuse a network_id that stands for another network in `known`, or twice in here.

        Raises:
            DatasetError: Naming it.
        """
        if len(set(self.network_ids)) < len(self.network_ids):
            twice = next(i for n, i in enumerate(self.network_ids) if i in self.network_ids[:n])
            raise DatasetError(f"network {twice}", "expected distinct networks, found it again", "Give it once")
        for network_id, network in zip(self.network_ids, self.networks, strict=True):
            before = known.get(network_id)
            if before is not None and before != measured(network, network_id):
                problem = "expected the blocks that it has in the dataset, found others"
                raise DatasetError(f"network {network_id}", problem, "Take network_id from Network.network_id")

    def take(self, places: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Return the columns of the networks at `places`, one row each."""
        chosen = [self.networks[place] for place in places]
        lengths = self.lengths[places]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        blocks = np.arange(offsets[-1]) + np.repeat(self._starts[places] - offsets[:-1], lengths)
        texts = [None if n.architecture is None else canonical_json(n.architecture) for n in chosen]
        primitives = self._distinct.take(pa.array(self._codes[blocks]))
        starts = pa.array(offsets, pa.int32())
        return {
            "network_id": pa.array([self.network_ids[place] for place in places], pa.string()),
            "space": pa.array([network.space for network in chosen], pa.string()),
            "architecture": pa.array(texts, pa.string()),
            "primitives": pa.ListArray.from_arrays(starts, primitives, SCHEMA.field("primitives").type),
            "role": pa.array([network.roles for network in chosen], SCHEMA.field("role").type),
        }


def _network_id(network: Network, texts: Mapping[Primitive, str]) -> str:
    """Return `network.network_id`, which writes out every primitive again: ten times as long for a whole benchmark.

    Args:
        network: The network.
        texts: The canonical JSON of its primitives.
    """
    primitives = ",".join([texts[primitive] for primitive in network.primitives])
    encoding, space = canonical_json(network.encoding), canonical_json(network.space)
    text = f'{{"encoding":{encoding},"primitives":[{primitives}],"space":{space}}}'
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def measured(network: Network, network_id: str) -> MeasuredNetwork:
    """Return `network` as a dataset has it."""
    return MeasuredNetwork(network_id, network.architecture, network.primitives, network.roles)


def batches_of(networks: NetworkColumns, values: pa.Table, session_id: str) -> Generator[pa.RecordBatch, None, None]:
    """Yield the rows of a session, some thousand at a time.

    Args:
        networks: The networks.
        values: The runs, of the schema `VALUES`, checked by `check_values`.
        session_id: Of all of them.
    """
    for start in range(0, len(values), _ROWS):
        part = values.slice(start, _ROWS).combine_chunks()
        columns = networks.take(part["network"].to_numpy())
        columns["session_id"] = pa.array([session_id] * len(part), pa.string())
        columns["status"] = pa.array(["ok"] * len(part), pa.string())
        for name in part.column_names:
            if name != "network":
                columns[name] = part[name].combine_chunks()
        yield from pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA).to_batches()


def check_values(networks: NetworkColumns, values: pa.Table, session_id: str) -> None:
    """Refuse runs that cannot be rows, as `Run.check` does for a single one.

    Args:
        networks: The networks.
        values: The runs.
        session_id: Of all of them, for errors.

    Raises:
        RunError: Naming the first run that is wrong, its field and the value.
    """
    if not values.schema.equals(VALUES):
        raise RunError(f"session {session_id}", f"expected the columns {VALUES.names} of VALUES", "Cast the table")
    name = _Namer(networks, values, session_id)
    for field in VALUES:
        if not field.nullable:
            name.refuse(pc.is_null(values[field.name]), f"a value for {field.name}", field.name)
    places = values["network"]
    outside = pc.or_(pc.less(places, 0), pc.greater_equal(places, len(networks.networks)))
    name.refuse(outside, f"network to be a place below {len(networks.networks)}", "network")
    for field_name in ("sequence", "round", "overhead_ms", "cpu_time_ms", "involuntary_switches"):
        name.refuse(_bad_number(values[field_name], zero=True), f"{field_name} to be a number >= 0", field_name)
    if len(pc.unique(values["sequence"])) < len(values):
        raise RunError(f"session {session_id}", "expected each sequence once, found one again", "Count runs upwards")
    absent = [pc.is_null(values[overall]) for overall in _OVERALL]
    none = pc.and_(pc.and_(absent[0], absent[1]), absent[2])
    name.refuse(none, "an overall latency, energy or memory", _OVERALL[0])
    for overall in _OVERALL:
        name.refuse(_bad_number(values[overall]), f"{overall} to be a finite number > 0", overall)
    for blocks in _PER_BLOCK:
        _check_blocks(networks, values, blocks, name)


def _check_blocks(networks: NetworkColumns, values: pa.Table, column: str, name: _Namer) -> None:
    """Refuse lists that are not as long as their network, and values in them that no measurement gives."""
    lists = values[column].combine_chunks()
    found = pc.fill_null(pc.list_value_length(lists), -1).to_numpy()
    wrong = (found >= 0) & (found != networks.lengths[values["network"].to_numpy()])
    name.refuse(pa.array(wrong), f"{column} to have an entry for each block", column)
    if column != "block_method":
        bad = _bad_number(pc.list_flatten(lists)).to_numpy(zero_copy_only=False)
        runs = pc.list_parent_indices(lists).to_numpy()[bad]
        rows = np.zeros(len(values), bool)
        rows[runs] = True
        name.refuse(pa.array(rows), f"{column} to be finite numbers > 0", column)


def _bad_number(column: pa.ChunkedArray | pa.Array, *, zero: bool = False) -> pa.ChunkedArray | pa.Array:
    """Return where a value stands that is not finite, or not above 0; nulls are well."""
    low = pc.less(column, 0) if zero else pc.less_equal(column, 0)
    return pc.fill_null(pc.or_(low, pc.invert(pc.is_finite(column))), False)


class _Namer:
    """Raises the error of the first run that is wrong."""

    def __init__(self, networks: NetworkColumns, values: pa.Table, session_id: str) -> None:
        self._networks, self._values, self._session_id = networks, values, session_id

    def refuse(self, wrong: pa.ChunkedArray | pa.Array, expected: str, column: str) -> None:
        """Raise if any of `wrong`, [runs], is true."""
        if not pc.any(wrong).as_py():
            return
        row = pc.index(wrong, True).as_py()
        run = self._values.slice(row, 1).to_pylist()[0]
        where = f"run {run['sequence']} of session {self._session_id}"
        if run["network"] is not None and 0 <= run["network"] < len(self._networks.networks):
            where += f" (network {self._networks.network_ids[run['network']]})"
        raise RunError(where, f"expected {expected}, found {run[column]}", "Mend the run")
