"""A new device from a few measurements: which networks to measure, and what they and other devices tell."""

from latpred.transfer.choice import choose_networks
from latpred.transfer.draw import some_networks
from latpred.transfer.fold import fold_device, fold_sources
from latpred.transfer.loop import CONFIDENCE, HELD_OUT, Outcome, Step, error_bound, measure_until
from latpred.transfer.measured import MeasuredDevice, read_device, read_sources
from latpred.transfer.model import LEARNING_ROWS, Adapted, Source, Sources, TransferModel
from latpred.transfer.net import Folded, TransferNet
from latpred.transfer.new_device import FEWEST_JUDGED, Transferred, leave_out, transfer
from latpred.transfer.sources import SOURCE_ROWS, Adaptation, FittedSources, fit_sources
from latpred.transfer.view import ALL_PARTS, Explanation, Seen, View

__all__ = [
    "ALL_PARTS",
    "CONFIDENCE",
    "FEWEST_JUDGED",
    "HELD_OUT",
    "LEARNING_ROWS",
    "SOURCE_ROWS",
    "Adaptation",
    "Adapted",
    "Explanation",
    "FittedSources",
    "Folded",
    "MeasuredDevice",
    "Outcome",
    "Seen",
    "Source",
    "Sources",
    "Step",
    "TransferModel",
    "TransferNet",
    "Transferred",
    "View",
    "choose_networks",
    "error_bound",
    "fit_sources",
    "fold_device",
    "fold_sources",
    "leave_out",
    "measure_until",
    "read_device",
    "read_sources",
    "some_networks",
    "transfer",
]
