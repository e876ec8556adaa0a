"""Panels of an interval, on each of which Pf = h is solved by Chebyshev collocation.

:mod:`hilbertsd.greens.operators` says what the solutions are for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import InvalidInput, NotConverged

Matrix = NDArray[np.floating[Any]]
Coefficient = float | Callable[[Any], ArrayLike]

DEGREE = 40
"""Chebyshev degree on every panel."""

FIRST_PANELS = 8
"""Number of panels to start with where a coefficient is a function, so that its narrow features are sampled."""

UNRESOLVED = 1e-13
"""A panel is halved while the last coefficients of its solutions' series exceed this share of the largest."""

LARGEST_GROWTH = 30.0
"""A panel is halved while solutions of Pf = 0 grow or fall by more than this factor across it.

That factor is lost in cancellation when the panels are put together.
"""

UNSEEN = 1e-11
"""A panel is halved while a coefficient, between the nodes, differs from its interpolant by more than this share.

The share is of the largest term of P on the panel: of the coefficient itself or of the leading one.
"""

MOST_PANELS = 512
"""Number of panels beyond which the operator counts as too rough."""

LARGEST_SIZE = 1e154
"""Sizes of P on a panel beyond this, or below its inverse, make kernel values of size⁻² leave double precision."""

VANISHING = 1e-12
"""A leading coefficient below this share of its largest value counts as zero."""

NODES = -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)
"""Chebyshev points of [−1, 1], at which functions on a panel are given."""

TO_SERIES = np.linalg.inv(chebyshev.chebvander(NODES, DEGREE))
"""From values at the nodes to Chebyshev coefficients."""

INTEGRATION = chebyshev.chebval(NODES, chebyshev.chebint(TO_SERIES, lbnd=-1)).T
"""Integral from −1 to each node, of functions given at the nodes."""

BETWEEN = 2 * ((0.137 + (math.sqrt(5) - 1) / 2 * np.arange(4 * DEGREE)) % 1) - 1
"""Points of [−1, 1] at which interpolants of the coefficients are checked."""

QUADRATURE, WEIGHTS = legendre.leggauss(2 * DEGREE)
"""Gauss-Legendre points, fine enough for products of two functions on a panel."""

AT_QUADRATURE = chebyshev.chebvander(QUADRATURE, DEGREE) @ TO_SERIES
"""From values at the nodes to values at the quadrature points."""

