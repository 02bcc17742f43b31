"""TFLite's and LiteRT's `benchmark_model`: its text, with or without an op profile, and the op profile's CSV.

    INFO: count=300 first=1521 curr=1201 min=1141 max=6171 avg=1310.5 std=210 p5=1180 median=1250 p95=1580
    INFO: count=800 first=1203 curr=1199 min=1139 max=2100 avg=1222.3 std=61 p5=1170 median=1210 p95=1290
    INFO: Inference timings in us: Init: 4060, First inference: 1521, Warmup (avg): 1310.5, Inference (avg): 1222.3

All are us. The first `count=` line is the warm-up; which is which, the last line tells. Older builds print no `INFO: `,
Android's logger puts its own prefix before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from latpred.errors import ParseError
from latpred.formats.base import Format, Profile
from latpred.formats.numbers import in_order, number, positive
from latpred.formats.tables import lines as split_lines
from latpred.formats.tflite_ops import AGAIN, is_header, read_tables, run_layers

_PREFIX = re.compile(
    r"(?:\d\d-\d\d \d\d:\d\d:\d\d\.\d+ +\d+ +\d+ (?P<long>[VDIWEF]) tflite *: ?"  # logcat -v threadtime
    r"|(?P<brief>[VDIWEF])/tflite *\( *\d+\): ?)?"  # logcat -v brief
    r"(?:(?P<level>VERBOSE|INFO|WARNING|WARN|ERROR|FATAL): )?",
    re.ASCII,
)
_FAILURE = re.compile(r"Failed to |Could not |Benchmarking failed|Aborted")
_TIMINGS = re.compile(r"(?:Average i|I)nference timings in us: (?P<items>.+)")
_MEASURED = ("Inference (avg)", "Inference", "no stats")
"""What the mean of the regular runs is called, newest build first."""
_COUNT = re.compile(r"count=(?P<count>[0-9]{1,9})\b(?P<values>.*)")
_THREADS = re.compile(r"(?:Num threads|#threads used for CPU inference): \[(?P<threads>[0-9]{1,4})\]")
_APPLIED = re.compile(r"Explicitly applied (?P<delegate>\w+) delegate")
_XNNPACK = "Created TensorFlow Lite XNNPACK delegate for CPU"
_SIGNATURE = re.compile(r"^.{0,80}\b(?:I|Average i)nference timings in us: ", re.MULTILINE)
_OPENING = re.compile(
    r"^.{0,80}(?:Min num runs: \[|Graph: \[[^\]\n]*\.tflite\]|count=[0-9]+ (?:first|curr)=)", re.MULTILINE
)
_OTHER_TOOL = "tensorflow/tools/benchmark/benchmark_model.cc"  # of TensorFlow itself: other phases under equal words
_PROFILED = "Enable op profiling: [1]"
_SIX_DIGITS = 2e-5  # relative: both numbers were rounded to six digits
_REPEATED = 5  # error lines


@dataclass(frozen=True, slots=True)
class _Line:
    """What the tool said, without what a logger puts before it."""

    text: str
    error: bool


class TfliteBenchmark(Format):
    """Reads what `benchmark_model` prints, and the CSV of its op profile."""

    name = "tflite"

    def recognizes(self, head: str) -> float:
        """Return how sure it is that `head` is of `benchmark_model`."""
        if _OTHER_TOOL in head:
            return 0.0
        if _SIGNATURE.search(head):
            return 1.0
        lines = [line.text for line in _lines(head)]
        if any(is_header(line) for line in lines):
            return 0.95
        return 0.9 if _OPENING.search(head) or "Benchmarking failed." in lines else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read the latency of the runs and the op profile, whichever there are."""
        lines = _lines(text)
        errors = [line.text for line in lines if line.error]
        summary = _summary(lines, where)
        if summary is None and errors:
            return Profile(tool=self.name, unit="us", failed=_words(errors))
        tables = read_tables([line.text for line in lines], where)
        counted = any(_COUNT.match(line.text) for line in lines)
        if summary is None and (counted or not tables):
            found = "only 'count=' lines, of which the first is the warm-up" if counted else "no such line"
            raise ParseError(where, f"expected the line 'Inference timings in us: ...', found {found}", AGAIN)
        layers, runs, warnings = run_layers(tables, where) if tables else ([], None, [])
        whole_ms, statistic, warmup_runs = None, None, None
        if summary is not None:
            whole_ms, statistic, runs, warmup_runs = _regular_runs(lines, *summary, where)
            if tables or any(line.text.startswith(_PROFILED) for line in lines):
                warnings.append("the whole was measured while its ops were profiled, which slows it down")
        if errors:
            warnings.append(f"benchmark_model went on after: {_words(errors)}")
        return Profile(
            tool=self.name,
            part="log" if summary else "profile",
            device=_device(lines),
            threads=_threads(lines),
            unit="us" if summary else "ms",
            whole_ms=whole_ms,
            statistic=statistic,
            runs=runs,
            warmup="excluded",
            warmup_runs=warmup_runs,
            layers=tuple(layers),
            layer_statistic="mean" if layers else None,
            warnings=tuple(warnings),
        )


