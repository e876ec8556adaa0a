"""Each closed form against its own differential equation and boundary conditions."""

import mpmath
import numpy as np
import pytest
from numpy.polynomial import Chebyshev

from hilbertsd import greens
from hilbertsd.errors import InvalidInput

SPLINES = {
    # name: (kernel, order p of P, right end, conditions at 0, conditions at the right end: derivatives that vanish)
    "simply_supported_spline": (greens.simply_supported_spline, 2, 1.0, (0, 2), (0, 2)),
    "brownian_motion": (greens.brownian_motion, 1, 2.5, (0,), (1,)),
    "brownian_bridge": (greens.brownian_bridge, 1, 1.0, (0,), (0,)),
    "cubic_smoothing_spline": (greens.cubic_smoothing_spline, 2, 2.5, (0, 1), (2, 3)),
}


def halves(kernel, source, left, right, degree):
    """g(·, source) on either side of the source, as interpolants that differentiate exactly."""
    return [
        Chebyshev.interpolate(lambda x: kernel(x, np.array([source]))[:, 0], degree, domain=domain)
        for domain in ([left, source], [source, right])
    ]


def derivative(half, order, x):
    return half.deriv(order)(x) if order else half(x)


@pytest.mark.parametrize("name", SPLINES)
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.83])
def test_splines_solve_their_equation(name, fraction):
    """L = (−1)^p d^(2p)/dx^(2p): g is piecewise polynomial, smooth to order 2p−2, and jumps by (−1)^p in the last."""
    kernel, p, end, at_zero, at_end = SPLINES[name]
    source = fraction * end
    below, above = halves(kernel, source, 0.0, end, 2 * p + 1)
    for half in (below, above):
        points = np.linspace(*half.domain, 7)
        np.testing.assert_allclose(derivative(half, 2 * p, points), 0, atol=1e-8)
    jumps = [derivative(above, k, source) - derivative(below, k, source) for k in range(2 * p)]
    np.testing.assert_allclose(jumps, [0] * (2 * p - 1) + [(-1) ** p], atol=1e-10)
    np.testing.assert_allclose([derivative(below, k, 0.0) for k in at_zero], 0, atol=1e-10)
    np.testing.assert_allclose([derivative(above, k, end) for k in at_end], 0, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_periodic_splines_solve_their_equation(order):
    """(−1)^m g^(2m) = δ − 1 on the circle, g of mean zero."""
    source = 0.3
    below, above = halves(lambda x, t: greens.periodic_spline(x, t, order=order), source, 0.0, 1.0, 2 * order + 1)
    for half in (below, above):
        points = np.linspace(*half.domain, 7)
        np.testing.assert_allclose((-1) ** order * derivative(half, 2 * order, points), -1, atol=1e-5)
    jumps = np.array([derivative(above, k, source) - derivative(below, k, source) for k in range(2 * order)])
    np.testing.assert_allclose(jumps, [0] * (2 * order - 1) + [(-1) ** order], atol=1e-6)
    wrap = [derivative(above, k, 1.0) - derivative(below, k, 0.0) for k in range(2 * order)]
    np.testing.assert_allclose(wrap, 0, atol=1e-6)
    mean = below.integ()(source) - below.integ()(0.0) + above.integ()(1.0) - above.integ()(source)
    assert abs(mean) < 1e-15


@pytest.mark.parametrize("order", [1, 2, 5, 20, 80])
def test_periodic_splines_keep_full_precision_at_any_order(order):
    x = np.array([0.0, 0.1, 0.37, 0.5, 0.93, 2.25])
    with mpmath.workdps(60):
        exact = [
            float((-1) ** (order - 1) * mpmath.bernpoly(2 * order, mpmath.mpf(v) % 1) / mpmath.factorial(2 * order))
            for v in x.tolist()
        ]
    found = greens.periodic_spline(x, [0.0], order=order)[:, 0]
    np.testing.assert_allclose(found, exact, rtol=0, atol=5e-14 * np.abs(exact).max())


@pytest.mark.parametrize(("smoothness", "p"), [(0.5, 1), (1.5, 2), (2.5, 3)])
@pytest.mark.parametrize("length_scale", [0.6, 2.0])
def test_matern_solves_its_equation(smoothness, p, length_scale):
    """(α² − d²/dx²)^p g/q = δ on the line, q = 2α, 4α³, 16α⁵/3."""
    alpha = np.sqrt(2 * smoothness) / length_scale
    q = {1: 2 * alpha, 2: 4 * alpha**3, 3: 16 * alpha**5 / 3}[p]
    kernel = lambda x, t: greens.matern(x, t, smoothness=smoothness, length_scale=length_scale)  # noqa: E731
    below, above = halves(kernel, 0.2, 0.2 - length_scale, 0.2 + length_scale, 18)
    # (α² − D²)^p as a polynomial in D, lowest power first.
    operator = np.polynomial.polynomial.polypow([alpha**2, 0, -1], p) / q
    for half in (below, above):
        inner = np.linspace(0.25, 0.75, 5) * np.ptp(half.domain) + half.domain[0]
        terms = np.array([a * derivative(half, k, inner) for k, a in enumerate(operator)])
        np.testing.assert_allclose(terms.sum(axis=0), 0, atol=2e-6 * np.abs(terms).max())
    jumps = np.array([derivative(above, k, 0.2) - derivative(below, k, 0.2) for k in range(2 * p)])
    # −D² to the p-th power, over q: the delta is the jump of the derivative before the last.
    np.testing.assert_allclose((-1) ** p * jumps[-1] / q, 1, rtol=1e-6)
    np.testing.assert_allclose(jumps[:-1], 0, atol=1e-6 * np.abs(jumps[-1]))


def test_matern_in_several_dimensions_is_scikit_learns(rng):
    from sklearn.gaussian_process.kernels import Matern

    x, t = rng.normal(size=(6, 3)), rng.normal(size=(4, 3))
    for smoothness in (0.5, 1.5, 2.5):
        expected = Matern(length_scale=0.8, nu=smoothness)(x, t)
        np.testing.assert_allclose(greens.matern(x, t, smoothness=smoothness, length_scale=0.8), expected, rtol=1e-13)


@pytest.mark.parametrize("smoothness", [0.5, 1.5, 2.5])
def test_matern_at_huge_and_tiny_distances_and_lengths(smoothness):
    """Far apart the kernel is 0, at equal points 1, and only distances in units of the length matter."""
    matern = lambda x, length=1.0: greens.matern(x, smoothness=smoothness, length_scale=length)  # noqa: E731
    for points in ([0.0, 1e200], [-1.7e308, 1.7e308], [0.0, 1e160]):
        np.testing.assert_array_equal(matern(points), np.eye(2))
    for length in (1e-320, 1e-300, 1e-150):
        np.testing.assert_array_equal(matern([0.0, 800.0, 1e200], length), np.eye(3))
    expected = matern([0.0, 1.0])
    for length in (1e-300, 1e-200, 1e200, 1e300):
        np.testing.assert_allclose(matern([0.0, length], length), expected, rtol=1e-14)
        np.testing.assert_allclose(matern([[0, 0], [0.6 * length, 0.8 * length]], length), expected, rtol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 80])
