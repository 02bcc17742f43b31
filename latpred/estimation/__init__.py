"""From noisy runs to values: networks and the machine's drift, estimated together. It knows no dataset."""

from __future__ import annotations

from latpred.estimation.joint import JointFit, fit
from latpred.estimation.runs import RunColumns
from latpred.estimation.summary import COVERAGE, FAIR, GOOD, Quality, quality_of, summarize_networks, summarize_sessions

__all__ = [
    "COVERAGE",
    "FAIR",
    "GOOD",
    "JointFit",
    "Quality",
    "RunColumns",
    "fit",
    "quality_of",
    "summarize_networks",
    "summarize_sessions",
]
