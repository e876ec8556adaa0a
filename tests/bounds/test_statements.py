"""Bounds: valid against the mpmath oracle, met with equality where they are sharp, and limits."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracle import Problem, oracle_path

from hilbertsd import bounds
from hilbertsd.errors import InvalidInput, InvalidTolerance

RATIOS = st.floats(1.001, 1e3)
CONDITION_NUMBERS = st.floats(1, 1e4) | st.sampled_from([1e17, 1e135, 1e200, 1e300])


def random_problem(seed, n_zero=0):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    return Problem.random(n, int(rng.integers(1, 3)), rng.uniform(0, 4), rng.uniform(-2, 1), n_zero, 1, 1.0, seed)


@pytest.mark.parametrize("seed", range(40))
def test_every_bound_holds_for_the_oracles_path(seed):
    """At 50 digits, so that no rounding of ours can hide a violation."""
    problem = random_problem(seed)
    d, oracle = problem.eigenvalues, oracle_path(problem)
    kappa = d[-1] / d[0]
    r = [float(mpmath.sqrt(m / problem.tolerance)) for m in oracle.mean_squares]
    total = oracle.collapse_round
    assert total is not None
    slack = 1 + 1e-12
    for t, c in enumerate(oracle.multipliers):
        low, high = bounds.multiplier_bracket(d, r[t])
        assert low <= float(c) * slack
        assert float(c) <= high * slack
        assert r[t + 1] * slack >= bounds.next_ratio(r[t], kappa)
        assert r[t + 1] >= r[t] - 1 - 1e-12 * r[t]
        assert r[t + 1] ** 2 <= (r[t] ** 2 - 1) * slack + 1e-12 * r[t]
        assert r[t + 1] <= bounds.largest_next_ratio(r[t], kappa) * slack + 1e-12 * r[t]
    for t, value in enumerate(bounds.ratio_after(np.arange(total + 1), r[0], kappa)):
        assert r[t] * slack >= value
    energies = np.sum(problem.rotated_targets**2, axis=1) / problem.n
    counts = [
        bounds.guaranteed_rounds(r[0], kappa),
        bounds.rounds_by_tangent(r[0], kappa),
        bounds.rounds_by_recurrence(r[0], kappa),
        bounds.rounds_by_triangle(r[0]),
        bounds.rounds_by_spectrum(d, energies, problem.tolerance),
    ]
    assert counts == sorted(counts)
    assert counts[-1] <= total <= bounds.most_rounds(r[0], kappa) <= bounds.most_rounds(r[0])
    with mpmath.workdps(50):
        log_b = [-mpmath.fsum(mpmath.log1p(c / mpmath.mpf(float(dk))) for c in oracle.multipliers) for dk in d]
        for j in range(problem.n):
            for k in range(j, problem.n):
                ratio = float(mpmath.exp(log_b[k] - log_b[j]))
                assert ratio * slack >= bounds.weight_ratio(d[j], d[k], d[0], r[0], total)
        log_weights = np.array([float(v) for v in log_b])
    if len(np.unique(d)) > 1:
        index = bounds.sparsity_index(d, log_weights)
        assert index * slack >= bounds.least_sparsity_index(d, r[0], total)
        assert bounds.least_sparsity_index(d, r[0], total) * slack >= bounds.least_sparsity_index(d, r[0])


@pytest.mark.parametrize("seed", range(15))
def test_counts_without_condition_number_hold_for_singular_kernels(seed):
    problem = random_problem(seed + 100, n_zero=2)
    oracle = oracle_path(problem)
    energies = np.sum(problem.rotated_targets**2, axis=1) / problem.n
    r = float(mpmath.sqrt(oracle.mean_squares[0] / problem.tolerance))
    assert oracle.collapse_round is not None
    least = bounds.rounds_by_spectrum(problem.eigenvalues, energies, problem.tolerance)
    assert bounds.rounds_by_triangle(r) <= least <= oracle.collapse_round <= bounds.most_rounds(r)


def test_equal_eigenvalues_meet_the_bounds():
    """κ = 1: every round takes exactly √(nε) off the norm, so Propositions 3 and 4 and the triangle are equalities."""
    for ratio, rounds in ((3.0, 2), (3.5, 3), (10.25, 10), (2.0, 1), (1.5, 1)):
        oracle = oracle_path(Problem(np.ones(4), np.full((4, 1), ratio), 1.0))
        assert oracle.collapse_round == rounds
        assert bounds.rounds_by_triangle(ratio) == rounds
        assert bounds.rounds_by_tangent(ratio, 1.0) == bounds.rounds_by_recurrence(ratio, 1.0) == rounds
        assert bounds.guaranteed_rounds(ratio, 1.0) == ratio - 1
        expected = [float(mpmath.sqrt(m)) for m in oracle.mean_squares]
        np.testing.assert_allclose(bounds.ratio_after(np.arange(rounds + 1), ratio, 1.0), expected, rtol=1e-12)
    # A whole r_0 collapses at t̲ itself: one more round than ⌈t̲⌉ is not guaranteed there.
    assert math.floor(bounds.guaranteed_rounds(3.0, 1.0)) + 1 > 2


def test_the_spectral_count_is_sharp_where_eigenvalues_lie_far_apart():
    """Decades apart, the eigenvectors are eaten one after the other, each in about as many rounds as it holds √(nε)."""
    d, n_k = np.array([1e-12, 1e-6, 1.0]), np.array([5.5, 5.5, 5.5])
    problem = Problem(d, (n_k * math.sqrt(3.0))[:, None], 1.0)
    total = oracle_path(problem, max_rounds=100).collapse_round
    assert total is not None
    by_triangle = bounds.rounds_by_triangle(float(np.linalg.norm(n_k)))
    by_spectrum = bounds.rounds_by_spectrum(d, n_k**2, 1.0)
    assert by_triangle == 9
    assert by_triangle < by_spectrum <= total
    assert by_spectrum >= 0.7 * total


def test_the_upper_count_is_approached_where_every_eigenvector_holds_one_round():
    d, n_k = 10.0 ** np.arange(-75, 75, 15), np.full(10, 1.0001)
    total = oracle_path(Problem(d, (n_k * math.sqrt(10.0))[:, None], 1.0)).collapse_round
    assert bounds.most_rounds(float(np.linalg.norm(n_k))) == 10
    assert total is not None
    assert total >= 9


@given(ratio=RATIOS | st.integers(2, 20_000).map(lambda n: n * (1 + 2e-13)), condition_number=CONDITION_NUMBERS)
@example(ratio=4258.000000001, condition_number=1.0)
@example(ratio=3.0, condition_number=1.0)
def test_the_counts_are_ordered(ratio, condition_number):
    counts = [
        bounds.guaranteed_rounds(ratio, condition_number) * (1 - 1e-9),
        bounds.rounds_by_tangent(ratio, condition_number),
        bounds.rounds_by_recurrence(ratio, condition_number),
        bounds.rounds_by_triangle(ratio),
        bounds.most_rounds(ratio, condition_number),
        bounds.most_rounds(ratio),
    ]
    assert counts == sorted(counts)


@given(ratio=RATIOS, condition_number=CONDITION_NUMBERS)
def test_the_upper_count_is_its_definition_and_below_the_simple_ones(ratio, condition_number):
    """The least j with (1 + σj)² + (1 − σ²)j ≥ r², of which one may be too many after rounding."""
    s, count = 2 * math.sqrt(condition_number) / (1 + condition_number), bounds.most_rounds(ratio, condition_number)
    assert (1 + s * count) ** 2 + (1 - s * s) * count >= ratio**2 * (1 - 1e-12)
    assert (1 + s * (count - 1)) ** 2 + (1 - s * s) * (count - 1) < ratio**2 * (1 + 1e-8)
    assert count <= math.ceil(min((ratio - 1) / s if s else math.inf, condition_number * (ratio - 1)) * (1 + 2e-9))
    steps, r = 0, ratio
    while r > 1 + 1e-9 and steps <= 2000:
        r, steps = float(bounds.largest_next_ratio(r, condition_number)), steps + 1
    assert min(steps, 2000) <= count


@given(ratio=st.floats(1.01, 100), condition_number=st.floats(1.01, 1e6))
def test_two_eigenvalues_meet_the_largest_next_ratio(ratio, condition_number):
    """Targets with Σ (d − d_min)(d_max − d) w² = 0 are on the ends; AM = GM makes d w as long as √(d_min d_max) w."""
    d = np.array([1.0, condition_number])
    w = np.array([math.sqrt(condition_number), 1.0])  # what is left over, up to a factor
    w /= np.linalg.norm(w)
    # z_{t+1} = D w/c for the c with which z_t = w + D w/c has norm r.
    fit = w * d
    a, b = fit @ fit, w @ fit
    x = (-b + math.sqrt(b * b + a * (ratio**2 - 1))) / a  # 1/c
    assert np.linalg.norm(x * fit) == pytest.approx(float(bounds.largest_next_ratio(ratio, condition_number)), rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_slopes_of_equal_multipliers_cross_at_a_closed_form(seed):
    rng = np.random.default_rng(seed)
    t, c = int(rng.integers(1, 30)), 10 ** rng.uniform(-200, 200)
    single = (t + 1) * c * (1 + 10 ** rng.uniform(-6, 3))
    expected = t * c / (1 - (t + 1) * c / single)
    assert bounds.slope_crossing(np.full(t + 1, c), single) == pytest.approx(expected, rel=1e-8)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_slopes_cross_once_at_50_digits(seed):
    rng = np.random.default_rng(seed)
    c = 10 ** rng.uniform(-8, 0, int(rng.integers(2, 12)))
    single = c.sum() * (1 + 10 ** rng.uniform(-4, 3))
    found = bounds.slope_crossing(c, single)
    with mpmath.workdps(50):
        exact = [mpmath.mpf(float(v)) for v in c]
        for factor, sign in ((1e-12, 1), (0.5, 1), (1 - 1e-6, 1), (1 + 1e-6, -1), (2, -1), (1e12, -1)):
            d = mpmath.mpf(found) * factor
            slopes = mpmath.fsum(v / (v + d) for v in exact), single / (single + d)
            assert sign * (slopes[0] - slopes[1]) > 0
        whole = mpmath.fsum(v * (single - v) for v in exact) / (single - mpmath.fsum(exact))
        assert (whole - max(exact)) * (1 - mpmath.mpf(1e-9)) <= found <= (whole - min(exact)) * (1 + mpmath.mpf(1e-9))


@given(ratio=RATIOS, condition_number=CONDITION_NUMBERS)
def test_proposition_3_is_its_formula(ratio, condition_number):
    """The paper's a and b at 50 digits; ours avoids the cancellation in a − 1."""
    with mpmath.workdps(50):
        r, kappa = mpmath.mpf(ratio), mpmath.mpf(condition_number)
        a = ((r - 1) ** 2 + kappa * (2 * r - 1)) / (r - 1 + kappa) ** 2
        b = r**2 * kappa / (r - 1 + kappa) ** 2
        for t in (0, 1, 7):
            geometric = t if a == 1 else (a**t - 1) / (a - 1)
            expected = float(a**t * r - b * geometric)
            found = float(bounds.ratio_after(t, ratio, condition_number))
            assert abs(found - expected) <= 1e-12 * ratio * max(t, 1)
            # Relative too, where the bound is about to be vacuous: κ = 1e300 leaves r_1 ≥ r(r−1)/κ.
            assert t != 1 or found == pytest.approx(expected, rel=1e-6, abs=1e-14 * ratio)


