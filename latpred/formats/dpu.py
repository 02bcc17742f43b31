"""Per-node profiles of the Xilinx DPU, as DNNDK and N2Cube print them after each task."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from latpred.errors import ParseError
from latpred.formats.base import Format, Layer, Profile
from latpred.formats.numbers import milliseconds, number, positive
from latpred.formats.tables import Header, Line, lines, missing, read_header

_KERNEL = re.compile(r'DPU Kernel "([^"]*)"')
_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": r"\bID\b",
        "name": r"\bNodeName\b|\bname\b",
        "workload": r"\bWorkload\(MOP\)",
        "memory": r"\bMem\(MB\)",
        "time": r"(?i:\bRunTime)\((?P<time_unit>\w+)\)",
        "performance": r"\bPerf\(GOPS\)",
        "utilization": r"\bUtil(?:ization)?\b",
        "bandwidth": r"\bMB/S\b",
    }
)
_AGAIN = "Take all that the tool printed from the device"
_SUFFIX = re.compile(r"_\d+$")


class _Table(NamedTuple):
    """What one task took."""

    kernel: str
    unit: str
    nodes: tuple[tuple[str, float], ...]
    """Names and latencies, ms."""
    whole_ms: float


class Dpu(Format):
    """Reads the tables that a debug kernel prints: one of N2Cube's, or the older one whose names come first.

    A network may be of several kernels, `net_0` and `net_1`, and may have run several times: the latencies are the
    medians over the tasks of a kernel, and the whole is the sum over the kernels.
    """

    name: ClassVar[str] = "dpu"

    def recognizes(self, head: str) -> float:
        """Return 1 for a table with the workload and run time of nodes."""
        folded = head.lower()
        table = "workload(mop)" in folded and "runtime(" in folded
        return 1.0 if table or "[DNNDK] Performance profile" in head else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read a whole file."""
        tables = list(_tables(lines(text), where))
        if not tables:
            raise ParseError(where, "expected a table with the column RunTime(ms), found none", _AGAIN)
        _refuse_mixed(tables, where)
        kernels = list(dict.fromkeys(table.kernel for table in tables))
        layers: list[Layer] = []
        whole_ms = 0.0
        for kernel in kernels:
            tasks = [table for table in tables if table.kernel == kernel]
            whole_ms += median(task.whole_ms for task in tasks)
            layers += _layers(tasks, where)
        cut = [layer.name for layer in layers if layer.name.endswith("*")]
        single = tuple(table.whole_ms for table in tables) if len(kernels) == 1 else ()
        return Profile(
            tool=self.name,
            unit=tables[0].unit,
            whole_ms=positive(whole_ms, where, "the run time of all nodes"),
            statistic="median",
            runs_ms=single,
            runs=len(tables) // len(kernels),
            warmup="included",
            layers=tuple(layers),
            layer_statistic="median",
            warnings=(f"the tool cut {len(cut)} long names short, such as {cut[0]!r}",) if cut else (),
        )


def _tables(rows: Sequence[Line], where: str) -> Iterator[_Table]:
    """Yield each table, which begins with its header and ends with the row of all nodes."""
    kernel, header, ids, last = "", None, list[str](), False
    nodes: list[tuple[str, float]] = []
    workloads: list[str] = []
    for number_, row in rows:
        here = f"{where}, line {number_}"
        text = row.replace(" %", "%").strip(" \t")
        if match := _KERNEL.search(row):
            _refuse_open(header, here)
            kernel = match[1]
        elif _is_header(text):
            _refuse_open(header, here)
            header = _read_header(text, here)
            nodes, workloads, ids, last = [], [], [], False
        elif header and text.startswith("Total Nodes In Avg"):
            last = True
        elif header and text and not text.startswith(("===", "---")):
            if last or text.startswith(("All ", "All\t")):
                cells = _all(header).cells(text, here)
                _check_workload(workloads, cells.get("workload"), here)
                yield _Table(kernel, header.units["time"], tuple(nodes), _time(header, cells, here))
                header = None
            else:
                cells = header.cells(text, here)
                _check_id(cells.get("id"), ids, here)
                nodes.append((cells["name"], _time(header, cells, here)))
                workloads.append(cells.get("workload", ""))
    _refuse_open(header, f"{where}, line {len(rows)}")


