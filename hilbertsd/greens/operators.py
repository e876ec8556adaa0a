"""Green's function of P*P for a linear differential operator P on an interval, with boundary conditions.

    kernel = from_operator([0, 0, lambda x: 1 + x], left=[0], right=[0])  # R(f) = ∫ ((1+x)f'')², f(0) = f(1) = 0
    x, x_new = np.array([0.1, 0.4, 0.8]), np.linspace(0, 1, 5)
    path = hilbertsd.distill(kernel(x), np.sin(2 * np.pi * x), tolerance=0.1)
    path.predict(kernel(x_new, x), 0)  # (5,) the first fit

P f = Σ_j a_j f^(j) has order p ≤ 4, and the regulariser is R(f) = ∫ (Pf)² dx. The kernel of R is the covariance of the
random process with Pf = white noise that meets the conditions. It is computed as that, because P*P, whose condition
number is the square of P's, is then never formed.

The interval is cut into panels, which meet at knots. On a panel the solutions of Pf = h are Chebyshev series: the modes
φ, which solve Pf = 0 from each of the p initial states, and the responses ψ, which start from zero and are driven by p
orthonormal right-hand sides h. The state at a knot is F = (f, …, f^(p−1)). With p noise coordinates v_i on panel i,

    F_{i+1} = Φ_i F_i + N_i v_i,       conditions at both ends,

is one linear system B F = N v. Its least-squares solution by a QR factorisation is F = X v. Where there are more than p
conditions, those beyond p restrict v to a subspace with an orthonormal basis Z. Then

    g(x, t) = ⟨φ(x) F_i + ψ(x) v_i, φ(t) F_j + ψ(t) v_j⟩ + g_local(x, t),        F = X Z, v = Z,

where x is on panel i and t on panel j. g_local is the Green's function of one panel with clamped ends: the part of the
kernel that the states at the knots do not determine.

Natural conditions need no equation, because minimising R implies them. Conditions on derivatives of order p or more are
read in the Hamiltonian form F' = C F + e_p λ_p/a_p², λ' = −Cᵀλ, in which natural conditions are λ = 0. A term that such
conditions add to R at an end is treated as further noise, a term that they subtract as a correction of low rank.

Source: for reproducing kernels as Green's functions Wahba, Spline Models for Observational Data (1990), §1.2; for
integrated collocation Greengard, SIAM J. Numer. Anal. 28 (1991); for the process and its Hamiltonian form Kailath,
Sayed & Hassibi, Linear Estimation (2000); for the least-squares form Paige, Math. Comp. 33 (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import IllPosedOperator, InvalidInput, NotConverged
from hilbertsd.greens.closed_forms import points_on_interval
from hilbertsd.greens.conditions import Condition, checked_rows, resolved
from hilbertsd.greens.panels import Coefficient, Matrix, Panel, resolved_panels
from hilbertsd.greens.system import NEGATIVE, System

LARGEST_ORDER = 4
"""Largest order p of P."""

UNEQUAL = 1e-8
"""Coefficients of a periodic operator may differ by this share between the interval's ends."""

LARGEST_STATE = 1e150
"""Largest entry of the states whose squares, kernel values, stay within double precision."""


