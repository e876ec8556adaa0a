"""Scores of rounds against refits, dense matrices and simulated noise."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import Folds, Holdout, Spectrum, UnbiasedRisk, distill, distill_spectrum, greens, score_rounds
from hilbertsd import leave_one_out_errors as errors_left_out
from hilbertsd.analysis import criteria
from hilbertsd.errors import (
    CollapseWarning,
    InvalidCrossKernel,
    InvalidInput,
    InvalidRound,
    InvalidTargets,
    NotConverged,
)

NAMES = ("loo", "folds", "gcv", "sure")


@pytest.fixture
def path(data):
    kernel_matrix, targets, _ = data
    return distill(kernel_matrix, targets, relative_tolerance=0.15)


def smoothers(kernel_matrix, path):
    """Dense S_t = H_t ⋯ H_0 of every round."""
    n = len(kernel_matrix)
    S = np.eye(n)
    for c in path.multipliers:
        S = np.linalg.solve(n * c * np.eye(n) + kernel_matrix, kernel_matrix @ S)
        yield S


def without(kernel_matrix, targets, multipliers, points):
    """Predictions at some points of every round of the chain that is fitted to the others, with the path's n c_t."""
    n, others = len(kernel_matrix), np.setdiff1d(np.arange(len(kernel_matrix)), points)
    part, current = kernel_matrix[np.ix_(others, others)], targets[others]
    for c in multipliers:
        alpha = np.linalg.solve(n * c * np.eye(len(others)) + part, current)
        current = part @ alpha
        yield kernel_matrix[np.ix_(points, others)] @ alpha


@pytest.mark.parametrize("count", [2, 5, 7, 60])
def test_folds_are_chains_refitted_without_them(data, path, count):
    kernel_matrix, targets, _ = data
    folds = np.array_split(np.random.default_rng(4).permutation(60), count)
    sums = np.zeros(path.n_rounds)
    for points in folds:
        for t, predictions in enumerate(without(kernel_matrix, targets, path.multipliers, points)):
            sums[t] += np.sum((predictions - targets[points]) ** 2)
    np.testing.assert_allclose(score_rounds(path, Folds(count, seed=4)), sums / 60, rtol=1e-9)
    if count == 60:
        np.testing.assert_allclose(score_rounds(path, "loo"), sums / 60, rtol=1e-9)


def test_singular_kernels_and_single_outputs(rng):
    x = np.append(rng.uniform(size=18), [0.0, 1.0])
    kernel_matrix, targets = greens.simply_supported_spline(x), np.sin(7 * x) + 0.1 * rng.normal(size=20)
    path = distill(kernel_matrix, targets, relative_tolerance=0.3, max_rounds=4)
    fold = np.array_split(np.random.default_rng(0).permutation(20), 5)
    residuals = np.empty((path.n_rounds, 20))
    for points in fold:
        for t, predictions in enumerate(without(kernel_matrix, targets, path.multipliers, points)):
            residuals[t, points] = targets[points] - predictions
    np.testing.assert_allclose(score_rounds(path, "folds"), np.mean(residuals**2, axis=1), rtol=1e-9)
    np.testing.assert_allclose(score_rounds(path, "loo"), errors_left_out(path)[:-1], rtol=1e-12)
    for t, S in enumerate(smoothers(kernel_matrix, path)):
        left = 1 - np.trace(S) / 20
        expected = np.mean((targets - S @ targets) ** 2) / left**2
        assert score_rounds(path, "gcv")[t] == pytest.approx(expected, rel=1e-9)


def test_scores_of_the_spectrum_are_those_of_dense_matrices(data, path):
    kernel_matrix, targets, _ = data
    for t, S in enumerate(smoothers(kernel_matrix, path)):
        error, left = np.sum((targets - S @ targets) ** 2) / 60, 1 - np.trace(S) / 60
        assert score_rounds(path, "gcv")[t] == pytest.approx(error / left**2, rel=1e-10)
        assert score_rounds(path, UnbiasedRisk(0.2))[t] == pytest.approx(error + 0.2 * (1 - 2 * left), rel=1e-10)


