"""The types of primitives that every space knows."""

from __future__ import annotations

from types import MappingProxyType

from latpred.spaces.layers import LAYER_TYPES
from latpred.spaces.mobilenet import MOBILENET_TYPES
from latpred.spaces.primitive_type import Cost, PrimitiveType

__all__ = ["PRIMITIVE_TYPES", "Cost", "PrimitiveType"]

PRIMITIVE_TYPES: MappingProxyType[str, PrimitiveType] = MappingProxyType({**LAYER_TYPES, **MOBILENET_TYPES})
"""By name; a space with types of its own adds them: `PRIMITIVE_TYPES | {"my_block": PrimitiveType(...)}`."""
