"""Green's functions of given operators against closed forms, quadrature, and their own defining properties."""

import math
import re

import numpy as np
import pytest
from green_oracle import green_values
from scipy.integrate import quad
from scipy.special import erf

from hilbertsd import distill, greens
from hilbertsd.errors import IllPosedOperator, InvalidInput, NotConverged
from hilbertsd.greens.panels import MOST_PANELS
from hilbertsd.studies import green_functions as study

POINTS = np.sort(np.append(np.random.default_rng(5).uniform(size=60), [0.0, 0.5, 1.0]))


def relative_difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


PAIRS = study.pairs()


@pytest.mark.parametrize("name", PAIRS)
def test_every_closed_form_is_found(name):
    kernel, closed_form = PAIRS[name]
    assert relative_difference(kernel(POINTS), closed_form(POINTS)) < 2e-12


def test_the_comparison_can_fail():
    """A spline whose coefficient is off by 1e-7 is outside what the test above allows, and outside 1e-8."""
    kernel = greens.from_operator([0, 0, 1 + 1e-7], left=[0], right=[0])
    assert relative_difference(kernel(POINTS), greens.simply_supported_spline(POINTS)) > 1e-7


def test_natural_conditions_are_completed():
    """f'' = 0 at both ends of the paper's spline, f'' = f''' = 0 at the right end of the smoothing spline."""
    for given, explicit in (
        ({"left": [0], "right": [0]}, {"left": [0, 2], "right": [2, 0]}),
        ({"left": [0, 1]}, {"left": [0, 1], "right": [2, 3]}),
        ({"left": [1], "right": [0]}, {"left": [[0, 1], 3], "right": [[2.0], [0, 0, 5]]}),
    ):
        first, second = greens.from_operator([0, 0, 1], **given), greens.from_operator([0, 0, 1], **explicit)
        assert relative_difference(first(POINTS), second(POINTS)) < 1e-12


def test_natural_conditions_of_a_varying_coefficient():
    """P = a f'': (a² f'') = (a² f'')' = 0, the second of which differentiates the coefficient."""
    a = lambda x: np.exp(0.7 * x)  # noqa: E731
    natural = greens.from_operator([0, 0, a], left=[0, 1])
    explicit = greens.from_operator([0, 0, a], left=[0, 1], right=[2, [0, 0, 1.4, 1]])
    assert relative_difference(natural(POINTS), explicit(POINTS)) < 1e-10
    wrong = greens.from_operator([0, 0, a], left=[0, 1], right=[1, 0])
    assert relative_difference(natural(POINTS), wrong(POINTS)) > 1e-2


@pytest.mark.parametrize("interval", [(0.0, 1.0), (-3.0, 5.0)])
def test_first_order_with_varying_coefficients_by_quadrature(interval):
    """P f = a f' + b f, f(left) = 0: f = e^{−β} ∫ e^β h/a, so g(x,t) = e^{−β(x)−β(t)} ∫_left^min (e^β/a)²."""
    left, right = interval
    a = lambda x: 1.5 + np.sin(x)  # noqa: E731
    b = lambda x: 0.3 * x * (1.5 + np.sin(x))  # noqa: E731
    kernel = greens.from_operator([b, a], interval, left=[0])
    beta = lambda x: 0.15 * (x**2 - left**2)  # noqa: E731
    x = np.linspace(left, right, 7)[1:]
    expected = np.empty((6, 6))
    for i, s in enumerate(x):
        for j, t in enumerate(x):
            inner = quad(lambda u: (np.exp(beta(u)) / a(u)) ** 2, left, min(s, t), epsabs=0, epsrel=1e-12)[0]
            expected[i, j] = np.exp(-beta(s) - beta(t)) * inner
    np.testing.assert_allclose(kernel(x), expected, rtol=1e-9)


def test_second_order_with_a_varying_coefficient_by_quadrature():
    """P = a f'', clamped at 0: g(x,t) = ∫ (x−u)₊ (t−u)₊/a(u)² du."""
    a = lambda x: 1 + x**2  # noqa: E731
    kernel = greens.from_operator([0, 0, a], left=[0, 1])
    for s, t in ((0.3, 0.9), (1.0, 1.0), (0.5, 0.51)):
        expected = quad(lambda u, s=s, t=t: (s - u) * (t - u) / a(u) ** 2, 0, min(s, t), epsabs=0, epsrel=1e-12)[0]
        assert kernel([s], [t])[0, 0] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(("order", "alpha"), [(4, 1.0), (4, 10.0), (4, 100.0), (3, 300.0)])
