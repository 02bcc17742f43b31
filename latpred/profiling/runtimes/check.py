"""Whether a runtime computes the network at all: its output against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latpred.errors import ProfilingError

_REMEDY = "Measure with another runtime or another version of it: the latency of a wrong answer is worth nothing"


def check_output(found: NDArray[Any], expected: NDArray[Any], tolerance: float, where: str) -> None:
    """Compare an output with PyTorch's.

    Errors are relative to the largest |expected|, as a single value near zero has no relative error of its own, and
    an expected output of zeros is refused: with it, every wrong answer would pass.

    Args:
        found: The runtime's.
        expected: PyTorch's, in float32.
        tolerance: Largest |found - expected| to let pass, as a fraction of the largest |expected|.
        where: The network and the runtime, for the error.

    Raises:
        ProfilingError: If they differ in shape or by more than that, hold something that is not finite, or `expected`
            is all zeros.
    """
    if found.shape != expected.shape:
        problem = f"expected an output of shape {list(expected.shape)} as PyTorch's, found {list(found.shape)}"
        raise ProfilingError(where, problem, _REMEDY)
    scale = float(np.abs(expected).max(initial=0.0))
    if not (np.isfinite(scale) and scale > 0):
        problem = f"expected PyTorch's output to have a finite maximum > 0 to compare with, found {scale}"
        raise ProfilingError(where, problem, "Mend the weights or the blocks of the network")
    if broken := int(np.count_nonzero(~np.isfinite(found))):
        problem = f"expected a finite output, found {broken} of {found.size} values that are not"
        raise ProfilingError(where, problem, _REMEDY)
    error = float(np.abs(found - expected).max()) / scale
    if error > tolerance:
        problem = (
            f"expected PyTorch's output within {tolerance:g} of its largest value, found a difference of {error:.3g}"
        )
        raise ProfilingError(where, problem, _REMEDY)
