"""Features of primitives: the reference document's, and what the primitive types say of their cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latpred.preprocessing.block_table import FEATURES
from latpred.primitive import Primitive
from latpred.spaces.base import SearchSpace
from latpred.vocabulary import Vocabulary


def primitive_features(space: SearchSpace[Any], vocabulary: Vocabulary) -> NDArray[np.float64]:
    """Return the features of each id, [vocabulary, FEATURES]; NaN for tokens.

    All are positive, so that their logarithms exist; a block without FLOPs or parameters counts as 1.

    Raises:
        PrimitiveError: If the space does not know a primitive's type.
    """
    features = np.full((len(vocabulary), len(FEATURES)), np.nan)
    for i, entry in enumerate(vocabulary.by_id):
        if isinstance(entry, Primitive):
            cost = space.type_of(entry).cost(entry)
            expansion = float(entry.options.get("expansion", 1))
            geometry = (entry.C, entry.C_out, expansion, entry.kernel_size, entry.spatial_size, entry.stride)
            features[i] = (*geometry, max(cost.flops, 1), max(cost.parameters, 1), cost.bytes)
    return features
