"""`latpred import awnas-config`."""

from __future__ import annotations

from pathlib import Path

from latpred.cli.parser import command_parser, refuse_existing
from latpred.config import write_new
from latpred.spaces import space_yaml
from latpred.spaces.reference_config import read_reference_config


def awnas_config(arguments: list[str]) -> int:
    """Write a search space from the reference's files."""
    parser = command_parser("import awnas-config", awnas_config)
    parser.add_argument("config", type=Path, help="YAML with its search space")
    parser.add_argument("hwobj_config", type=Path, help="YAML of its hardware object: prof_prims_cfg, model")
    parser.add_argument("--out", type=Path, required=True, help="YAML of the search space to write, must not exist")
    options = parser.parse_args(arguments)
    refuse_existing(options.out, "--out")
    read = read_reference_config(options.config, options.hwobj_config)
    header = f"# Read from {options.config.name} and {options.hwobj_config.name} of the reference system.\n"
    write_new(options.out, header + space_yaml(read.space))
    print(f"wrote {options.out}: {read.space.name}, {len(read.space.vocabulary())} primitives")
    for note in read.notes:
        print(f"note: {note}")
    for theirs, ours in read.preprocessors:
        print(f"preprocessor: {theirs} -> {ours}")
    model = "table"
    if read.model is not None:
        model = read.model[1]
        print(f"model: {read.model[0]} -> {model}, the run configuration of `latpred genmodel --model {model}`")
    if read.preprocessors:
        print(f"chain: [{', '.join(ours for _, ours in read.preprocessors)}], as data.preprocessors of a run")
    print(f"next: latpred genprof {options.out} --out PROF_DIR")
    print("      latpred profile PROF_DIR --device DEVICE.yaml --dataset DATASET")
    print(f"      latpred genmodel {options.out} DATASET --model {model} --out {model}.ts")
    return 0
