"""Mixtures of rounds against closed forms, refits and small systems at 50 digits."""

import warnings

import mpmath
import numpy as np
import pytest

from hilbertsd import Folds, Holdout, UnbiasedRisk, distill, mix_rounds, score_rounds
from hilbertsd.analysis.criteria import criterion_of
from hilbertsd.errors import CollapseWarning, InvalidInput, InvalidRound, MixtureWarning

NAMES = ("loo", "folds", "gcv", "sure")


@pytest.fixture
def pair(data):
    """Ridge and the fit distilled from it, with one multiplier."""
    kernel_matrix, targets, _ = data
    return distill(kernel_matrix, targets, multiplier=0.02, max_rounds=2)


@pytest.fixture
def holdout(data):
    _, _, cross_kernel = data
    return Holdout(cross_kernel, np.random.default_rng(8).normal(size=(7, 2)))


def test_two_rounds_have_the_weight_of_the_published_formula(data, pair):
    """ξ = (A − C)/(A + B − 2C) with dense matrices (Dang, Patil & Rinaldo 2026)."""
    kernel_matrix, targets, _ = data
    S = np.linalg.solve(60 * 0.02 * np.eye(60) + kernel_matrix, kernel_matrix)
    one, two = ((targets - smoother @ targets) / (1 - np.trace(smoother) / 60) / np.sqrt(60) for smoother in (S, S @ S))
    A, B, C = np.sum(one**2), np.sum(two**2), np.sum(one * two)
    share = (A - C) / (A + B - 2 * C)
    mixture = mix_rounds(pair, criterion="gcv")
    np.testing.assert_allclose(mixture.weights, [1 - share, share], rtol=1e-9)
    assert mixture.score == pytest.approx(A - (A - C) ** 2 / (A + B - 2 * C), rel=1e-9)
    np.testing.assert_allclose(mixture.scores, [A, B], rtol=1e-10)
    assert mixture.rank == 1


@pytest.mark.parametrize("criterion", [*NAMES, UnbiasedRisk(0.5), Folds(3, seed=1), "holdout"])
def test_no_other_weights_are_better(data, pair, holdout, criterion):
    kernel_matrix, targets, _ = data
    criterion = holdout if criterion == "holdout" else criterion
    rng = np.random.default_rng(3)
    for path in (pair, distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=4)):
        best = mix_rounds(path, criterion=criterion)
        assert best.weights.sum() == pytest.approx(1, abs=1e-12)
        assert best.score <= score_rounds(path, criterion).min() * (1 + 1e-12)
        for size in (1e-3, 0.1, 1.0):
            away = rng.normal(size=path.n_rounds)
            given = mix_rounds(path, weights=best.weights + size * (away - away.mean()), criterion=criterion)
            assert given.score > best.score
            assert given.rank is None
        for t in range(path.n_rounds):
            single = mix_rounds(path, weights=np.eye(path.n_rounds)[t], criterion=criterion)
            assert single.score == pytest.approx(score_rounds(path, criterion)[t], rel=1e-12)


@pytest.mark.parametrize("criterion", ["loo", "sure"])
def test_weights_are_those_of_the_small_system_at_50_digits(data, criterion):
    """Q w + p/2 = μ 1, Σ w = 1, from score(w) = wᵀQw + pᵀw."""
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, multiplier=0.05, max_rounds=4)
    unit = np.eye(4)

    def score(weights):
        return mix_rounds(path, weights=weights, criterion=criterion).score

    found = mix_rounds(path, criterion=criterion)
    rows, penalties = criterion_of(criterion).residuals(path)
    with mpmath.workdps(50):
        R = mpmath.matrix(rows.tolist())
        system, right = mpmath.zeros(5), mpmath.zeros(5, 1)
        Q = R * R.T
        for i in range(4):
            for j in range(4):
                system[i, j] = 2 * Q[i, j]
            system[i, 4] = system[4, i] = 1
            right[i] = -mpmath.mpf(penalties[i])
        right[4] = 1
        expected = np.array([float(w) for w in mpmath.lu_solve(system, right)[:4]])
    np.testing.assert_allclose(found.weights, expected, rtol=1e-7)
    assert score(unit[0]) == pytest.approx(found.scores[0])


