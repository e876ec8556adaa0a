"""Generalised cross-validation from random vectors against the exact one."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import StochasticCrossValidation, distill, mix_rounds, score_rounds
from hilbertsd.errors import InvalidInput
from hilbertsd.gram.operators import ComputedKernel


def kernel(X, Y):
    return rbf_kernel(X, Y, gamma=0.3)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 3))
    return X, np.sin(X[:, :2]) + 0.4 * rng.normal(size=(400, 2))


def test_scores_are_the_exact_ones_up_to_their_standard_error(problem):
    X, targets = problem
    kernel_matrix = rbf_kernel(X, gamma=0.3)
    exact = distill(kernel_matrix, targets, relative_tolerance=0.1)
    krylov = distill(ComputedKernel(kernel, X), targets, relative_tolerance=0.1, rtol=0.05)
    expected = score_rounds(exact, "gcv")
    for path, operator in ((exact, kernel_matrix), (krylov, ComputedKernel(kernel, X))):
        z = []
        for seed in range(12):
            criterion = StochasticCrossValidation(operator, seed=seed)
            z.append((score_rounds(path, criterion) - expected) / criterion.standard_errors(path))
        z = np.array(z)
        assert z.shape == (12, path.n_rounds)
        assert np.abs(z).max() < 4.5
        assert 0.5 < np.sqrt(np.mean(z**2)) < 1.6
        mixture = mix_rounds(path, criterion=StochasticCrossValidation(operator, probes=64))
        np.testing.assert_allclose(mixture.weights, mix_rounds(exact, criterion="gcv").weights, atol=0.05)


def test_more_vectors_have_a_smaller_error(problem):
    X, targets = problem
    operator = ComputedKernel(kernel, X)
    path = distill(operator, targets, relative_tolerance=0.2)
    few, many = (StochasticCrossValidation(operator, probes=p).standard_errors(path) for p in (8, 128))
    np.testing.assert_allclose(np.log(many / few), np.log(1 / 4), atol=0.8)


def test_quadrature_is_exact_with_all_steps(problem):
    """One vector's vᵀ(I − B_t)v by the dense matrix."""
    X, targets = problem
    X, targets = X[:30], targets[:30]
    kernel_matrix = rbf_kernel(X, gamma=0.3)
    path = distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=3)
    shares, _ = StochasticCrossValidation(kernel_matrix, probes=2, steps=15, seed=7).free_shares(path)
    signs = np.random.default_rng(7).choice([-1.0, 1.0], size=(30, 2))
    S = np.eye(30)
    for t, c in enumerate(path.multipliers):
        S = np.linalg.solve(30 * c * np.eye(30) + kernel_matrix, kernel_matrix @ S)
        assert shares[t] == pytest.approx(np.mean([v @ (v - S @ v) / 30 for v in signs.T]), rel=1e-8)


def test_bad_settings_are_told(problem):
    X, targets = problem
    kernel_matrix = rbf_kernel(X, gamma=0.3)
    path = distill(kernel_matrix, targets, relative_tolerance=0.3)
    with pytest.raises(InvalidInput, match="probes is 1; give at least 2"):
        score_rounds(path, StochasticCrossValidation(kernel_matrix, probes=1))
    other = distill(kernel_matrix[:50, :50], targets[:50], relative_tolerance=0.3)
    with pytest.raises(InvalidInput, match="the operator has 400 points and the path 50"):
        score_rounds(other, StochasticCrossValidation(kernel_matrix))
    mixed = distill(kernel_matrix, targets, relative_tolerance=0.3, max_rounds=2, ground_truth_weight=0.5)
    with pytest.raises(InvalidInput, match="ground truth"):
        score_rounds(mixed, StochasticCrossValidation(kernel_matrix))
