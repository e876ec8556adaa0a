"""Early stopping: the matched single fits."""

import mpmath
import numpy as np
import pytest
from oracle import Problem, _root

from hilbertsd import Spectrum, distill, distill_spectrum, stop_early
from hilbertsd.errors import InvalidRound


def test_single_fits_have_the_training_errors_of_the_rounds(data):
    kernel_matrix, targets, cross_kernel = data
    path = distill(kernel_matrix, targets, tolerance=0.2)
    single = stop_early(path)
    n = len(kernel_matrix)
    for t in range(path.n_rounds):
        fit = np.linalg.solve(single.multipliers[t] * n * np.eye(n) + kernel_matrix, targets)
        residuals = targets - kernel_matrix @ fit
        assert np.sum(residuals**2) / n == pytest.approx(path.training_errors[t], rel=1e-9)
        np.testing.assert_allclose(single.predict(cross_kernel, t), cross_kernel @ fit, rtol=1e-7, atol=1e-9)
        assert single.fit(t).training_error == pytest.approx(single.tolerances[t], rel=1e-12)
        np.testing.assert_allclose(single.fit(t).weights, single.weights[t])
    np.testing.assert_allclose(single.predict(cross_kernel, 0), path.predict(cross_kernel, 0), rtol=1e-9)
    assert np.all(np.diff(single.multipliers) > 0)


@pytest.mark.parametrize("seed", range(6))
def test_multipliers_against_the_oracle(seed):
    """Root of E_0(c') = Σ e (1−B_t)² at 50 digits, for B_t of the path's own multipliers."""
    problem = Problem.random(8, 2, 6, 0.5, 0, 0, 2, seed)
    spectrum = Spectrum(problem.eigenvalues, problem.rotated_targets, np.eye(8), False, 0.0, 0.0)
    path = distill_spectrum(spectrum, tolerance=problem.tolerance)
    single = stop_early(path)
    with mpmath.workdps(50):
        d = [mpmath.mpf(float(v)) for v in problem.eigenvalues]
        energies = [mpmath.fsum(mpmath.mpf(float(v)) ** 2 for v in row) / 8 for row in problem.rotated_targets]
        weights = [mpmath.mpf(1)] * 8
        for t in range(path.n_rounds):
            c = mpmath.mpf(float(path.multipliers[t]))
            weights = [b * dk / (c + dk) for b, dk in zip(weights, d, strict=True)]
            error = mpmath.fsum(e * (1 - b) ** 2 for e, b in zip(energies, weights, strict=True))
            assert single.multipliers[t] == pytest.approx(float(_root(d, energies, error)), rel=1e-10)


def test_singular_kernels_and_fixed_multipliers():
    eigenvalues = np.array([0.0, 0.1, 1.0, 3.0])
    spectrum = Spectrum(eigenvalues, np.array([[0.1], [1.0], [2.0], [3.0]]), np.eye(4), True, 0.0, 0.0)
    for path in (
        distill_spectrum(spectrum, tolerance=0.05),
        distill_spectrum(spectrum, multiplier=0.3, max_rounds=4),
    ):
        single = stop_early(path)
        for t in range(path.n_rounds):
            assert single.fit(t).training_error == pytest.approx(path.training_errors[t], rel=1e-12)
        with pytest.raises(InvalidRound):
            single.fit(path.n_rounds)
        with pytest.raises(InvalidRound):
            single.fit(1.5)


def test_rounds_that_explain_all_or_nothing_in_double_precision():
    from sklearn.metrics.pairwise import rbf_kernel

    x = np.random.default_rng(0).normal(size=(20, 1))
    long = stop_early(distill(rbf_kernel(x), x[:, 0], multiplier=1.0, max_rounds=1200))
    assert long.multipliers[-1] == np.inf
    assert np.all(np.diff(long.multipliers[np.isfinite(long.multipliers)]) > 0)
    assert not np.any(long.weights[-1])
    with pytest.raises(InvalidRound, match="leaves all of the targets over"):
        long.fit(-1)
    for kernel_matrix, targets in ((np.zeros((2, 2)), [1.0, 2.0]), (np.ones((2, 2)), [1.0, -1.0])):
        single = stop_early(distill(kernel_matrix, targets, multiplier=1.0, max_rounds=2))
        assert np.all(single.multipliers > 0)
    exact = stop_early(distill(np.eye(3), [1.0, 2.0, 3.0], multiplier=1e-200, max_rounds=2))
    assert exact.multipliers.tolist() == [0, 0]
    np.testing.assert_array_equal(exact.weights, 1)
    with pytest.raises(InvalidRound, match="leaves nothing of the targets over"):
        exact.fit(0)


def test_two_weights_of_a_single_fit_differ_by_their_eigenvalues_at_most(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, tolerance=0.05)
    d, single = path.eigenvalues, stop_early(path)
    assert np.all(single.weights[:, 1:] / single.weights[:, :-1] <= d[1:] / d[:-1] * (1 + 1e-12))
    last = path.basis_weights[-1]
    assert np.any(last[1:] / last[:-1] > d[1:] / d[:-1] * 1.01)
