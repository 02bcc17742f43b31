"""The split of networks into training, validation and test; adding networks moves none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Part = Literal["train", "val", "test"]


def place_of(network_id: str, seed: int) -> float:
    """Return the place of a network in [0, 1): the first 8 bytes of sha256("seed:network_id"), over 2^64."""
    digest = hashlib.sha256(f"{seed}:{network_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(network_id: str, seed: int, val: float, test: float) -> Part:
    """Return the part that a network belongs to; it depends on nothing but the arguments.

    The network's place is compared with the shares: the test comes first, then validation.

    Args:
        network_id: The network.
        seed: Chooses among the splits.
        val: Share of networks for validation, in [0, 1).
        test: Share of networks for the test, in [0, 1).
    """
    place = place_of(network_id, seed)
    if place < test:
        return "test"
    return "val" if place < test + val else "train"


@dataclass(frozen=True)
class Split:
    """Which split: its seed and the shares of networks that are not trained on."""

    seed: int = 0
    val: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        if not isinstance(self.seed, int) or isinstance(self.seed, bool):
            raise ValueError(f"seed must be an integer, got {self.seed!r}")
        for name, share in (("val", self.val), ("test", self.test)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {share}")
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must lie below 1, got {self.val} + {self.test}")

    def part_of(self, network_id: str) -> Part:
        """Return the part that a network belongs to."""
        return split_of(network_id, self.seed, self.val, self.test)
