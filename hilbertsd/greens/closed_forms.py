"""Green's functions with a closed form.

A regulariser R(f) = ∫ (P f)² dx whose boundary conditions leave P no null space has the operator L = P*P. The Green's
function g of L, L g(·,t) = δ(·−t), is the kernel of the regression (MFB 2-3, 14). Each function here is such a g,
called as k(X, Y): X is (n,) or (n, 1), Y likewise (X again where None), and the result holds the (n, m) kernel values.

    x, x_new = np.array([0.1, 0.4, 0.8]), np.linspace(0, 1, 5)
    y = np.sin(2 * np.pi * x)
    path = hilbertsd.distill(simply_supported_spline(x), y, tolerance=0.1)
    path.predict(simply_supported_spline(x_new, x), 0)  # (5,) the first fit

Points outside the operator's interval, of the wrong shape or not finite raise InvalidInput, and so do points so large
that the kernel's values leave double precision.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import as_real_float64, check_positive, check_whole

Matrix = NDArray[np.floating[Any]]

LARGEST_PERIODIC_ORDER = 80
"""Largest order of a periodic spline; for larger ones (2m)! leaves double precision."""

ALL_DIGITS = 1024.0
"""Points farther from 0 than this many periods are taken modulo it, so that their differences keep their digits."""

LARGEST_RATIO = 1000.0
"""Distances in units of a Matérn kernel's length are cut here, where exp(−u) is 0 in double precision."""

SAFE_LENGTHS = 1e-140, 1e140
"""Length scales between which no square of a distance over- or underflows that changes a kernel value."""


