import numpy as np
import pytest

from latpred.errors import ProfilingError
from latpred.profiling.runtimes.check import check_output

EXPECTED = np.array([[0.0, -4.0, 1.0]], dtype=np.float32)


def check(found, expected=EXPECTED, tolerance=0.01):
    check_output(np.array(found, dtype=np.float32), expected, tolerance, "network 5 on some runtime")


@pytest.mark.parametrize("found", [[[0.0, -4.0, 1.0]], [[0.039, -3.961, 1.0]]])
def test_within_the_tolerance_of_the_largest_value(found):
    check(found)  # 0.039 is less than 0.01 * 4, though endless beside the 0.0


def test_a_larger_difference_is_refused():
    message = (
        r"network 5 on some runtime: expected PyTorch's output within 0\.01 of .*, found a difference of 0\.0125\."
    )
    with pytest.raises(ProfilingError, match=message):
        check([[0.05, -4.0, 1.0]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ProfilingError, match="expected a finite output, found 2 of 3 values that are not"):
        check([[0.0, value, value]])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_expected_output_that_nothing_can_be_compared_with_is_refused(value):
    with pytest.raises(ProfilingError, match=f"to have a finite maximum > 0 to compare with, found {value}"):
        check([[0.0, 0.0, 0.0]], np.full((1, 3), value, dtype=np.float32))


def test_an_output_of_zeros_is_refused():
    with pytest.raises(ProfilingError, match=r"found a difference of 1\."):
        check([[0.0, 0.0, 0.0]])


@pytest.mark.parametrize("found", [[0.0, -4.0, 1.0], [[0.0], [-4.0], [1.0]], [[]]])
def test_another_shape_is_refused_though_the_values_would_fit(found):
    shape = str(list(np.shape(found))).replace("[", r"\[")
    with pytest.raises(ProfilingError, match=rf"expected an output of shape \[1, 3\] as PyTorch's, found {shape}"):
        check(found)


def test_an_empty_output_is_refused():
    with pytest.raises(ProfilingError, match=r"found 0\.0"):
        check([[]], np.empty((1, 0), dtype=np.float32))