AT_NODES = (legendre.legvander(NODES, DEGREE) * (np.arange(DEGREE + 1) + 0.5)) @ (
    legendre.legvander(QUADRATURE, DEGREE) * WEIGHTS[:, None]
).T
"""From values at the quadrature points to values at the nodes of their projection on polynomials."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Part of the interval with the solutions of Pf = h on it.

    Inside, x = middle + half_length ξ with ξ in [−1, 1], states are F_j = dʲf/dξʲ, and R(f) = size² ∫ (P̂f)² dξ with
    an operator P̂ whose leading coefficient is of order 1.

    Attributes
    ----------
    left, right : ends of the panel, in units of x.
    size : number by which P in units of ξ is divided to give P̂.
    coefficients : (p+1, degree+1) coefficients of P̂ at the nodes.
    modes : (degree+1, p) Chebyshev coefficients of the solutions of P̂f = 0 that start from each unit state at the left.
    responses : (degree+1, p) Chebyshev coefficients of the solutions of P̂f = h that start from zero, for the p
        orthonormal right-hand sides h that the right end's state depends on.
    transition, noise : (p, p) matrices of F_right = transition · F_left + noise · v, where v are the coordinates of the
        right-hand side in that orthonormal basis.
    """

    left: float
    right: float
    size: float
    coefficients: Matrix
    modes: Matrix
    responses: Matrix
    transition: Matrix
    noise: Matrix

    @property
    def order(self) -> int:
        """Order p of P."""
        return len(self.coefficients) - 1

    @property
    def half_length(self) -> float:
        """Half the panel's length, the unit of ξ."""
        return (self.right - self.left) / 2

    def functions_at(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """(n, p) values of the modes and (n, p) values of the responses at n points of the panel."""
        xi = np.clip(((x - self.left) - (self.right - x)) / (self.right - self.left), -1, 1)
        return chebyshev.chebval(xi, self.modes).T, chebyshev.chebval(xi, self.responses).T

    def state_scaling(self, scale: float) -> Matrix:
        """(p,) factors that turn the states dʲf·scaleʲ/dxʲ into dʲf/dξʲ."""
        return (self.half_length / scale) ** np.arange(self.order)

    def clamped_kernel(self, x: Matrix, t: Matrix, at_x: tuple[Matrix, Matrix], at_t: tuple[Matrix, Matrix]) -> Matrix:
        """(n, m) Green's function of this panel with f = … = f^(p−1) = 0 at its ends, times size².

        For x ≤ t it is ψ(x) Nᵀ (φ(t) Φ⁻¹ − ψ(t) N⁻¹)ᵀ with the modes φ, responses ψ, transition Φ and noise N: the
        product of a solution of P*Pf = 0 in x that vanishes at the left end and one in t that vanishes at the right.
        """
        (_, response_x), (_, response_t) = at_x, at_t
        back = np.linalg.inv(self.transition)
        pull = np.linalg.inv(self.noise)
        from_right_t = at_t[0] @ back - response_t @ pull
        from_right_x = at_x[0] @ back - response_x @ pull
        below = response_x @ self.noise.T @ from_right_t.T
        above = (response_t @ self.noise.T @ from_right_x.T).T  # the same product, so that k(X) is exactly symmetric
        return np.where(x[:, None] <= t[None, :], below, above)


def resolved_panels(coefficients: Sequence[Coefficient], a: float, b: float) -> list[Panel]:
    """Panels from left to right, halved until the solutions on every one are resolved."""
    varying = any(callable(coefficient) for coefficient in coefficients)
    edges = np.linspace(a, b, FIRST_PANELS + 1 if varying else 2).tolist()
    waiting = list(pairwise(edges))[::-1]
    done: list[Panel] = []
    largest, smallest, sign = 0.0, math.inf, 0.0
    while waiting:
        left, right = waiting.pop()
        values, interpolated = _coefficient_values(coefficients, left, right)
        leading = values[-1]
        largest, smallest = max(largest, np.abs(leading).max()), min(smallest, np.abs(leading).min())
        sign = sign or np.sign(leading[0])
        if np.any(np.sign(leading) != sign) or sign == 0 or smallest < VANISHING * largest:
            raise InvalidInput(
                f"the leading coefficient vanishes or changes sign between {left:.6g} and {right:.6g}, where P is "
                "singular; use an interval without such a point"
            )
        panel = _panel(values, left, right) if interpolated else None
        if panel is not None:
            done.append(panel)
        elif len(done) + len(waiting) + 2 > MOST_PANELS or (right - left) < 1e-6 * (b - a):
            raise NotConverged(
                f"the operator is not resolved near x = {left:.6g} with {MOST_PANELS} panels; its coefficients need to "
                "be smooth functions of moderate size on the whole interval"
            )
        else:
            middle = (left + right) / 2
            waiting += [(middle, right), (left, middle)]
    return done


def slope(values: Matrix) -> Matrix:
    """Derivative in ξ of functions given at the nodes."""
    series = TO_SERIES @ values
    # Every derivative would magnify the rounding in the last coefficients.
    series[np.abs(series) < UNRESOLVED * np.abs(series).max()] = 0.0
    return chebyshev.chebval(NODES, chebyshev.chebder(series)).T


def _coefficient_values(coefficients: Sequence[Coefficient], left: float, right: float) -> tuple[Matrix, bool]:
    """(p+1, degree+1) coefficients at the panel's nodes, and whether these determine them between the nodes."""
    middle, half = (left + right) / 2, (right - left) / 2
    values = np.array([_evaluated(coefficient, j, middle + half * NODES) for j, coefficient in enumerate(coefficients)])
    # In units of ξ, coefficient j is this times its values beside the leading one.
    weights = half ** (len(values) - 1.0 - np.arange(len(values)))
    interpolated = True
    for j, coefficient in enumerate(coefficients):
        if callable(coefficient):
            missed = _evaluated(coefficient, j, middle + half * BETWEEN) - chebyshev.chebval(
                BETWEEN, TO_SERIES @ values[j]
            )
            size = max(weights[j] * np.abs(values[j]).max(), np.abs(values[-1]).max())
            interpolated = interpolated and bool(weights[j] * np.abs(missed).max() <= UNSEEN * size)
    return values, interpolated


def _evaluated(coefficient: Coefficient, j: int, x: Matrix) -> Matrix:
    """Values of coefficient j at the points, or InvalidInput."""
    try:
        values = np.asarray(coefficient(x) if callable(coefficient) else coefficient)
        if values.dtype.kind not in "biuf":
            raise TypeError(f"its values have dtype {values.dtype}")
        values = np.broadcast_to(values.astype(float), x.shape)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"coefficient {j} gives no real number for each of {x.size} points ({error}); give a number or a function "
            "of an array"
        ) from error
    if not np.all(np.isfinite(values)):
        raise InvalidInput(
            f"coefficient {j} is not finite near x = {x[~np.isfinite(values)][0]:.6g}; give one that is finite on the "
            "whole interval"
        )
    return values