def from_operator(
    coefficients: Sequence[Coefficient],
    interval: tuple[float, float] = (0.0, 1.0),
    *,
    left: Sequence[Condition] = (),
    right: Sequence[Condition] = (),
    periodic: bool = False,
) -> OperatorKernel:
    """Green's function of P*P on an interval as a kernel: the reproducing kernel of R(f) = ∫ (Pf)² dx.

        spline = from_operator([0, 0, 1], left=[0, 2], right=[0, 2])     # P = d²/dx², f = f'' = 0 at both ends

    Parameters
    ----------
    coefficients : a_0, …, a_p of P = Σ_j a_j(x) dʲ/dxʲ, numbers or functions from (n,) points to (n,) values; p from 1
        to 4. They should be smooth, and a_p must not vanish. Errors that a function raises itself pass through.
    interval : ends a < b, in units of x.
    left, right : lists of conditions at a and b. A whole number j says f^(j) = 0; a sequence (b_0, b_1, …) says
        Σ_j b_j f^(j) = 0, for derivatives up to 2p−1. Give either p conditions at an end, or fewer that involve only
        derivatives below p: the natural conditions of minimising R then complete them.
    periodic : whether a and b are the same point of a circle. Coefficients must then be periodic, too.

    Returns
    -------
    OperatorKernel k(X, Y).

    Raises
    ------
    IllPosedOperator
        The conditions leave P a null space (the message names its dimension and conditions that remove it), are not
        self-adjoint, depend on each other or are too many, or make R with their boundary terms indefinite.
    InvalidInput
        Coefficients, interval or conditions are not what is described above, or the coefficients are so large or small
        beside the interval's length that the kernel leaves double precision.
    NotConverged
        The coefficients are too rough to be resolved with 512 panels, or solutions of Pf = 0 grow so much that the
        kernel leaves double precision.

    Notes
    -----
    The error of the kernel, relative to its largest value, is about 1e-16 times the condition number of P with its
    conditions. That number is large only next to a null space. Coefficients that are functions are sampled at 160
    points on each of at least 8 panels: features much narrower than a thousandth of the interval can go unseen.
    """
    order = _checked_order(coefficients)
    a, b = _checked_interval(interval, order)
    if periodic and not (_is_empty(left) and _is_empty(right)):
        raise IllPosedOperator("a periodic operator takes no conditions at its ends; drop left and right")
    rows = {} if periodic else {"left": checked_rows(left, order, "left"), "right": checked_rows(right, order, "right")}
    panels = resolved_panels(coefficients, a, b)
    scale = float(np.mean([panel.half_length for panel in panels]))
    if periodic:
        _check_periodic(panels)
        ends = None
    else:
        ends = (resolved(rows["left"], panels[0], False, "left"), resolved(rows["right"], panels[-1], True, "right"))
    system = System.of(panels, ends, scale)
    null_states = system.null_states()
    if null_states.shape[1]:
        if len(system.removed):
            raise IllPosedOperator(NEGATIVE)
        raise IllPosedOperator(_about_null_space(null_states, coefficients, (a, b), rows, scale))
    with np.errstate(over="ignore", invalid="ignore"):
        states, noise = system.solved()
    finite = np.all(np.isfinite(states)) and np.all(np.isfinite(noise))
    if not (finite and np.abs(states).max(initial=0) < LARGEST_STATE):
        raise NotConverged(
            "the kernel's values leave double precision, because solutions of Pf = 0 grow too much away from their "
            "conditions; use a shorter interval, or conditions at the other end"
        )
    return OperatorKernel(a, b, periodic, order, scale, tuple(panels), states, noise)


@dataclass(frozen=True, eq=False)
class OperatorKernel:
    """Kernel k(X, Y) with the Green's function of P*P on [left, right]; made by :func:`from_operator`.

    Attributes
    ----------
    left, right : ends of the interval; points of a periodic kernel are taken modulo its length.
    periodic : whether the ends are identified.
    order : order p of P.
    scale : length by whose powers derivatives at the knots are scaled.
    panels : panels from left to right, each with its solutions of Pf = h.
    states : (p (n_panels + 1), r) states at the knots, as linear functions of the r independent noise coordinates.
    noise : (p n_panels, r) noise coordinates of the panels, as linear functions of the same r.
    """

    left: float
    right: float
    periodic: bool
    order: int
    scale: float
    panels: tuple[Panel, ...]
    states: Matrix
    noise: Matrix

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
        """(n, m) raw kernel values; X is (n,) or (n, 1), Y likewise, X again where None.

        Raises InvalidInput for points outside the interval, of the wrong shape or not finite.
        """
        x = self._points(X, "X")
        first = self._features(x)
        t, second = (x, first) if Y is None else (self._points(Y, "Y"), None)
        second = self._features(t) if second is None else second
        values = first.coordinates @ second.coordinates.T
        for index, panel in enumerate(self.panels):
            rows, columns = np.flatnonzero(first.panel == index), np.flatnonzero(second.panel == index)
            if rows.size and columns.size:
                at_x, at_t = first.solutions(rows), second.solutions(columns)
                values[np.ix_(rows, columns)] += (
                    panel.clamped_kernel(x[rows], t[columns], at_x, at_t) / panel.size / panel.size
                )
        return values

    def _points(self, values: ArrayLike, name: str) -> Matrix:
        """Points (n,) inside the interval, periodic ones moved there, or InvalidInput."""
        if not self.periodic:
            return points_on_interval(values, name, self.left, self.right)
        length = self.right - self.left
        return self.left + (points_on_interval(values, name, -math.inf, math.inf) - self.left) % length

    def _features(self, x: Matrix) -> _Features:
        """What the kernel needs to know of each point."""
        knots = np.array([panel.left for panel in self.panels])
        index = np.searchsorted(knots, x, side="right") - 1
        p = self.order
        modes, responses = np.empty((2, len(x), p))
        coordinates = np.empty((len(x), self.states.shape[1]))
        for i, panel in enumerate(self.panels):
            here = index == i
            modes[here], responses[here] = panel.functions_at(x[here])
            of_panel = slice(i * p, (i + 1) * p)
            coordinates[here] = (modes[here] * panel.state_scaling(self.scale)) @ self.states[of_panel]
            coordinates[here] += responses[here] / panel.size @ self.noise[of_panel]
        return _Features(index, modes, responses, coordinates)


