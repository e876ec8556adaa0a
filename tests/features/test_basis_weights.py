"""Weights in bins of the eigenvalue: of a path they are d/(c + d) and B_t, of anything else the share that is kept."""

import numpy as np
import pytest

import hilbertsd
from hilbertsd.errors import InvalidInput, InvalidKernel, InvalidTargets
from hilbertsd.features import EigenBins, weights_distance

N = 12


def kernel_with(eigenvalues, rng):
    """Kernel matrix whose kernel_matrix/n has these eigenvalues, and its eigenvectors in columns."""
    vectors = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))[0]
    return len(eigenvalues) * (vectors * eigenvalues) @ vectors.T, vectors


def test_bins_of_one_eigenvector_have_the_weights_of_the_path(rng):
    d = 2.0 ** -np.arange(N)[::-1]
    K, _ = kernel_with(d, rng)
    Y = rng.normal(size=(N, 3))
    path = hilbertsd.distill(K, Y, relative_tolerance=0.1)
    bins = EigenBins.of(K, N)
    assert sorted(bins.places) == list(range(N))
    assert np.all(np.diff(np.log(bins.centres)) > 0)
    for t in range(path.n_rounds):
        kept = bins.weights(path.train_predictions(t), Y)
        np.testing.assert_allclose(kept.weights, path.basis_weights[t], rtol=1e-8, atol=1e-12)
        assert kept.energies.sum() == pytest.approx(1, rel=1e-12)
    own = bins.weights(path.train_predictions(1), path.train_predictions(0))
    np.testing.assert_allclose(own.weights, d / (path.multipliers[1] + d), rtol=1e-8)


def test_a_bin_is_a_mean_weighted_by_energy_and_zero_eigenvalues_are_in_none(rng):
    d = np.array([0.0, 0.0, 0.1, 0.11, 0.9, 1.0])
    K, vectors = kernel_with(d, rng)
    coefficients, phi = rng.normal(size=(6, 2)), np.array([0.5, 0.5, 0.1, 0.3, 0.8, 1.0])
    Y, F = vectors @ coefficients, vectors @ (phi[:, None] * coefficients)
    bins = EigenBins.of(K, 3)
    assert bins.places.tolist() == [-1, -1, 0, 0, 2, 2]
    kept, energy = bins.weights(F, Y), np.sum(coefficients**2, axis=1)
    for place, which in ((0, [2, 3]), (2, [4, 5])):
        assert kept.weights[place] == pytest.approx(np.average(phi[which], weights=energy[which]), rel=1e-9)
        assert kept.energies[place] == pytest.approx(energy[which].sum() / energy.sum(), rel=1e-9)
    assert (kept.energies[1], np.isnan(kept.weights[1])) == (0, True)
    np.testing.assert_allclose(
        bins.weights(F[:, 0], Y[:, 0]).energies.sum(), 1 - np.sum(coefficients[:2, 0] ** 2) / np.sum(Y[:, 0] ** 2)
    )


def test_the_distance_counts_energy():
    assert weights_distance([[1.0, 0.0]], [[0.0, 0.5]], [[0.25, 0.75]]) == pytest.approx(np.sqrt(0.25 + 0.75 * 0.25))
    assert weights_distance([1.0, np.nan], [0.5, np.nan], [2.0, 0.0]) == 0.5


def test_bad_input_is_refused(rng):
    K, _ = kernel_with(np.array([0.1, 1.0, 2.0]), rng)
    for bad in (np.ones((2, 3)), np.zeros((3, 3))):
        with pytest.raises(InvalidKernel, match="kernel_matrix has"):
            EigenBins.of(bad, 3)
    with pytest.raises(InvalidInput, match="count is 0"):
        EigenBins.of(K, 0)
    bins = EigenBins.of(K, 3)
    with pytest.raises(InvalidTargets, match=r"outputs have shape \(3, 2\) and targets \(3,\) for 3 samples"):
        bins.weights(np.ones((3, 2)), np.ones(3))
    with pytest.raises(InvalidTargets, match="targets are zero"):
        bins.weights(np.ones(3), np.zeros(3))
    for arrays in (([1.0], [1.0, 2.0], [1.0]), ([1.0], [1.0], [0.0])):
        with pytest.raises(InvalidInput, match="weights have shapes"):
            weights_distance(*arrays)