def test_high_orders_and_short_ranges(order, alpha):
    """Matérn 7/2 (and 5/2), whose closed form for order 4 is not in the core."""
    polynomial = np.polynomial.polynomial.polypow([alpha, 1], order).tolist()
    outgoing = np.polynomial.polynomial.polypow([-alpha, 1], order).tolist()
    kernel = greens.from_operator(polynomial, left=[[0.0] * j + outgoing for j in range(order)])
    u = alpha * np.abs(POINTS[:, None] - POINTS[None, :])
    if order == 4:
        expected = 5 / (32 * alpha**7) * (1 + u + 2 * u**2 / 5 + u**3 / 15) * np.exp(-u)
    else:
        expected = 3 / (16 * alpha**5) * (1 + u + u**2 / 3) * np.exp(-u)
    assert relative_difference(kernel(POINTS), expected) < 1e-10


def test_it_reproduces():
    """⟨f, g(·,t)⟩ = ∫ Pf Pg(·,t) = f(t): the defining property, for a function that meets the conditions."""
    kernel = greens.from_operator([2.0, lambda x: 1 + x], left=[0])
    f, slope = lambda x: x * np.exp(x), lambda x: (1 + x) * np.exp(x)
    t, step = 0.4, 1e-5

    def section(x):
        low, high = kernel([x - step], [t])[0, 0], kernel([x + step], [t])[0, 0]
        return 2 * kernel([x], [t])[0, 0] + (1 + x) * (high - low) / (2 * step)

    product = lambda x: (2 * f(x) + (1 + x) * slope(x)) * section(x)  # noqa: E731
    total = quad(product, step, t - step, limit=200)[0] + quad(product, t + step, 1 - step, limit=200)[0]
    assert total == pytest.approx(f(t), rel=2e-4)


def test_kernels_are_symmetric_positive_and_ready_for_distill(rng):
    kernel = greens.from_operator([9.0, 1.0, 0.1], (-1.0, 2.0), left=[0], right=[0])
    x = rng.uniform(-1, 2, size=40)
    matrix = kernel(x)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > -1e-14 * matrix.max()
    np.testing.assert_allclose(matrix, kernel(x[:, None], x.tolist()), atol=1e-15)
    path = distill(matrix, np.sin(x), tolerance=0.02)
    assert path.predict(kernel([0.0, 1.0], x)).shape == (2,)
    with pytest.raises(InvalidInput, match=r"X holds 2\.5, outside \[-1, 2\]"):
        kernel([2.5])


@pytest.mark.parametrize("coefficients", [[3, 1], [30, 1], [9, 6, 1], [900, 60, 1], [27, 27, 9, 1], [100, 1, 0, 2, 1]])
@pytest.mark.parametrize("period", [1.0, 2.5])
def test_fourier_and_chebyshev_agree_on_the_circle(coefficients, period):
    x = period * POINTS
    fourier = greens.from_periodic_operator(coefficients, period)
    chebyshev = greens.from_operator(coefficients, (0.0, period), periodic=True)
    assert relative_difference(fourier(x), chebyshev(x)) < 1e-10
    np.testing.assert_array_equal(fourier(x), fourier(x).T)
    assert relative_difference(fourier(x + 7 * period, x), fourier(x)) < 1e-10


def test_a_periodic_matern_is_the_sum_over_its_images():
    alpha = math.sqrt(3) / 0.2
    kernel = greens.from_periodic_operator((np.array([alpha**2, 2 * alpha, 1]) / math.sqrt(4 * alpha**3)).tolist())
    images = sum(greens.matern(POINTS, POINTS + k, smoothness=1.5, length_scale=0.2) for k in range(-8, 9))
    assert relative_difference(kernel(POINTS), images) < 1e-12


