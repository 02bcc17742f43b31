"""How far predictors are from measurements of this CPU, on held-out networks, beside what they must be held against.

Profiles sampled networks (or takes a dataset that did), holds 100 of them out, fits every shipped predictor on the
others, and prints the errors of all on the same networks: beside a constant answer, a ridge on primitive counts, and
the label noise, which is half of the relative difference between the estimates from odd and from even rounds. `auto` is
what `latpred auto` chooses. Repeated for several seeds of the split.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import RidgeCV

from latpred.cli import main as latpred
from latpred.cli.auto import choose_predictor
from latpred.cli.fit import fit_predictor
from latpred.dataset import Dataset, Measurements, estimates, place_of
from latpred.estimator import predict_in_chunks
from latpred.models import load_checkpoint
from latpred.report.compare import score
from latpred.report.figures import scatter_figure
from latpred.spaces import SearchSpace, space_from_card

ROOT = Path(__file__).resolve().parents[1]
AUTO = "auto"
PREDICTORS = ("table", "regression", "gp", "block_sum_net", "mlp", "lstm", AUTO)
VAL_SHARE = 0.15
_CONSTANT = "constant (median of the others)"


def profile(folder: Path, networks: int, rounds: int) -> Path:
    """Measure the assembled networks and `networks` sampled ones, and return the dataset."""
    space, device = ROOT / "configs/spaces/mnasnet_ofa_112.yaml", ROOT / "configs/devices/cpu_torch.yaml"
    prof, sampled, dataset = folder / "prof", folder / "sampled", folder / "cpu"
    for command in (
        f"genprof {space} --out {prof}",
        f"genprof {space} --out {sampled} --num-sample {networks} --seed 0",
        f"profile {prof} {sampled} --device {device} --dataset {dataset} --rounds {rounds}",
    ):
        if latpred(command.split()):
            raise SystemExit(f"latpred {command} failed")
    return dataset


def test_share(read: Measurements, held_out: int, seed: int) -> float:
    """Return the share for which the split holds out exactly that many networks."""
    places = sorted(place_of(network.network_id, seed) for network in read.networks if not network.assembled)
    if len(places) <= held_out + 20:
        raise SystemExit(f"expected more than {held_out + 20} sampled networks, found {len(places)}: raise --networks")
    return (places[held_out - 1] + places[held_out]) / 2


def counts(space: SearchSpace[Any], read: Measurements, codes: list[int]) -> NDArray[np.float64]:
    """Return how often each primitive occurs in each network, [networks, vocabulary]."""
    ids = space.vocabulary().ids
    matrix = np.zeros((len(codes), len(ids)))
    for row, code in enumerate(codes):
        for primitive in read.networks[code].primitives:
            matrix[row, ids[primitive]] += 1
    return matrix


def fit(name: str, path: Path, share: float, seed: int, folder: Path) -> Path:
    """Fit a shipped configuration, or choose among them, and return the checkpoint."""
    arguments = ["--config", str(ROOT / f"configs/runs/{name}.yaml"), "--data.dataset", str(path)]
    arguments += ["--runs", str(folder), "--data.test", str(share), "--data.val", str(VAL_SHARE)]
    arguments += ["--data.split_seed", str(seed)]
    if name == AUTO:
        return choose_predictor(arguments).checkpoint
    return fit_predictor([*arguments, "--seed_everything", str(seed)]).checkpoint


def compare(
    path: Path, names: list[str], held_out: int, seed: int, folder: Path, scatter: Path | None
) -> dict[str, Any]:
    """Fit all on one split, score them on the same held-out networks, and draw the best's answers, if asked to."""
    read = Dataset.open(path).read()
    table, share = estimates(read), test_share(read, held_out, seed)
    codes = [code for code, network in enumerate(read.networks) if not network.assembled]
    held = [code for code in codes if place_of(read.networks[code].network_id, seed) < share]
    rest = [code for code in codes if code not in set(held)]
    target, labels = (table["estimate"].loc[part].to_numpy(np.float64) for part in (held, rest))
    space = space_from_card(Dataset.open(path).card.space)
    ids = np.stack([space.encode(space.from_json(read.networks[code].architecture)) for code in held])
    answers = {}
    for name in names:
        predictor = load_checkpoint(fit(name, path, share, seed, folder))
        answers[name] = predict_in_chunks(predictor.net, ids, predictor.batch_chunk).astype(np.float64)
    # Weights of 1 / label^2 make the squares relative, like the scores; what others use for validation, it trains on.
    ridge = RidgeCV(np.logspace(-4, 3, 15)).fit(counts(space, read, rest), labels, sample_weight=labels**-2)
    answers["ridge on primitive counts"] = ridge.predict(counts(space, read, held))
    answers[_CONSTANT] = np.full(len(held), np.median(labels))
    metrics = {name: score(predicted, target) for name, predicted in answers.items()}
    for rank in ("spearman", "kendall"):
        del metrics[_CONSTANT][rank]  # a constant has none
    if scatter is not None:
        best = min(names, key=lambda name: metrics[name]["mape"])
        title = f"{best} on {len(held)} held-out networks, MAPE {100 * metrics[best]['mape']:.2f} %"
        scatter_figure(target, answers[best], "ms", title).savefig(scatter, dpi=110)
    return {
        "label_noise": float(table["noise"].loc[held].mean()),
        "held_out": len(held),
        "others": len(rest),
        "metrics": metrics,
        "signed_error": {name: float(np.mean(predicted / target - 1)) for name, predicted in answers.items()},
    }


