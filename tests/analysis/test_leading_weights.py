"""Basis weights at the largest eigenvalues of Krylov paths enclose the exact ones."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import Spectrum, distill, distill_spectrum, leading_basis_weights
from hilbertsd.errors import InvalidInput


@pytest.fixture(scope="module")
def paths():
    """Exact and Krylov paths of one problem, and one of a space too small."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 5))
    targets = np.sin(x[:, :2]) + 0.1 * rng.normal(size=(400, 2))
    kernel_matrix, tolerance = rbf_kernel(x, gamma=0.1), 0.1 * np.sum(targets**2) / 400
    exact = distill(kernel_matrix, targets, tolerance=tolerance, method="exact")
    krylov = distill(kernel_matrix, targets, tolerance=tolerance, method="krylov")
    small = distill_spectrum(Spectrum.from_operator(kernel_matrix, targets, steps=8), tolerance=tolerance)
    return exact, krylov, small


def test_the_exact_ones_are_themselves(paths):
    exact = paths[0]
    leading = leading_basis_weights(exact, 7)
    np.testing.assert_array_equal(leading.eigenvalues, exact.eigenvalues[::-1][:7])
    np.testing.assert_array_equal(leading.weights, exact.basis_weights[:, ::-1][:, :7])
    np.testing.assert_allclose(leading.weight_bounds, leading.weights[..., None] * np.ones(2), rtol=1e-12)


@pytest.mark.parametrize(("which", "k", "width"), [(1, 6, 1e-5), (2, 4, 1e-2)])
def test_krylov_enclosures_hold_the_exact_ones(paths, which, k, width):
    exact, krylov = leading_basis_weights(paths[0], k), leading_basis_weights(paths[which], k)
    low, high = krylov.eigenvalue_bounds.T
    assert np.all((low <= exact.eigenvalues) & (exact.eigenvalues <= high))
    rounds = min(len(exact.weights), len(krylov.weights))
    low, high = np.moveaxis(krylov.weight_bounds[:rounds], 2, 0)
    assert np.all((low <= exact.weights[:rounds]) & (exact.weights[:rounds] <= high))
    assert np.max(high - low) < width


def test_the_check_can_fail(paths):
    """Without the remainder the enclosures of a space too small miss."""
    small = paths[2]
    blind = dataclasses.replace(small.spectrum, remainder=np.zeros_like(small.spectrum.remainder))
    exact = leading_basis_weights(paths[0], 12)
    found = leading_basis_weights(distill_spectrum(blind, tolerance=small.tolerance), 12)
    low, high = found.eigenvalue_bounds.T
    assert not np.all((low <= exact.eigenvalues) & (exact.eigenvalues <= high))


@pytest.mark.parametrize("k", [0, 401, -1, 2.0, True, None])
def test_bad_numbers_are_refused(paths, k):
    with pytest.raises(InvalidInput, match=f"k is {k}(; give a whole number| and 400 eigenvalues are known)"):
        leading_basis_weights(paths[0], k)
