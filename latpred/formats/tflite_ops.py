"""The op tables of TFLite's profiler, as `benchmark_model --enable_op_profiling=true` prints or writes them.

Facts from its source (`stats_calculator.cc`, `profile_summary_formatter.cc`): the text and the CSV form have the same
columns; older builds also have `start`. Times are in ms and means over the *calls* of a node: one that is called
twice per run takes twice its mean. The CSV form quotes nothing: newer builds put TABs for the commas in names, older
ones do not, and the node types of XNNPACK hold commas in both (`Convolution (NHWC, F32) IGEMM`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from latpred.errors import ParseError
from latpred.formats.base import Layer
from latpred.formats.numbers import number, shown

AGAIN = "Run benchmark_model again with LC_ALL=C and keep all that it prints"

_TITLE = re.compile(r"\s*={5,} (?P<title>[^=]+) ={5,}\s*$")
_SCOPE = re.compile(r"\s*(?P<scope>Primary graph|Subgraph|Delegate internal)\b[^=]*:\s*$")
_NODES = re.compile(r"\s*Number of nodes executed: (?P<nodes>[0-9]{1,9})\s*$")
_TIMINGS = re.compile(r"\s*(?:Subgraph \([^=]*\) )?Timings \(microseconds\): count=(?P<count>[0-9]{1,9})\b")
_FIGURE = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_PERCENT = re.compile(r"[-+\w.]+%")  # `-nan%` where all took 0
_UNUSED = re.compile(r"[-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|nan|inf)")
_LONGEST_ROW = 100_000  # characters; a longer line is no row, and would be slow to find that out
_NEEDED = ("node type", "avg ms", "name")
_PHASES = {
    "Profiling Info for Benchmark Initialization:": "init",
    "Operator-wise Profiling Info for Regular Benchmark Runs:": "run",
}
_INSIDE = 1.05  # of its delegate's time may nodes take together: every time is rounded to 1 us
_SETUP = ("AllocateTensors", "ModifyGraphWithDelegate")


@dataclass
class OpTable:
    """A table `Run Order`: the nodes of one graph, or of the inside of its delegates."""

    phase: str
    """`init` or `run`."""
    scope: str
    """`Primary graph`, `Subgraph` or `Delegate internal`."""
    line: int
    """Of its title, from 1."""
    layers: list[Layer] = field(default_factory=list)
    nodes: int | None = None
    """How many there are by the line that follows the table; None until it was read."""
    runs: int | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns of a table: `node type`, numbers in any order, `name`."""

    columns: tuple[str, ...]
    csv: bool


def is_header(line: str) -> bool:
    """Return whether `line` is the header of a table of nodes, in one of its two forms."""
    columns = _split_header(line).columns
    return columns[:1] == ("node type",) and "name" in columns


def read_tables(lines: Sequence[str], where: str) -> list[OpTable]:
    """Read every table `Run Order`; the profiler's other tables show the same rows again.

    Args:
        lines: All lines, without what a logger puts before them.
        where: The file's name.

    Raises:
        ParseError: If a header or a row is none, or a table is cut off.
    """
    tables: list[OpTable] = []
    phase, scope = "run", "Primary graph"
    header: _Header | None = None
    inside = False
    for i, line in enumerate(lines, 1):
        title = _TITLE.match(line)
        if inside and line.strip() and not title:
            if header is None:
                header = _read_header(line, f"{where}, line {i}")
            else:
                tables[-1].layers.append(_read_layer(line, header, f"{where}, line {i}"))
            continue
        inside, header = title is not None and title["title"] == "Run Order", None
        if inside:
            tables.append(OpTable(phase, scope, i))
        elif line.strip() in _PHASES:
            phase, scope = _PHASES[line.strip()], "Primary graph"
        elif found := _SCOPE.match(line):
            scope = found["scope"]
        else:
            _note_counts(tables, line, f"{where}, line {i}")
    for table in tables:
        _check_complete(table, where)
    return tables


def _note_counts(tables: Sequence[OpTable], line: str, where: str) -> None:
    """Take what `line` says about the table before it, if it says anything."""
    if found := _NODES.match(line):
        if not tables or tables[-1].nodes is not None:
            raise ParseError(where, f"expected a table 'Run Order' before {shown(line.strip())}, found none", AGAIN)
        tables[-1].nodes = int(found["nodes"])
    elif tables and tables[-1].runs is None and (found := _TIMINGS.match(line)):
        tables[-1].runs = int(found["count"])


def _split_header(line: str) -> _Header:
    csv = "[" not in line
    names = line.split(",") if csv else re.findall(r"\[([^\[\]]*)\]", line)
    return _Header(tuple(name.strip().lower().replace("_", " ") for name in names), csv)


def _read_header(line: str, where: str) -> _Header:
    header = _split_header(line)
    columns = header.columns
    complete = len(set(columns)) == len(columns) and all(name in columns for name in _NEEDED)
    if not complete or (columns[0], columns[-1]) != ("node type", "name"):
        problem = f"expected columns from 'node type' over 'avg_ms' to 'name', each once, found {shown(line.strip())}"
        raise ParseError(where, problem, AGAIN)
    return header