def test_dropped_frequencies_leave_an_orthogonal_kernel():
    """P = d² + (2π)²: the kernel is orthogonal to sine and cosine of frequency 1, and sees everything else."""
    kernel = greens.from_periodic_operator([(2 * math.pi) ** 2, 0, 1], orthogonal_to_null_space=True)
    grid = np.arange(400) / 400
    spectrum = np.fft.fft(kernel(grid, [0.0])[:, 0]).real / 400
    assert abs(spectrum[1]) < 1e-9 * abs(spectrum[0])
    omega = 2 * math.pi * np.arange(5)
    expected = 1 / ((2 * math.pi) ** 2 - omega[[0, 2, 3, 4]] ** 2) ** 2
    np.testing.assert_allclose(spectrum[[0, 2, 3, 4]], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coefficients": [0, 0, 1]}, r"null space of dimension 2.*f\(0\) = 0 and f'\(0\) = 0 would remove it"),
        ({"coefficients": [0, 1]}, r"dimension 1.*f\(0\) = 0 would remove it"),
        ({"coefficients": [0, 0, 1], "left": [1], "right": [1]}, r"dimension 1.*f\(0\) = 0 would remove it"),
        ({"coefficients": [0, 0, 0, 1], "left": [0]}, r"dimension 2.*f'\(0\) = 0 and f''\(0\) = 0 would"),
        (
            {"coefficients": [0, 0, 1], "left": [2, 3]},
            r"dimension 2.*f'\(0\) = 0 would remove it, in place of those of or",
        ),
        (
            {"coefficients": [0, 0, 1], "left": [1, 3], "right": [1, 3]},
            r"dimension 1.*f\(0\) = 0 would remove it, in pl",
        ),
        ({"coefficients": [math.pi**2, 0, 1], "left": [0], "right": [0]}, r"dimension 1.*f'\(0\) = 0 would"),
        ({"coefficients": [0, 1], "periodic": True}, r"dimension 1.*orthogonal_to_null_space=True"),
        ({"coefficients": [1, 1], "left": [0], "periodic": True}, "drop left and right"),
        ({"coefficients": [0, 0, 1], "left": [0, 0]}, "depend on each other"),
        ({"coefficients": [0, 0, 1], "left": [0, 3]}, "not self-adjoint"),
        ({"coefficients": [0, 0, 1], "left": [0, 1, 2]}, "3 conditions at the left end"),
        ({"coefficients": [0, 0, 1], "right": [3]}, "1 conditions at the right end involve derivatives of order 3"),
        ({"coefficients": [0, 1], "left": [[5, 1]]}, "negative for some functions"),
        ({"coefficients": [0, 1], "left": [[1.5, 1]], "right": [0]}, "negative for some functions"),
    ],
)
def test_ill_posed_conditions_say_what_is_missing(arguments, message):
    with pytest.raises(IllPosedOperator, match=message):
        greens.from_operator(**arguments)


@pytest.mark.parametrize(
    ("order", "left", "right"),
    [
        (1, [], []),
        (2, [], []),
        (2, [1], []),
        (2, [2, 3], [2]),
        (3, [0], []),
        (3, [], [1, 2]),
        (4, [], [0]),
        (4, [3], [3]),
    ],
)
def test_the_proposed_conditions_do_remove_the_null_space(order, left, right):
    """Read the message, add what it proposes in place of the high derivatives, and solve."""
    coefficients = [0] * order + [1]
    left, right = [[c for c in conditions if c < order or len(conditions) == order] for conditions in (left, right)]
    with pytest.raises(IllPosedOperator, match="would remove it") as refused:
        greens.from_operator(coefficients, left=left, right=right)
    proposed = re.findall(r"f('*)\(([01])\) = 0", str(refused.value))
    assert f"dimension {len(proposed)}:" in str(refused.value)
    kept = [[c for c in conditions if c < order] for conditions in (left, right)]
    for primes, point in proposed:
        kept[int(point)].append(len(primes))
    kernel = greens.from_operator(coefficients, left=kept[0], right=kept[1])
    assert np.all(np.isfinite(kernel(POINTS)))


ORACLE_POINTS = np.array([0, 9, 27, 64, 65, 99, 123, 128]) / 128


