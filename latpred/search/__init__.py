"""The estimator inside an architecture search: objectives, rewards, and a search to start with."""

from __future__ import annotations

from latpred.search.accuracy import AccuracyObjective
from latpred.search.config import load_objective
from latpred.search.container import ContainerObjective
from latpred.search.evolution import Evaluation, RegularizedEvolution, SearchResult
from latpred.search.hardware import BatchPredictor, HardwareObjective
from latpred.search.objective import Objective
from latpred.search.reward import HARD, SOFT, Exponents, MnasnetObjective, mnasnet_reward

__all__ = [
    "HARD",
    "SOFT",
    "AccuracyObjective",
    "BatchPredictor",
    "ContainerObjective",
    "Evaluation",
    "Exponents",
    "HardwareObjective",
    "MnasnetObjective",
    "Objective",
    "RegularizedEvolution",
    "SearchResult",
    "load_objective",
    "mnasnet_reward",
]
