"""Panels of an interval with their shape functions, by Chebyshev collocation; :mod:`.operators` says what for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import InvalidInput, NotConverged

Matrix = NDArray[np.floating[Any]]
Coefficient = float | Callable[[Any], ArrayLike]

DEGREE = 32
"""Chebyshev degree on every panel."""

UNRESOLVED = 1e-13
"""A panel is halved while the last coefficients of its series exceed this share of the largest …"""

LARGEST_GROWTH = 2000.0
"""… or while solutions grow by more than this across it, because that many digits would cancel."""

MOST_PANELS = 512

VANISHING = 1e-12
"""A leading coefficient below this share of its largest value counts as zero."""

NODES = -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)
TO_SERIES = np.linalg.inv(chebyshev.chebvander(NODES, DEGREE))
INTEGRATION = chebyshev.chebval(NODES, chebyshev.chebint(TO_SERIES, lbnd=-1)).T
"""Integral from −1 to each node, of functions given at the nodes."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Part of the interval with its 2p shape functions.

    Inside, x = middle + half_length ξ with ξ in [−1, 1], the states are F_j = dʲf/dξʲ, and R is divided by
    `amplitude`, the square of the leading coefficient's size in ξ.

    Attributes
    ----------
    series : (degree+1, 2p) Chebyshev coefficients of the shape functions, left states first.
    stiffness : (2p, 2p) E with R(f) = amplitude · FᵀEF for the states F at both ends.
    system : (degree+1, 2p, 2p) Hamiltonian matrix at the nodes.
    """

    left: float
    right: float
    amplitude: float
    series: Matrix
    stiffness: Matrix
    system: Matrix

    @property
    def order(self) -> int:
        """Order p of P."""
        return self.series.shape[1] // 2

    @property
    def half_length(self) -> float:
        """Half the panel's length, the unit of ξ."""
        return (self.right - self.left) / 2

    def shapes_at(self, x: Matrix) -> Matrix:
        """(n, 2p) shape functions."""
        xi = np.clip(((x - self.left) - (self.right - x)) / (self.right - self.left), -1, 1)
        return chebyshev.chebval(xi, self.series).T

    def state_scaling(self, scale: float) -> Matrix:
        """(2p,) from states dʲf·scaleʲ/dxʲ at both ends to dʲf/dξʲ."""
        return np.tile((self.half_length / scale) ** np.arange(self.order), 2)

    def clamped_kernel(self, x: Matrix, t: Matrix, at_x: Matrix, at_t: Matrix) -> Matrix:
        """(n, m) Green's function of this panel with f = … = f^(p−1) = 0 at its ends."""
        p = self.order
        coupling = -np.linalg.inv(self.stiffness[:p, p:]) / self.amplitude
        below = at_x[:, p:] @ coupling @ at_t[:, :p].T
        above = (at_t[:, p:] @ coupling @ at_x[:, :p].T).T  # the same product, so that k(X) is exactly symmetric
        return np.where(x[:, None] <= t[None, :], below, above)


def resolved_panels(coefficients: Sequence[Coefficient], a: float, b: float) -> list[Panel]:
    """Panels from left to right, halved until every one is resolved."""
    waiting, done = [(a, b)], []
    largest, smallest = 0.0, math.inf
    while waiting:
        left, right = waiting.pop()
        values = _coefficient_values(coefficients, left, right)
        leading = values[-1]
        largest, smallest = max(largest, np.abs(leading).max()), min(smallest, np.abs(leading).min())
        if np.any(leading[0] * leading <= 0) or smallest < VANISHING * largest:
            raise InvalidInput(
                f"the leading coefficient vanishes or changes sign between {left:.6g} and {right:.6g}, where P is "
                "singular; use an interval without such a point"
            )
        panel = _panel(values, left, right)
        if panel is not None:
            done.append(panel)
        elif len(done) + len(waiting) + 2 > MOST_PANELS or (right - left) < 1e-6 * (b - a):
            raise NotConverged(
                f"the operator is not resolved near x = {left:.6g} with {MOST_PANELS} panels; its coefficients need to "
                "be smooth functions on the whole interval"
            )
        else:
            middle = (left + right) / 2
            waiting += [(middle, right), (left, middle)]
    return done


def _coefficient_values(coefficients: Sequence[Coefficient], left: float, right: float) -> Matrix:
    """(p+1, degree+1) coefficients at the panel's nodes."""
    x = (left + right) / 2 + (right - left) / 2 * NODES
    rows = []
    for j, coefficient in enumerate(coefficients):
        try:
            values = np.asarray(coefficient(x) if callable(coefficient) else coefficient, dtype=float)
            rows.append(np.broadcast_to(values, x.shape))
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"coefficient {j} gives no real number for each of {x.size} points ({error}); give a number or a "
                "function of an array"
            ) from error
        if not np.all(np.isfinite(rows[-1])):
            raise InvalidInput(f"coefficient {j} is not finite near x = {x[~np.isfinite(rows[-1])][0]:.6g}")
    return np.array(rows)


def _panel(values: Matrix, left: float, right: float) -> Panel | None:
    """Shape functions of one panel, None where the degree does not resolve them."""
    p = len(values) - 1
    half = (right - left) / 2
    scaled = values / half ** np.arange(p + 1)[:, None]
    amplitude = float(np.mean(scaled[-1] ** 2)) * half
    system = np.zeros((DEGREE + 1, 2 * p, 2 * p))
    system[:, range(p - 1), range(1, p)] = 1.0
    system[:, p - 1, :p] = -(scaled[:p] / scaled[p]).T
    system[:, p:, p:] = -system[:, :p, :p].transpose(0, 2, 1)
    system[:, p - 1, 2 * p - 1] = amplitude / (half * scaled[-1] ** 2)
    # Collocation of Y' = H (Y_left + ∫ Y') for all 2p initial values at once.
    size = 2 * p * (DEGREE + 1)
    integral = np.einsum("iab,ij->iajb", system, INTEGRATION).reshape(size, size)
    slopes = np.linalg.solve(np.eye(size) - integral, system.reshape(size, 2 * p)).reshape(DEGREE + 1, 2 * p, 2 * p)
    solutions = np.eye(2 * p) + np.einsum("ij,jab->iab", INTEGRATION, slopes)
    series = np.einsum("ij,jab->iab", TO_SERIES, solutions[:, :p])
    tail = np.abs(series[-3:]).max(axis=(0, 1)) / np.abs(series).max(axis=(0, 1))
    at_right = solutions[-1]
    if tail.max() > UNRESOLVED or np.abs(at_right).max() > LARGEST_GROWTH:
        return None
    # From initial values (F, λ) at the left to states F at both ends.
    from_states = np.linalg.inv(np.block([[np.eye(p), np.zeros((p, p))], [at_right[:p]]]))
    shapes = series[:, 0, :] @ from_states
    stiffness = np.vstack([-from_states[p:], at_right[p:] @ from_states])
    return Panel(left, right, amplitude, shapes, (stiffness + stiffness.T) / 2, system)


def slope(values: Matrix) -> Matrix:
    """Derivative in ξ of functions given at the nodes."""
    series = TO_SERIES @ values
    # What is rounding in a coefficient must not grow with every derivative.
    series[np.abs(series) < UNRESOLVED * np.abs(series).max()] = 0.0
    return chebyshev.chebval(NODES, chebyshev.chebder(series)).T
