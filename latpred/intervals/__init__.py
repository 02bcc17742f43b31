"""How sure a prediction is: split-conformal intervals, and whether a network lies far from those that were trained on.

Pure mathematics on numbers and tensors: no dataset, no trainer, no file.
"""

from latpred.intervals.conformal import (
    check_coverage,
    coverage_band,
    fewest_networks,
    quantile,
    rank,
)
from latpred.intervals.distance import Distance, fit_domain, network_features
from latpred.intervals.net import AllParts, CalibratedNet, calibrated_net, unit_of
from latpred.intervals.scores import calibrate

__all__ = [
    "AllParts",
    "CalibratedNet",
    "Distance",
    "calibrate",
    "calibrated_net",
    "check_coverage",
    "coverage_band",
    "fewest_networks",
    "fit_domain",
    "network_features",
    "quantile",
    "rank",
    "unit_of",
]
