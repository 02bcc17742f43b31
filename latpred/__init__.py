"""latpred: learned latency predictors for neural architectures, for the device on your desk."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latpred.dataset import Dataset
    from latpred.errors import LatpredError
    from latpred.estimator import Estimator, load
    from latpred.primitive import Primitive
    from latpred.spaces import SearchSpace, load_space

__version__ = "0.1.0"

__all__ = ["Dataset", "Estimator", "LatpredError", "Primitive", "SearchSpace", "__version__", "load", "load_space"]

_HOMES = {
    "Dataset": "latpred.dataset",
    "Estimator": "latpred.estimator",
    "LatpredError": "latpred.errors",
    "Primitive": "latpred.primitive",
    "SearchSpace": "latpred.spaces",
    "load": "latpred.estimator",
    "load_space": "latpred.spaces",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute is anything
    """Import on first use: `latpred --help` answers before torch would be loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latpred' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
