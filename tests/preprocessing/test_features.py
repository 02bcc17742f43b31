"""The features of primitives."""

from __future__ import annotations

import numpy as np
import pytest
from measured import tiny_space

from latpred.errors import PrimitiveError
from latpred.preprocessing.features import FEATURES, primitive_features
from latpred.primitive import Primitive
from latpred.vocabulary import Vocabulary

CONV = Primitive("conv_1x1", 4, 8, 16, 2)
BLOCK = Primitive(
    "mobilenet_v3_block", 8, 8, 8, 1, 3, '{"activation":"relu","affine":true,"expansion":6,"use_se":false}'
)
POOL = Primitive("global_avg_pool", 4, 8, 8, 4, 4)


def test_features_of_a_convolution_by_hand():
    features = primitive_features(tiny_space(), Vocabulary((CONV,)))
    parameters = 8 * 16 + 16  # with bias
    named = dict(zip(FEATURES, features[0], strict=True))
    geometry = {name: named[name] for name in FEATURES[:6]}
    assert geometry == {"C": 8, "C_out": 16, "expansion": 1, "kernel_size": 1, "spatial_size": 4, "stride": 2}
    assert named["parameters"] == parameters
    assert named["bytes"] == 4 * (8 * 4 * 4 + 16 * 2 * 2 + parameters)


def test_every_id_has_its_own_row_and_tokens_have_none():
    space = tiny_space()
    features = primitive_features(space, Vocabulary((BLOCK,), ("token",), (CONV, POOL)))
    assert features.shape == (4, 9)
    assert np.isnan(features[1]).all()
    assert np.isfinite(features[[0, 2, 3]]).all()
    assert features[0, :6].tolist() == [8, 8, 6, 3, 8, 1]
    for row, primitive in ((0, BLOCK), (2, CONV), (3, POOL)):
        cost = space.type_of(primitive).cost(primitive)
        assert features[row, 6:].tolist() == [max(cost.flops, 1), max(cost.parameters, 1), cost.bytes]


def test_all_features_have_logarithms():
    features = primitive_features(tiny_space(), tiny_space().vocabulary().with_extra([POOL]))
    assert (features > 0).all()
    assert features[-1, FEATURES.index("parameters")] == 1  # pooling has none


def test_an_unknown_type_is_named():
    with pytest.raises(PrimitiveError, match=r"space mnasnet_ofa: expected a primitive of type .*, found 'lost'"):
        primitive_features(tiny_space(), Vocabulary((Primitive("lost", 4, 8, 8),)))
