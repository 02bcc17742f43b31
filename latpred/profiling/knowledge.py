"""What the runs so far say about their networks, while a session is under way."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from latpred.estimation import RunColumns, fit, summarize_networks
from latpred.run import Run


class EarlierRuns(NamedTuple):
    """The runs of earlier sessions on the same device."""

    columns: RunColumns
    network_ids: Sequence[str]
    """The id behind each of the columns' numbers of networks."""


class Knowledge:
    """Collects runs, and tells how well each network's latency is known from them.

    Args:
        earlier: What was known before; None for nothing.
    """

    def __init__(self, earlier: EarlierRuns | None = None) -> None:
        self._numbers = {} if earlier is None else {name: i for i, name in enumerate(earlier.network_ids)}
        self._earlier = None if earlier is None else earlier.columns
        self._rows: list[tuple[int, float, float, float]] = []
        self._failed: set[str] = set()
        """Ids of the networks whose last run failed."""

    def add(self, run: Run) -> None:
        """Take one more run."""
        if run.overall_latency_ms is None:
            self._failed.add(run.network_id)
            return
        self._failed.discard(run.network_id)
        number = self._numbers.setdefault(run.network_id, len(self._numbers))
        cpu_time, switches = run.cpu_time_ms, run.involuntary_switches
        self._rows.append(
            (
                number,
                run.overall_latency_ms,
                np.nan if cpu_time is None else cpu_time,
                np.nan if switches is None else switches,
            )
        )

    def half_widths(self) -> dict[str, float]:
        """Return the half-width of each network's interval, a fraction, by id; inf where one run tells none."""
        columns = self._columns()
        if not len(columns.value):
            return {}
        found = summarize_networks(fit(columns, len(self._numbers)), columns)["half_width"].to_numpy()
        return {name: float(found[number]) for name, number in self._numbers.items()}

    def uncertain(self, network_ids: Collection[str], limit: float) -> list[str]:
        """Return those whose half-width is beyond `limit`, sorted; none whose last run failed, as more would."""
        known = self.half_widths()
        names = [name for name in network_ids if name not in self._failed]
        return sorted(name for name in names if not known.get(name, np.inf) <= limit)

    def _columns(self) -> RunColumns:
        rows = np.array(self._rows, dtype=np.float64).reshape(-1, 4)
        new = RunColumns(rows[:, 0].astype(np.int64), np.zeros(len(rows), np.int64), *rows.T[1:])
        if self._earlier is None or not len(self._earlier.value):
            return new
        session = np.full(len(rows), self._earlier.session.max() + 1)
        later = RunColumns(new.network, session, new.value, new.cpu_time, new.switches)
        return RunColumns.joined(self._earlier, later)
