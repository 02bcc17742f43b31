"""Offline devices: compile networks for their tools, map layers to blocks, and turn results into runs."""

from __future__ import annotations

from latpred.hardware.base import CompiledModel, Hardware
from latpred.hardware.blocks import BlockNames, BlockTimes, block_times, spread
from latpred.hardware.compiled import CompileReport, next_folder, primitive_id, write_compiled
from latpred.hardware.compiled_map import Compiled, find_compiled, read_compiled
from latpred.hardware.facts import Facts
from latpred.hardware.profiles import Reading, Refused
from latpred.hardware.registry import HardwareConfig, hardware_names, make_hardware
from latpred.hardware.runs import ParsedRun, ResultReader, known_facts

__all__ = [
    "BlockNames",
    "BlockTimes",
    "CompileReport",
    "Compiled",
    "CompiledModel",
    "Facts",
    "Hardware",
    "HardwareConfig",
    "ParsedRun",
    "Reading",
    "Refused",
    "ResultReader",
    "block_times",
    "find_compiled",
    "hardware_names",
    "known_facts",
    "make_hardware",
    "next_folder",
    "primitive_id",
    "read_compiled",
    "spread",
    "write_compiled",
]