def test_periodic_kernels_at_huge_points(order):
    """Points are taken modulo the period before they are subtracted: no digit is lost and nothing overflows."""
    for kernel in (lambda x: greens.periodic_spline(x, order=order), greens.from_periodic_operator([3.0, 1.0])):
        np.testing.assert_array_equal(kernel([-1.7e308, 1.7e308]), kernel([0.0, 0.0]))
        huge = np.array([0.25, 2.0**40 + 0.5, -(2.0**45) - 0.125])
        np.testing.assert_allclose(kernel(huge), kernel([0.25, 0.5, -0.125]), rtol=1e-13)


CLOSED_FORMS = [name for name in greens.__all__ if not name.startswith("from_") and not name.endswith("Kernel")]


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_kernel_matrices_are_symmetric_positive_semidefinite_and_take_columns(name, rng):
    kernel = getattr(greens, name)
    points = rng.uniform(size=25)
    matrix = kernel(points)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(matrix, kernel(points[:, None], points.tolist()))
    assert np.linalg.eigvalsh(matrix).min() > -1e-14 * np.abs(matrix).max() * 25
    assert kernel(points, [0.5]).shape == (25, 1)


def test_the_paper_writes_its_spline_with_a_maximum():
    x, t = np.linspace(0, 1, 23)[:, None], np.linspace(0, 1, 17)[None, :]
    published = np.maximum(x - t, 0) ** 3 / 6 - x * (1 - t) * (x**2 - 2 * t + t**2) / 6
    np.testing.assert_allclose(greens.simply_supported_spline(x, t[0]), published, atol=1e-16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: greens.brownian_bridge([0.5, 1.2]), r"X holds 1\.2, outside \[0, 1\]"),
        (lambda: greens.brownian_motion([0.5], [-2.0]), r"Y holds -2, outside \[0, inf\]"),
        (lambda: greens.cubic_smoothing_spline(np.ones((3, 2))), "X has 2 features"),
        (lambda: greens.simply_supported_spline([]), "non-empty"),
        (lambda: greens.simply_supported_spline([np.nan]), "holds nan"),
        (lambda: greens.simply_supported_spline(["a"]), "dtype <U1"),
        (
            lambda: greens.cubic_smoothing_spline([0.0, 1e200]),
            r"points up to 1e\+200 .*beyond double precision; rescale",
        ),
        (lambda: greens.cubic_smoothing_spline([1.7e308], [1.0]), r"points up to 1\.7e\+308 .*rescale the points"),
        (lambda: greens.periodic_spline([0.1], order=81), "order is 81; give a whole number from 1 to 80"),
        (lambda: greens.periodic_spline([0.1], order=True), "order is True"),
        (lambda: greens.periodic_spline([0.1], order=0), "order is 0"),
        (lambda: greens.periodic_spline([0.1], order=2.5), r"order is 2\.5"),
        (lambda: greens.matern([0.1], smoothness=1.0), r"smoothness is 1\.0; .*\[0\.5, 1\.5, 2\.5\]"),
        (lambda: greens.matern([0.1], smoothness=[1.5]), r"smoothness is \[1\.5\]"),
        (lambda: greens.matern([0.1], length_scale=0), "length_scale is 0"),
        (lambda: greens.matern(np.ones((2, 3)), np.ones((2, 2))), "X has 3 features and Y 2"),
    ],
)
def test_bad_points_and_parameters_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
