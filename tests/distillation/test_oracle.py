"""Multipliers and collapse rounds against mpmath at 50 digits.

What is promised, with u the machine epsilon 2.2e-16:

- for a given spectrum: c_t within 1e-10 + 8 u κ_t relative, κ_t the sum of |∂ log c_t/∂ log p| over the
  energies, the eigenvalues and the tolerance: what one rounding of each input changes. From the first round
  with 8 u κ_t > 1e-3 on (targets that meet ε up to their last digits), digits are not compared;
- from a kernel matrix: c_t within 1e-10 + a_t + max(a_0, …, a_t)² relative, with a_t = 4 √n u s_t and s_t the
  largest first-order change of log c_t under kernel perturbations of spectral norm d_max and target
  perturbations of norm ‖Y‖: what the accuracy of eigenvalues, √n u d_max, allows. From the first round with
  a_t > 1e-3 on, digits hang on that rounding and are not compared.
- the collapse round is identical unless ‖y_t‖² is within 1e-12 relative of nε there, or, from a kernel
  matrix, as near as that conditioning.
"""

import warnings

import mpmath
import numpy as np
import pytest
from amounts import amounts
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import (
    EPSILON,
    MAX_ROUNDS,
    Problem,
    condition_numbers,
    kernel_sensitivities,
    oracle_path,
    rounded_kernel,
)

from hilbertsd import Spectrum, distill, distill_spectrum
from hilbertsd.errors import InfeasibleTolerance, RoundingWarning

PROBLEMS = st.builds(
    Problem.random,
    n=st.integers(1, 30),
    n_outputs=st.integers(1, 3),
    log_kappa=st.floats(0, 14),
    log_r_minus_1=st.floats(-6, 6),
    n_zero=st.one_of(st.just(0), st.integers(0, 29)),
    n_repeated=st.integers(0, 6),
    spread=st.sampled_from([0.0, 3.0, 8.0]),
    seed=st.integers(0, 2**32 - 1),
)


def relative_errors(found, exact):
    return np.array([abs(float(mpmath.mpf(float(a)) / b - 1)) for a, b in zip(found, exact, strict=False)])


def rounding_allowance(problem, multipliers):
    """Allowed relative errors of c_t, and the running maximum of their first-order part."""
    first_order = 4 * np.sqrt(problem.n) * EPSILON * kernel_sensitivities(problem, multipliers)
    largest = np.maximum.accumulate(first_order)
    return first_order + largest**2, largest


def check_given_spectrum(problem, max_rounds=MAX_ROUNDS):
    exact = oracle_path(problem, max_rounds)
    spectrum = Spectrum(
        problem.eigenvalues, problem.rotated_targets, np.eye(problem.n), single_output=False, clipped=0.0, rounding=0.0
    )
    path = distill_spectrum(spectrum, tolerance=problem.tolerance, max_rounds=max_rounds)

    if path.collapse_round != exact.collapse_round or path.n_rounds != len(exact.multipliers):
        disputed = exact.mean_squares[min(path.n_rounds, len(exact.multipliers))]
        assert abs(float(disputed / problem.tolerance - 1)) <= 1e-12
    conditions = condition_numbers(problem, np.array([float(c) for c in exact.multipliers]))[: path.n_rounds]
    largest = np.maximum.accumulate(conditions)
    count = int(np.sum(8 * EPSILON * largest <= 1e-3))  # a prefix
    errors = relative_errors(path.multipliers[:count], exact.multipliers)
    assert np.all(errors <= 1e-10 + 8 * EPSILON * conditions[:count])
    # The two other series follow: ‖y_t‖²/n from sums of positive terms, training errors through expm1.
    allowed = 1e-10 + 32 * EPSILON * largest[:count]
    assert np.all(relative_errors(path.target_mean_squares[1 : count + 1], exact.mean_squares[1:]) <= allowed)
    assert np.all(relative_errors(path.training_errors[:count], exact.training_errors) <= allowed)
    return exact.collapse_round


def check_from_kernel(problem, seed):
    exact = oracle_path(problem)
    multipliers = np.array([float(c) for c in exact.multipliers])
    allowed, largest = rounding_allowance(problem, multipliers)
    kernel_matrix, targets = rounded_kernel(problem, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RoundingWarning)
        try:
            path = distill(kernel_matrix, targets, tolerance=problem.tolerance, max_rounds=MAX_ROUNDS)
        except InfeasibleTolerance:
            # Rounding of the kernel moved the floor past ε: only where round 0 hangs on that rounding.
            assert largest[0] > 1e-3
            return
    compared = (largest <= 1e-3)[: path.n_rounds]
    if np.all(largest <= 1e-3) and path.collapse_round != exact.collapse_round:
        disputed = exact.mean_squares[min(path.n_rounds, len(exact.multipliers))]
        assert abs(float(disputed / problem.tolerance - 1)) <= 1e-12 + 10 * largest.max()
    count = int(compared.sum())  # a prefix
    errors = relative_errors(path.multipliers[:count], exact.multipliers)
    assert np.all(errors <= 1e-10 + allowed[:count])