@pytest.mark.parametrize(
    ("coefficients", "left", "right"),
    [
        ([-16, 1], [0], []),  # solutions that grow away from their conditions
        ([-200, 1], [0], []),
        ([-300, 1], [], [0]),
        ([300, 1], [0], [0]),
        ([2.284, -38.256, 0.18666], [0, 1], []),
        ([0, 65.35, 1.0726], [], [0, 1]),
        ([-2500, 0, 1], [0, 1], []),
        ([-2500, 0, 1], [0], [0]),
        ([-2500, 0, 1], [0, 1], [0]),
        ([2.284, -38.256, 0.18666], [0, 1], [0]),
        ([0, 0, -0.01233, 3.301, 0.2571], [], [0, 1, 2, 3]),
        ([0.02145, 0, -2.722, 0, 2.689], [2], [0, 2, 3]),
        ([0.03924, -22.61, 0.3629], [1], [1]),
        ([0.01607, 0.7068, 48.75, 0.9356], [1], [0, 2]),
        ([-0.08019, 0, -1.705, -2.289, 0.2475], [1, 3], [2, 3]),
        ([0, 0, 0, 0, 1], [0, 1, 2, 3], [0, 1, 2, 3]),
        ([(math.pi * (1 + 1e-6)) ** 2, 0, 1], [0], [0]),  # next to a null space
    ],
)
def test_constant_coefficients_against_the_oracle(coefficients, left, right):
    expected = green_values(coefficients, ORACLE_POINTS, left, right)
    found = greens.from_operator(coefficients, left=left, right=right)(ORACLE_POINTS)
    assert relative_difference(found, expected) < 1e-9


@pytest.mark.parametrize("seed", range(25))
def test_random_operators_against_the_oracle(seed):
    """Orders 1 to 4, random coefficients and p or more random conditions; scaling P or x changes nothing else."""
    rng = np.random.default_rng(seed)
    order = 1 + seed % 4
    coefficients = rng.normal(size=order + 1) * 10 ** rng.uniform(-2, 1.5, size=order + 1)
    coefficients[-1] = 10 ** rng.uniform(-1, 1)
    n_left = int(rng.integers(0, order + 1))
    n_right = int(rng.integers(order - n_left, order + 1))
    left, right = (rng.choice(order, size=n, replace=False).tolist() for n in (n_left, n_right))
    expected = green_values(coefficients, ORACLE_POINTS, left, right)
    try:
        found = greens.from_operator(coefficients.tolist(), left=left, right=right)(ORACLE_POINTS)
    except NotConverged:  # next to a null space: then g is large beside that of P with one end clamped
        clamped = green_values(coefficients, ORACLE_POINTS, range(order), right)
        assert np.abs(expected).max() > 1e8 * np.abs(clamped).max()
        return
    assert relative_difference(found, expected) < 1e-8
    for factor, length in ((1e6, 1.0), (1.0, 1e6), (1e-6, 1e-6)):
        scaled = (factor * coefficients * length ** np.arange(order + 1)).tolist()
        again = greens.from_operator(scaled, (0.0, length), left=left, right=right)(length * ORACLE_POINTS)
        assert relative_difference(again * factor**2 * length, expected) < 1e-8


@pytest.mark.parametrize(("order", "waves"), [(2, 100), (3, 100), (4, 100), (4, 300)])
def test_rough_coefficients_by_quadrature(order, waves):
    """P = a dᵖ/dxᵖ clamped at 0: g(x,t) = ∫ (x−u)₊ᵖ⁻¹ (t−u)₊ᵖ⁻¹/((p−1)!² a(u)²) du."""
    a = lambda x: 1 + 0.5 * np.sin(waves * x)  # noqa: E731
    kernel = greens.from_operator([0] * order + [a], left=list(range(order)))
    s, t = 0.8, 0.95
    nodes, weights = np.polynomial.legendre.leggauss(40)
    u = (np.arange(100)[:, None] + (nodes + 1) / 2) * s / 100
    values = ((s - u) * (t - u)) ** (order - 1) / math.factorial(order - 1) ** 2 / a(u) ** 2
    assert kernel([s], [t])[0, 0] == pytest.approx(np.sum(values @ weights) * s / 200, rel=1e-8)


