"""The stretches of a session: where its networks change nearly all at once, as groups that are loaded in turn do."""

from __future__ import annotations

import numpy as np

from latpred.estimation.runs import Floats, Ints

_TURNOVER = 1.5
"""How many times as many networks go on across some place on either side of a border as across it, plus one each."""


def stretches(network: Ints, session: Ints) -> Ints:
    """Number the stretches of the runs, [runs], in their order.

    Within a stretch, networks alternate, and so tell the machine's drift. Between stretches only a few go on (the
    anchors), and the running median over all runs does not hear them: what the machine did to a whole group of
    networks would be taken for the networks' own. So stretches are fitted like sessions of their own. Where no
    network at all goes on, nothing could join what lies on both sides, and nothing is parted.

    Args:
        network: Number of the network, [runs].
        session: Number of the session, [runs], ascending.
    """
    found, count = np.zeros(len(network), np.int64), 0
    for number in np.unique(session):
        (place,) = np.nonzero(session == number)
        own = np.searchsorted(_borders(network[place]), np.arange(len(place)), side="right")
        found[place] = count + own
        count += int(own[-1]) + 1
    return found


def _borders(network: Ints) -> Ints:
    """Return the places of one session's runs at which a new stretch begins."""
    from scipy.signal import find_peaks  # half a second, for which commands without estimates should not wait

    across = _across(network)
    valleys = find_peaks(-np.log1p(across), prominence=np.log(_TURNOVER))[0]
    return valleys[across[valleys] > 0] + 1


def _across(network: Ints) -> Floats:
    """Return how many networks have runs both up to each place and behind it, [runs]."""
    _, code = np.unique(network, return_inverse=True)
    places = np.arange(len(network))
    first, last = np.full(code.max(initial=-1) + 1, len(network)), np.zeros(code.max(initial=-1) + 1, np.int64)
    np.minimum.at(first, code, places)
    np.maximum.at(last, code, places)
    steps = np.bincount(first, minlength=len(network)) - np.bincount(last, minlength=len(network))
    return np.cumsum(steps).astype(np.float64)
