"""What measurements of one runtime are worth for another on the same machine: few chosen ones against many random ones.

    python benchmarks/transfer_cpu.py --source DATASET --target DATASET [--json FILE]

Both datasets hold measurements of the same networks. 70 are held out; of the others, 10 and 20 are chosen and adapted
to with the source (`latpred select`, `latpred transfer`), and `gp` learns from 20 and 100 random ones alone. Mean
relative errors over draws, with their standard errors.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latpred.dataset import Dataset, estimates
from latpred.gaussian import AdditiveKernel, BlockFacts, count_blocks, fit
from latpred.spaces import space_from_card
from latpred.transfer import Source, Sources, TransferModel

HELD_OUT = 70
CHOSEN, RANDOM = (10, 20), (20, 100)


def read(path: Path) -> tuple[BlockFacts, dict[str, tuple[Tensor, float]]]:
    """Return what is known of the space's blocks, and the counts of blocks and latency of each sampled network."""
    dataset = Dataset.open(path)
    space, measurements = space_from_card(dataset.card.space), dataset.read("latency_ms", ())
    vocabulary, found = space.vocabulary(), {}
    for network, latency in zip(measurements.networks, estimates(measurements)["estimate"], strict=True):
        if not network.assembled:
            ids = torch.tensor([space.slot_ids(space.from_json(network.architecture))])
            found[network.network_id] = (count_blocks(ids, len(vocabulary))[0], float(latency))
    return BlockFacts.of(space, vocabulary), found


def compare(facts: BlockFacts, counts: Tensor, source: Tensor, target: Tensor, seed: int) -> dict[str, float]:
    """Return the mean relative error of each way on one draw of held-out networks, fractions.

    Args:
        facts: Of the space's blocks.
        counts: How often each block occurs, [networks, vocabulary].
        source: Latencies that are known of all, [networks].
        target: Those of the new device, [networks].
        seed: Of the draw.
    """
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(counts)))
    test, others = order[:HELD_OUT], order[HELD_OUT:]
    sure = torch.ones(len(counts), dtype=torch.float64)
    kernel = AdditiveKernel(facts, counts[others])
    posterior = fit(kernel, counts[others], source[others], sure[others])
    sources = Sources(kernel, [Source(counts[others], source[others], posterior)])
    seen = sources.see(counts)
    model = TransferModel(kernel, seen.take(others), sources.measured())
    errors = {}
    for count in CHOSEN:
        pick = others[torch.tensor(model.choose(count, seen.take(others), seen.take(others)))]
        mean = model.adapt(seen.take(pick), target[pick]).mean(seen.take(test))
        errors[f"{count} chosen, with the source"] = float((mean / target[test] - 1).abs().mean())
    for count in RANDOM:
        rows = others[:count]
        alone = AdditiveKernel(facts, counts[rows])
        mean = fit(alone, counts[rows], target[rows], sure[rows]).mean(alone.networks(counts[test]))
        errors[f"{count} random, alone"] = float((mean / target[test] - 1).abs().mean())
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
    (facts, known), (_, new) = read(options.source), read(options.target)
    shared = sorted(known.keys() & new.keys())
    counts = torch.stack([known[name][0] for name in shared])
    source, target = (torch.tensor([of[name][1] for name in shared], dtype=torch.float64) for of in (known, new))
    draws = [compare(facts, counts, source, target, seed) for seed in range(options.draws)]
    results = {}
    for way in draws[0]:
        values = np.array([draw[way] for draw in draws])
        results[way] = {"mape": float(values.mean()), "standard_error": float(values.std() / len(values) ** 0.5)}
        print(f"{way}: MAPE {100 * values.mean():.2f} % +- {100 * values.std() / len(values) ** 0.5:.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
