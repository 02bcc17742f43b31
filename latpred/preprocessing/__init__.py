"""From runs to tensors: the chain of preprocessors and the fitted block table."""

from latpred.preprocessing.batch import Batch, make_batch
from latpred.preprocessing.block_sum import BlockSum, BlockSumNet
from latpred.preprocessing.block_table import BlockTable
from latpred.preprocessing.chain import Chain
from latpred.preprocessing.flatten import Flatten
from latpred.preprocessing.remove_anomaly import RemoveAnomaly
from latpred.preprocessing.step import NetStep, RowStep, Step, TrainingRows
from latpred.preprocessing.whole_table import LearnedValues, learn_from_wholes

__all__ = [
    "Batch",
    "BlockSum",
    "BlockSumNet",
    "BlockTable",
    "Chain",
    "Flatten",
    "LearnedValues",
    "NetStep",
    "RemoveAnomaly",
    "RowStep",
    "Step",
    "TrainingRows",
    "learn_from_wholes",
    "make_batch",
]
