"""LiteRT's `litert-benchmark --result_json FILE` (wheel ai-edge-litert 2.3): latency of the whole, in ms."""

from __future__ import annotations

import re
from typing import Any

from latpred.errors import ParseError
from latpred.formats.base import Format, Profile
from latpred.formats.json_text import read_json, required
from latpred.formats.numbers import in_order, json_number, positive

_AGAIN = "Run litert-benchmark again with --result_json; it writes no file for a run that failed"
_KEYS = ('"num_warmup_runs"', '"median_ms"', '"accelerators"', '"fully_accelerated"')
_ROUNDED_MS = 0.01
"""The tool rounds to this."""
_COARSE = 0.01
"""Share of the latency from which on that rounding is worth a warning."""


class LitertBenchmark(Format):
    """Reads the results of `litert-benchmark`."""

    name = "litert"

    def recognizes(self, head: str) -> float:
        """Return how sure it is that `head` is of `litert-benchmark`."""
        if not re.match(r"\s*\{", head):
            return 0.0
        return sum(key in head for key in _KEYS) / len(_KEYS)

    def parse(self, text: str, where: str) -> Profile:
        """Read the median latency."""
        content = _record(read_json(text, where), where)
        latency = _record(required(content, "latency", where), f"{where}, latency")
        place = f"{where}, latency"
        values = {
            name: json_number(required(latency, f"{name}_ms", place), place, f"{name}_ms")
            for name in ("min", "p5", "median", "p95", "max", "avg")
        }
        in_order([(f"{name}_ms", values[name]) for name in ("min", "p5", "median", "p95", "max")], place)
        in_order([(f"{name}_ms", values[name]) for name in ("min", "avg", "max")], place)
        median_ms = positive(values["median"], place, "median_ms")
        warnings = []
        if median_ms * _COARSE < _ROUNDED_MS / 2:
            warnings.append(f"litert-benchmark rounds to {_ROUNDED_MS} ms, which is coarse for {median_ms:g} ms")
        if required(content, "fully_accelerated", where) is False:
            warnings.append("some of the model ran on another device than asked for (fully_accelerated: false)")
        warmup_runs = _count(latency, "num_warmup_runs", 0, place)
        return Profile(
            tool=self.name,
            device=_device(content, where),
            threads=_threads(content, where),
            unit="ms",
            whole_ms=median_ms,
            statistic="median",
            runs=_count(latency, "num_runs", 1, place),
            warmup="excluded" if warmup_runs else "included",
            warmup_runs=warmup_runs,
            warnings=tuple(warnings),
        )


def _record(value: object, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ParseError(where, f"expected an object, found a {type(value).__name__}", _AGAIN)


def _device(content: dict[str, Any], where: str) -> str | None:
    names = required(content, "accelerators", where)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ParseError(where, f"expected accelerators to be a list of names, found a {type(names).__name__}", _AGAIN)
    return " + ".join(names) or None


def _threads(content: dict[str, Any], where: str) -> int | None:
    return _count(content, "num_threads", 0, where) or None  # 0: the runtime chose


def _count(record: dict[str, Any], key: str, least: int, where: str) -> int:
    value = json_number(required(record, key, where), where, key)
    if value < least or not value.is_integer():
        raise ParseError(where, f"expected {key} to be a whole number >= {least}, found {value:g}", _AGAIN)
    return int(value)
