"""`latpred sample`."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from latpred.cli.parser import command_parser
from latpred.errors import UsageError
from latpred.spaces import load_space


def run(arguments: list[str]) -> int:
    """Draw architectures of a search space, as JSON."""
    parser = command_parser("sample", run)
    parser.add_argument("space", type=Path, help="YAML of the search space")
    parser.add_argument("-n", type=int, default=1, help="how many, one line each")
    parser.add_argument("--seed", type=int, help="seed of the drawing; without one, each call draws others")
    options = parser.parse_args(arguments)
    if options.n < 1:
        raise UsageError("-n", f"expected an integer >= 1, found {options.n}", "Mend it")
    space = load_space(options.space)
    rng = Random(options.seed)  # noqa: S311 - drawing architectures is no secret
    for _ in range(options.n):
        print(json.dumps(space.to_json(space.sample(rng))))
    return 0
