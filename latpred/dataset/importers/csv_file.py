"""latpred's own CSV of measured networks: one row for each run."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from latpred.dataset.importers.base import Imported, ImportedDevice, ImportedRun, label
from latpred.dataset.importers.encodings import public_reader
from latpred.dataset.importers.networks import Networks
from latpred.device import Device
from latpred.errors import ParseError
from latpred.formats.detect import read_text
from latpred.formats.numbers import number, positive, shown
from latpred.genprof.folder import read_prof_dir
from latpred.network import Network
from latpred.spaces import SearchSpace

FORM = "architecture or network_id, latency_ms (or energy_mj, memory_mb), and if you like run, block_0_ms, .."
_REMEDY = f"Write a header of {FORM}"
_METRICS = ("latency_ms", "energy_mj", "memory_mb")
_BLOCK = re.compile(r"block_(\d{1,6})_ms")
_NAMES = ("architecture", "network_id")


class _Cells(NamedTuple):
    by_title: Mapping[str, str]
    where: str


def read_csv(
    path: Path, space: SearchSpace[Any], device: Device, prof: Path | None = None, *, keep_refused: bool
) -> Imported:
    """Read a CSV of one device.

    Args:
        path: The file.
        space: That its networks are of.
        device: That it was measured on.
        prof: A PROF_DIR with the networks behind its network_ids, where it has no architectures.
        keep_refused: Whether to go on behind a value that is no measurement, and list it.

    Raises:
        ParseError: Naming the line and column, what was expected and what was found.
        ConfigError: If `prof` is no PROF_DIR.
    """
    titles, rows = _read(path)
    by_id = _networks_by_id(prof, space, path) if "network_id" in titles and "architecture" not in titles else {}
    networks = Networks(space, public_reader(space))
    places: dict[str, int] = {}
    runs, refused = [], []
    seen: set[tuple[int, str]] = set()
    for row in rows:
        place = _place(row, networks, by_id, places)
        key = (place, row.by_title.get("run", ""))
        if key in seen:
            problem = "expected one row for each run of a network, found it again"
            raise ParseError(row.where, problem, "Tell the runs apart in a column 'run'")
        seen.add(key)
        try:
            runs.append(_run(row, place, len(networks.networks[place].primitives)))
        except ParseError as error:
            if not keep_refused:
                raise
            refused.append(str(error))
    found = ImportedDevice(label(path.stem), device, runs, refused=refused)
    return Imported("csv", space, networks.networks, [found], [path])


def _read(path: Path) -> tuple[Sequence[str], Iterator[_Cells]]:
    """Return the titles of the columns, and the rows below them."""
    reader = csv.reader(read_text(path).splitlines(), strict=True)
    titles = [title.strip() for title in next(reader, [])]
    blocks = [int(match[1]) for title in titles if (match := _BLOCK.fullmatch(title))]
    known = [title for title in titles if title in (*_NAMES, *_METRICS, "run") or _BLOCK.fullmatch(title)]
    complete = any(name in titles for name in _NAMES) and any(name in titles for name in _METRICS)
    if not complete or len(set(known)) < len(titles) or sorted(blocks) != list(range(len(blocks))):
        problem = f"expected the columns {FORM}, each once, found {shown(','.join(titles))}"
        raise ParseError(f"{path}, line 1", problem, _REMEDY)
    return titles, _rows(reader, titles, path)


def _rows(reader: Any, titles: Sequence[str], path: Path) -> Iterator[_Cells]:  # noqa: ANN401 - csv.reader's own type
    try:
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(titles):
                problem = f"expected {len(titles)} cells ({', '.join(titles)}), found {len(cells)}"
                raise ParseError(where, problem, "Put texts that hold commas into double quotes")
            yield _Cells(dict(zip(titles, map(str.strip, cells), strict=True)), where)
    except csv.Error as error:
        raise ParseError(f"{path}, line {reader.line_num}", f"expected CSV, found {error}", _REMEDY) from None


def _networks_by_id(prof: Path | None, space: SearchSpace[Any], path: Path) -> dict[str, Network]:
    if prof is None:
        problem = "expected the networks behind the column network_id, found no folder with them"
        raise ParseError(f"{path}, line 1", problem, "Give the PROF_DIR with --prof, or a column 'architecture'")
    read = read_prof_dir(prof)
    if difference := space.card().describe_difference(read.space.card()):
        raise ParseError(str(prof), f"expected the networks of the space, found {difference}", "Give its own --space")
    return {network.network_id: network for network in read.networks}


def _place(row: _Cells, networks: Networks, by_id: Mapping[str, Network], places: dict[str, int]) -> int:
    """Return the place of the network of a row; each text is read once."""
    text = row.by_title.get("architecture", row.by_title.get("network_id", ""))
    if text not in places:
        if "architecture" in row.by_title:
            places[text] = networks.place(_json(text, row.where), row.where)
        elif text in by_id:
            places[text] = networks.add(by_id[text])
        else:
            problem = f"expected a network of the PROF_DIR, found {shown(text)}"
            raise ParseError(row.where, problem, "Give the PROF_DIR that was measured")
    return places[text]


def _json(text: str, where: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        problem = f"expected architecture to be JSON, found {shown(text)}"
        raise ParseError(where, problem, "Write what `latpred sample` prints, in double quotes doubled") from None


def _run(row: _Cells, place: int, blocks: int) -> ImportedRun:
    latency, energy, memory = (_value(row, name) for name in _METRICS)
    if latency is None and energy is None and memory is None:
        raise ParseError(row.where, "expected a latency, energy or memory, found none", "Fill it in, or remove the row")
    titles = [title for title in row.by_title if _BLOCK.fullmatch(title)]
    block_values = {int(title.split("_")[1]): _value(row, title) for title in titles}
    found = [block_values[i] for i in range(len(block_values))]
    if any(value is not None for value in found[blocks:]):
        raise ParseError(row.where, f"expected values of {blocks} blocks, found one behind them", "Correct the row")
    measured = [*found[:blocks], *[None] * (blocks - len(found))]
    values = None if all(value is None for value in measured) else tuple(measured)
    return ImportedRun(place, latency, block_latency_ms=values, energy_mj=energy, memory_mb=memory)


def _value(row: _Cells, title: str) -> float | None:
    """Return the number in a cell, None for an empty one."""
    text = row.by_title.get(title, "")
    return None if not text else positive(number(text, row.where, title), row.where, title)
