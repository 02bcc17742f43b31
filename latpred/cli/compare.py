"""`latpred compare`."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latpred.cli.export import write_exports
from latpred.cli.parser import command_parser, refuse_existing
from latpred.config import write_new
from latpred.dataset import Dataset
from latpred.errors import CardError, UsageError
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
    if options.export_best is not None:
        _check_export_best(options.export_best, options.predictors)
    found = compare(Dataset.open(options.dataset), options.predictors)
    print_comparison(found)
    if options.json is not None:
        write_new(options.json, json.dumps(_plain(asdict(found)), indent=1, allow_nan=False) + "\n")
    if options.export_best is not None:
        _export_best(found, options.export_best)
    return 0


def _check_export_best(out: Path, predictors: Sequence[Path]) -> None:
    if out.suffix != ".ts":
        raise UsageError(str(out), "expected a path that ends in .ts", "Mend --export-best")
    if onnx := [path for path in predictors if path.suffix == ".onnx"]:
        problem = "expected checkpoints or .ts with --export-best, found an .onnx, which cannot become a .ts"
        raise UsageError(str(onnx[0]), problem, "Give the checkpoint that it was exported from")


def _export_best(found: Comparison, out: Path) -> None:
    best = found.best
    if best is None or best.path is None:
        problem = "expected a predictor whose card has its error on validation networks, found none"
        raise CardError(str(out), problem, "Fit again with `latpred fit`, and compare its checkpoints")
    print(f"best by validation MAPE: {best.name}")
    if best.path.suffix == ".ts":
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(best.path, out)
        print(f"wrote {out}")
    else:
        write_exports(best.path, out, "ts", overwrite=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value, and paths
    """Return `value` in JSON form; null stands for what is no finite number."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