@pytest.mark.parametrize("centre", [0.4567, 0.0471, 0.9])
def test_narrow_features_are_seen(centre):
    """A bump of width 1e-3 in a_0: g(1,1) = ∫ e^{2β(u)−2β(1)} du, β the bump's integral."""
    kernel = greens.from_operator([lambda x: 1000 * np.exp(-(((x - centre) / 1e-3) ** 2)), 1], left=[0])
    edges = np.array([0, *(centre + 1e-3 * np.linspace(-8, 8, 33)), 1])
    nodes, weights = np.polynomial.legendre.leggauss(40)
    u = (edges[:-1, None] + edges[1:, None]) / 2 + (edges[1:, None] - edges[:-1, None]) / 2 * nodes
    rest = math.sqrt(math.pi) / 2 * (erf((1 - centre) / 1e-3) - erf((u - centre) / 1e-3))
    expected = float(np.sum(np.exp(-2 * rest) @ weights * np.diff(edges) / 2))
    assert kernel([1.0])[0, 0] == pytest.approx(expected, rel=1e-9)


def test_boundary_terms_that_take_away_from_the_regulariser():
    """R = ∫ f'² − f(0)²/2 with f(1) = 0, from f'(0) = −f(0)/2: g = 1 − max + (1−x)(1−t)/(2 − 1)."""
    kernel = greens.from_operator([0, 1], left=[[0.5, 1]], right=[0])
    x, t = POINTS[:, None], POINTS[None, :]
    expected = 1 - np.maximum(x, t) + (1 - x) * (1 - t)
    np.testing.assert_allclose(kernel(POINTS), expected, atol=1e-12)


def test_boundary_terms_that_add_to_the_regulariser():
    """R = ∫ f'² + α f(0)² + β f(1)²: g = (1+α min)(1+β(1−max))/(α+β+αβ)."""
    for alpha, beta in ((0.7, 3.0), (1e-3, 1e3), (50.0, 0.0)):
        kernel = greens.from_operator([0, 1], left=[[-alpha, 1]], right=[[beta, 1]])
        x, t = POINTS[:, None], POINTS[None, :]
        below = (1 + alpha * np.minimum(x, t)) * (1 + beta * (1 - np.maximum(x, t)))
        assert relative_difference(kernel(POINTS), below / (alpha + beta + alpha * beta)) < 1e-12


def test_a_periodic_kernel_takes_points_modulo_its_length():
    kernel = greens.from_operator([3.0, lambda x: 2 + np.sin(2 * np.pi * x)], periodic=True)
    np.testing.assert_allclose(kernel(POINTS + 5, POINTS - 3), kernel(POINTS), atol=1e-13)
    assert kernel([0.0], [1.0])[0, 0] == pytest.approx(kernel([0.0])[0, 0])


