"""Paths whose targets hold a share of the original ones, against rounds of dense matrices and their limits."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest

from hilbertsd import (
    DistillationPath,
    Folds,
    Spectrum,
    check_bounds,
    distill,
    distill_spectrum,
    greens,
    ground_truth_limit,
    kernel_of_round,
    leading_basis_weights,
    leave_one_out,
    mix_rounds,
    score_rounds,
    stop_early,
)
from hilbertsd.errors import InvalidFile, InvalidInput

RULES = ({"multiplier": 0.03}, {"relative_tolerance": 0.1})


def dense(kernel_matrix, targets, path, shares, left_out=()):
    """Values of every round at all points, fitted to all but those left out with the path's multipliers."""
    n = len(kernel_matrix)
    others = np.setdiff1d(np.arange(n), left_out)
    part, values = kernel_matrix[np.ix_(others, others)], None
    for c, share in zip(path.multipliers, shares, strict=True):
        current = targets[others] if values is None else share * targets[others] + (1 - share) * values[others]
        alpha = np.linalg.solve(n * c * np.eye(len(others)) + part, current)
        values = kernel_matrix[:, others] @ alpha
        yield current, values


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("given", [0.3, [0.9, 0.4, 0.3], 1.0])
def test_every_round_is_fitted_to_its_mixture(data, rule, given):
    kernel_matrix, targets, cross_kernel = data
    path = distill(kernel_matrix, targets, max_rounds=6, ground_truth_weight=given, **rule)
    shares = [1.0, *np.atleast_1d(given), *[np.atleast_1d(given)[-1]] * 5][:7]
    assert path.ground_truth_weights == pytest.approx(shares)
    for t, (current, values) in enumerate(dense(kernel_matrix, targets, path, shares[:6])):
        assert path.target_mean_squares[t] == pytest.approx(np.sum(current**2) / 60, rel=1e-10)
        assert path.training_errors[t] == pytest.approx(np.sum((values - targets) ** 2) / 60, rel=1e-9)
        if path.tolerance is not None:
            assert np.sum((values - current) ** 2) / 60 == pytest.approx(path.tolerance, rel=1e-9)
        np.testing.assert_allclose(path.train_predictions(t), values, rtol=1e-8, atol=1e-11)
        alpha = np.linalg.solve(60 * path.multipliers[t] * np.eye(60) + kernel_matrix, current)
        np.testing.assert_allclose(path.predict(cross_kernel, t), cross_kernel @ alpha, rtol=1e-8, atol=1e-11)


def test_without_a_share_it_is_the_pure_path(data):
    kernel_matrix, targets, _ = data
    pure = distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=4)
    for share in (0, [0.0, 0.0], None):
        path = distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=4, ground_truth_weight=share)
        assert path.to_dict() == pure.to_dict()
        assert path.ground_truth_weights is None
    np.testing.assert_array_equal(pure.target_weights(0), 1)
    np.testing.assert_allclose(pure.target_weights(2), pure.basis_weights[1])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_the_limit_is_ridge(data, rule, share):
    kernel_matrix, targets, cross_kernel = data
    path = distill(kernel_matrix, targets, max_rounds=150, ground_truth_weight=share, **rule)
    limit = ground_truth_limit(path)
    np.testing.assert_allclose(path.predict(cross_kernel), limit.predict(cross_kernel), atol=1e-10)
    if path.tolerance is None:
        ridge = np.linalg.solve(60 * 0.03 / share * np.eye(60) + kernel_matrix, targets)
        np.testing.assert_allclose(limit.predict(cross_kernel), cross_kernel @ ridge, atol=1e-10)
    else:
        assert limit.training_error == pytest.approx(path.tolerance / share**2)
        assert path.collapse_round is None


