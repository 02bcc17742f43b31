"""What a vendor tool's file says, in one form; formats know no space and no primitive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

Warmup = Literal["excluded", "included", "unknown"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of a profile: what the tool says about one layer of the network."""

    name: str
    """As the tool writes it."""
    latency_ms: float | None
    """Of one pass; None where the tool gives no time, such as cycles that nothing converts."""
    kind: str = ""
    """The tool's word for its operation."""
    nodes: tuple[str, ...] = ()
    """The nodes of the model that it came from, where the tool tells; else they are in the name."""
    overhead: bool = False
    """Whether it is of no layer of the model by the tool's own word: reordering, copying."""
    derived: bool = False
    """Whether the time was computed from shares, because the tool gives another unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one file says. Latencies are in ms, whatever the tool's unit was."""

    tool: str
    """The parser's name."""
    part: str = ""
    """Which of a tool's files it is, such as `log` or `times`, where one run writes several that belong together."""
    network: str | None = None
    """The network's name, where the file gives one."""
    tool_version: str | None = None
    device: str | None = None
    precision: str | None = None
    """What really ran, where the tool tells."""
    batch: int | None = None
    threads: int | None = None
    unit: str
    """The tool's own unit."""
    whole_ms: float | None = None
    """Latency of the whole network."""
    statistic: str | None = None
    """What `whole_ms` is over the tool's runs: `median`, `mean`."""
    runs_ms: tuple[float, ...] = ()
    """Latencies of single runs of the whole, in their order, where the file has them."""
    runs: int | None = None
    """How many runs the tool made."""
    warmup: Warmup = "unknown"
    """Whether warm-up runs are among them."""
    warmup_runs: int | None = None
    """How many warm-up runs came before them, where the tool tells."""
    layers: tuple[Layer, ...] = ()
    layer_statistic: str | None = None
    warnings: tuple[str, ...] = ()
    """What a reader should know: an unstable clock, rows that were left out, another precision than asked for."""
    failed: str | None = None
    """Why the tool measured nothing, in its own words; then there is no latency."""


class Format(ABC):
    """Reads the files of one tool; one file of code, and one entry in `FORMATS`."""

    name: ClassVar[str]

    @abstractmethod
    def recognizes(self, head: str) -> float:
        """Return how sure it is, 0 to 1, that text which begins so is its own: by signature, never by position.

        Args:
            head: The first 64 kB of the file, decoded as UTF-8 with replacements, line ends as they are.
        """

    @abstractmethod
    def parse(self, text: str, where: str) -> Profile:
        """Read a whole file.

        Args:
            text: All of it, decoded as `head` was.
            where: Its name, for errors.

        Raises:
            ParseError: If it is none of this format's, is cut off or contradicts itself; naming the line or key.
        """

    def parse_networks(self, text: str, where: str) -> tuple[Profile, ...]:
        """Read a whole file that may tell of several networks: one profile for each, in their order.

        Args:
            text: As for `parse`.
            where: As for `parse`.

        Raises:
            ParseError: As for `parse`.
        """
        return (self.parse(text, where),)
