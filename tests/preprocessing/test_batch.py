"""Networks as predictors see them."""

import numpy as np
import pandas as pd
import torch
from measured import tiny_space

from latpred.dataset import MeasuredNetwork
from latpred.genprof import sampled
from latpred.preprocessing import make_batch

SPACE = tiny_space()
NETWORKS = sampled(SPACE, 3, seed=0)


def measured(network):
    return MeasuredNetwork(network.network_id, network.architecture, network.primitives, network.roles)


def test_a_batch_by_hand():
    labels = pd.DataFrame({"estimate": [2.0, 3.5, 1.0], "half_width": [0.01, np.inf, 0.03]}, index=[7, 2, 9])
    batch = make_batch(SPACE, [measured(network) for network in NETWORKS], labels)
    assert batch.ids.tolist() == [list(network.encoding) for network in NETWORKS]
    assert batch.target.tolist() == [2.0, 3.5, 1.0]
    assert batch.row.tolist() == [0, 1, 2]
    raw = np.array([1 / (0.0001 + 0.0004), 1 / (0.0004 + 0.0004), 1 / (0.0009 + 0.0004)])  # the typical one is 0.02
    np.testing.assert_allclose(batch.weight, raw / raw.mean(), rtol=1e-6)
    assert [column.dtype for column in batch] == [torch.int64, torch.float32, torch.float32, torch.int64]


def test_an_empty_batch_has_the_slots_of_the_space():
    batch = make_batch(SPACE, [], pd.DataFrame({"estimate": [], "half_width": []}, dtype=float))
    assert [tuple(column.shape) for column in batch] == [(0, SPACE.slots), (0,), (0,), (0,)]