def test_a_small_share_does_not_keep_a_path_from_collapse(data):
    """α y alone meets ε where α² ‖y‖²/n ≤ ε."""
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, relative_tolerance=0.3, max_rounds=500, ground_truth_weight=0.3)
    assert path.collapse_round is not None
    assert path.target_mean_squares[-1] <= path.tolerance < path.target_mean_squares[-2]
    with pytest.raises(InvalidInput, match="which the zero function meets"):
        ground_truth_limit(path)
    pure = distill(kernel_matrix, targets, relative_tolerance=0.3)
    assert pure.collapse_round is not None
    assert path.collapse_round >= pure.collapse_round
    with pytest.raises(InvalidInput, match="no ground truth"):
        ground_truth_limit(pure)


def test_singular_kernels_keep_the_share_that_no_fit_reaches(rng):
    x = np.append(rng.uniform(size=18), [0.0, 1.0])
    kernel_matrix, targets = greens.simply_supported_spline(x), rng.normal(size=20) + 3 * x
    spectrum = Spectrum.from_kernel(kernel_matrix, targets)
    assert spectrum.floor > 0.01
    path = distill_spectrum(spectrum, tolerance=1.5 * spectrum.floor, max_rounds=5, ground_truth_weight=0.6)
    for t, (current, values) in enumerate(dense(kernel_matrix, targets, path, [1.0] + [0.6] * 4)):
        assert path.target_mean_squares[t] == pytest.approx(np.mean(current**2), rel=1e-10)
        assert np.mean((values - current) ** 2) == pytest.approx(path.tolerance, rel=1e-9)
        assert path.training_errors[t] == pytest.approx(np.mean((values - targets) ** 2), rel=1e-9)


@pytest.mark.parametrize(("rule", "T"), [(RULES[0], 4), (RULES[0], 9), (RULES[0], 17), (RULES[1], 4), (RULES[1], 9)])
def test_points_are_left_out_of_mixed_targets_too(data, rule, T):
    """Also where there are more rounds than one matrix product treats."""
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, max_rounds=T, ground_truth_weight=[0.5, 0.35], **rule)
    shares = [1.0, 0.5, *[0.35] * (T - 2)]
    expected = np.empty((T, 60, 2))
    for i in range(60):
        for t, (_, values) in enumerate(dense(kernel_matrix, targets, path, shares, [i])):
            expected[t, i] = values[i]
    assert path.n_rounds == T
    for t in range(T):
        np.testing.assert_allclose(leave_one_out(path, t), expected[t], rtol=1e-8, atol=1e-10)
    fold = np.array_split(np.random.default_rng(0).permutation(60), 5)
    sums = np.zeros(T)
    for points in fold:
        for t, (_, values) in enumerate(dense(kernel_matrix, targets, path, shares, points)):
            sums[t] += np.sum((values[points] - targets[points]) ** 2)
    np.testing.assert_allclose(score_rounds(path, Folds()), sums / 60, rtol=1e-9)


