"""The errors that users see: what was wrong, where, and what to do next."""

from __future__ import annotations


class LatpredError(Exception):
    """Root of all errors that latpred raises for a reason the user can mend.

    Args:
        where: The file, key, argument or object that is wrong.
        problem: What was expected and what was found, in one sentence without its full stop.
        remedy: What to do next, one sentence without its full stop.
    """

    exit_code = 1

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(where, problem, remedy)
        self.where, self.problem, self.remedy = where, problem, remedy

    def __str__(self) -> str:
        """Return the one line that the command line prints."""
        return f"{self.where}: {self.problem}. {self.remedy}."


class UsageError(LatpredError):
    """A command, option or configuration asks for something that does not exist or cannot be."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file or one of its keys is wrong."""


class ArchitectureError(LatpredError):
    """An architecture does not belong to the space it was given to."""


class PrimitiveError(LatpredError):
    """A primitive is malformed, or its type is unknown to the space."""


class UnmeasuredError(LatpredError):
    """A prediction would need the latency of a primitive that was never measured."""


class DatasetError(LatpredError):
    """A dataset is missing, damaged, or not the one that is needed."""


class RunError(LatpredError):
    """A run cannot be a row of a dataset."""


class TrainingError(LatpredError):
    """Training came to something that is no number."""


class SplitError(LatpredError):
    """A split is empty, or holds networks that it must not hold."""


class ChainError(UsageError):
    """A chain of preprocessors cannot work."""


class CardError(LatpredError):
    """A card is missing, malformed, of another schema version, or disagrees with its use."""


class ArtefactError(LatpredError):
    """A checkpoint or export cannot be read or must not be written."""


class ProfilingError(LatpredError):
    """A network cannot be measured on this device."""


class SearchError(LatpredError):
    """A search got something from an accuracy, predictor or fitness function that it cannot go on with."""


class ParseError(LatpredError):
    """A tool's file does not say what it should."""
