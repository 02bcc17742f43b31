"""Gaussian processes over networks: kernels that add up over blocks, noise, drift, and few measurements."""

from latpred.gaussian.compress import Places, SmallProcess, compress
from latpred.gaussian.costs import BlockCosts, block_costs
from latpred.gaussian.drift import Drift, find_drift
from latpred.gaussian.inputs import BlockFacts, count_blocks
from latpred.gaussian.kernels import PARTS, AdditiveKernel, Networks, mix
from latpred.gaussian.labels import CleanLabels, ErrorParts, clean_labels, parts_of_error, split_error
from latpred.gaussian.posterior import Posterior, Scale
from latpred.gaussian.process import fit

__all__ = [
    "PARTS",
    "AdditiveKernel",
    "BlockCosts",
    "BlockFacts",
    "CleanLabels",
    "Drift",
    "ErrorParts",
    "Networks",
    "Places",
    "Posterior",
    "Scale",
    "SmallProcess",
    "block_costs",
    "clean_labels",
    "compress",
    "count_blocks",
    "find_drift",
    "fit",
    "mix",
    "parts_of_error",
    "split_error",
]
