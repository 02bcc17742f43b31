"""Other ways to measure networks, each in a process of its own: what `repeatability.py` holds latpred's against.

    python benchmarks/protocols.py PROF_DIR {plain,autorange} RUNS

`plain` is the usual loop, and the one of the system that latpred was asked from: each network by itself, two passes
to warm up, RUNS passes in a row, their median. `autorange` is `torch.utils.benchmark.Timer.blocked_autorange`, given
the time of RUNS passes; its median, too. Both with eager PyTorch and one thread. Prints JSON: ms by network_id.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.benchmark import Timer

from latpred.genprof import read_prof_dir
from latpred.profiling.runtimes.inputs import random_image
from latpred.spaces.pool import BlockPool


def plain(run: Callable[[], object], runs: int) -> float:
    """Return the median of passes in a row, ms."""
    run(), run()
    latencies_ms = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        latencies_ms.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(latencies_ms)


def autorange(run: Callable[[], object], runs: int) -> float:
    """Return what PyTorch's own benchmark tool says, ms."""
    begin = time.perf_counter()
    run(), run()
    pass_s = (time.perf_counter() - begin) / 2
    timer = Timer("run()", globals={"run": run}, num_threads=1)
    return 1e3 * timer.blocked_autorange(min_run_time=runs * pass_s).median


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prof_dir", type=Path)
    parser.add_argument("protocol", choices=["plain", "autorange"])
    parser.add_argument("runs", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder, found = read_prof_dir(options.prof_dir), {}
    pool, protocol = BlockPool(folder.space, 0), {"plain": plain, "autorange": autorange}[options.protocol]
    with torch.inference_mode():
        for network in folder.networks:
            whole, opening = nn.Sequential(*pool.modules(network)), network.primitives[0]
            image = random_image(1, opening.C, opening.spatial_size)
            found[network.network_id] = protocol(lambda whole=whole, image=image: whole(image), options.runs)  # type: ignore[misc]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
