"""`latpred export`."""

from __future__ import annotations

from pathlib import Path

from latpred.cli.parser import command_parser
from latpred.export import export
from latpred.models import load_checkpoint


def run(arguments: list[str]) -> int:
    """Write a trained predictor as TorchScript, .pt2 or ONNX."""
    parser = command_parser("export", run)
    parser.add_argument("checkpoint", type=Path, help="best.ckpt of `latpred fit`")
    parser.add_argument("--out", type=Path, required=True, help="path of the export; each format sets its suffix")
    parser.add_argument("--formats", default="ts", help="comma-separated: ts, pt2, onnx")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    options = parser.parse_args(arguments)
    write_exports(options.checkpoint, options.out, options.formats, overwrite=options.overwrite)
    return 0


def write_exports(checkpoint: Path, out: Path, formats: str, *, overwrite: bool) -> list[Path]:
    """Export a checkpoint in comma-separated formats, and print each path."""
    predictor = load_checkpoint(checkpoint)
    names = [name.strip() for name in formats.split(",") if name.strip()]
    paths = export(predictor.net, predictor.fitted_card, out, names, overwrite=overwrite)
    for path in paths:
        print(f"wrote {path}")
    return paths
