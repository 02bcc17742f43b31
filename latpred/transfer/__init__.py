"""A new device from a few measurements: which networks to measure, and what they and other devices tell."""

from latpred.transfer.model import LEARNING_ROWS, Adapted, Source, Sources, TransferModel
from latpred.transfer.view import ALL_PARTS, Explanation, Seen, View

__all__ = ["ALL_PARTS", "LEARNING_ROWS", "Adapted", "Explanation", "Seen", "Source", "Sources", "TransferModel", "View"]