def _read_layer(line: str, header: _Header, where: str) -> Layer:
    """Read a row by its numbers: they stand together, between two texts that may hold anything."""
    cell = r"(?:^|(?<=,))[^,]*" if header.csv else r"\S+"
    cells = list(re.finditer(cell, line)) if len(line) <= _LONGEST_ROW else []
    numeric = header.columns[1:-1]
    for first in range(1, len(cells) - len(numeric)):
        last = first + len(numeric)
        texts = [cell[0].strip() for cell in cells[first:last]]
        if all(_pattern(name).fullmatch(text) for name, text in zip(numeric, texts, strict=True)):
            kind, name = line[: cells[first].start()].strip().removesuffix(","), line[cells[last].start() :].strip()
            before, after = kind.rpartition(",")[2].strip(), name.partition(",")
            if _FIGURE.fullmatch(before) or (after[1] and _FIGURE.fullmatch(after[0].strip())):
                break  # a decimal comma has made two cells of one number
            return _layer(kind, name, dict(zip(numeric, texts, strict=True)), where)
    problem = f"expected a row of {', '.join(header.columns)}, found {shown(line.strip())}"
    raise ParseError(where, problem, AGAIN)


def _pattern(column: str) -> re.Pattern[str]:
    if "%" in column:
        return _PERCENT
    return _FIGURE if column in ("avg ms", "times called") else _UNUSED


def _layer(kind: str, name: str, values: dict[str, str], where: str) -> Layer:
    # Builds before 2018 print 0 calls for every node.
    calls = number(values["times called"], where, "times called") if "times called" in values else 0
    latency_ms = number(values["avg ms"], where, "avg_ms") * max(calls, 1)
    tensors = re.fullmatch(r"\[(.*)\](?::[0-9]+)?", name)
    # Output tensors are joined by `, `, the names of fused ones by `;`; a comma within a name has no blank behind it.
    nodes = re.split(r", |;", tensors[1].replace("\t", ",")) if tensors else []
    return Layer(name, latency_ms, kind, tuple(node.strip() for node in nodes if node.strip()), kind in _SETUP)


def _check_complete(table: OpTable, where: str) -> None:
    where = f"{where}, line {table.line}"
    if table.nodes is None:
        problem = "expected 'Number of nodes executed: N' after the table 'Run Order', found the end: it is cut off"
        raise ParseError(where, problem, AGAIN)
    if table.nodes != len(table.layers):
        problem = f"expected the {table.nodes} nodes that were executed in 'Run Order', found {len(table.layers)}"
        raise ParseError(where, problem, AGAIN)


def run_layers(tables: Sequence[OpTable], where: str) -> tuple[list[Layer], int | None, list[str]]:
    """Return the layers of the measured runs, how many runs there were, and what a reader should know.

    Args:
        tables: At least one.
        where: The file's name.

    Raises:
        ParseError: If there is not exactly one profile of measured runs.
    """
    measured = [table for table in tables if table.phase == "run"]
    primary = [table for table in measured if table.scope == "Primary graph"]
    if len(primary) != 1:
        problem = f"expected one table 'Run Order' of the regular runs, found {len(primary)}"
        raise ParseError(where, problem, "Give the output of one call of benchmark_model, all of it")
    warnings = []
    layers = primary[0].layers
    for table in measured:
        if table.scope == "Delegate internal":
            layers, said = _look_inside(layers, table.layers)
            warnings.append(said)
        elif table.scope == "Subgraph":
            found = f"left out a subgraph's {len(table.layers)} nodes (line {table.line})"
            warnings.append(f"{found}: their time is in the node that calls them")
    return layers, primary[0].runs, warnings


def _look_inside(layers: list[Layer], inner: list[Layer]) -> tuple[list[Layer], str]:
    """Put the nodes inside a delegate in its place, where their times can be its own; and say what was done."""
    rows = [i for i, layer in enumerate(layers) if "delegate" in layer.kind.lower()]
    total = sum(layer.latency_ms or 0 for layer in inner)
    if len(rows) != 1 or total <= 0:
        return layers, f"left out {len(inner)} nodes inside of {len(rows)} delegates: nothing says which is whose"
    row = layers[rows[0]]
    whole = row.latency_ms or 0
    before, after = layers[: rows[0]], layers[rows[0] + 1 :]
    if "hexagon" in row.kind.lower():  # its delegate reports cycles through the same table
        shares = [replace(layer, latency_ms=(layer.latency_ms or 0) / total * whole, derived=True) for layer in inner]
        return before + shares + after, f"times inside {row.kind} were derived: its {whole:g} ms by shares of cycles"
    if total > whole * _INSIDE:
        return layers, f"left out {len(inner)} nodes inside {row.kind}: they add up to {total:g} ms, it took {whole:g}"
    rest = replace(row, latency_ms=max(whole - total, 0.0), overhead=True)
    return [*before, *inner, rest, *after], f"{row.kind} was replaced by the {len(inner)} nodes inside, and its rest"
