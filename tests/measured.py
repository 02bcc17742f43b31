"""Datasets of a real search space with made-up latencies: tiny, known, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from synthetic import DEVICE, make_record, make_run

from latpred.dataset import Dataset
from latpred.device import Device
from latpred.genprof import assemble, sampled
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.run import Run
from latpred.spaces import SearchSpace
from latpred.spaces.mnasnet_ofa import MNasNetOFA


def tiny_space() -> MNasNetOFA:
    """Return a once-for-all space at 32 px: 6 slots, 18 primitives, 400 architectures of 4 to 6 blocks."""
    return MNasNetOFA(
        image_size_choice=[32],
        width_choice=[3, 4],
        depth_choice=[1, 2],
        kernel_choice=[3, 5],
        num_cell_groups=[1, 2, 2],
        expansions=[1, 6, 6],
        base_channels=[8, 8, 16, 24],
        strides=[1, 2, 2],
        acts=["relu", "relu", "h_swish"],
        use_ses=[False, False, True],
    )


def block_latency_ms(primitive: Primitive) -> float:
    """Latency of a block without noise, ms; it grows with the expansion, and all primitives of `tiny_space` differ."""
    inner = primitive.C * primitive.options.get("expansion", 1)
    return 0.01 * primitive.spatial_size + 0.001 * inner * primitive.kernel_size**2 + 0.0003 * primitive.C_out


def network_latency_ms(network: Network) -> float:
    """Latency of a network without noise, ms: the sum of its blocks'."""
    return sum(map(block_latency_ms, network.primitives))


def measured_runs(
    networks: Sequence[Network], rounds: int, *, session_id: str = "s0", seed: int = 0, noise: float = 0.01
) -> list[Run]:
    """Return a run of each network in each round, with lognormal noise on every value."""
    rng = Random(seed)
    runs = []
    for sequence, (round_, network) in enumerate((r, n) for r in range(rounds) for n in networks):
        overall = network_latency_ms(network) * rng.lognormvariate(0, noise)
        blocks = tuple(block_latency_ms(p) * rng.lognormvariate(0, noise) for p in network.primitives)
        measured = {"overall_latency_ms": overall, "block_latency_ms": blocks, "cpu_time_ms": overall}
        runs.append(make_run(network, session_id=session_id, sequence=sequence, round=round_, **measured))
    return runs


def append_runs(dataset: Dataset, runs: Sequence[Run]) -> None:
    """Commit `runs`, all of one session, at once."""
    with dataset.session(make_record(runs[0].session_id)) as session:
        for run in runs:
            session.append(run)


def make_measured(
    path: Path,
    space: SearchSpace[Any],
    *,
    networks: int = 20,
    rounds: int = 3,
    seed: int = 0,
    assembled: bool = True,
    noise: float = 0.01,
    device: Device = DEVICE,
) -> Dataset:
    """Make a dataset of `space` at `path` with one session, s0.

    Args:
        path: The folder to make.
        space: Where the networks are drawn from.
        networks: How many distinct ones are drawn and measured.
        rounds: Runs of each network.
        seed: Of the networks and of the noise.
        assembled: Whether to measure the assembled networks as well, which hold every primitive of the space.
        noise: Relative standard deviation of every value; 0 gives exactly `block_latency_ms` and its sums.
        device: What the runs are said to be measured on.
    """
    measured = [*sampled(space, networks, seed), *(assemble(space).networks if assembled else ())]
    dataset = Dataset.create(path, space.card(), device)
    append_runs(dataset, measured_runs(measured, rounds, seed=seed, noise=noise))
    return dataset
