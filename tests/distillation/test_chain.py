"""Rounds: against the definition, against scikit-learn, and at the ends."""

from decimal import Decimal

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from hilbertsd import Spectrum, distill, distill_spectrum, largest_tolerance
from hilbertsd.errors import CollapseWarning, InfeasibleTolerance, InvalidTolerance, RoundingWarning

TOLERANCE = 0.1


def test_every_round_is_a_kernel_ridge_fit_to_the_predictions_before_it(data):
    """Outside oracle: KernelRidge(alpha = n c_t), refitted round after round, on multi-output targets."""
    kernel, targets, cross_kernel = data
    path = distill(kernel, targets, tolerance=TOLERANCE)
    assert path.collapse_round == path.n_rounds
    assert path.n_rounds > 3
    current = targets
    for t in range(path.n_rounds):
        assert np.sum(current**2) / 60 == pytest.approx(path.target_mean_squares[t], rel=1e-10)
        ridge = KernelRidge(alpha=60 * path.multipliers[t], kernel="precomputed").fit(kernel, current)
        following = ridge.predict(kernel)
        assert np.sum((following - current) ** 2) / 60 == pytest.approx(TOLERANCE, rel=1e-9)
        assert np.sum((following - targets) ** 2) / 60 == pytest.approx(path.training_errors[t], rel=1e-9)
        np.testing.assert_allclose(path.train_predictions(t), following, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(path.predict(cross_kernel, t), ridge.predict(cross_kernel), rtol=1e-8, atol=1e-10)
        current = following
    assert np.sum(current**2) / 60 <= TOLERANCE


def test_a_fixed_multiplier_is_kernel_ridge_with_the_same_alpha_in_every_round(data):
    kernel, targets, cross_kernel = data
    path = distill(kernel, targets[:, 0], multiplier=0.01, max_rounds=5)
    assert path.collapse_round is None
    assert path.tolerance is None
    assert path.multipliers.tolist() == [0.01] * 5
    current = targets[:, 0]
    for t in range(5):
        ridge = KernelRidge(alpha=60 * 0.01, kernel="precomputed").fit(kernel, current)
        np.testing.assert_allclose(path.predict(cross_kernel, t), ridge.predict(cross_kernel), rtol=1e-9)
        current = ridge.predict(kernel)


def test_weights_are_products_of_the_shrinkage(data):
    kernel, targets, _ = data
    path = distill(kernel, targets, tolerance=TOLERANCE)
    np.testing.assert_allclose(path.basis_weights, np.cumprod(path.shrinkage, axis=0), rtol=1e-12)
    np.testing.assert_allclose(path.shrinkage[1], path.eigenvalues / (path.multipliers[1] + path.eigenvalues))
    assert np.all(np.diff(path.multipliers) > 0)
    assert np.all(np.diff(path.target_mean_squares) < 0)
    assert path.target_mean_squares.shape == (path.n_rounds + 1,)
    assert path.target_mean_squares[-1] <= TOLERANCE < path.target_mean_squares[-2]


def test_training_errors_near_interpolation_do_not_cancel():
    """(1−B)² ≈ 1e-24 at r₀ = 1e12: 1 − B from rounded B would keep four digits."""
    spectrum = Spectrum(np.array([1.0, 1.0]), np.array([[1.0], [1.0]]), np.eye(2), True, 0.0, 0.0)
    path = distill_spectrum(spectrum, tolerance=1e-24, max_rounds=3)
    np.testing.assert_allclose(path.training_errors, np.array([1, 4, 9]) * 1e-24, rtol=1e-10)


def test_max_rounds_ends_a_path_before_collapse(data):
    kernel, targets, _ = data
    full = distill(kernel, targets, tolerance=TOLERANCE)
    part = distill(kernel, targets, tolerance=TOLERANCE, max_rounds=2)
    assert part.collapse_round is None
    np.testing.assert_array_equal(part.multipliers, full.multipliers[:2])
    exactly = distill(kernel, targets, tolerance=TOLERANCE, max_rounds=full.n_rounds)
    assert exactly.collapse_round == full.collapse_round


def test_collapse_at_round_0_is_a_result_with_a_warning(data):
    kernel, targets, cross_kernel = data
    mean_square = np.sum(targets**2) / 60
    with pytest.warns(CollapseWarning, match=rf"use a tolerance below {mean_square:.6g}") as record:
        path = distill(kernel, targets, tolerance=5.0)
    assert record[0].filename == __file__
    assert (path.collapse_round, path.n_rounds) == (0, 0)
    assert path.multipliers.shape == path.training_errors.shape == (0,)
    assert path.basis_weights.shape == path.shrinkage.shape == (0, 60)
    np.testing.assert_array_equal(path.predict(cross_kernel), np.zeros((7, 2)))
    np.testing.assert_array_equal(path.train_predictions(), np.zeros((60, 2)))


def test_a_tolerance_below_the_floor_is_refused(rng):
    factor = rng.normal(size=(30, 4))
    targets = rng.normal(size=30)
    floor = Spectrum.from_kernel(factor @ factor.T, targets).floor
    with pytest.raises(InfeasibleTolerance, match=f"floor {floor:.6g}"):
        distill(factor @ factor.T, targets, tolerance=0.99 * floor)
    path = distill(factor @ factor.T, targets, tolerance=1.01 * floor)
    assert path.training_errors[0] == pytest.approx(1.01 * floor, rel=1e-12)


def test_multipliers_within_the_rounding_of_the_eigenvalues_are_announced():
    """An eigenvalue of −1e-11 shows what one of 1e-12 is worth."""
    kernel = np.diag([-1e-11, 1e-12, 1.0])
    with pytest.warns(RoundingWarning, match=r"smaller than the rounding 3\.33e-12 .* use a larger tolerance"):
        distill(kernel, np.array([0.0, 1.0, 1.0]), tolerance=0.01, max_rounds=1)
    distill(kernel, np.array([0.0, 0.0, 1.0]), tolerance=0.01, max_rounds=1)  # decided by the large one
    # A small multiplier of a well-conditioned kernel is exact.
    assert distill(np.eye(3), np.ones(3), tolerance=1e-36, max_rounds=1).multipliers[0] == pytest.approx(1e-18 / 3)


def test_decimal_and_numpy_numbers_are_numbers(data):
    kernel, targets, _ = data
    expected = distill(kernel, targets, tolerance=0.1).multipliers
    for tolerance in (Decimal("0.1"), np.float64(0.1)):
        np.testing.assert_array_equal(distill(kernel, targets, tolerance=tolerance).multipliers, expected)


def test_a_huge_multiplier_leaves_nothing():
    path = distill(np.eye(3), np.ones(3), multiplier=1e308, max_rounds=5)
    np.testing.assert_array_equal(path.target_mean_squares, [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(path.training_errors, np.ones(5))


def test_messages_tell_close_numbers_apart():
    kernel, targets = np.diag([0.0, 1.0]), np.array([1.0, 2.0])
    with pytest.raises(InfeasibleTolerance, match=r"tolerance 0\.4999999995 .* floor 0\.5 "):
        distill(kernel, targets, tolerance=0.5 * (1 - 1e-9))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one"),
        ({"tolerance": 0.1, "multiplier": 0.1}, r"exactly one .* not tolerance=0\.1 and multiplier=0\.1$"),
        ({"tolerance": 0.1, "relative_tolerance": 0.1}, "exactly one"),
        ({"relative_tolerance": 0.1, "multiplier": 0.1, "max_rounds": 1}, "exactly one"),
        ({"relative_tolerance": 0.0}, r"relative_tolerance is 0\.0"),
        ({"relative_tolerance": "0.1"}, "relative_tolerance is '0.1'"),
        ({"tolerance": 0.0}, r"tolerance is 0\.0"),
        ({"tolerance": -1}, "tolerance is -1"),
        ({"tolerance": np.nan}, "tolerance is nan"),
        ({"tolerance": "0.1"}, "tolerance is '0.1'"),
        ({"multiplier": "0.1", "max_rounds": 1}, "multiplier is '0.1'"),
        ({"tolerance": 0.1, "max_rounds": True}, "max_rounds is True"),
        ({"multiplier": 0.1}, "without max_rounds"),
        ({"multiplier": 0.0, "max_rounds": 2}, r"multiplier is 0\.0"),
        ({"multiplier": np.inf, "max_rounds": 2}, "multiplier is inf"),
        ({"tolerance": 0.1, "max_rounds": 0}, "max_rounds is 0"),
        ({"tolerance": 0.1, "max_rounds": 1.5}, r"max_rounds is 1\.5"),
    ],
)
def test_bad_rules_are_refused_before_the_decomposition(options, message, monkeypatch):
    monkeypatch.setattr(Spectrum, "from_kernel", lambda *_: pytest.fail("decomposed first"))
    with pytest.raises(InvalidTolerance, match=message):
        distill(np.eye(3), np.ones(3), **options)


def test_largest_tolerance_is_the_edge(data):
    kernel, targets, _ = data
    spectrum = Spectrum.from_kernel(kernel, targets)
    for n_rounds in (1, 3, 6):
        edge = largest_tolerance(spectrum, n_rounds)
        assert distill_spectrum(spectrum, tolerance=edge).n_rounds >= n_rounds
        above = edge * (1 + 2e-6)
        if above < spectrum.target_mean_square:
            assert distill_spectrum(spectrum, tolerance=above).n_rounds < n_rounds
    assert largest_tolerance(spectrum, 1) == pytest.approx(spectrum.target_mean_square, rel=2e-6)


def test_largest_tolerance_of_a_singular_kernel_may_not_exist():
    spectrum = Spectrum.from_kernel(np.diag([0.0, 1.0]), np.array([1.0, 1.5]))
    assert largest_tolerance(spectrum, 1) > spectrum.floor
    with pytest.raises(InfeasibleTolerance, match="gives 9 rounds"):
        largest_tolerance(spectrum, 9)
    for n_rounds in (None, 0, 1.5, True):
        with pytest.raises(InvalidTolerance, match=f"n_rounds is {n_rounds}"):
            largest_tolerance(spectrum, n_rounds)


def test_largest_tolerance_reaches_far_down():
    """At equal eigenvalues T = ⌈r₀ − 1⌉ rounds, so that T rounds need r₀ > T."""
    spectrum = Spectrum(np.ones(2), np.ones((2, 1)), np.eye(2), True, 0.0, 0.0)
    assert largest_tolerance(spectrum, 500) == pytest.approx(500.0**-2, rel=2e-6)


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_a_relative_tolerance_is_a_fraction_of_the_mean_square_summed_over_outputs(data, method):
    kernel, targets, _ = data
    assert targets.shape == (60, 2)
    mean_square = np.sum(targets**2) / 60
    absolute = distill(kernel, targets, tolerance=0.2 * mean_square, method=method)
    relative = distill(kernel, targets, relative_tolerance=0.2, method=method)
    np.testing.assert_allclose(relative.multipliers, absolute.multipliers, rtol=1e-12)
    assert relative.tolerance == pytest.approx(0.2 * mean_square, rel=1e-14)
    assert absolute.relative_tolerance == pytest.approx(0.2, rel=1e-12)
    assert f"tolerance {0.2 * mean_square:.6g} = 0.2 of the targets' mean square" in repr(absolute)
    spectrum = Spectrum.from_kernel(kernel, targets)
    one = distill_spectrum(spectrum, relative_tolerance=0.2, max_rounds=1)
    assert one.training_errors[0] == pytest.approx(0.2 * mean_square, rel=1e-12)


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_a_relative_tolerance_of_1_is_collapse_at_round_0(data, method):
    kernel, targets, _ = data
    with pytest.warns(CollapseWarning, match="a relative_tolerance below 1"):
        assert distill(kernel, targets, relative_tolerance=1, method=method).collapse_round == 0


def test_a_relative_tolerance_below_the_floor_is_refused_in_both_units():
    spectrum = Spectrum.from_kernel(np.diag([0.0, 1.0]), np.array([1.0, 3.0]))
    message = r"tolerance 0\.25 \(0\.05 of .*\) is .* floor 0\.5 \(0\.1 of it\).* a relative_tolerance above 0\.1,"
    with pytest.raises(InfeasibleTolerance, match=message):
        distill_spectrum(spectrum, relative_tolerance=0.05)
