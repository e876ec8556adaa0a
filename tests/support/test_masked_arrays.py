"""Arrays with masked entries are refused at every door: what is under a mask is no data."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import (
    SelfDistilledKernelClassifier,
    SelfDistilledKernelRegressor,
    Spectrum,
    bounds,
    distill,
    filters,
    solve_multiplier,
    training_error,
)
from hilbertsd.errors import InvalidCrossKernel, InvalidInput, InvalidKernel, InvalidTargets


def masked(values, position=1):
    mask = np.zeros(np.shape(values), dtype=bool)
    mask.flat[position] = True
    return np.ma.masked_array(values, mask)


X = np.random.default_rng(0).normal(size=(12, 2))
K, Y = rbf_kernel(X), np.sin(3 * X[:, 0])
CALLS = {
    "targets, exact": (InvalidTargets, lambda: distill(K, masked(Y), tolerance=0.1, method="exact")),
    "targets, krylov": (InvalidTargets, lambda: distill(K, masked(Y), tolerance=0.1, method="krylov")),
    "targets, products": (InvalidTargets, lambda: distill(lambda block: K @ block, masked(Y), tolerance=0.1)),
    "kernel, exact": (InvalidKernel, lambda: distill(masked(K), Y, tolerance=0.1, method="exact")),
    "kernel, krylov": (InvalidKernel, lambda: distill(masked(K), Y, tolerance=0.1, method="krylov")),
    "steps": (InvalidTargets, lambda: Spectrum.from_operator(K, masked(Y), steps=2)),
    "cross kernel": (InvalidCrossKernel, lambda: distill(K, Y, tolerance=0.1).predict(masked(K))),
    "energies": (InvalidInput, lambda: solve_multiplier([1.0, 2.0], masked([1.0, 1.0]), 0.1)),
    "eigenvalues": (InvalidInput, lambda: training_error(masked([1.0, 2.0]), [1.0, 1.0], 0.1)),
    "bounds": (InvalidInput, lambda: bounds.multiplier_bracket(masked([1.0, 2.0]), 2.0)),
    "multipliers": (InvalidInput, lambda: filters.distillation(masked([1.0, 2.0]))),
    "X of a regressor": (InvalidInput, lambda: SelfDistilledKernelRegressor().fit(masked(X), Y)),
    "y of a regressor": (InvalidTargets, lambda: SelfDistilledKernelRegressor().fit(X, masked(Y))),
    "X of a prediction": (InvalidInput, lambda: SelfDistilledKernelRegressor().fit(X, Y).predict(masked(X))),
    "y of a classifier": (InvalidTargets, lambda: SelfDistilledKernelClassifier().fit(X, masked((Y > 0).astype(int)))),
}


@pytest.mark.parametrize("name", CALLS)
def test_masked_entries_are_refused(name):
    error, call = CALLS[name]
    with pytest.raises(error, match="mask"):
        call()


def test_a_mask_that_hides_nothing_changes_nothing():
    found = distill(np.ma.masked_array(K), np.ma.masked_array(Y), tolerance=0.1)
    np.testing.assert_array_equal(found.multipliers, distill(K, Y, tolerance=0.1).multipliers)
