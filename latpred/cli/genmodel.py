"""`latpred genmodel`: the reference document's one-step command."""

from __future__ import annotations

from pathlib import Path

from latpred.cli.auto import choose_predictor
from latpred.cli.export import write_exports
from latpred.cli.fit import fit_predictor
from latpred.cli.parser import command_parser, refuse_existing
from latpred.dataset import Dataset
from latpred.errors import CardError, UsageError
from latpred.report.tables import print_choice, print_errors
from latpred.shipped import shipped_config, shipped_names
from latpred.spaces import load_space


def run(arguments: list[str]) -> int:
    """Train a predictor and export it, in one step."""
    parser = command_parser("genmodel", run)
    parser.add_argument("space", type=Path, help="YAML of the search space")
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("--model", default="table", help=f"one of {', '.join(shipped_names('runs'))}")
    parser.add_argument("--out", type=Path, required=True, help="path of the export, .ts")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".ts":
        raise UsageError(str(options.out), "expected a path that ends in .ts", "Mend --out")
    if not options.overwrite:
        refuse_existing(options.out, "--out")
    card = Dataset.open(options.dataset).card
    if difference := load_space(options.space).card().describe_difference(card.space):
        problem = f"expected a dataset of the space {options.space}, found another: {difference}"
        raise CardError(str(options.dataset), problem, "Give the space that was profiled")
    checkpoint = _fit(options.model, options.dataset)
    print(f"checkpoint: {checkpoint}")
    write_exports(checkpoint, options.out, "ts", overwrite=options.overwrite)
    return 0


def _fit(model: str, dataset: Path) -> Path:
    """Fit a shipped run configuration, or choose among those of `auto`; returns the checkpoint."""
    arguments = ["--config", str(shipped_config("runs", model)), "--data.dataset", str(dataset)]
    if model == "auto":
        found = choose_predictor(arguments)
        print_choice(found.choice)
        return found.checkpoint
    result = fit_predictor(arguments)
    print_errors({f"val: {model}": result.errors})
    return result.checkpoint