def _panel(values: Matrix, left: float, right: float) -> Panel | None:
    """One panel with its solutions, or None where Chebyshev series of this degree do not resolve them."""
    p = len(values) - 1
    half = (right - left) / 2
    leading = np.abs(values[-1]).max()
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        size = leading / np.float64(half) ** p * math.sqrt(half)
    if not 1 / LARGEST_SIZE < size < LARGEST_SIZE:
        raise InvalidInput(
            f"the leading coefficient, {leading:.6g} on a length of {right - left:.6g}, makes the kernel leave double "
            "precision; rescale x or P"
        )
    scaled = values / leading * half ** (p - np.arange(p + 1.0))[:, None]
    companion = np.zeros((DEGREE + 1, p, p))
    companion[:, range(p - 1), range(1, p)] = 1.0
    companion[:, p - 1] = -(scaled[:p] / scaled[p]).T
    # An impulse at s leaves the state Φ(1, s) e_p/a_p(s) at the right end; Φ(1, s) solves the adjoint system in s.
    adjoint = -companion.transpose(0, 2, 1)
    from_right = np.eye(p) + _collocated(adjoint, adjoint, INTEGRATION - INTEGRATION[-1])
    impulses = from_right[:, p - 1] / scaled[p][:, None]
    # Orthonormal basis of the right-hand sides that change the state at the right end.
    root_weights = np.sqrt(WEIGHTS)[:, None]
    directions, triangular = np.linalg.qr(root_weights * (AT_QUADRATURE @ impulses))
    drive = np.zeros((DEGREE + 1, p, 2 * p))
    drive[:, :, :p] = companion
    drive[:, p - 1, p:] = AT_NODES @ (directions / root_weights) / scaled[p][:, None]
    states = _collocated(companion, drive, INTEGRATION)
    states[:, :, :p] += np.eye(p)
    series = np.einsum("ij,jb->ib", TO_SERIES, states[:, 0])
    transition = states[-1, :, :p]
    if not (np.all(np.isfinite(series)) and _decayed(series[:, :p]) and _decayed(TO_SERIES @ impulses)):
        return None
    growth = np.linalg.svd(transition, compute_uv=False)
    if not (growth[0] <= LARGEST_GROWTH and growth[-1] >= 1 / LARGEST_GROWTH):
        return None
    return Panel(left, right, size, scaled, series[:, :p], series[:, p:], transition, triangular.T)


def _collocated(system: Matrix, drive: Matrix, integration: Matrix) -> Matrix:
    """Solution Y at the nodes of Y' = system · Y + drive, where `integration` integrates from the end with Y = 0."""
    n, p, _ = system.shape
    integral = np.einsum("iab,ij->iajb", system, integration).reshape(n * p, n * p)
    slopes = np.linalg.solve(np.eye(n * p) - integral, drive.reshape(n * p, -1)).reshape(drive.shape)
    return np.einsum("ij,jab->iab", integration, slopes)


def _decayed(series: Matrix) -> bool:
    """Whether the last coefficients of every column are negligible."""
    return bool(np.all(np.abs(series[-3:]).max(axis=0) <= UNRESOLVED * np.abs(series).max(axis=0)))
