"""Predictors: LightningModules that train a net, and the nets inside them."""

from latpred.models.base import LatencyPredictor
from latpred.models.checkpoint import load_checkpoint, predictor_class
from latpred.models.closed_form import ClosedFormPredictor
from latpred.models.table import TablePredictor

__all__ = ["ClosedFormPredictor", "LatencyPredictor", "TablePredictor", "load_checkpoint", "predictor_class"]
