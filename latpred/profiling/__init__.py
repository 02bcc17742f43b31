"""Online devices: networks in, runs out. It is told which visits are done, and knows no dataset."""

from __future__ import annotations

from latpred.profiling.config import DeviceConfig, Measuring, RequestedDevice, load_device
from latpred.profiling.knowledge import EarlierRuns
from latpred.profiling.schedule import Goal, choose_anchors
from latpred.profiling.session import NOT_MEASURABLE, Session, new_session_record, profile
from latpred.profiling.visit import SessionStats

__all__ = [
    "NOT_MEASURABLE",
    "DeviceConfig",
    "EarlierRuns",
    "Goal",
    "Measuring",
    "RequestedDevice",
    "Session",
    "SessionStats",
    "choose_anchors",
    "load_device",
    "new_session_record",
    "profile",
]
