"""Split-conformal prediction: which of n held-out errors bounds the next one, and how sure that is.

If n networks that a predictor did not see and one more come from the same source, the error of that one is equally
likely to fall into each of the n + 1 gaps between theirs (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
World, 2005; Lei et al., arXiv 1604.04173, section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from latpred.errors import ArtefactError, UsageError

_ROUNDING = 1e-9
"""0.9 is a little more or less than nine tenths: what is closer to an integer than this is that integer."""


def check_coverage(coverage: object, where: str = "coverage") -> float:
    """Return `coverage` as a float.

    Raises:
        UsageError: If it is no number between 0 and 1.
    """
    if not isinstance(coverage, int | float) or not 0 < coverage < 1:
        raise UsageError(where, f"expected a number between 0 and 1, such as 0.9, found {coverage!r}", "Mend it")
    return float(coverage)


def rank(networks: int, coverage: float) -> int:
    """Return which of the sorted scores bounds a new one with a probability of at least `coverage`, from 1.

    It is the ceiling of (networks + 1) * coverage; more than `networks` where they are too few.
    """
    return math.ceil((networks + 1) * coverage - _ROUNDING)


def fewest_networks(coverage: float) -> int:
    """Return the fewest calibration networks that bound a new one: rank <= n means n >= coverage / (1 - coverage)."""
    return math.ceil((coverage - _ROUNDING) / (1 - coverage))


def quantile(scores: Sequence[float], coverage: float, where: str) -> float:
    """Return the score that bounds a new one with a probability of at least `coverage`.

    Args:
        scores: Of the calibration networks, sorted.
        coverage: Between 0 and 1.
        where: Whose scores they are, for the error.

    Raises:
        UsageError: If `coverage` is no number between 0 and 1.
        ArtefactError: If there are too few scores for it, naming how many are needed.
    """
    place = rank(len(scores), check_coverage(coverage))
    if place > len(scores):
        raise ArtefactError(
            where,
            f"expected at least {fewest_networks(coverage)} validation networks for intervals of coverage "
            f"{coverage:g}, found {len(scores)}",
            "Ask for a lower coverage, or fit with more networks or a larger --data.val",
        )
    return scores[max(place, 1) - 1]


def coverage_band(networks: int, coverage: float, confidence: float = 0.99) -> tuple[float, float]:
    """Return between which shares the realised coverage lies, for `confidence` of all draws of calibration networks.

    Given the calibration networks, the share of all others that their intervals hold is Beta(rank, n + 1 - rank)
    distributed (Vovk, arXiv 1209.2673, section 2), if errors have no ties.

    Raises:
        ValueError: If the networks are too few for `coverage`.
    """
    from scipy.stats import beta

    place = rank(networks, coverage)
    if place > networks:
        raise ValueError(f"coverage {coverage} needs {fewest_networks(coverage)} networks, got {networks}")
    tail = (1 - confidence) / 2
    realised = beta(place, networks + 1 - place)
    return float(realised.ppf(tail)), float(realised.ppf(1 - tail))