def test_leaving_points_out_of_a_mixture_is_refitting_it_without_them(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=4)
    mixture = mix_rounds(path, criterion="loo")
    errors = []
    for i in range(60):
        others = np.arange(60) != i
        part, current, fit = kernel_matrix[np.ix_(others, others)], targets[others], 0.0
        for c, w in zip(path.multipliers, mixture.weights, strict=True):
            alpha = np.linalg.solve(60 * c * np.eye(59) + part, current)
            current, fit = part @ alpha, fit + w * (kernel_matrix[i, others] @ alpha)
        errors.append(np.sum((fit - targets[i]) ** 2))
    assert mixture.score == pytest.approx(np.mean(errors), rel=1e-9)


def test_a_mixture_predicts_the_weighted_sum(data):
    kernel_matrix, targets, cross_kernel = data
    for y in (targets, targets[:, 0]):
        path = distill(kernel_matrix, y, relative_tolerance=0.1, max_rounds=3)
        weights = np.array([1.7, -1.0, 0.3])
        mixture = mix_rounds(path, weights=weights)
        for found, fits in (
            (mixture.predict(cross_kernel), [path.predict(cross_kernel, t) for t in range(3)]),
            (mixture.train_predictions(), [path.train_predictions(t) for t in range(3)]),
        ):
            np.testing.assert_allclose(found, np.tensordot(weights, fits, 1), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(mixture.basis_weights, weights @ path.basis_weights)


def test_ground_truth_mixed_into_targets_has_the_limit_of_a_larger_multiplier(data):
    """f_t fitted to α y + (1 − α) f_{t−1} tends to ridge with c/α (Borup & Andersen 2021)."""
    kernel_matrix, targets, _ = data
    share, c, T = 0.4, 0.05, 120
    path = distill(kernel_matrix, targets, multiplier=c, max_rounds=T)
    weights = share * (1 - share) ** np.arange(T)
    weights[-1] = (1 - share) ** (T - 1)
    H = np.linalg.solve(60 * c * np.eye(60) + kernel_matrix, kernel_matrix)
    f = H @ targets
    for _ in range(T - 1):
        f = H @ (share * targets + (1 - share) * f)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixture = mix_rounds(path, weights=weights, criterion="sure")
    np.testing.assert_allclose(mixture.train_predictions(), f, rtol=1e-10, atol=1e-12)
    ridge = np.linalg.solve(60 * c / share * np.eye(60) + kernel_matrix, kernel_matrix @ targets)
    np.testing.assert_allclose(mixture.train_predictions(), ridge, atol=1e-10)


def test_the_gain_is_that_of_the_slope_of_the_risk(data, holdout):
    """f̃ = f̂ + λ df̂/dλ, so R* = R − (λ²/4) R′²/(R + R̃ − 2C) (Dang, Patil & Rinaldo 2026)."""
    kernel_matrix, targets, cross_kernel = data
    for c in (1e-3, 0.02, 0.3):
        pair = distill(kernel_matrix, targets, multiplier=c, max_rounds=2)
        alpha = np.linalg.solve(60 * c * np.eye(60) + kernel_matrix, targets)
        slope = -60 * cross_kernel @ np.linalg.solve(60 * c * np.eye(60) + kernel_matrix, alpha)
        first, second = (pair.predict(cross_kernel, t) for t in range(2))
        assert np.abs(second - (first + c * slope)).max() < 1e-8 * np.abs(first).max()
        risk_slope = 2 * np.sum((first - holdout.targets) * slope) / 7
        distance = np.sum((first - second) ** 2) / 7
        mixture = mix_rounds(pair, criterion=holdout)
        assert mixture.score == pytest.approx(mixture.scores[0] - c**2 / 4 * risk_slope**2 / distance, rel=1e-6)


def test_weights_go_beyond_0_and_1(data):
    """A ridge fit that is too strong is sharpened, one that is too weak shrunk further."""
    kernel_matrix, targets, _ = data
    smooth = kernel_matrix @ np.linalg.lstsq(kernel_matrix + 0.5 * np.eye(60), targets)[0]
    strong = distill(kernel_matrix, smooth, multiplier=0.5, max_rounds=2)
    assert mix_rounds(strong).weights[1] < 0
    noise = np.random.default_rng(0).normal(size=(60, 2))
    weak = distill(kernel_matrix, noise, multiplier=1e-3, max_rounds=2)
    assert mix_rounds(weak).weights[1] > 1


def test_rounds_that_are_alike_are_told(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, multiplier=1e-3, max_rounds=25)
    with pytest.warns(MixtureWarning, match=r"25 rounds differ in \d+ directions only"):
        mixture = mix_rounds(path, criterion="gcv")
    assert mixture.rank is not None
    assert 1 < mixture.rank < 24
    assert mixture.score <= mixture.scores.min()
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-6)
    twice = distill(np.eye(6), np.arange(6.0), multiplier=0.5, max_rounds=3)  # one eigenvalue: S is a number
    with pytest.warns(MixtureWarning, match="3 rounds differ in 1 directions"):
        mixture = mix_rounds(twice, criterion="sure")
    assert np.abs(mixture.weights).max() < 100


