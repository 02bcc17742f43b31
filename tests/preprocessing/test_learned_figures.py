"""The learned table on public measurements of FBNet's space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import RidgeCV

from latpred.dataset import MeasuredNetwork
from latpred.preprocessing import BlockSumNet, BlockTable, learn_from_wholes
from latpred.preprocessing.features import primitive_features
from latpred.spaces.fbnet import FBNet, FBNetArchitecture

DATA = Path(__file__).parents[3] / "shared" / "data" / "help" / "fbnet"
SPACE = FBNet()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("device", "largest"),
    [("pixel3", 0.0001), ("2080ti_1", 0.0066), ("gold_6240", 0.020)],
)
def test_900_networks_teach_4000_others(device, largest):
    if not DATA.exists():
        pytest.skip("the public measurements are not here")
    indices = torch.load(DATA / "arch.pt", weights_only=True)
    value = np.array(torch.load(DATA / "latency" / f"{device}.pt", weights_only=True))
    order = np.random.default_rng(0).permutation(len(indices))
    architectures = [FBNetArchitecture.from_indices(indices[i]) for i in order[:4900]]
    value, test = value[order[:4900]], slice(900, None)
    measured = [MeasuredNetwork(f"{i}", None, SPACE.primitives(a), ()) for i, a in enumerate(architectures[:900])]
    labels = pd.DataFrame({"estimate": value[:900], "half_width": np.inf})
    vocabulary = SPACE.vocabulary()
    features = primitive_features(SPACE, vocabulary)
    found = learn_from_wholes(SPACE, vocabulary, measured, labels, features)
    table = BlockTable(len(vocabulary))
    table.fill(found.value, features, [], found.share)
    ids = torch.tensor([SPACE.slot_ids(architecture) for architecture in architectures])
    answers = BlockSumNet(table)(ids[test]).double().numpy()
    error = np.abs(answers / value[test] - 1).mean()
    assert error <= largest
    counts = np.array([np.bincount(row[row >= 0], minlength=len(vocabulary)) for row in ids.numpy()])
    ridge = RidgeCV(np.logspace(-3, 2, 11)).fit(counts[:900], value[:900])
    assert error <= np.abs(ridge.predict(counts[test]) / value[test] - 1).mean()
