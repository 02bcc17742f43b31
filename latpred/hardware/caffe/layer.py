"""A layer of a Caffe model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Parameters = Mapping[str, Mapping[str, Any]]
Blobs = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """A layer whose one output is called like itself: none works in place, so that every tensor can be looked at."""

    name: str
    kind: str
    """Caffe's `type`."""
    bottoms: tuple[str, ...]
    """The outputs that it reads."""
    parameters: Parameters = field(default_factory=lambda: MappingProxyType({}))
    """Its `..._param` messages."""
    blobs: Blobs = ()
    """Its weights."""

    def named(self, prefix: str, taken: Mapping[str, str]) -> CaffeLayer:
        """Return the layer under another name.

        Args:
            prefix: Of its name and of those of its bottoms.
            taken: Bottoms that have a name of their own, and that.
        """
        bottoms = tuple(taken.get(bottom) or prefix + bottom for bottom in self.bottoms)
        return replace(self, name=prefix + self.name, bottoms=bottoms)

    def head(self) -> dict[str, Any]:
        """Return the fields that a `.prototxt` and a `.caffemodel` share."""
        return {"name": self.name, "type": self.kind, "bottom": self.bottoms, "top": [self.name]}
