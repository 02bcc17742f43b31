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
        print("\n".join(_names()))
        return 0
    wanted = options.name.removesuffix(".yaml")
    if wanted not in _names():
        problem = f"unknown name '{options.name}', expected one of {', '.join(_names())}"
        raise UsageError("latpred configs", problem, "Mend the name")
    kind, _, name = wanted.partition("/")
    text = shipped_config(kind, name).read_text(encoding="utf-8")
    try:
        write_new(options.out, text)
    except FileExistsError:
        raise UsageError(
            str(options.out), "expected a path where nothing stands, found one", "Choose another"
        ) from None
    print(f"wrote {options.out}")
    return 0


def _names() -> list[str]:
    """Return all shipped configurations as KIND/NAME, sorted."""
    kinds = sorted(path.name for path in configs_folder().iterdir())
    return [f"{kind}/{name}" for kind in kinds for name in shipped_names(kind)]