@given(seed=st.integers(0, 2**32 - 1))
def test_theorem_6(seed):
    """S at the guaranteed round decreases in ε and reaches its limit to 1e-3 at ε = 1e-8 ‖y‖²/n for κ ≤ 100."""
    rng = np.random.default_rng(seed)
    d = 10 ** np.sort(rng.uniform(-2, 0, int(rng.integers(2, 30)))) * 10 ** rng.uniform(-6, 6)
    tolerances = np.geomspace(0.9, 1e-8, 60)
    values = [bounds.least_sparsity_index(d, 1 / math.sqrt(share)) for share in tolerances]
    limit = bounds.sparsity_index_limit(d)
    assert np.all(np.diff(values) >= -1e-14 * limit)
    assert values[-1] == pytest.approx(limit, rel=1e-3)
    # The statement is about S − 1 where S is near 1; there it is only first order in √ε.
    gap = d[0] / d[-1] * np.min(d[0] * np.diff(d) / (d[1:] * d[:-1]))
    assert math.log(limit) == pytest.approx(gap, rel=1e-9, abs=1e-300)
    assert math.log1p(values[-1] - 1) == pytest.approx(gap, rel=2e-2, abs=1e-14)


def test_ties_are_left_out():
    d = np.array([1.0, 1.0, 2.0, 2.0 + 1e-9, 4.0])
    assert bounds.distinct(d).tolist() == [0, 2, 3, 4]
    assert bounds.distinct(d, 1e-6).tolist() == [0, 2, 4]
    weights = np.array([0.1, 0.1, 0.2, 0.2, 0.8])
    assert bounds.sparsity_index(d, np.log(weights), 1e-6) == pytest.approx(2.0)
    assert bounds.sparsity_index(d, np.log(weights)) == pytest.approx(1.0)
    assert bounds.sparsity_index(d[::-1], np.log(weights[::-1]), 1e-6) == pytest.approx(2.0)
    assert bounds.sparsity_index(d, np.log(weights) - 1e6, 1e-6) == pytest.approx(2.0)  # where weights underflow
    assert bounds.sparsity_index([3.0, 3.0], [-0.5, -0.5]) == math.inf
    assert bounds.distinct([4.0, 1.0, 2.0, 1.0]).tolist() == [1, 2, 0]
    assert bounds.sparsity_index_limit([3.0, 3.0]) == math.inf
    # Steps each within the resolution add up: the chain is cut where it leaves the last one kept.
    assert bounds.distinct(np.array([1.0, 1.6, 2.2, 2.8]), 1.0).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bounds.multiplier_bracket([0.0, 1.0], 2.0), InvalidInput, "range, from round 1 on"),
        (lambda: bounds.multiplier_bracket([1.0], 1.0), InvalidTolerance, "ratio is 1; it must exceed 1"),
        (lambda: bounds.multiplier_bracket([], 2.0), InvalidInput, "smallest none"),
        (lambda: bounds.largest_next_ratio(2.0, 0.5), InvalidInput, r"condition_number is 0\.5"),
        (lambda: bounds.most_rounds(2.0, 0.5), InvalidInput, r"condition_number is 0\.5"),
        (lambda: bounds.single_multiplier_bounds([1.0], [0.0]), InvalidInput, "smallest 0; give one positive number"),
        (lambda: bounds.single_multiplier_bounds([1.0], []), InvalidInput, "smallest none; give one positive number"),
        (lambda: bounds.slope_crossing([1.0, 2.0], 3.0), InvalidInput, "single_multiplier is 3 and the sum .* 3; it"),
        (lambda: bounds.next_ratio(2.0, 0.5), InvalidInput, r"condition_number is 0\.5"),
        (lambda: bounds.rounds_by_triangle("3"), InvalidTolerance, "ratio is '3'"),
        (lambda: bounds.weight_ratio(2.0, 1.0, 1.0, 2.0, 1), InvalidInput, "give them in order"),
        (lambda: bounds.sparsity_index([1.0, 2.0], [0.5]), InvalidInput, "one weight for each"),
        (lambda: bounds.rounds_by_spectrum([1.0, 2.0], [1.0], 0.5), InvalidInput, "one energy per eigenvalue"),
        (lambda: bounds.rounds_by_spectrum([1.0, -2.0], [1.0, 1.0], 0.5), InvalidInput, "holds -2; .* of at least 0"),
        (lambda: bounds.rounds_by_spectrum([1.0], [1e300], 1e-300), InvalidTolerance, "use a larger tolerance"),
        (lambda: bounds.next_ratio([2.0, 0.5], 2.0), InvalidInput, r"ratio holds 0\.5; .* of at least 1"),
        (lambda: bounds.next_ratio(np.nan, 2.0), InvalidInput, "ratio holds nan"),
        (lambda: bounds.ratio_after(-1, 2.0, 2.0), InvalidInput, "rounds holds -1"),
        (lambda: bounds.least_sparsity_index([1.0, 2.0], 2.0, -3), InvalidInput, "rounds holds -3"),
        (lambda: bounds.multiplier_bracket(["a"], 2.0), InvalidInput, "eigenvalues has dtype <U1"),
        (lambda: bounds.sparsity_index([1.0, 2.0], [-np.inf, -1.0]), InvalidInput, "holds -inf"),
        (lambda: bounds.sparsity_index([[1.0, 2.0]], [[1.0, 2.0]]), InvalidInput, r"shape \(1, 2\)"),
        (lambda: bounds.rounds_by_spectrum([1.0], [1.0], 0.0), InvalidTolerance, r"tolerance is 0\.0"),
    ],
)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_path_that_collapses_at_once_has_no_rounds():
    assert bounds.rounds_by_spectrum([1.0, 2.0], [0.1, 0.1], 1.0) == 0
