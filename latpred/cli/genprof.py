"""`latpred genprof`."""

from __future__ import annotations

from pathlib import Path

from latpred.cli.compile import compile_for
from latpred.cli.parser import command_parser
from latpred.genprof import assemble, sampled, write_prof_dir
from latpred.hardware import make_hardware
from latpred.spaces import load_space


def run(arguments: list[str]) -> int:
    """Write the networks to be profiled for a search space."""
    parser = command_parser("genprof", run)
    parser.add_argument("space", type=Path, help="YAML of the search space")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, must not exist")
    parser.add_argument("--num-sample", type=int, help="networks drawn from the space, instead of assembled ones")
    parser.add_argument("--seed", type=int, help="seed of the drawing; without one, each call draws others")
    parser.add_argument("--max-layers", type=int, default=20, help="most primitives in an assembled network")
    parser.add_argument("--compile", help="hardware to compile for with its defaults, such as tensorrt,dpu")
    options = parser.parse_args(arguments)
    # Before anything is written: a name that does not exist is a slip.
    hardware = [make_hardware(name) for name in (options.compile or "").split(",") if name]
    space = load_space(options.space)
    if options.num_sample is not None:
        networks = sampled(space, options.num_sample, options.seed)
        print(f"{len(networks)} architectures of {space.name}")
    else:
        assembly = assemble(space, options.max_layers)
        networks = assembly.networks
        total = len(space.all_primitives())
        placed = total - len(assembly.unplaced)
        print(f"{placed} of {total} primitives of {space.name}, each once, in {len(networks)} assembled networks")
        for primitive, reason in assembly.unplaced:
            print(f"not placed: {primitive}: {reason}")
    write_prof_dir(options.out, space, networks, sorted(space.all_primitives()))
    print(f"wrote {options.out}")
    for config in hardware:
        compile_for(options.out, config)
    return 0
