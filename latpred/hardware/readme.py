"""The README of a compiled folder: what to run on the device, and what to bring back under which names."""

from __future__ import annotations

from latpred.hardware.base import Hardware

_TEXT = """# {count} models for {name}

Made by `latpred compile`. Each folder holds one model: 16 hexadecimal digits are a network, `prim_` and 16 digits a
single primitive. `prim_to_ops.json` says which layers of a file belong to which block, `hardware.yaml` how the files
were made. Weights are random, scaled so that signals keep their size: measure latency, not accuracy.

## On the device

{commands}
## What to bring back

The folder `results/` as it is, or files of your own in the same order. What counts is:

- **Which network.** Its 16 digits are the name of a folder above the file, or the start of the file's name:
  `results/NETWORK/times.json`, `results/NETWORK.times.json`.
- **Which run.** A number, as a folder or behind the network in the file's name: `NETWORK/0/times.json`,
  `NETWORK.0.times.json`, `NETWORK/0.times.json`. Files with the same number are of one run and complete each other.
  Without numbers, files of one kind are one run each, and files of several kinds are one run together.
- **What the files say.** Formats are told by their content: {formats}, and latpred's own CSV with the header
  `name,latency_ms` (the row `whole` is the whole network). A CSV with that row alone beside a profile with layers
  gives the latency, and the profile what of it belongs to which block.
- **Which device.** All results are of one device and one version of its tools. What those do not tell stands in
  `results/device.yaml`: `device: {{hardware: NAME, runtime_version: VERSION}}`.

Then, where latpred is installed:

    latpred parse results --hardware {name} --prof PROF_DIR --dataset DATASET --dry-run
    latpred parse results --hardware {name} --prof PROF_DIR --dataset DATASET
"""


def readme(hardware: Hardware, count: int) -> str:
    """Return the text for so many models."""
    formats = ", ".join(hardware.formats)
    return _TEXT.format(name=hardware.name, count=count, formats=formats, commands=hardware.commands())
