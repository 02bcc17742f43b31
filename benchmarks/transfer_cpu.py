"""What measurements of one runtime are worth for another on the same machine: few chosen ones against many random ones.

    python benchmarks/transfer_cpu.py --source DATASET --target DATASET [--json FILE]

Both datasets hold measurements of the same networks. 70 are held out; of the others, 10 and 20 are chosen and adapted
to with the source (`latpred select`, `latpred transfer`), and `gp` and `latpred transfer` without a source learn from
20 and 100 random ones alone: each once from whole networks, and once with what their blocks took. Mean relative errors
over draws, with their standard errors.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latpred.dataset import Dataset
from latpred.gaussian import AdditiveKernel, BlockFacts, count_blocks, fit
from latpred.preprocessing.block_values import block_values
from latpred.spaces import SearchSpace, space_from_card
from latpred.transfer import FittedSources, MeasuredDevice, fit_sources, read_device

HELD_OUT = 70
CHOSEN, RANDOM = (10, 20), (20, 100)


def alone(sources: FittedSources, device: MeasuredDevice, ids: Tensor) -> Tensor:
    """Return what a Gaussian process says of networks from those of `device`, [networks]."""
    space = sources.space
    values = None if device.blocks is None else block_values(device.blocks, sources.features)
    facts = BlockFacts.of(space, space.vocabulary(), values)
    counts, size = count_blocks(device.ids, len(facts.amounts)), len(facts.amounts)
    kernel = AdditiveKernel(facts, counts)
    posterior = fit(kernel, counts, device.latency, torch.ones_like(device.latency))
    return posterior.mean(kernel.networks(count_blocks(ids, size)))


def compare(space: SearchSpace[Any], source: MeasuredDevice, target: MeasuredDevice, seed: int) -> dict[str, float]:
    """Return the mean relative error of each way on one draw of held-out networks, fractions.

    Args:
        space: Of both devices.
        source: The device that is known.
        target: The new one; the same networks.
        seed: Of the draw.
    """
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(target)))
    test, others = order[:HELD_OUT], order[HELD_OUT:]
    known, new = source.take(others), target.take(others)
    errors: dict[str, float] = {}

    def score(name: str, answers: Tensor) -> None:
        errors[name] = float((answers / target.latency[test] - 1).abs().mean())

    wholes = replace(known, blocks=None), replace(new, blocks=None)
    for blocks, pair in (("", wholes), (", blocks too", (known, new))):
        sources = fit_sources(space, [pair[0]], seed=seed)
        seen, none = sources.see(new.ids), fit_sources(space, [], seed=seed)
        for count in CHOSEN:
            pick = torch.tensor(sources.model.choose(count, seen, seen))
            score(f"{count} chosen, with the source{blocks}", sources.adapt(pair[1].take(pick)).mean(target.ids[test]))
        for count in RANDOM:
            few = pair[1].take(torch.arange(count))
            score(f"{count} random, alone{blocks}", alone(sources, few, target.ids[test]))
            score(f"{count} random, transfer without a source{blocks}", none.adapt(few).mean(target.ids[test]))
    return errors


def main() -> None:
    """Read, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="dataset of the device that is known")
    parser.add_argument("--target", type=Path, required=True, help="dataset of the new device")
    parser.add_argument("--draws", type=int, default=10, help="draws of the held-out networks")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = space_from_card(Dataset.open(options.target).card.space)
    known, new = (read_device(path, "latency_ms", space, "Measure some") for path in (options.source, options.target))
    shared = sorted(set(known.network_ids) & set(new.network_ids))
    source, target = (
        device.take(torch.tensor([device.network_ids.index(name) for name in shared])) for device in (known, new)
    )
    draws = [compare(space, source, target, seed) for seed in range(options.draws)]
    results = {}
    for way in draws[0]:
        values = np.array([draw[way] for draw in draws])
        results[way] = {"mape": float(values.mean()), "standard_error": float(values.std() / len(values) ** 0.5)}
        print(f"{way}: MAPE {100 * values.mean():.2f} % +- {100 * values.std() / len(values) ** 0.5:.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
