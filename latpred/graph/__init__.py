"""Module -> ONNX: each distinct block is exported once, and networks are stitched from them, names kept."""

from __future__ import annotations

from latpred.graph.names import block_of
from latpred.graph.stitch import INPUT, OUTPUT, BlockGraphs

__all__ = ["INPUT", "OUTPUT", "BlockGraphs", "block_of"]
