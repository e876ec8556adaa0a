"""Green's function of P*P for a differential operator with constant coefficients on a circle, by Fourier series.

For a quantity of which a day is one period:

    kernel = from_periodic_operator([9.0, 6.0, 1.0], period=24.0)  # R(f) = ∫ (9f + 6f' + f'')² over a day
    hours, temperatures = np.array([1.0, 8.0, 15.0, 23.5]), np.array([0.2, 0.9, -0.4, 0.1])
    path = hilbertsd.distill(kernel(hours), temperatures, tolerance=0.05)
    path.predict(kernel([0.0, 12.0], hours), 0)  # (2,) the first fit at midnight and at noon
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct

from hilbertsd.errors import IllPosedOperator, InvalidInput, NotConverged
from hilbertsd.greens.closed_forms import distances_on_circle, periodic_spline
from hilbertsd.greens.panels import UNRESOLVED, Matrix
from hilbertsd.support.checks import check_positive

LARGEST_ORDER = 4

FREQUENCIES = {2: 50_000, 3: 700, 4: 128}
"""Number of Fourier terms for each order p, as a multiple of the highest frequency of a solution of Pf = 0.

The terms left out sum to about k^(1−2p) of the largest, so that a higher order needs fewer.
"""

FEWEST_FREQUENCIES, MOST_FREQUENCIES = 2**13, 2**21

NULL_SYMBOL = 1e-12
"""A frequency is in the null space where |P̂| is below this share of the sum of its terms' sizes."""

LARGEST_DEGREE = 1024
"""Largest Chebyshev degree tried for the kernel as a function of the distance."""


def from_periodic_operator(
    coefficients: Sequence[float], period: float = 1.0, *, orthogonal_to_null_space: bool = False
) -> PeriodicOperatorKernel:
    """Green's function of P*P on a circle as a kernel: g(x, t) = (1/ℓ) Σ_k e^{iω_k(x−t)} / |P̂(ω_k)|².

        spline = from_periodic_operator([0, 0, 1], orthogonal_to_null_space=True)    # P = d²/dx²

    Parameters
    ----------
    coefficients : numbers a_0, …, a_p of P = Σ_j a_j dʲ/dxʲ, p from 1 to 4, a_p not zero; its symbol is
        P̂(ω) = Σ_j a_j (iω)ʲ at ω_k = 2πk/ℓ. For functions use ``from_operator(..., periodic=True)``.
    period : the circle's length ℓ > 0, in units of x.
    orthogonal_to_null_space : whether to drop the frequencies with P̂(ω) = 0. The kernel then belongs to functions
        orthogonal to them (of mean zero, if only constants are dropped): L g(·,t) = δ minus the projection on the
        dropped ones.

    Returns
    -------
    PeriodicOperatorKernel k(X, Y).

    Raises
    ------
    IllPosedOperator
        P has periodic null functions and `orthogonal_to_null_space` is off; the message names their dimension.
    InvalidInput
        Coefficients or period are not what is described above, or so large or small that the kernel leaves double
        precision.
    NotConverged
        P's null functions vary so fast that the series would need millions of terms.

    Notes
    -----
    For p = 1 the series is cosh(α(½−u))/(2α sinh(α/2)) in units of the period, with α = |a_0|ℓ/|a_1|. Next to a null
    frequency the kernel is known to about 1e-16 times Σ_j |a_j ωʲ| / |P̂(ω)|, relative.

    Source: Wahba, Spline Models for Observational Data (1990), §2.1.
    """
    a, period = _checked_coefficients(coefficients), check_positive(period, "period", "in units of x", InvalidInput)
    order = len(a) - 1
    with np.errstate(over="ignore"):
        # Coefficients of P, and the kernel's unit, where the period and the leading coefficient are 1.
        scaled = a / a[-1] * np.float64(period) ** (order - np.arange(order + 1.0))
        unit = np.float64(period) ** (2 * order - 1) / a[-1] / a[-1]
    if not (np.all(np.isfinite(scaled)) and np.isfinite(unit) and unit > 0):
        raise InvalidInput(_leaving_double_precision(a, period))
    profile = _first_order if order == 1 else _fourier_sum
    with np.errstate(over="ignore", divide="ignore"):
        at = profile(scaled, orthogonal_to_null_space)
        at_zero = float(at(np.zeros(1))[0])
        largest = unit * at_zero
    if not np.isfinite(largest):
        raise InvalidInput(_leaving_double_precision(a, period))
    degree = 16
    while degree <= LARGEST_DEGREE:
        series = _chebyshev_series(at, degree)
        missed = np.append(series[-3:], chebyshev.chebval(-1.0, series) - at_zero)
        if np.abs(missed).max() <= UNRESOLVED * max(np.abs(series).max(), abs(at_zero)):
            return PeriodicOperatorKernel(period, unit * series)
        degree *= 2
    raise NotConverged(_TOO_FAST)


