"""Networks, runs and datasets made up for tests: tiny, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from latpred.card import SpaceCard
from latpred.config import canonical_json
from latpred.dataset import Dataset
from latpred.device import Device
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.run import Run

SPACE = SpaceCard("synthetic", {"blocks": 12})
DEVICE = Device("Test CPU", "torch", "2.13.0", "float32", threads=1, batch=1, layout="nchw")
PRIMITIVES = tuple(
    sorted(
        Primitive("conv_bn_act", size, C, C, kernel_size=kernel, kwargs=canonical_json({"activation": "relu"}))
        for size in (8, 16)
        for C in (4, 8, 12)
        for kernel in (1, 3)
    )
)
"""The vocabulary of the space: 12 primitives."""

START = datetime(2026, 1, 1, tzinfo=UTC)


def true_latency_ms(primitive: Primitive) -> float:
    """Latency of a primitive without noise; all of them differ."""
    return 0.01 * primitive.spatial_size + 0.001 * primitive.C * primitive.kernel_size**2


def make_network(ids: Sequence[int], *, assembled: bool = False) -> Network:
    """Return the network of PRIMITIVES[i] for each i; an assembled one ends in a block of glue."""
    roles = ["primitive"] * len(ids)
    if assembled:
        roles[-1] = "glue"
    return Network(
        space=SPACE.name,
        primitives=tuple(PRIMITIVES[i] for i in ids),
        roles=tuple(roles),
        architecture=None if assembled else {"ids": list(ids)},
        encoding=None if assembled else tuple(ids),
    )


def make_networks(count: int, seed: int = 0, blocks: int = 5) -> list[Network]:
    """Return distinct sampled networks of 2 to `blocks` blocks."""
    rng = Random(seed)
    networks: dict[str, Network] = {}
    while len(networks) < count:
        network = make_network([rng.randrange(len(PRIMITIVES)) for _ in range(rng.randint(2, blocks))])
        networks[network.network_id] = network
    return list(networks.values())


def make_run(network: Network | None = None, **fields: Any) -> Run:
    """Return an ok run of `network` with its true latencies; `fields` replaces what is given in it."""
    network = network or make_network([0, 5])
    blocks = tuple(true_latency_ms(primitive) for primitive in network.primitives)
    sequence = fields.get("sequence", 0)
    run = Run(
        session_id="s0",
        sequence=0,
        network_id=network.network_id,
        space=network.space,
        architecture=None if network.assembled else canonical_json(network.architecture),
        primitives=network.primitives,
        role=network.roles,
        round=0,
        started_at=START + timedelta(seconds=sequence),
        overall_latency_ms=sum(blocks),
        block_latency_ms=blocks,
        block_method=("timestamp",) * len(blocks),
        overhead_ms=0.001,
        cpu_time_ms=sum(blocks),
        involuntary_switches=0,
    )
    return replace(run, **fields)


def make_runs(
    networks: Sequence[Network], rounds: int, *, session_id: str = "s0", seed: int = 0, noise: float = 0.01
) -> list[Run]:
    """Return a run of each network in each round, with lognormal noise on every value."""
    rng = Random(seed)
    runs = []
    for sequence, (round_, network) in enumerate((r, n) for r in range(rounds) for n in networks):
        blocks = tuple(true_latency_ms(p) * rng.lognormvariate(0, noise) for p in network.primitives)
        overall = sum(map(true_latency_ms, network.primitives)) * rng.lognormvariate(0, noise)
        measured = {"overall_latency_ms": overall, "block_latency_ms": blocks, "cpu_time_ms": overall}
        runs.append(make_run(network, session_id=session_id, sequence=sequence, round=round_, **measured))
    return runs


def make_record(session_id: str = "s0") -> dict[str, Any]:
    """Return the record of a session."""
    return {"session_id": session_id, "started_at": START.isoformat(), "environment": {"cores": 2}}


def make_dataset(path: Path, runs: Sequence[Run] | None = None, *, space: SpaceCard = SPACE) -> Dataset:
    """Make a dataset at `path` with one session, s0, that commits `runs` at once.

    By default these are 3 rounds of 8 sampled networks and of one assembled one with all primitives.
    """
    if runs is None:
        runs = make_runs([*make_networks(8), make_network(range(len(PRIMITIVES)), assembled=True)], rounds=3)
    dataset = Dataset.create(path, space, DEVICE)
    with dataset.session(make_record()) as session:
        for run in runs:
            session.append(run)
    return dataset