def test_noise_is_estimated_from_the_round_that_is_best_by_generalised_cross_validation(data, path):
    kernel_matrix, targets, _ = data
    other = distill(kernel_matrix, targets, multiplier=1e-4, max_rounds=30)
    assert np.argmin(other.training_errors) == 0 < np.argmin(score_rounds(other, "gcv"))
    for each in (path, other):
        best = int(np.argmin(score_rounds(each, "gcv")))
        noise = each.training_errors[best] / (1 - each.basis_weights[best].sum() / 60)
        np.testing.assert_allclose(score_rounds(each, "sure"), score_rounds(each, UnbiasedRisk(noise)), rtol=1e-10)


def test_the_unbiased_risk_is_the_distance_from_the_noiseless_targets_on_average(data):
    kernel_matrix, _, _ = data
    rng, noise = np.random.default_rng(1), 0.3
    truth = kernel_matrix @ rng.normal(size=60) / 4
    whole = Spectrum.from_kernel(kernel_matrix, truth)
    surplus = []
    for _ in range(300):
        drawn = truth + np.sqrt(noise) * rng.normal(size=60)
        rotated = np.asarray(whole.basis).T @ drawn[:, None]
        noisy = Spectrum(whole.eigenvalues, rotated, whole.basis, True, 0.0, whole.rounding)
        path = distill_spectrum(noisy, multiplier=0.02, max_rounds=3)
        risks = [np.mean((truth - path.train_predictions(t)) ** 2) for t in range(3)]
        surplus.append(score_rounds(path, UnbiasedRisk(noise)) - risks)
    mean, error = np.mean(surplus, axis=0), np.std(surplus, axis=0) / np.sqrt(300)
    assert np.all(np.abs(mean) < 4 * error)
    assert np.all(error < 0.01)


def test_a_holdout_is_the_error_at_its_points(data, path):
    _, _, cross_kernel = data
    other = np.random.default_rng(2).normal(size=(7, 2))
    expected = [np.sum((path.predict(cross_kernel, t) - other) ** 2) / 7 for t in range(path.n_rounds)]
    np.testing.assert_allclose(score_rounds(path, Holdout(cross_kernel, other)), expected, rtol=1e-12)


def test_a_krylov_path_has_the_holdout_alone(data):
    kernel_matrix, targets, cross_kernel = data
    exact = distill(kernel_matrix, targets, relative_tolerance=0.3)
    krylov = distill(kernel_matrix, targets, relative_tolerance=0.3, method="krylov")
    other = np.ones((7, 2))
    found, expected = (score_rounds(path, Holdout(cross_kernel, other)) for path in (krylov, exact))
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # rtol of the multipliers is 1e-6
    for name in NAMES:
        with pytest.raises(InvalidInput, match="distil with method='exact'"):
            score_rounds(krylov, name)


@pytest.mark.parametrize("name", NAMES)
def test_scores_have_the_units_of_the_targets_squared(data, name):
    kernel_matrix, targets, _ = data
    one, other = (
        distill(kernel_matrix * scale, targets * size, relative_tolerance=0.2)
        for scale, size in ((1.0, 1.0), (1e-30, 1e5))
    )
    np.testing.assert_allclose(score_rounds(other, name), 1e10 * score_rounds(one, name), rtol=1e-8)


def test_the_score_of_a_long_path_keeps_its_digits():
    """A multiplier so small that 1 − B_t cancels: the rows are as exact as for larger ones."""
    kernel_matrix = np.diag([1.0, 2.0, 4.0])
    path = distill(kernel_matrix, np.array([1.0, 1.0, 1.0]), multiplier=1e-18, max_rounds=1)
    d = np.array([1.0, 2.0, 4.0]) / 3
    left = 1e-18 / d
    assert score_rounds(path, "gcv")[0] == pytest.approx(np.mean(left**2) / np.mean(left) ** 2, rel=1e-12)