def test_what_else_is_known_of_a_path(data, tmp_path):
    kernel_matrix, targets, cross_kernel = data
    path = distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=5, ground_truth_weight=0.5)
    assert "with ground truth in the targets" in repr(path)
    assert path.to_dict()["ground_truth_weights"] == [1.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    loaded = DistillationPath.load(path.save(tmp_path / "path"))
    np.testing.assert_array_equal(loaded.predict(cross_kernel), path.predict(cross_kernel))
    for t in range(5):
        kernel = kernel_of_round(path, t)
        fit = kernel.kernel_matrix @ np.linalg.solve(
            60 * kernel.multiplier * np.eye(60) + kernel.kernel_matrix, targets
        )
        np.testing.assert_allclose(fit, path.train_predictions(t), rtol=1e-7, atol=1e-10)
    single = stop_early(path).fit(3)
    assert single.training_error == pytest.approx(path.training_errors[3], rel=1e-9)
    assert mix_rounds(path, criterion="loo").score <= score_rounds(path, "loo").min()
    with pytest.raises(InvalidInput, match="about pure self-distillation"):
        check_bounds(path)


def test_weights_keep_their_digits_where_a_share_is_tiny():
    d, c, share = 1e-8, 1.0, 1e-30
    spectrum = Spectrum.from_kernel(np.diag([d, 1.0]) * 2, np.ones(2))
    path = distill_spectrum(spectrum, multiplier=c, max_rounds=6, ground_truth_weight=share)
    with mpmath.workdps(50):
        B = A = mpmath.mpf(spectrum.eigenvalues[0]) / (mpmath.mpf(spectrum.eigenvalues[0]) + c)
        for t in range(1, 6):
            B = A * (mpmath.mpf(share) + (1 - mpmath.mpf(share)) * B)
            assert path.log_basis_weights[t, 0] == pytest.approx(float(mpmath.log(B)), rel=1e-14)


@pytest.mark.parametrize("c", [1e-9, 1e-15])
def test_errors_keep_their_digits_where_little_is_left_over(c):
    d = [1.0, 2.0, 4.0]
    path = distill(3 * np.diag(d), np.ones(3), multiplier=c, max_rounds=4, ground_truth_weight=0.3)
    with mpmath.workdps(50):
        B = [mpmath.mpf(1)] * 3
        for t in range(4):
            share = mpmath.mpf(0.3) if t else mpmath.mpf(1)
            B = [mpmath.mpf(k) / (mpmath.mpf(c) + k) * (share + (1 - share) * b) for k, b in zip(d, B, strict=True)]
            error = float(sum((1 - b) ** 2 for b in B) / 3)
            assert path.training_errors[t] == pytest.approx(error, rel=1e-12)


def test_files_with_shares_that_no_path_has_are_refused(data, tmp_path):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, relative_tolerance=0.2, max_rounds=2, ground_truth_weight=0.5)
    for bad in ([1.0, 0.5], [0.9, 0.5, 0.5], [1.0, 0.5, 1.5]):
        file = replace(path, ground_truth_weights=np.array(bad)).save(tmp_path / "bad")
        with pytest.raises(InvalidFile, match="ground_truth_weights are"):
            DistillationPath.load(file)


def test_bad_shares_are_told(data):
    kernel_matrix, targets, _ = data
    with pytest.raises(InvalidInput, match=r"rises from a round to a later one"):
        distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=3, ground_truth_weight=[0.0, 1.0])
    rising = distill(kernel_matrix, targets, multiplier=0.1, max_rounds=3, ground_truth_weight=[0.0, 1.0])
    assert rising.ground_truth_weights == pytest.approx([1, 0, 1, 1])
    with pytest.raises(InvalidInput, match=r"has 3 values for max_rounds=3, whose rounds after the first are 2"):
        distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=3, ground_truth_weight=[0.5, 0.4, 0.3])
    with pytest.raises(InvalidInput, match="take basis_weights"):
        leading_basis_weights(rising, 2)
    for bad in (-0.1, 1.1, [0.5, 2.0], [], [[0.5]], np.nan):
        with pytest.raises(InvalidInput, match=r"ground_truth_weight is .*; give a number from 0 to 1"):
            distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=3, ground_truth_weight=bad)
    with pytest.raises(InvalidInput, match=r"ground_truth_weight 0\.5 without max_rounds may never end"):
        distill(kernel_matrix, targets, relative_tolerance=0.1, ground_truth_weight=0.5)
    with pytest.raises(InvalidInput, match="without ground truth"):
        distill(kernel_matrix, targets, relative_tolerance=0.1, max_rounds=2, ground_truth_weight=0.5, method="krylov")
    krylov = Spectrum.from_operator(kernel_matrix, targets, steps=4)
    with pytest.raises(InvalidInput, match="ground truth in the targets needs the whole spectrum"):
        distill_spectrum(krylov, relative_tolerance=0.5, max_rounds=2, ground_truth_weight=0.5)
