"""The root of E(c) = tolerance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import Problem

from hilbertsd import solve_multiplier, training_error
from hilbertsd.errors import HilbertsdError, InfeasibleTolerance, InvalidInput, InvalidTolerance, NotConverged
from hilbertsd.spectral import multiplier
from hilbertsd.spectral.multiplier import newton_root, newton_roots

D = np.array([0.1, 1.0, 4.0])
E = np.array([0.3, 0.5, 0.2])


def test_the_root_meets_the_tolerance_in_any_order_of_eigenvalues():
    c = solve_multiplier(D, E, 0.25)
    assert training_error(D, E, c) == pytest.approx(0.25, rel=1e-14)
    assert solve_multiplier(D[::-1], E[::-1], 0.25) == pytest.approx(c, rel=1e-14)
    assert solve_multiplier(D.tolist(), E.tolist(), 0.25) == c


def test_one_eigenvalue_has_a_closed_form():
    assert solve_multiplier([2.0], [9.0], 1.0) == pytest.approx(2.0 / (3 - 1), rel=1e-15)


@given(
    st.integers(1, 30), st.floats(0, 14), st.floats(-6, 6), st.sampled_from([0.0, 3.0, 8.0]), st.integers(0, 2**32 - 1)
)
def test_the_root_lies_in_the_bracket_of_the_paper(n, log_kappa, log_r_minus_1, spread, seed):
    """d_min/(r−1) ≤ c ≤ d_max/(r−1), MFB (23-24)."""
    problem = Problem.random(n, 1, log_kappa, log_r_minus_1, 0, 0, spread, seed)
    energies = np.sum(problem.rotated_targets**2, axis=1) / n
    r_minus_1 = np.sqrt(energies.sum() / problem.tolerance) - 1
    c = solve_multiplier(problem.eigenvalues, energies, problem.tolerance)
    slack = 1 + 1e-15 / r_minus_1 * 16 + 1e-12
    assert problem.eigenvalues.min() / r_minus_1 / slack <= c <= problem.eigenvalues.max() / r_minus_1 * slack


def test_training_error_increases_from_the_floor_to_the_mean_square():
    d = np.array([0.0, 1.0, 4.0])
    errors = [training_error(d, E, c) for c in np.geomspace(1e-8, 1e8, 50)]
    assert np.all(np.diff(errors) > 0)
    assert errors[0] == pytest.approx(0.3, rel=1e-12)
    assert errors[-1] == pytest.approx(1.0, rel=1e-6)


def test_a_tolerance_at_the_floor_is_refused_with_both_numbers():
    with pytest.raises(InfeasibleTolerance, match=r"tolerance 0\.3 .*floor 0\.3.*above 0\.3"):
        solve_multiplier([0.0, 1.0, 4.0], E, 0.3)
    c = solve_multiplier([0.0, 1.0, 4.0], E, 0.3 + 1e-9)
    # Near the floor only the excess counts: c ≈ √(1e-9/Σ e/d²).
    assert c == pytest.approx(np.sqrt(1e-9 / (0.5 + 0.2 / 16)), rel=1e-3)


def test_a_tolerance_that_zero_meets_is_refused_with_both_numbers():
    with pytest.raises(InfeasibleTolerance, match=r"tolerance 1\.5 .*mean square 1.*below 1"):
        solve_multiplier(D, E, 1.5)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan, np.inf, None, "much"])
def test_a_tolerance_that_is_no_positive_number_is_refused(tolerance):
    with pytest.raises(InvalidTolerance, match="give a positive finite number"):
        solve_multiplier(D, E, tolerance)


@pytest.mark.parametrize(
    ("d", "e", "message"),
    [
        ([], [], "non-empty"),
        ([1.0], [1.0, 2.0], "1 entries and energies 2"),
        ([-1.0, 1.0], [1.0, 1.0], "contains -1"),
        ([1.0, np.nan], [1.0, 1.0], "contains nan"),
        ([1.0, 1.0], [1.0, np.inf], "contains inf"),
        ([[1.0]], [[1.0]], "one-dimensional"),
    ],
)
def test_bad_spectra_are_refused(d, e, message):
    with pytest.raises(InvalidInput, match=message):
        solve_multiplier(d, e, 0.1)


def test_a_ratio_beyond_double_precision_says_so():
    with pytest.raises(NotConverged, match=r"1e\+300 is beyond double precision"):
        solve_multiplier([1.0, 1e-200], [0.5, 0.5], 1e-300)
    assert issubclass(NotConverged, HilbertsdError)


@pytest.mark.parametrize("seed", range(10))
def test_many_roots_at_once_are_those_found_one_by_one(seed, monkeypatch):
    monkeypatch.setattr(multiplier, "NUMBERS_AT_ONCE", 100)
    problem = Problem.random(20, 1, 8, 0, 0, 2, 3.0, seed)
    d, energies = problem.eigenvalues, np.sum(problem.rotated_targets**2, axis=1) / 20
    total = energies.sum()
    # From nothing left over to nothing explained, where the other of both is what has the digits.
    small = np.geomspace(1e-12, 0.4, 9)
    left_over, explained = total * np.concatenate([small, 1 - small]), total * np.concatenate([1 - small, small])
    one_by_one = [newton_root(d, energies, *pair) for pair in zip(left_over, explained, strict=True)]
    np.testing.assert_allclose(newton_roots(d, energies, left_over, explained), one_by_one, rtol=1e-13)
    assert newton_roots(d, energies, left_over[:0], explained[:0]).shape == (0,)


def test_one_of_many_roots_beyond_double_precision_says_so():
    with pytest.raises(NotConverged, match=r"1e\+300 is beyond double precision"):
        newton_roots(np.array([1.0, 1e-200]), np.array([0.5, 0.5]), np.array([0.5, 1e-300]), np.array([0.5, 1.0]))