def _is_header(text: str) -> bool:
    folded = text.lower()
    return "runtime(" in folded or "workload(" in folded or "nodename" in folded


def _read_header(text: str, where: str) -> Header:
    header = read_header(text, {key: f"(?i:{pattern})" for key, pattern in _COLUMNS.items()}, where)
    if "time" not in header.columns:
        raise missing(header, "RunTime(ms)", where)
    return header


def _refuse_open(header: Header | None, where: str) -> None:
    if header is not None:
        problem = "expected the table's row All under 'Total Nodes In Avg', found none: the table is cut off"
        raise ParseError(where, problem, _AGAIN)


def _all(header: Header) -> Header:
    """Return the header of the row of all nodes, which has no ID."""
    return Header(tuple(column for column in header.columns if column != "id"), header.units)


def _time(header: Header, cells: Mapping[str, str], where: str) -> float:
    """Return a row's run time, ms; a cell that is missing would have moved the others, which shows in words there."""
    for column, cell in cells.items():
        if column not in ("name", "time") and cell not in ("inf", "nan", "-nan"):  # the rates of a run time of 0
            number(cell.removesuffix("%") if column == "utilization" else cell, where, column)
    return milliseconds(cells["time"], header.units["time"], where, "RunTime")


def _check_id(text: str | None, ids: list[str], where: str) -> None:
    """Refuse a table that lacks rows: nodes are numbered one by one."""
    if text is None:
        return
    value = number(text, where, "ID")
    if ids and value != float(ids[-1]) + 1:
        problem = f"expected the node with the ID {float(ids[-1]) + 1:g}, found {value:g}"
        raise ParseError(where, problem, f"Rows are missing, doubled or moved. {_AGAIN}")
    ids.append(text)


def _check_workload(rows: Sequence[str], text: str | None, where: str) -> None:
    """Refuse a table whose nodes are not all there by their work, rounded to as many decimals as `text`."""
    if text is None:
        return
    total = number(text, where, "Workload(MOP)")
    work = math.fsum(number(row, where, "Workload(MOP)") for row in rows)
    decimals = len(text.partition(".")[2])
    if abs(work - total) > 0.5 * 10**-decimals * (len(rows) + 1) + 1e-6 * total:
        problem = f"expected nodes of {total:g} MOP together, as the row All says, found {work:g}"
        raise ParseError(where, problem, f"Rows are missing or doubled. {_AGAIN}")


def _refuse_mixed(tables: Sequence[_Table], where: str) -> None:
    networks = sorted({_SUFFIX.sub("", table.kernel) for table in tables})
    if len(networks) > 1:
        problem = f"expected the kernels of one network, found those of {', '.join(networks)}"
        raise ParseError(where, problem, "Give each network a file of its own")
    units = sorted({table.unit for table in tables})
    if len(units) > 1:
        problem = f"expected one unit of run times, found {', '.join(units)}"
        raise ParseError(where, problem, "Give the output of each version of the tool a file of its own")


def _layers(tasks: Sequence[_Table], where: str) -> list[Layer]:
    """Return the nodes of one kernel, each with its median over the tasks."""
    names = [name for name, _ in tasks[0].nodes]
    for task in tasks:
        if [name for name, _ in task.nodes] != names:
            problem = f"expected the same nodes in each task of kernel {tasks[0].kernel!r}, found others"
            raise ParseError(where, problem, "Give each network a file of its own")
    by_node = zip(*(task.nodes for task in tasks), strict=True)
    return [Layer(node[0][0], median(ms for _, ms in node), nodes=(node[0][0],)) for node in by_node]