def test_rounds_that_are_equal_up_to_rounding_are_not_told_apart(data, holdout):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix + np.eye(60), targets, multiplier=1e-15, max_rounds=2)
    with pytest.warns(MixtureWarning, match="2 rounds differ in 0 directions"):
        mixture = mix_rounds(path, criterion=holdout)
    assert sorted(mixture.weights) == [0, 1]


def test_an_unbiased_risk_that_falls_without_end_is_not_followed():
    path = distill(np.diag(np.arange(1.0, 7)), np.array([1, 1e-3, 0, 0, 0, 0]), multiplier=0.5, max_rounds=3)
    with pytest.warns(MixtureWarning):
        mixture = mix_rounds(path, criterion=UnbiasedRisk(0.01))
    assert np.abs(mixture.weights).max() < 100


def test_bad_mixtures_are_told(data, pair):
    kernel_matrix, targets, cross_kernel = data
    for bad, total in (([0.6, 0.5], r"1\.1"), ([1e9, -1e9], "0"), ([np.inf, 0.0], "inf"), ([np.nan, 0.5], "nan")):
        with pytest.raises(InvalidInput, match=rf"weights sum to {total}; give numbers that sum to 1"):
            mix_rounds(pair, weights=bad)
    with pytest.raises(InvalidInput, match=r"shape \(3,\) for 2 rounds"):
        mix_rounds(pair, weights=[0.2, 0.3, 0.5])
    few = distill(kernel_matrix[:3, :3], targets[:3], multiplier=0.1, max_rounds=4)
    with pytest.raises(InvalidInput, match=r"3 residuals for 4 rounds.*max_rounds=3"):
        mix_rounds(few, criterion="gcv")
    with pytest.warns(CollapseWarning):
        none = distill(kernel_matrix, targets, relative_tolerance=1.5)
    with pytest.raises(InvalidRound, match="no round to mix"):
        mix_rounds(none)
    krylov = distill(kernel_matrix, targets, relative_tolerance=0.2, method="krylov")
    with pytest.raises(InvalidInput, match="whole spectrum"):
        mix_rounds(krylov)
    assert np.isnan(mix_rounds(krylov, weights=np.eye(krylov.n_rounds)[0]).score)
    mixture = mix_rounds(krylov, criterion=Holdout(cross_kernel, targets[:7]))
    assert mixture.predict(cross_kernel).shape == (7, 2)
