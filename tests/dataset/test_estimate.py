"""Labels and what each counts, by hand."""

import numpy as np
import pandas as pd
import pytest

from latpred.dataset import label_weights, labels

NAN = float("nan")


def test_labels_by_hand():
    runs = pd.DataFrame(
        {"network": [7, 3, 7, 7, 7, 9, 9, 3], "overall": [1.0, 5.0, 10.0, 2.0, 3.0, 4.0, 4.0, 7.0]},
        index=[5, 1, 2, 9, 4, 3, 8, 0],
    )
    before = runs.copy()
    found = labels(runs)
    # 7: 1, 2, 3, 10 around 2.5: distances 1.5, 0.5, 0.5, 7.5, whose median is 1. 3: 5 and 7 around 6. 9: both 4.
    assert found["estimate"].to_dict() == {3: 6.0, 7: 2.5, 9: 4.0}
    expected = {3: 1.2533 * 1.4826 / 2**0.5 / 6, 7: 1.2533 * 1.4826 / 2 / 2.5, 9: 0.0}
    assert found["relative_error"].to_dict() == pytest.approx(expected)
    pd.testing.assert_frame_equal(runs, before)


def test_a_single_run_has_no_error_of_its_own():
    found = labels(pd.DataFrame({"network": [0, 1, 1], "overall": [2.0, 3.0, 5.0]}))
    assert found["estimate"].tolist() == [2.0, 4.0]
    assert found["relative_error"].isna().tolist() == [True, False]


def test_the_error_is_that_of_a_median():
    """Medians of 25 normal runs of 2 % scatter by 1.2533 x 2 % / 5 = 0.5 %."""
    values = np.random.default_rng(0).normal(10, 0.2, (2000, 25))
    runs = pd.DataFrame({"network": np.repeat(np.arange(2000), 25), "overall": values.ravel()})
    found = labels(runs)
    scatter = found["estimate"].std() / 10
    assert scatter == pytest.approx(0.005, rel=0.05)
    assert found["relative_error"].mean() == pytest.approx(scatter, rel=0.06)


def test_weights_by_hand():
    error = pd.Series([0.01, NAN, 0.03], index=[4, 2, 8])
    # The typical error is 0.02, which stands for the unknown one and is added to all.
    raw = {4: 1 / (0.0001 + 0.0004), 2: 1 / (0.0004 + 0.0004), 8: 1 / (0.0009 + 0.0004)}
    mean = sum(raw.values()) / 3
    assert label_weights(error).to_dict() == pytest.approx({key: value / mean for key, value in raw.items()})
    assert error.isna().tolist() == [False, True, False]


@pytest.mark.parametrize("errors", [[NAN, NAN], [0.0, 0.0], [0.0, 0.0, 0.5], []])
def test_all_count_alike_where_no_typical_error_is_known(errors):
    weights = label_weights(pd.Series(errors, dtype=float))
    assert weights.tolist() == [1.0] * len(errors)
