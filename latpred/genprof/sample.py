"""Sampled profiling networks: architectures of the space itself."""

from __future__ import annotations

from random import Random
from typing import Any

from latpred.errors import UsageError
from latpred.network import Network
from latpred.spaces import SearchSpace

_FRUITLESS_DRAWS = 1000
"""Draws in a row without a new network after which a space counts as exhausted."""


def sampled(space: SearchSpace[Any], count: int, seed: int | None) -> tuple[Network, ...]:
    """Draw `count` distinct networks, in the order in which they came.

    Args:
        space: Where to draw from.
        count: How many.
        seed: Of the draws; None is another set each time, and 0 is a seed like any other.

    Raises:
        UsageError: If `count` is below 1, or the space does not give that many.
    """
    if count < 1:
        raise UsageError("count", f"expected at least 1 network to draw, found {count}", "Ask for more")
    rng = Random(seed)  # noqa: S311 - a sample, no secret
    networks: dict[str, Network] = {}
    fruitless = 0
    while len(networks) < count:
        network = space.network(space.sample(rng))
        fruitless = fruitless + 1 if network.network_id in networks else 0
        networks.setdefault(network.network_id, network)
        if fruitless == _FRUITLESS_DRAWS:
            found = f"found {len(networks)}, and no new one in {_FRUITLESS_DRAWS} draws"
            raise UsageError(f"space {space.name}", f"expected {count} distinct networks, {found}", "Ask for fewer")
    return tuple(networks.values())
