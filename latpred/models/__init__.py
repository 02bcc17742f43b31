"""Predictors: LightningModules that train a net, and the nets inside them."""

from latpred.models.base import LatencyPredictor
from latpred.models.block_sum_net import BlockSumNetPredictor
from latpred.models.checkpoint import load_checkpoint, predictor_class
from latpred.models.closed_form import ClosedFormPredictor
from latpred.models.ensemble import EnsemblePredictor
from latpred.models.gp import GPPredictor
from latpred.models.gradient import GradientPredictor
from latpred.models.lstm import LSTMPredictor
from latpred.models.mlp import MLPPredictor
from latpred.models.regression import RegressionPredictor
from latpred.models.table import TablePredictor

__all__ = [
    "BlockSumNetPredictor",
    "ClosedFormPredictor",
    "EnsemblePredictor",
    "GPPredictor",
    "GradientPredictor",
    "LSTMPredictor",
    "LatencyPredictor",
    "MLPPredictor",
    "RegressionPredictor",
    "TablePredictor",
    "load_checkpoint",
    "predictor_class",
]