@pytest.mark.parametrize("rate", [1e-9, 1e-3, 3.0, 300.0])
def test_first_order_on_the_circle(rate):
    kernel = greens.from_periodic_operator([rate, -2.0], 1.5)
    k = np.arange(200_001)
    symbol = rate**2 + (2 * 2 * math.pi * k / 1.5) ** 2
    u = np.array([0.2, 0.75])
    terms = np.where(k == 0, 1, 2) * np.cos(2 * math.pi * k * u[:, None] / 1.5) / symbol / 1.5
    np.testing.assert_allclose(kernel(u, [0.0])[:, 0], terms.sum(axis=1), rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: greens.from_operator([1]), InvalidInput, "1 coefficients make an operator of order 0"),
        (lambda: greens.from_operator([1] * 6), InvalidInput, "order 5"),
        (lambda: greens.from_operator([0, 1], (1, 1)), InvalidInput, r"interval is \(1, 1\)"),
        (lambda: greens.from_operator([0, lambda x: x - 0.5]), InvalidInput, "vanishes or changes sign"),
        (
            lambda: greens.from_operator([lambda x: np.where(x > 0.5, np.inf, 1), 1]),
            InvalidInput,
            "coefficient 0 is not f",
        ),
        (lambda: greens.from_operator(["a", 1]), InvalidInput, "coefficient 0 gives no real number"),
        (lambda: greens.from_operator([lambda _: [1, 2], 1]), InvalidInput, "coefficient 0 gives no real number"),
        (lambda: greens.from_operator([0, 1], left=[2]), InvalidInput, "condition 2 at the left end"),
        (lambda: greens.from_operator([0, 1], left=["f"]), InvalidInput, "condition 'f' at the left end"),
        (lambda: greens.from_operator([0, 1], left=[[0, 0]]), InvalidInput, r"condition \[0, 0\]"),
        (lambda: greens.from_operator([0, lambda x: 1 + np.abs(x - 0.3)]), NotConverged, f"{MOST_PANELS} panels"),
        (lambda: greens.from_periodic_operator([0, 0, 1]), IllPosedOperator, r"dimension 1 .*constants"),
        (
            lambda: greens.from_periodic_operator([(2 * math.pi) ** 2, 0, 1]),
            IllPosedOperator,
            "dimension 2 .*sine and cosine of frequency 1",
        ),
        (lambda: greens.from_periodic_operator([1, 0]), InvalidInput, "the last not zero"),
        (lambda: greens.from_periodic_operator([1, 1], 0), InvalidInput, "period is 0"),
        (lambda: greens.from_periodic_operator([1e7, 1]), NotConverged, "vary too fast within its period"),
        (lambda: greens.from_periodic_operator([1e10, 0, 1]), NotConverged, r"use from_operator\(..., periodic=True\)"),
        (lambda: greens.from_periodic_operator([1.0, lambda x: x]), InvalidInput, r"from_operator\(..., periodic=True"),
        (lambda: greens.from_periodic_operator(["a", "b"]), InvalidInput, "give 2 to 5 numbers"),
        (lambda: greens.from_periodic_operator([1j, 1]), InvalidInput, "give 2 to 5 numbers"),
        (lambda: greens.from_periodic_operator([1e-300, 0, 1], 1e300), InvalidInput, "leave double precision"),
        (lambda: greens.from_periodic_operator([1e-200, 1]), InvalidInput, "leave double precision; rescale x or P"),
        (lambda: greens.from_periodic_operator([1e-160, 0, 1]), InvalidInput, "leave double precision"),
        (lambda: greens.from_periodic_operator([3, 1], 1e-300), InvalidInput, "with period 1e-300 leave double"),
        (lambda: greens.from_operator([0, 1e200], left=[0]), InvalidInput, r"leading coefficient, 1e\+200 .*rescale"),
        (lambda: greens.from_operator([0, 1e-200], left=[0]), InvalidInput, "leading coefficient, 1e-200 .*rescale"),
        (
            lambda: greens.from_operator([0, 0, 1], (0, 1e200), left=[0, 1]),
            InvalidInput,
            "to the power 2 leaves double",
        ),
        (lambda: greens.from_operator([0, 1], (-1.7e308, 1.7e308), left=[0]), InvalidInput, "to the power 1 leaves"),
        (lambda: greens.from_operator(1), InvalidInput, "coefficients are 1; give the list"),
        (lambda: greens.from_operator([0, 1j]), InvalidInput, "dtype complex128"),
        (lambda: greens.from_operator([0, "1"]), InvalidInput, "coefficient 1 gives no real number"),
        (lambda: greens.from_operator([0, 1], 1), InvalidInput, "interval is 1; give two finite ends"),
        (lambda: greens.from_operator([0, 1], (0, 1, 2)), InvalidInput, "give two finite ends"),
        (lambda: greens.from_operator([0, 1], left=0), InvalidInput, "the left conditions are 0; give a list"),
        (lambda: greens.from_operator([0, 1], left=[["a", 1]]), InvalidInput, "condition .* at the left end"),
        (lambda: greens.from_operator([0, 1], left=[[1j]]), InvalidInput, "condition .* at the left end"),
        (lambda: greens.from_operator([0, 1], left=[[1, [2]]]), InvalidInput, "condition .* at the left end"),
        (
            lambda: greens.from_operator([lambda x: 1 + x, 1], periodic=True),
            InvalidInput,
            "coefficient 0 is 1 at the left",
        ),
        (lambda: greens.from_operator([-400.0, 1], left=[0]), NotConverged, "leave double precision"),
        (lambda: greens.from_operator([1e300, 1], left=[0]), NotConverged, f"{MOST_PANELS} panels"),
        (
            lambda: greens.from_operator([(math.pi * (1 + 1e-10)) ** 2, 0, 1], left=[0], right=[0]),
            NotConverged,
            "not known to 1e-8",
        ),
    ],
)
def test_bad_operators_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
