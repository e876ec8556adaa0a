"""Checks of arguments: masked arrays."""

import numpy as np
import pytest

from hilbertsd import distill
from hilbertsd.errors import InvalidInput, InvalidKernel, InvalidTargets
from hilbertsd.gram import StoredKernel
from hilbertsd.support.checks import as_real_array, as_real_float64

MATRIX = np.eye(5) + 1
HIDING = np.ma.masked_array(MATRIX, np.eye(5, dtype=bool))


def test_masked_values_are_counted_and_refused():
    with pytest.raises(
        InvalidInput, match="5 of 25 values in features are masked; drop their samples, or fill them in"
    ):
        as_real_float64(HIDING, "features", InvalidInput)


def test_a_masked_array_without_masked_values_becomes_a_plain_one():
    for mask in (np.ma.nomask, np.zeros((5, 5), dtype=bool)):
        array = as_real_array(np.ma.masked_array(MATRIX, mask), "features", InvalidInput)
        assert type(array) is np.ndarray
        np.testing.assert_array_equal(array, MATRIX)


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_masked_kernel_matrices_and_targets_are_refused(method):
    targets = np.arange(5.0)
    with pytest.raises(InvalidKernel, match="5 of 25 values in kernel_matrix are masked"):
        distill(HIDING, targets, tolerance=0.1, method=method)
    with pytest.raises(InvalidTargets, match="2 of 5 values in targets are masked"):
        distill(MATRIX, np.ma.masked_less(targets, 1.5), tolerance=0.1, method=method)
    with pytest.raises(InvalidKernel, match="5 of 25 values in kernel_matrix are masked"):
        StoredKernel(HIDING)
    path = distill(np.ma.masked_array(MATRIX), np.ma.masked_array(targets), tolerance=0.1, method=method)
    np.testing.assert_array_equal(path.multipliers, distill(MATRIX, targets, tolerance=0.1, method=method).multipliers)
