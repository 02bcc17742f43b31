"""`latpred compare`."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from latpred.cli.export import write_exports
from latpred.cli.parser import command_parser, refuse_existing
from latpred.dataset import Dataset
from latpred.report.compare import Comparison, compare
from latpred.report.tables import print_comparison


def run(arguments: list[str]) -> int:
    """Score predictors side by side on the same held-out networks."""
    parser = command_parser("compare", run)
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("predictors", type=Path, nargs="+", help="checkpoints or exports (.ckpt, .ts, .onnx)")
    parser.add_argument("--export-best", type=Path, help="write the best by validation MAPE there, .ts")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    options = parser.parse_args(arguments)
    for path, name in ((options.export_best, "--export-best"), (options.json, "--json")):
        if path is not None:
            refuse_existing(path, name)
    found = compare(Dataset.open(options.dataset), options.predictors)
    print_comparison(found)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(found), indent=1, default=str) + "\n")
    if options.export_best is not None:
        _export_best(found, options.export_best)
    return 0


def _export_best(found: Comparison, out: Path) -> None:
    best = found.best
    print(f"best by validation MAPE: {best.name}")
    if best.path is not None and best.path.suffix == ".ts":
        shutil.copyfile(best.path, out)
        print(f"wrote {out}")
    elif best.path is not None:
        write_exports(best.path, out, "ts", overwrite=False)