@dataclass(frozen=True)
class _Features:
    """What the kernel needs to know of n points.

    Attributes
    ----------
    panel : (n,) number of the panel that each point is on.
    modes, responses : (n, p) values of that panel's solutions at the points.
    coordinates : (n, r) process at the points, as linear functions of the r independent noise coordinates.
    """

    panel: NDArray[np.intp]
    modes: Matrix
    responses: Matrix
    coordinates: Matrix

    def solutions(self, rows: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        """Modes and responses at some of the points."""
        return self.modes[rows], self.responses[rows]


def _about_null_space(
    states: Matrix,
    coefficients: Sequence[Coefficient],
    interval: tuple[float, float],
    rows: dict[str, list[Matrix]],
    scale: float,
) -> str:
    """Message with the null space's dimension, and with conditions that were tried and remove it.

    The columns of `states` are the null functions' states at the knots.
    """
    order, dimension = len(coefficients) - 1, states.shape[1]
    message = (
        f"the conditions leave a null space of dimension {dimension}: functions that meet them and have Pf = 0, which "
        "the regulariser does not see, so no Green's function exists"
    )
    if not rows:
        return (
            f"{message}; a term of lower order in P would remove it, and for constant coefficients "
            "from_periodic_operator(..., orthogonal_to_null_space=True) leaves it out"
        )
    chosen: list[Matrix] = []
    names: list[str] = []
    kept: dict[str, list[Any]] = {name: [r.tolist() for r in given if len(r) <= order] for name, given in rows.items()}
    scaling = scale ** -np.arange(order, dtype=float)[:, None] / np.linalg.norm(states)
    for name, point, block in (("left", interval[0], states[:order]), ("right", interval[1], states[-order:])):
        for j, row in enumerate(block * scaling):
            room = len(kept[name]) < order
            if room and np.linalg.matrix_rank(
                np.array([*chosen, row / np.abs(row).max(initial=1e-300)]), tol=1e-6
            ) > len(chosen):
                chosen.append(row / np.abs(row).max(initial=1e-300))
                names.append(f"f{chr(39) * j}({point:g}) = 0")
                kept[name].append(j)
    try:
        from_operator(coefficients, interval, left=kept["left"], right=kept["right"])
    except (IllPosedOperator, NotConverged):
        return f"{message}; more conditions of order below {order} would remove it"
    dropped = any(len(row) > order for given in rows.values() for row in given)
    instead = f", in place of those of order {order} or more" if dropped else ""
    return f"{message}; {' and '.join(names)} would remove it{instead}"


def _checked_order(coefficients: Any) -> int:
    """Order of the operator with these coefficients, or InvalidInput."""
    try:
        order = len(coefficients) - 1
    except TypeError as error:
        raise InvalidInput(f"coefficients are {coefficients!r}; give the list a_0, …, a_p") from error
    if not 1 <= order <= LARGEST_ORDER:
        raise InvalidInput(f"{order + 1} coefficients make an operator of order {order}; give 2 to {LARGEST_ORDER + 1}")
    return order


def _checked_interval(interval: Any, order: int) -> tuple[float, float]:
    """Both ends as floats, or InvalidInput, also for a length whose power `order` leaves double precision."""
    try:
        a, b = (float(end) for end in interval)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"interval is {interval!r}; give two finite ends in order") from error
    if not (math.isfinite(a) and math.isfinite(b) and a < b):
        raise InvalidInput(f"interval is ({a:g}, {b:g}); give two finite ends in order")
    with np.errstate(over="ignore"):
        power = np.float64(b - a) ** order
    if not 0 < power < math.inf:
        raise InvalidInput(
            f"interval is ({a:g}, {b:g}), whose length to the power {order} leaves double precision; rescale x"
        )
    return a, b


def _is_empty(conditions: Any) -> bool:
    """Whether no conditions are given."""
    return conditions is None or (hasattr(conditions, "__len__") and len(conditions) == 0)


def _check_periodic(panels: list[Panel]) -> None:
    """Raise InvalidInput unless every coefficient has the same value at both ends of the interval."""
    first, last = panels[0], panels[-1]
    powers = np.arange(first.order + 1)
    at_left = first.coefficients[:, 0] * first.size * first.half_length ** (powers - 0.5)
    at_right = last.coefficients[:, -1] * last.size * last.half_length ** (powers - 0.5)
    unequal = np.abs(at_left - at_right) > UNEQUAL * np.maximum(np.abs(at_left), np.abs(at_right))
    if np.any(unequal):
        j = int(np.flatnonzero(unequal)[0])
        raise InvalidInput(
            f"coefficient {j} is {at_left[j]:.6g} at the left end and {at_right[j]:.6g} at the right; give ones that "
            "agree there, or conditions instead of periodic=True"
        )
