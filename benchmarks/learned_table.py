"""How good a table is that is learned from whole networks alone, on others' measurements of NAS-Bench-201 and FBNet.

    python benchmarks/learned_table.py --data DIR [--json]

DIR holds the files of HELP (`fbnet/arch.pt`, `fbnet/latency/<device>.pt` and so on, as `latpred import help` reads
them). 900 networks teach, 4,000 others are predicted, for three seeds; beside it a ridge regression of scikit-learn on
the same counts of primitives.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import RidgeCV

from latpred.dataset import MeasuredNetwork
from latpred.dataset.importers.help_files import read_help
from latpred.network import Network
from latpred.preprocessing import BlockSumNet, BlockTable, learn_from_wholes
from latpred.preprocessing.features import primitive_features
from latpred.shipped import shipped_config
from latpred.spaces import SearchSpace, load_space

SPACES = ("fbnet", "nasbench201")
STRENGTHS = np.logspace(-3, 2, 11)


class Errors(NamedTuple):
    """Of one method on networks that it did not see, fractions, or seconds."""

    mape: float
    spearman: float
    fit_seconds: float


def learned(
    space: SearchSpace[Any], networks: list[Network], value: NDArray[np.float64], test: list[Network]
) -> tuple[NDArray[np.float64], float]:
    """Return what the net of a learned table says of `test`, and the seconds that learning took."""
    vocabulary = space.vocabulary()
    measured = [MeasuredNetwork(n.network_id, n.architecture, n.primitives, n.roles) for n in networks]
    labels = pd.DataFrame({"estimate": value, "half_width": np.inf})
    begin = time.perf_counter()
    features = primitive_features(space, vocabulary)
    found = learn_from_wholes(space, vocabulary, measured, labels, features)
    table = BlockTable(len(vocabulary))
    table.fill(found.value, features, [], found.share)
    seconds = time.perf_counter() - begin
    with torch.inference_mode():
        answers = BlockSumNet(table)(torch.tensor([network.encoding for network in test]))
    return answers.double().numpy(), seconds


def ridge(
    space: SearchSpace[Any], networks: list[Network], value: NDArray[np.float64], test: list[Network]
) -> tuple[NDArray[np.float64], float]:
    """Return what scikit-learn's ridge on counts of primitives says of `test`, and the seconds that its fit took."""
    ids = space.vocabulary().ids

    def counts(of: list[Network]) -> NDArray[np.int64]:
        return np.array([np.bincount([ids[p] for p in network.primitives], minlength=len(ids)) for network in of])

    begin = time.perf_counter()
    model = RidgeCV(STRENGTHS).fit(counts(networks), value)
    seconds = time.perf_counter() - begin
    return model.predict(counts(test)), seconds


METHODS = {"learned table": learned, "ridge (scikit-learn)": ridge}


def compare(
    space: SearchSpace[Any], networks: list[Network], value: NDArray[np.float64], seed: int
) -> dict[str, Errors]:
    """Return the errors of both methods on one draw of 900 and 4,000 networks."""
    order = np.random.default_rng(seed).permutation(len(networks))
    train, test = order[:900], order[900:4900]
    found = {}
    for name, method in METHODS.items():
        answers, seconds = method(space, [networks[i] for i in train], value[train], [networks[i] for i in test])
        error = float(np.mean(np.abs(answers / value[test] - 1)))
        ranks = pd.Series(answers).corr(pd.Series(value[test]), method="spearman")
        found[name] = Errors(error, float(ranks), seconds)
    return found


def results(data: Path, seeds: int) -> list[dict[str, Any]]:
    """Return one row for each device of each space: the means over the seeds."""
    rows = []
    for name in SPACES:
        space = load_space(shipped_config("spaces", name))
        source = read_help(data, space, keep_refused=True)
        for device in source.devices:
            networks = [source.networks[run.network] for run in device.runs]
            value = np.array([run.latency_ms for run in device.runs], dtype=np.float64)
            drawn = [compare(space, networks, value, seed) for seed in range(seeds)]
            for method in METHODS:
                means = [statistics.fmean(column) for column in zip(*(one[method] for one in drawn), strict=True)]
                rows.append({"space": name, "device": device.name, "method": method, **Errors(*means)._asdict()})
    return rows


def main() -> None:
    """Read, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with HELP's files")
    parser.add_argument("--seeds", type=int, default=3, help="draws of 900 and 4,000 networks")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = results(options.data, options.seeds)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("space", "device", "method", "MAPE", "Spearman", "fit, s", title="900 networks teach 4,000 others")
    for row in rows:
        numbers = (f"{100 * row['mape']:.3f} %", f"{row['spearman']:.4f}", f"{row['fit_seconds']:.2f}")
        table.add_row(row["space"], row["device"], row["method"], *numbers)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