def simply_supported_spline(X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
    """Spline of MFB §4, the deflection at x of a simply supported beam loaded at t ≥ x: x(1−t)(2t−t²−x²)/6.

    P = d²/dx² and L = d⁴/dx⁴ on [0, 1]; f(0) = f(1) = f''(0) = f''(1) = 0.
    The kernel vanishes at 0 and 1, so a training point there adds a zero row to the kernel matrix.

    Source: MFB (59), arXiv:2002.05715.
    """
    return _symmetric(X, Y, 1.0, lambda x, t: x * (1 - t) * (t * (2 - t) - x**2) / 6)


def brownian_motion(X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
    """Covariance of Brownian motion, min(x, t).

    P = d/dx and L = −d²/dx² on [0, ∞); f(0) = 0, and f' vanishes at the right end of any interval [0, b].

    Source: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), §B.2.
    """
    return _symmetric(X, Y, math.inf, lambda x, _: x)


def brownian_bridge(X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
    """Covariance of the Brownian bridge: for x ≤ t, x(1−t).

    P = d/dx and L = −d²/dx² on [0, 1]; f(0) = f(1) = 0.

    Source: Berlinet & Thomas-Agnan, Reproducing Kernel Hilbert Spaces in Probability and Statistics (2004), §7.
    """
    return _symmetric(X, Y, 1.0, lambda x, t: x * (1 - t))


def cubic_smoothing_spline(X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
    """Kernel of the cubic smoothing spline clamped at 0: for x ≤ t, x²(3t−x)/6 = ∫ (x−u)₊ (t−u)₊ du.

    P = d²/dx² and L = d⁴/dx⁴ on [0, ∞); f(0) = f'(0) = 0, and f'' = f''' = 0 at the right end of any [0, b].
    The classical smoothing spline leaves the lines, P's null space, unpenalised; add c₀ + c₁xt to penalise
    them finitely.

    Source: Wahba, Spline Models for Observational Data (1990), §1.2.
    """
    return _symmetric(X, Y, math.inf, lambda x, t: x**2 * (3 * t - x) / 6)


def periodic_spline(X: ArrayLike, Y: ArrayLike | None = None, *, order: int = 2) -> Matrix:
    """Periodic spline of order m: (−1)^(m−1) B_2m({x−t})/(2m)! with the Bernoulli polynomial B_2m.

    P = dᵐ/dxᵐ and L = (−1)ᵐ d²ᵐ/dx²ᵐ on the circle [0, 1), for functions of mean zero: L g(·,t) = δ(·−t) − 1.
    Centre the targets (or add a constant to the kernel) to fit a mean. Real points are taken modulo 1.

    Parameters
    ----------
    X, Y : (n,) or (n, 1) points, (m,) or (m, 1) points.
    order : the order m, from 1 to 80.

    Source: Wahba (1990), §2.1; DLMF 24.2.
    """
    check_whole(order, "order", InvalidInput)
    if order > LARGEST_PERIODIC_ORDER:
        raise InvalidInput(f"order is {order!r}; give a whole number from 1 to {LARGEST_PERIODIC_ORDER}")
    # B_2m(1−u) = B_2m(u): at distances of at most ½ the Horner sums lose a factor e^π at most, for any order.
    distance = distances_on_circle(X, Y, 1.0)
    return (-1) ** (order - 1) * np.polynomial.polynomial.polyval(distance, _bernoulli_over_factorial(2 * order))


def matern(X: ArrayLike, Y: ArrayLike | None = None, *, smoothness: float = 1.5, length_scale: float = 1.0) -> Matrix:
    """Matérn kernel of smoothness ν = ½, 3/2 or 5/2 and unit variance.

    With α = √(2ν)/ℓ, on the real line (functions that vanish at ±∞):

        ν = ½     P = (d/dx + α)/√(2α)            L = (α² − d²/dx²)/(2α)
        ν = 3/2   P = (d/dx + α)²/√(4α³)          L = (α² − d²/dx²)²/(4α³)
        ν = 5/2   P = (d/dx + α)³/√(16α⁵/3)       L = 3(α² − d²/dx²)³/(16α⁵)

    In p dimensions L is (α² − Δ)^(ν+p/2) up to a constant.

    Parameters
    ----------
    X, Y : (n, n_features) points, (m, n_features) points; one-dimensional arrays are points with one feature.
    smoothness : the smoothness ν, one of 0.5, 1.5, 2.5.
    length_scale : the length ℓ > 0, in units of X.

    Source: Rasmussen & Williams (2006), §4.2.1 and §B.2; Whittle (1954) for the operator.
    """
    if not (isinstance(smoothness, numbers.Real) and smoothness in _MATERN_POLYNOMIALS):
        raise InvalidInput(f"smoothness is {smoothness!r}; closed forms exist for {sorted(_MATERN_POLYNOMIALS)}")
    length_scale = check_positive(length_scale, "length_scale", "in units of X", InvalidInput)
    x, t = _features(X, "X"), _features(X if Y is None else Y, "Y")
    if x.shape[1] != t.shape[1]:
        raise InvalidInput(f"X has {x.shape[1]} features and Y {t.shape[1]}; give both the same")
    u = _distances_in_lengths(x, t, math.sqrt(2 * smoothness), length_scale)
    np.minimum(u, LARGEST_RATIO, out=u)
    return _MATERN_POLYNOMIALS[smoothness](u) * np.exp(-u)


_MATERN_POLYNOMIALS: dict[float, Callable[[Matrix], Any]] = {
    0.5: lambda _: 1.0,
    1.5: lambda u: 1.0 + u,
    2.5: lambda u: 1.0 + u + u**2 / 3,
}


def _bernoulli_over_factorial(degree: int) -> Matrix:
    """Coefficients of B_degree(x)/degree!, lowest power first: B_k/k! · 1/(degree−k)! on x^(degree−k)."""
    from scipy.special import zeta

    # B_k/k! = −2 cos(πk/2) ζ(k)/(2π)ᵏ (DLMF 25.6.2) holds full precision where scipy.special.bernoulli loses it.
    scaled = [1.0, -0.5] + [-2 * (-1) ** (k // 2) * zeta(k) / math.tau**k * (k % 2 == 0) for k in range(2, degree + 1)]
    return np.array([scaled[k] / math.factorial(degree - k) for k in range(degree, -1, -1)])


def _distances_in_lengths(x: Matrix, t: Matrix, factor: float, length_scale: float) -> Matrix:
    """(n, m) factor times the Euclidean distances in units of the length scale; infinite where too large to write."""
    from scipy.spatial.distance import cdist

    if SAFE_LENGTHS[0] < length_scale < SAFE_LENGTHS[1]:
        return factor / length_scale * cdist(x, t)
    with np.errstate(over="ignore"):
        differences = [np.abs(x[:, None, j] - t[None, :, j]) / length_scale for j in range(x.shape[1])]
        return factor * reduce(np.hypot, differences)


def distances_on_circle(X: ArrayLike, Y: ArrayLike | None, period: float) -> Matrix:
    """(n, m) distances, at most half a period, between points on a circle (X again where Y is None)."""
    x = points_on_interval(X, "X", -math.inf, math.inf)
    t = x if Y is None else points_on_interval(Y, "Y", -math.inf, math.inf)
    x, t = (np.fmod(points, ALL_DIGITS * period) for points in (x, t))
    distance = np.abs(x[:, None] - t[None, :]) % period
    return np.minimum(distance, period - distance)


def _symmetric(X: ArrayLike, Y: ArrayLike | None, upper: float, below: Callable[[Matrix, Matrix], Matrix]) -> Matrix:
    """Kernel from its values at x ≤ t, exactly symmetric because both arguments are sorted first."""
    x, t = (
        points_on_interval(X, "X", 0.0, upper)[:, None],
        points_on_interval(X if Y is None else Y, "Y", 0.0, upper)[None, :],
    )
    with np.errstate(over="ignore", invalid="ignore"):
        values = below(np.minimum(x, t), np.maximum(x, t))
    if not np.all(np.isfinite(values)):
        largest = max(x.max(), t.max())
        raise InvalidInput(f"points up to {largest:.6g} give kernel values beyond double precision; rescale the points")
    return values


def points_on_interval(values: ArrayLike, name: str, lower: float, upper: float) -> Matrix:
    """Points (n,) as float64, or InvalidInput naming one that is outside [lower, upper]."""
    features = _features(values, name)
    if features.shape[1] != 1:
        raise InvalidInput(f"{name} has {features.shape[1]} features; this kernel lives on an interval: give one")
    points = features[:, 0]
    outside = points[(points < lower) | (points > upper)]
    if outside.size:
        raise InvalidInput(
            f"{name} holds {outside[0]:.6g}, outside [{lower:g}, {upper:g}], this kernel's interval; rescale the points"
        )
    return points


def _features(values: ArrayLike, name: str) -> Matrix:
    """Points as a float64 matrix (n, n_features), or InvalidInput."""
    array = np.asarray(as_real_float64(values, name, InvalidInput)[0])
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.size == 0:
        raise InvalidInput(f"{name} has shape {np.shape(values)}; give a non-empty (n,) or (n, n_features) array")
    if not np.all(np.isfinite(array)):
        raise InvalidInput(f"{name} holds {array[~np.isfinite(array)][0]}; every point must be finite")
    return array
