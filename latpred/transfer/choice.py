"""Which networks of a space to measure on a new device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from latpred.errors import UsageError
from latpred.network import Network
from latpred.transfer.draw import encodings
from latpred.transfer.sources import FittedSources
from latpred.transfer.threads import one_thread

_REFERENCE_ROWS = 400
"""Networks whose variances are to become small."""


@one_thread()
def choose_networks(sources: FittedSources, candidates: Sequence[Network], count: int) -> tuple[Network, ...]:
    """Return which candidates to measure, the most telling first; the first of them do not depend on `count`.

    Args:
        sources: What is known already; without sources, the structure of networks decides alone.
        candidates: Distinct architectures of the space.
        count: How many to choose.

    Raises:
        UsageError: If there are not so many candidates, or fewer than one is asked for.
    """
    if not 1 <= count <= len(candidates):
        problem = f"expected a number from 1 to that of the candidates, {len(candidates)}, found {count}"
        raise UsageError("-k", problem, "Ask for fewer, or draw more candidates")
    generator = torch.Generator().manual_seed(sources.seed)
    rows = torch.randperm(len(sources.reference), generator=generator)[:_REFERENCE_ROWS]
    reference = sources.see(sources.reference[rows])
    chosen = sources.model.choose(count, sources.see(encodings(candidates)), reference)
    return tuple(candidates[place] for place in chosen)
