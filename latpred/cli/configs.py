"""`latpred configs`."""

from __future__ import annotations

from pathlib import Path

from latpred.cli.parser import command_parser
from latpred.config import write_new
from latpred.errors import UsageError
from latpred.shipped import configs_folder, shipped_config, shipped_names


def run(arguments: list[str]) -> int:
    """List the shipped configurations, or copy one."""
    parser = command_parser("configs", run)
    parser.add_argument("name", nargs="?", help="which to copy, such as spaces/mnasnet_ofa_112")
    parser.add_argument("--out", type=Path, help="file to copy it to, must not exist")
    options = parser.parse_args(arguments)
    if (options.name is None) != (options.out is None):
        raise UsageError("latpred configs", "expected both NAME and --out, or neither", "Name a file with --out")
    if options.name is None:
        for kind in sorted(path.name for path in configs_folder().iterdir()):
            for name in shipped_names(kind):
                print(f"{kind}/{name}")
        return 0
    kind, _, name = options.name.removesuffix(".yaml").partition("/")
    text = shipped_config(kind, name).read_text(encoding="utf-8")
    try:
        write_new(options.out, text)
    except FileExistsError:
        raise UsageError(
            str(options.out), "expected a path where nothing stands, found one", "Choose another"
        ) from None
    print(f"wrote {options.out}")
    return 0
