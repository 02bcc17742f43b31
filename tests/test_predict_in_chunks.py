"""Asking a net for some networks at once changes no answer and no order."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from latpred.estimator import predict_in_chunks

SLOTS = 4


class Net:
    """Answers a number that no other row has, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, ids):
        assert len(ids)  # a recurrent net cannot read a batch of none
        self.asked.append((ids >= 0).sum(1).tolist())
        return (ids + 1).to(torch.float32) @ torch.tensor([1.0, 9.0, 81.0, 729.0])


rows = st.lists(st.integers(-1, 7), min_size=SLOTS, max_size=SLOTS)


@given(st.lists(rows, max_size=30), st.one_of(st.none(), st.integers(1, 31)))
def test_answers_are_those_of_the_rows_in_their_order(ids, chunk):
    ids = np.array(ids, dtype=np.int64).reshape(-1, SLOTS)
    before, net = ids.copy(), Net()
    answers = predict_in_chunks(net, ids, chunk)
    assert answers.dtype == np.float32
    assert answers.tolist() == ((ids + 1) @ [1, 9, 81, 729]).tolist()
    np.testing.assert_array_equal(ids, before)
    assert sum(map(len, net.asked)) == len(ids)
    if chunk is None:
        assert len(net.asked) <= 1
    else:
        assert all(len(lengths) <= chunk for lengths in net.asked)
    if len(net.asked) > 1:  # networks of like length together
        lengths = [length for asked in net.asked for length in asked]
        assert lengths == sorted(lengths)
