"""What `latpred parse --show` tells of one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from latpred.config import write_new
from latpred.errors import UsageError
from latpred.formats import Profile

_LAYERS = 30
"""Layers that are printed; JSON has all of them."""


def printable(text: str) -> str:
    """Return a tool's text with its control characters spelt out, which would steer a terminal."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def show(profiles: Sequence[Profile]) -> None:
    """Print what a file says of each network in it."""
    for profile in profiles:
        network = f", network {printable(profile.network)}" if profile.network else ""
        print(f"{profile.tool}{f' {profile.part}' if profile.part else ''}{network}: in {profile.unit}")
        facts = (
            ("version", profile.tool_version),
            ("device", profile.device),
            ("precision", profile.precision),
            ("batch", profile.batch),
            ("threads", profile.threads),
        )
        told = ", ".join(f"{name} {value}" for name, value in facts if value is not None)
        print(printable(told) or "no word of the device")
        if profile.failed:
            print(f"failed: {printable(profile.failed)}")
        else:
            _show_latencies(profile)
        for warning in profile.warnings:
            print(f"note: {printable(warning)}")


def _show_latencies(profile: Profile) -> None:
    if profile.whole_ms is None:
        print("whole: not in this file")
    else:
        runs = f" of {profile.runs} runs" if profile.runs else ""
        warmup = f"warm-up {profile.warmup}"
        print(f"whole: {profile.whole_ms:.6g} ms, {profile.statistic or 'unknown statistic'}{runs}, {warmup}")
    if not profile.layers:
        return
    timed = [layer for layer in profile.layers if layer.latency_ms is not None]
    total = sum(layer.latency_ms or 0.0 for layer in timed)
    overhead = sum(layer.latency_ms or 0.0 for layer in timed if layer.overhead)
    share = f", of which {overhead / total:.1%} moves or reorders data" if total else ""
    print(f"layers: {len(profile.layers)}, together {total:.6g} ms ({profile.layer_statistic or 'no times'}){share}")
    slowest = sorted(timed, key=lambda layer: -(layer.latency_ms or 0.0))[:_LAYERS]
    for layer in slowest:
        kind = f" ({layer.kind})" if layer.kind else ""
        print(f"{layer.latency_ms:>12.6f} ms  {printable(layer.name + kind)}")
    if len(profile.layers) > len(slowest):
        print(f"and {len(profile.layers) - len(slowest)} more; --json has all")


def write_json(profiles: Sequence[Profile], out: str) -> None:
    """Write all that a file says as a JSON list; `-` is standard output.

    Raises:
        UsageError: If a file stands at `out`.
    """
    text = json.dumps([asdict(profile) for profile in profiles], indent=1, allow_nan=False)
    if out == "-":
        print(text)
        return
    try:
        write_new(Path(out), text + "\n")
    except FileExistsError:
        raise UsageError(out, "expected a path where nothing stands for --json, found one", "Choose another") from None
    print(f"wrote {out}")