def test_bad_criteria_are_told(data, path):
    _, _, cross_kernel = data
    with pytest.raises(InvalidInput, match="criterion is 'aic'; give one of loo, folds, gcv, sure"):
        score_rounds(path, "aic")
    for count in (1, 61):
        with pytest.raises(InvalidInput, match=f"count is {count} folds for 60 points; give from 2 to 60"):
            score_rounds(path, Folds(count))
    with pytest.raises(InvalidInput, match="noise"):
        score_rounds(path, UnbiasedRisk(0.0))
    with pytest.raises(InvalidTargets, match=r"shape \(7,\) .* predict \(7, 2\)"):
        score_rounds(path, Holdout(cross_kernel, np.zeros(7)))
    for bad in (cross_kernel[:, :5], 1.0, [[1.0], [1.0, 2.0]]):
        with pytest.raises(InvalidCrossKernel):
            score_rounds(path, Holdout(bad, np.zeros((7, 2))))
    for bad_targets, rows in ((np.full((7, 2), np.nan), 7), (np.zeros((0, 2)), 0)):
        with pytest.raises(InvalidTargets, match=f"{rows} points are held out; give at least one, with finite targets"):
            score_rounds(path, Holdout(cross_kernel[:rows], bad_targets))
    for bad in (None, Folds, False, 0.5):
        with pytest.raises(InvalidInput, match=r"criterion is .*; give one of loo, folds, gcv, sure, or for instance"):
            score_rounds(path, bad)
    with pytest.raises(InvalidInput, match="seed is -1"):
        score_rounds(path, Folds(seed=-1))
    with pytest.warns(CollapseWarning):
        none = distill(data[0], data[1], relative_tolerance=1.5)
    for name in NAMES:
        with pytest.raises(InvalidRound, match="no round to score"):
            score_rounds(none, name)
    assert list(criteria.NAMED) == list(NAMES)


def test_kernels_of_another_array_library(data):
    pytest.importorskip("jax")
    import jax

    kernel_matrix, targets, cross_kernel = data
    with jax.enable_x64(True):
        numpy_path, jax_path = (
            distill(to(kernel_matrix), to(targets), relative_tolerance=0.2) for to in (np.asarray, jax.numpy.asarray)
        )
        for criterion in (*NAMES, Holdout(cross_kernel, np.ones((7, 2)))):
            found = score_rounds(jax_path, criterion)
            assert isinstance(found, np.ndarray)
            np.testing.assert_allclose(found, score_rounds(numpy_path, criterion), rtol=1e-8)


def test_points_of_a_fold_that_cannot_be_told_apart_are_told():
    twins = np.kron(np.eye(3), np.ones((2, 2)))
    path = distill(twins, np.arange(1.0, 7), multiplier=1e-12, max_rounds=1)
    assert score_rounds(path, "loo") == pytest.approx([1.0])
    with pytest.raises(NotConverged, match="leave them out one by one"):
        score_rounds(path, Folds(2))


def test_one_point_has_no_neighbours():
    path = distill(np.eye(1), np.ones(1), relative_tolerance=0.5)
    assert score_rounds(path, "loo") == pytest.approx([1.0])
    assert len(score_rounds(distill(rbf_kernel([[0.0]]), np.ones(1), multiplier=1.0, max_rounds=2), "gcv")) == 2


@pytest.mark.parametrize("outputs", [1, 2])
def test_folds_of_a_krylov_path_are_those_of_the_decomposition(data, outputs):
    kernel, targets, _ = data
    targets = targets[:, :outputs]
    exact = distill(kernel, targets, relative_tolerance=0.1)
    krylov = distill(kernel, targets, relative_tolerance=0.1, method="krylov")
    assert exact.n_rounds == krylov.n_rounds > 2
    found = score_rounds(krylov, Folds(4, seed=3, operator=kernel))
    np.testing.assert_allclose(found, score_rounds(exact, Folds(4, seed=3)), rtol=1e-5)
    assert not np.allclose(found, score_rounds(exact, Folds(4, seed=4)), rtol=1e-3)
    with pytest.raises(InvalidInput, match=r"give Folds\(4, operator=operator\)"):
        score_rounds(krylov, Folds(4))
    with pytest.raises(InvalidInput, match="the operator has 50 points and the path 60"):
        score_rounds(krylov, Folds(4, operator=kernel[:50, :50]))
    assert Folds(4, operator=kernel) == Folds(4, operator=kernel.copy()) != Folds(3)
