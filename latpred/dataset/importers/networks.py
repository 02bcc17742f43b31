"""The networks of a source, told by architectures that anybody may have written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latpred.errors import ArchitectureError, LatpredError, ParseError
from latpred.network import Network
from latpred.spaces import SearchSpace

_LARGEST = 10_000
"""Values in one architecture."""


class Networks:
    """Collects the distinct networks of a source, each built once.

    Args:
        space: Theirs.
        read: Reads an architecture as the source writes it; by default in the space's JSON form.
    """

    def __init__(self, space: SearchSpace[Any], read: Callable[[Any], Any] | None = None) -> None:
        self.space = space
        self._read = read or space.from_json
        self._places: dict[str, int] = {}
        self.networks: list[Network] = []

    def place(self, written: Any, where: str) -> int:  # noqa: ANN401 - as sources write architectures
        """Return the place of the network of an architecture as the source writes it.

        Raises:
            ParseError: If it is no architecture of the space, naming `where`.
        """
        try:
            if not _is_small(written):
                problem = f"expected an architecture, found more than {_LARGEST} values"
                raise ArchitectureError(f"space {self.space.name}", problem, "Correct the source")
            architecture = self._read(written)
            key = self.space.architecture_json(architecture)
        except LatpredError as error:
            raise ParseError(f"{where}: {error.where}", error.problem, error.remedy) from None
        if key not in self._places:
            self._places[key] = self.add(self.space.network(architecture))
        return self._places[key]

    def add(self, network: Network) -> int:
        """Return the place of a network that is not among them yet."""
        self.networks.append(network)
        return len(self.networks) - 1


def _is_small(written: object) -> bool:
    """Return whether an architecture has few values: lists that hold themselves, or one another, never end."""
    left, count = [written], 0
    while left:
        value = left.pop()
        count += 1
        if count > _LARGEST:
            return False
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value[: _LARGEST + 1]
    return True