def _chebyshev_series(at: Any, degree: int) -> Matrix:
    """Chebyshev coefficients over distances from 0 to half a period of the function that interpolates `at`.

    A cosine transform finds them to rounding; `chebinterpolate` evaluates polynomials by recurrence, whose errors grow
    as degree² at the ends.
    """
    angles = np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)
    series = np.asarray(dct(at(np.cos(angles / 2) ** 2 / 2))) / (degree + 1)
    series[0] /= 2
    return series


def _leaving_double_precision(coefficients: Matrix, period: float) -> str:
    """Message for a kernel, or coefficients in units of the period, that a double cannot hold."""
    return f"coefficients {coefficients.tolist()} with period {period:g} leave double precision; rescale x or P"


def _first_order(scaled: Matrix, orthogonal_to_null_space: bool) -> Any:
    """Kernel as a function of the distance in periods, for order 1, in closed form."""
    alpha = abs(float(scaled[0]))
    if alpha == 0:
        _refuse_null_space(np.array([0]), orthogonal_to_null_space)
        return lambda u: periodic_spline(u, [0.0], order=1)[:, 0]
    return lambda u: (np.exp(-alpha * u) + np.exp(-alpha * (1 - u))) / (2 * alpha) / -math.expm1(-alpha)


def _fourier_sum(scaled: Matrix, orthogonal_to_null_space: bool) -> Any:
    """Kernel as a function of the distance in periods, for orders from 2 on, as a Fourier sum."""
    order = len(scaled) - 1
    fastest = float(np.abs(np.roots(scaled[::-1])).max()) / math.tau
    terms = max(FEWEST_FREQUENCIES, FREQUENCIES[order] * max(fastest, 1.0))
    if not terms <= MOST_FREQUENCIES:
        raise NotConverged(_TOO_FAST)
    k = np.arange(int(terms))
    powers = scaled[:, None] * (math.tau * k) ** np.arange(order + 1)[:, None]
    real = powers[::4].sum(axis=0) - powers[2::4].sum(axis=0)
    imaginary = powers[1::4].sum(axis=0) - powers[3::4].sum(axis=0)
    null = np.hypot(real, imaginary) <= NULL_SYMBOL * np.abs(powers).sum(axis=0)
    if null.any():
        _refuse_null_space(np.flatnonzero(null), orthogonal_to_null_space)
    amplitudes = np.where(k == 0, 1.0, 2.0) / np.where(null, np.inf, real**2 + imaginary**2)

    def at(u: Matrix) -> Matrix:
        # NumPy sums pairwise; a BLAS product of as many terms loses two digits more on some processors.
        return np.array([(amplitudes * np.cos(math.tau * (k * distance % 1))).sum() for distance in u])

    return at


@dataclass(frozen=True, eq=False)
class PeriodicOperatorKernel:
    """Kernel k(X, Y) that depends on the distance on a circle; made by :func:`from_periodic_operator`.

    Attributes
    ----------
    period : the circle's length ℓ; points are taken modulo it.
    series : (degree + 1,) Chebyshev coefficients of the kernel over distances from 0 to ℓ/2.
    """

    period: float
    series: Matrix

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
        """(n, m) raw kernel values; X is (n,) or (n, 1), Y likewise, X again where None.

        Raises InvalidInput for points of the wrong shape or not finite.
        """
        return chebyshev.chebval(4 * distances_on_circle(X, Y, self.period) / self.period - 1, self.series)


_TOO_FAST = (
    "the null functions of P vary too fast within its period for a Fourier series of moderate length; use "
    "from_operator(..., periodic=True)"
)


def _checked_coefficients(coefficients: Any) -> Matrix:
    """Coefficients as float64, or InvalidInput."""
    if np.ndim(coefficients) == 1 and any(callable(coefficient) for coefficient in coefficients):
        raise InvalidInput("coefficients hold a function; for those use from_operator(..., periodic=True)")
    try:
        array = np.asarray(coefficients)
        array = array.astype(float) if array.dtype.kind in "iuf" else np.array([])
    except ValueError:
        array = np.array([])
    if array.ndim != 1 or not 2 <= len(array) <= LARGEST_ORDER + 1 or not np.all(np.isfinite(array)) or array[-1] == 0:
        raise InvalidInput(
            f"coefficients are {coefficients!r}; give 2 to {LARGEST_ORDER + 1} numbers, the last not zero"
        )
    return array


def _refuse_null_space(frequencies: NDArray[np.intp], orthogonal_to_null_space: bool) -> None:
    """Raise IllPosedOperator for null functions of these frequencies unless they are to be left out."""
    if orthogonal_to_null_space:
        return
    dimension = sum(1 if k == 0 else 2 for k in frequencies)
    names = ["constants" if k == 0 else f"sine and cosine of frequency {k}" for k in frequencies[:4]]
    raise IllPosedOperator(
        f"P has a null space of dimension {dimension} among periodic functions ({', '.join(names)}), which the "
        "regulariser does not see, so no Green's function exists; orthogonal_to_null_space=True leaves it out, or a "
        "further term in P removes it"
    )