def summarize(splits: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Return means over the splits, and the ratios that matter."""
    noise = statistics.mean(split["label_noise"] for split in splits)
    metrics = {
        name: {
            key: statistics.mean(split["metrics"][name][key] for split in splits) for key in splits[0]["metrics"][name]
        }
        for name in splits[0]["metrics"]
    }
    constant = metrics[_CONSTANT]["mape"]
    best = min(names, key=lambda name: metrics[name]["mape"])
    return {
        "label_noise": noise,
        "mean_metrics": metrics,
        "best": best,
        "to_label_noise": {name: metrics[name]["mape"] / noise for name in metrics},
        "to_constant": {name: metrics[name]["mape"] / constant for name in metrics},
    }


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    table = Table("", "MAPE %", "/ noise", "/ constant", "RMSPE %", "within 5 %", "Spearman", title=figures["device"])
    for name, row in figures["mean_metrics"].items():
        ratios = [f"{figures[key][name]:.2f}" for key in ("to_label_noise", "to_constant")]
        percent = [f"{100 * row[key]:.2f}" for key in ("mape", "rmspe", "within_5")]
        rank = f"{row['spearman']:.3f}" if "spearman" in row else ""
        table.add_row(name, percent[0], *ratios, *percent[1:], rank)
    Console(width=120).print(table)
    first = figures["splits"][0]
    print(
        f"{first['held_out']} held-out networks, {first['others']} others, {figures['rounds']} rounds, "
        f"{len(figures['splits'])} splits; label noise {100 * figures['label_noise']:.2f} %; best: {figures['best']}"
    )


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, help="take this dataset instead of measuring")
    parser.add_argument("--networks", type=int, default=300, help="networks to sample")
    parser.add_argument("--held-out", type=int, default=100, help="networks to score on")
    parser.add_argument("--rounds", type=int, default=24, help="visits of each network")
    parser.add_argument("--seeds", type=int, default=3, help="splits to average over")
    parser.add_argument("--predictors", nargs="+", choices=PREDICTORS, default=list(PREDICTORS))
    parser.add_argument("--scatter", type=Path, help="draw the first split's best predictor there, .png")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = options.dataset or profile(folder, options.networks, options.rounds)
        splits = [
            compare(
                path,
                options.predictors,
                options.held_out,
                seed,
                folder / str(seed),
                scatter=options.scatter if seed == 0 else None,
            )
            for seed in range(options.seeds)
        ]
        dataset = Dataset.open(path)
        rounds = int(dataset.read().runs["round"].max()) + 1
    figures = {"device": str(dataset.card.device), "rounds": rounds, "splits": splits}
    figures |= summarize(splits, options.predictors)
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
