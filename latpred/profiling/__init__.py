"""Online devices: networks in, runs out. It is told which visits are done, and knows no dataset."""

from __future__ import annotations

from latpred.profiling.config import DeviceConfig, Measuring, RequestedDevice, load_device
from latpred.profiling.session import Session, new_session_record, profile
from latpred.profiling.visit import SessionStats

__all__ = [
    "DeviceConfig",
    "Measuring",
    "RequestedDevice",
    "Session",
    "SessionStats",
    "load_device",
    "new_session_record",
    "profile",
]
