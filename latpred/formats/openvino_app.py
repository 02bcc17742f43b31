"""OpenVINO's benchmark_app, the Python tool and the C++ tool: its reports, and the log that it prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

from latpred.errors import ParseError
from latpred.formats.base import Format, Profile
from latpred.formats.json_text import Record, read_json
from latpred.formats.numbers import in_order, json_number, positive, shown
from latpred.formats.openvino_counters import parse_counters_csv, parse_counters_json
from latpred.formats.openvino_log import parse_log
from latpred.formats.tables import lines

_SECTIONS = ("Command line parameters", "Configuration setup", "Execution results", "Group Latencies")
_KEYS = ("cmd_options", "configuration_setup", "execution_results", "")
_LATENCIES: Mapping[str, str] = MappingProxyType(
    {
        **{"latency (ms)": "median", "avg latency": "mean", "min latency": "min", "max latency": "max"},
        **{"Median latency (ms)": "median", "Average latency (ms)": "mean"},
        **{"Min latency (ms)": "min", "Max latency (ms)": "max"},
        **{"latency_median": "median", "latency_avg": "mean", "latency_min": "min", "latency_max": "max"},
    }
)
"""Keys of the Python tool, of the C++ tool's CSV and of its JSON; those that tell no unit are in ms as well."""
_AGAIN = "Copy the report from the device again"


class OpenvinoApp(Format):
    """Reads `benchmark_report.csv` and `.json`, the counters of nodes, and the printed log.

    Files of one run belong together: see `latpred.formats.combine`.
    """

    name: ClassVar[str] = "openvino"

    def recognizes(self, head: str) -> float:
        """Return 1 for a key, header or line that only benchmark_app writes."""
        if head.lstrip().startswith("{"):
            report = '"execution_results"' in head or '"configuration_setup"' in head
            return 1.0 if report or '"detailed_performance"' in head or '"avg_performance"' in head else 0.0
        first = head.lstrip().partition("\n")[0]
        if "layerName" in first and "execStatus" in first:
            return 1.0
        report = first.strip() in _SECTIONS and ";" in head
        return 1.0 if report or "[Step 1/11]" in head or "[ INFO ] OpenVINO" in head else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read a whole file."""
        first = text.lstrip().partition("\n")[0]
        if first.startswith("{"):
            return self._json(text, where)
        if "layerName" in first:
            return parse_counters_csv(text.lstrip(), where)
        if first.strip() in _SECTIONS:
            return _report(_csv_sections(text, where), where)
        return parse_log(text, where)

    def _json(self, text: str, where: str) -> Profile:
        content = read_json(text, where)
        if isinstance(content, dict) and ("detailed_performance" in content or "avg_performance" in content):
            return parse_counters_json(content, where)
        if not isinstance(content, dict) or not isinstance(content.get("execution_results"), dict):
            problem = "expected a report with execution_results, detailed_performance or avg_performance, found none"
            raise ParseError(where, problem, _AGAIN)
        sections = (content.get(key, {}) for key in _KEYS[:3])
        return _report([section if isinstance(section, dict) else {} for section in sections], where)


def _csv_sections(text: str, where: str) -> list[Record]:
    """Return the sections of `benchmark_report.csv`: options, configuration, results."""
    sections: dict[str, Record] = {}
    current: Record | None = None
    for number, line in lines(text):
        if line.strip() in _SECTIONS:
            if line.strip() in sections:
                problem = f"expected one report, found '{line.strip()}' twice"
                raise ParseError(f"{where}, line {number}", problem, "Give each run a file of its own")
            current = sections.setdefault(line.strip(), {})
        elif current is not None and line.strip(" \t"):
            key, _, value = line.partition(";")
            if key == "group":  # latencies of groups of shapes follow under the names of those of the whole
                current = None
            elif key in current and current[key] != value:
                problem = f"expected {shown(key)} once, found it twice"
                raise ParseError(f"{where}, line {number}", problem, "Give each run a file of its own")
            else:
                current[key] = value
    if "Execution results" not in sections:
        raise ParseError(where, "expected the section 'Execution results', found none: the report is cut off", _AGAIN)
    return [sections.get(title, {}) for title in _SECTIONS[:3]]


def _report(sections: Sequence[Mapping[str, object]], where: str) -> Profile:
    options, setup, results = sections
    report = Profile(
        tool="openvino",
        part="report",
        device=_text(setup, "target device", "target_device"),
        precision=_text(options, "-infer_precision"),
        batch=_count(setup, "batch size", "batch_size"),
        threads=_count(options, "-nthreads"),
        unit="ms",
    )
    if error := _text(results, "error"):
        return replace(report, failed=error[:300])
    if "throughput" not in results:
        problem = f"expected the results to end with the throughput, found {shown(', '.join(results))}"
        raise ParseError(where, problem, f"The report is cut off. {_AGAIN}")
    found = _latencies(results, where)
    for name in ("mean", "median"):
        in_order([(key, found[key]) for key in ("min", name, "max") if key in found], where)
    statistic = "median" if "median" in found else "mean"
    if statistic not in found:
        problem = f"expected a median or average latency (ms), found {shown(', '.join(results))}"
        raise ParseError(where, problem, "Run benchmark_app on one device, and leave the report as it is")
    # The first inference, where there is one, is never among those of the statistics.
    warm = any(key in results for key in ("first inference time (ms)", "first_inference_time"))
    return replace(
        report,
        whole_ms=positive(found[statistic], where, f"the {statistic} latency"),
        statistic=statistic,
        runs=_count(results, "total number of iterations", "iterations_num"),
        warmup="excluded" if warm else "included",
        warmup_runs=int(warm),
        warnings=_warnings(report, options),
    )


def _warnings(report: Profile, options: Mapping[str, object]) -> tuple[str, ...]:
    precision = (
        "the report does not tell the precision, which is bf16 where a CPU has it and nothing else was asked for"
    )
    counters = "the whole was measured with the performance counters on"
    return (*(() if report.precision else (precision,)), *((counters,) if "-pc" in options else ()))


def _latencies(results: Mapping[str, object], where: str) -> dict[str, float]:
    """Return the latencies, ms, by what they are.

    Raises:
        ParseError: If one is no number, or says that it is in another unit.
    """
    boundary = str(results.get("percentile_boundary", results.get("Percentile boundary", 50)))
    found: dict[str, float] = {}
    for key, value in results.items():
        if "latency" not in key.lower():
            continue
        if any(unit != "ms" for unit in re.findall(r"\((\w+)\)", key)):
            problem = f"expected latencies in ms, found {shown(key)}"
            raise ParseError(where, problem, "Leave the report as benchmark_app writes it")
        name = _LATENCIES.get(key)
        # The C++ tool calls any percentile a median in its JSON.
        if name is not None and (name != "median" or boundary == "50"):
            found[name] = json_number(value, where, key)
    return found


def _text(section: Mapping[str, object], *keys: str) -> str | None:
    values = (section.get(key) for key in keys)
    return next((value for value in values if isinstance(value, str) and value), None)


def _count(section: Mapping[str, object], *keys: str) -> int | None:
    value = next((str(section[key]) for key in keys if key in section), "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 and int(value) > 0 else None