@pytest.mark.parametrize("count", amounts(60, 250, 1500))
def test_given_spectrum(count):
    @given(PROBLEMS)
    @example(Problem.random(28, 1, 0, 0, 0, 0, 3, 28))  # equal eigenvalues, r₀ = 2: round 1 on the edge of collapse
    @settings(max_examples=count)
    def every(problem):
        check_given_spectrum(problem)

    every()


@pytest.mark.parametrize("count", amounts(60, 250, 1500))
def test_from_kernel(count):
    @given(PROBLEMS, st.integers(0, 2**32 - 1))
    @settings(max_examples=count)
    def every(problem, seed):
        check_from_kernel(problem, seed)

    every()


def collapsing_problems(count):
    """Small problems that reach collapse after a few to a few hundred rounds."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        n, log_kappa, log_r_minus_1 = int(rng.integers(1, 7)), rng.uniform(0, 6), rng.uniform(-0.5, 2.0)
        yield Problem.random(n, 1, log_kappa, log_r_minus_1, int(rng.integers(0, 2)), 0, 0.0, int(rng.integers(2**32)))


@pytest.mark.parametrize("count", amounts(40, 250, 1000))
def test_collapse_rounds(count):
    rounds = [check_given_spectrum(problem, max_rounds=600) for problem in collapsing_problems(count)]
    assert None not in rounds
    assert np.mean(np.array(rounds) >= 3) > 0.5
    assert max(rounds) > 50


def sample_problems(count):
    rng = np.random.default_rng(3)
    for _ in range(count):
        yield Problem.random(
            n=int(rng.integers(1, 31)),
            n_outputs=int(rng.integers(1, 4)),
            log_kappa=rng.uniform(0, 14),
            log_r_minus_1=rng.uniform(-6, 6),
            n_zero=int(rng.integers(0, 10)),
            n_repeated=int(rng.integers(0, 6)),
            spread=float(rng.choice([0, 3, 8])),
            seed=int(rng.integers(2**32)),
        )


def test_the_comparison_from_kernels_is_not_vacuous():
    """Most rounds of such problems are compared, and every fourth to better than 1e-9."""
    problems = list(sample_problems(40))
    multipliers = [np.array([float(c) for c in oracle_path(p, 8).multipliers]) for p in problems]
    largest = np.concatenate([rounding_allowance(p, c)[1] for p, c in zip(problems, multipliers, strict=True)])
    assert np.mean(largest <= 1e-3) > 0.6
    assert np.mean(largest <= 1e-9) > 0.25


def test_a_multiplier_off_by_1e_9_is_caught(monkeypatch):
    """The comparison can fail: perturb every root slightly and see it refused."""
    from hilbertsd.distillation import rounds

    exact_root = rounds.newton_root
    monkeypatch.setattr(rounds, "newton_root", lambda *args: exact_root(*args) * (1 + 1e-9))
    problem = Problem.random(12, 2, 4.0, 0.5, 0, 0, 0.0, 1)
    with pytest.raises(AssertionError):
        check_given_spectrum(problem)
    with pytest.raises(AssertionError):
        check_from_kernel(problem, 1)


@pytest.mark.parametrize("r_0", [1.5, 30.25, 3000.5, 30000.5])
def test_equal_eigenvalues_have_a_closed_form(r_0):
    """With G = dI every round takes r to r − 1, and c = d/(r − 1), over any number of rounds."""
    d, tolerance = 0.7, 0.02
    targets = np.array([[3.0], [4.0]]) * r_0 * np.sqrt(2 * tolerance) / 5
    spectrum = Spectrum(np.array([d, d]), targets, np.eye(2), True, 0.0, 0.0)
    path = distill_spectrum(spectrum, tolerance=tolerance, max_rounds=100_000)
    r = r_0 - np.arange(np.ceil(r_0 - 1))
    assert path.collapse_round == len(r)
    # The start is known to u relative, hence r_t to u r_0, and nothing is lost on the way: a plain sum of
    # log A_t is off by up to ten times this bound.
    errors = np.abs(path.multipliers * (r - 1) / d - 1)
    assert np.all(errors <= 2 * EPSILON * (1 + r_0 / (r - 1)))
