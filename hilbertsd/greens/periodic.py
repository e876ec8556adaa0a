"""Green's function of P*P for a differential operator with constant coefficients on a circle, by Fourier series."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray

from hilbertsd.checks import check_positive
from hilbertsd.errors import IllPosedOperator, InvalidInput, NotConverged
from hilbertsd.greens.closed_forms import points_on_interval
from hilbertsd.greens.panels import UNRESOLVED, Matrix

LARGEST_ORDER = 4

FREQUENCIES = 2**16
"""Terms of the Fourier series; the rest is below 1e-14 of the sum for coefficients of the scale of the period."""

NULL_SYMBOL = 1e-12
"""A frequency is in the null space where |P̂| is below this share of the sum of its terms' sizes."""

LARGEST_DEGREE = 1024


def from_periodic_operator(
    coefficients: Sequence[float], period: float = 1.0, *, orthogonal_to_null_space: bool = False
) -> "PeriodicOperatorKernel":
    """Green's function of P*P on a circle as a kernel: g(x, t) = (1/ℓ) Σ_k e^{iω_k(x−t)} / |P̂(ω_k)|².

        spline = from_periodic_operator([0, 0, 1], orthogonal_to_null_space=True)    # P = d²/dx²

    Parameters
    ----------
    coefficients : numbers a_0, …, a_p of P = Σ_j a_j dʲ/dxʲ, p from 1 to 4, a_p not zero; its symbol is
        P̂(ω) = Σ_j a_j (iω)ʲ at ω_k = 2πk/ℓ.
    period : ℓ > 0.
    orthogonal_to_null_space : drop the frequencies with P̂(ω) = 0. The kernel then belongs to functions orthogonal to
        them (of mean zero, if only constants are dropped): L g(·,t) = δ minus the projection on the dropped ones.

    Returns
    -------
    PeriodicOperatorKernel k(X, Y).

    Raises
    ------
    IllPosedOperator
        P has periodic null functions and `orthogonal_to_null_space` is off; the message names their dimension.
    InvalidInput
        Coefficients are too many or too few or not finite, or a_p is zero; the period is not positive.
    NotConverged
        The kernel is too narrow for the period to be resolved.

    Notes
    -----
    For variable periodic coefficients use ``from_operator(..., periodic=True)``. For p = 1 the terms fall only like
    1/k², so the series of 1/(a_1 ω)², known in closed form, is taken out and what remains falls like 1/k⁴.

    Source: Wahba, Spline Models for Observational Data (1990), §2.1.
    """
    from hilbertsd.greens.closed_forms import periodic_spline

    a = np.asarray(coefficients, dtype=float)
    period = check_positive(period, "period", "in units of x", InvalidInput)
    order = len(a) - 1 if a.ndim == 1 else 0
    if not 1 <= order <= LARGEST_ORDER or not np.all(np.isfinite(a)) or a[-1] == 0:
        raise InvalidInput(
            f"coefficients are {coefficients!r}; give 2 to {LARGEST_ORDER + 1} numbers, the last not zero"
        )
    omega = math.tau / period * np.arange(FREQUENCIES)
    terms = a[:, None] * omega ** np.arange(order + 1)[:, None]
    real = terms[::4].sum(axis=0) - terms[2::4].sum(axis=0)
    imaginary = terms[1::4].sum(axis=0) - terms[3::4].sum(axis=0)
    null = np.hypot(real, imaginary) <= NULL_SYMBOL * np.abs(terms).sum(axis=0)
    if null.any() and not orthogonal_to_null_space:
        raise IllPosedOperator(_about_null_space(np.flatnonzero(null)))
    squares = np.where(null, np.inf, real**2 + imaginary**2)
    amplitudes = np.where(np.arange(FREQUENCIES) == 0, 1.0, 2.0) / (period * squares)
    leading = 0.0
    if order == 1:
        leading = period / a[1] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            amplitudes[1:] *= -((a[0] / (a[1] * omega[1:])) ** 2)

    def at(xi: Any) -> Any:
        """Kernel at distances (1+ξ)ℓ/4 from 0 to half a period."""
        u = (xi + 1) * period / 4
        values = np.array([amplitudes @ np.cos(omega * distance) for distance in u])
        return values + leading * periodic_spline(u / period, [0.0], order=1)[:, 0] if leading else values

    degree = 16
    while True:
        series = chebyshev.chebinterpolate(at, degree)
        if np.abs(series[-3:]).max() <= UNRESOLVED * np.abs(series).max():
            return PeriodicOperatorKernel(period, series)
        degree *= 2
        if degree > LARGEST_DEGREE:
            raise NotConverged(
                f"the kernel is too narrow for its period {period:g}: degree {LARGEST_DEGREE} does not resolve it; use "
                "from_operator(..., periodic=True)"
            )


@dataclass(frozen=True, eq=False)
class PeriodicOperatorKernel:
    """Kernel k(X, Y) that depends on the distance on a circle; made by :func:`from_periodic_operator`.

    Attributes
    ----------
    period : ℓ; points are taken modulo it.
    series : Chebyshev coefficients of the kernel over distances from 0 to ℓ/2.
    """

    period: float
    series: Matrix

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
        """(n, m) raw kernel values; X is (n,) or (n, 1), Y likewise, X again where None.

        Raises InvalidInput for points of the wrong shape or not finite.
        """
        x = points_on_interval(X, "X", -math.inf, math.inf)
        t = x if Y is None else points_on_interval(Y, "Y", -math.inf, math.inf)
        distance = np.abs(x[:, None] - t[None, :]) % self.period
        distance = np.minimum(distance, self.period - distance)
        return chebyshev.chebval(4 * distance / self.period - 1, self.series)


def _about_null_space(frequencies: NDArray[np.intp]) -> str:
    dimension = sum(1 if k == 0 else 2 for k in frequencies)
    names = ["constants" if k == 0 else f"sine and cosine of frequency {k}" for k in frequencies[:4]]
    return (
        f"P has a null space of dimension {dimension} among periodic functions ({', '.join(names)}), which the "
        "regulariser does not see, so no Green's function exists; orthogonal_to_null_space=True leaves it out, or a "
        "further term in P removes it"
    )
