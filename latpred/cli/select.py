"""`latpred select`."""

from __future__ import annotations

import shlex
from pathlib import Path

from latpred.cli.parser import command_parser, refuse_existing
from latpred.cli.transfer import add_sources, add_what, fitted_sources
from latpred.errors import UsageError
from latpred.genprof import write_prof_dir
from latpred.spaces import load_space
from latpred.transfer import choose_networks, some_networks


def run(arguments: list[str]) -> int:
    """Choose the networks that tell most about a new device, to be measured."""
    parser = command_parser("select", run)
    parser.add_argument("space", type=Path, help="YAML of the search space")
    add_sources(parser)
    add_what(parser)
    parser.add_argument("-k", type=int, default=10, help="how many to choose")
    parser.add_argument("--out", type=Path, required=True, help="PROF_DIR to write, must not exist")
    parser.add_argument("--candidates", type=int, default=400, help="architectures that are drawn to choose from")
    options = parser.parse_args(arguments)
    if not 1 <= options.k <= options.candidates:
        problem = f"expected a number from 1 to --candidates, {options.candidates}, found {options.k}"
        raise UsageError("-k", problem, "Ask for fewer, or draw more candidates")
    refuse_existing(options.out, "--out")
    space = load_space(options.space)
    sources = fitted_sources(options.sources, options.source_rows, space, metric=options.metric, seed=options.seed)
    candidates = some_networks(space, options.candidates, options.seed)
    chosen = choose_networks(sources, candidates, options.k)
    write_prof_dir(options.out, space, chosen, {primitive for network in chosen for primitive in network.primitives})
    print(f"chose {len(chosen)} of {len(candidates)} architectures of {space.name}")
    out = shlex.quote(str(options.out))
    print(f"wrote {options.out}")
    print(f"next: latpred profile {out} --device configs/devices/cpu_torch.yaml --dataset runs/new")
    print(f"  or: latpred compile {out} --help, for a device that cannot run Python")
    again = f" --sources {' '.join(shlex.quote(str(path)) for path in options.sources)}" if options.sources else ""
    print(f"then: latpred transfer{again} --dataset runs/new --out runs/new.ts")
    return 0
