"""MLPerf LoadGen's `mlperf_log_summary.txt`: latency of the whole, in ns (its `loadgen/results.cc`; run: 6.0).

    Scenario : SingleStream
    Result is : VALID
    50.00 percentile latency (ns)   : 2788885
    samples_per_query : 1

In the scenarios Offline and Server the latencies are of queries that wait in a queue: they tell nothing of the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from latpred.errors import ParseError
from latpred.formats.base import Format, Profile
from latpred.formats.numbers import in_order, number, positive, shown, unit_ms
from latpred.formats.tables import Line, lines

_AGAIN = "Take mlperf_log_summary.txt from the device again, all of it, one file for each test"
_TITLE = "MLPerf Results Summary"
_SCENARIOS = ("SingleStream", "MultiStream")
_MODES = ("PerformanceOnly", "SubmissionRun")
_LAST = "min_query_count"
"""A parameter that stands behind all that is needed: where it is missing, the file is cut off."""
_PAIR = re.compile(r"\s*(?P<key>[^:]*[^:\s])\s*: *(?P<value>.*)")
_LATENCY = re.compile(
    r"(?:(?P<bound>Min|Max)|(?P<percent>[0-9]{1,3}(?:\.[0-9]+)?) percentile) latency \((?P<unit>\w+)\)$"
)
_QUERIES = re.compile(r" \* (?:Processed at least [0-9]+ queries \(|Only processed )(?P<queries>[0-9]{1,12})\b")
_ADVICE = re.compile(r" \* (?!Processed|Only processed|Would discard|Early stopping|Not enough|Need to)(?P<text>.+)")
_TROUBLE = re.compile(r"(?P<text>[1-9][0-9]* (?P<what>warning|error)s? encountered)", re.IGNORECASE)


class MlperfSummary(Format):
    """Reads the summary of a test with LoadGen."""

    name = "mlperf"

    def recognizes(self, head: str) -> float:
        """Return how sure it is that `head` is a summary of LoadGen."""
        if _TITLE in head:
            return 1.0
        return 0.5 if "encountered during test" in head else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read the median latency of a query."""
        all_lines = lines(text)
        titles = [line.number for line in all_lines if line.text.strip() == _TITLE]
        if len(titles) != 1:
            remedy = _AGAIN if titles else "A test in the mode AccuracyOnly writes none: run it in PerformanceOnly"
            raise ParseError(where, f"expected '{_TITLE}' once, found it {len(titles)} times", remedy)
        values = _values(all_lines[titles[0] :], where)
        _check(values, where)
        device = values.get("SUT name")
        if reasons := _reasons(all_lines, values, where):
            return Profile(tool=self.name, device=device, unit="ns", failed="; ".join(reasons))
        batch = number(_needed(values, "samples_per_query", where), where, "samples_per_query")
        queries = [match["queries"] for line in all_lines if (match := _QUERIES.match(line.text))]
        troubles = [match for line in all_lines if (match := _TROUBLE.match(line.text))]
        return Profile(
            tool=self.name,
            device=device,
            batch=int(positive(batch, where, "samples_per_query")),
            unit="ns",
            whole_ms=positive(_median_ms(values, where), where, "the 50th percentile of the latency"),
            statistic="median",
            runs=int(queries[0]) if queries else None,
            warnings=tuple(f"LoadGen says: {match['text']}" for match in troubles),
        )


def _values(body: Sequence[Line], where: str) -> dict[str, str]:
    """Return all lines `key : value`."""
    values: dict[str, str] = {}
    for line, text in body:
        if match := _PAIR.match(text):
            key, value = match["key"], match["value"].strip()
            if values.setdefault(key, value) != value:
                problem = f"expected one value of {shown(key)}, found {shown(values[key])} and {shown(value)}"
                raise ParseError(f"{where}, line {line}", problem, _AGAIN)
    return values


def _needed(values: Mapping[str, str], key: str, where: str) -> str:
    if key in values:
        return values[key]
    raise ParseError(where, f"expected the line '{key} : ...', found none: the file may be cut off", _AGAIN)


def _check(values: Mapping[str, str], where: str) -> None:
    """Refuse a test that measures no latency, and a file that is cut off."""
    scenario, mode = _needed(values, "Scenario", where), _needed(values, "Mode", where)
    if scenario not in _SCENARIOS:
        problem = f"expected the scenario {' or '.join(_SCENARIOS)}, found {shown(scenario)}"
        raise ParseError(where, problem, "Queries wait in a queue in the others: run the test in SingleStream")
    if mode not in _MODES:
        problem = f"expected the mode {' or '.join(_MODES)}, found {shown(mode)}"
        raise ParseError(where, problem, "Run the test in PerformanceOnly")
    _needed(values, _LAST, where)


def _reasons(all_lines: Sequence[Line], values: Mapping[str, str], where: str) -> list[str]:
    """Return why the test does not count, in LoadGen's words; nothing if it does."""
    result = _needed(values, "Result is", where)
    if result not in ("VALID", "INVALID"):
        raise ParseError(where, f"expected 'Result is : VALID' or INVALID, found {shown(result)}", _AGAIN)
    reasons = [
        match["text"] for line in all_lines if (match := _TROUBLE.match(line.text)) and match["what"].lower() == "error"
    ]
    if result == "INVALID":
        unmet = [f"{key} : {value}" for key, value in values.items() if key.endswith("satisfied") and value != "Yes"]
        advice = [match["text"] for line in all_lines if (match := _ADVICE.match(line.text))]
        reasons = ["Result is : INVALID", *unmet, *advice, *reasons]
    return reasons


def _median_ms(values: Mapping[str, str], where: str) -> float:
    statistics = sorted(_statistics(values, where))
    in_order([(key, value) for _, key, value in statistics], where)
    medians = [value for percent, _, value in statistics if percent == 50]
    if len(medians) != 1:
        problem = f"expected one line '50.00 percentile latency (ns)', found {len(medians)}"
        raise ParseError(where, problem, _AGAIN)
    return medians[0]


def _statistics(values: Mapping[str, str], where: str) -> Iterator[tuple[float, str, float]]:
    """Yield percentile, name and value, ms, of the latencies; the least is percentile 0, the largest 100."""
    for key, value in values.items():
        if match := _LATENCY.match(key):
            percent = float(match["percent"] or {"Min": 0, "Max": 100}[match["bound"]])
            yield percent, key, number(value, where, key) * unit_ms(match["unit"], where, key)