def _lines(text: str) -> list[_Line]:
    lines = []
    for _, line in split_lines(text):
        prefix = _PREFIX.match(line)
        said = line[prefix.end() :] if prefix else line
        level = (prefix["level"] or prefix["long"] or prefix["brief"] or "") if prefix else ""
        lines.append(_Line(said, level[:1] in ("E", "F") or _FAILURE.match(said) is not None))
    return lines


def _summary(lines: Sequence[_Line], where: str) -> tuple[int, float] | None:
    """Return the number of the line that sums up the runs, and the mean of the regular ones, ms."""
    found = [(i, match) for i, line in enumerate(lines, 1) if (match := _TIMINGS.match(line.text))]
    if not found:
        return None
    if len(found) > 1:
        problem = f"expected the output of one call of benchmark_model, found {len(found)}"
        raise ParseError(f"{where}, line {found[1][0]}", problem, "Keep one file for each call")
    i, match = found[0]
    items = dict(item.rpartition(": ")[::2] for item in match["items"].split(", "))
    for name in _MEASURED:
        if name in items:
            return i, number(items[name].strip(), f"{where}, line {i}", name) / 1e3
    problem = f"expected 'Inference (avg): ...' among the timings, found {', '.join(items)[:200]}"
    raise ParseError(f"{where}, line {i}", problem, AGAIN)


def _regular_runs(
    lines: Sequence[_Line], at: int, mean_ms: float, where: str
) -> tuple[float, str, int | None, int | None]:
    """Return the latency of the regular runs, ms, what it is over them, how many there were, and how many warmed up.

    Args:
        lines: All of them.
        at: Number of the line that sums up.
        mean_ms: The mean of the regular runs by that line.
        where: The file's name.
    """
    counts = [(i, match) for i, line in enumerate(lines, 1) if (match := _COUNT.match(line.text))]
    if not counts:  # an excerpt; whether its last number is whole, nothing but the line's end tells
        if at == len(lines):
            raise ParseError(
                f"{where}, line {at}", "expected the line to end, found the file's end: it may be cut off", AGAIN
            )
        return positive(mean_ms, f"{where}, line {at}", "Inference (avg)"), "mean", None, None
    i, match = counts[-1]
    place = f"{where}, line {i}"
    values = {key: number(value, place, key) for key, value in re.findall(r"(\w+)=([^\s()\]]+)", match["values"])}
    same = "avg" not in values and (match["count"] == "1" or "(all same)" in match["values"])
    mean = values.get("curr" if same else "avg")
    if mean is None or abs(mean / 1e3 - mean_ms) > _SIX_DIGITS * mean_ms or len(counts) > 2:
        problem = (
            f"expected two lines 'count=', the last with the mean of line {at}, {mean_ms * 1e3:g} us, "
            f"found {len(counts)}, the last with {'none' if mean is None else f'{mean:g} us'}"
        )
        raise ParseError(place, problem, "Keep one file for each call of benchmark_model, all of it")
    in_order([(key, values[key]) for key in ("min", "p5", "median", "p95", "max") if key in values], place)
    value = values.get("median", mean)
    statistic = "median" if same or "median" in values else "mean"
    warmup_runs = int(counts[0][1]["count"]) if len(counts) == 2 else None
    return positive(value, place, statistic) / 1e3, statistic, int(match["count"]), warmup_runs


def _device(lines: Sequence[_Line]) -> str | None:
    applied = [found["delegate"] for line in lines if (found := _APPLIED.match(line.text))]
    if applied:
        return " + ".join(dict.fromkeys(applied))
    return "CPU (XNNPACK)" if any(line.text.startswith(_XNNPACK) for line in lines) else None


def _threads(lines: Sequence[_Line]) -> int | None:
    found = [int(match["threads"]) for line in lines if (match := _THREADS.match(line.text))]
    return found[0] if found and found[0] > 0 else None


def _words(errors: Sequence[str]) -> str:
    """Return the tool's own words for what went wrong, on one line."""
    reasons = [error.strip() for error in errors if error.strip() != "Benchmarking failed."]
    return "; ".join(reasons[:_REPEATED]) or "Benchmarking failed."
