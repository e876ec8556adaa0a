"""Green's function of P*P for a linear differential operator P on an interval, with boundary conditions.

P f = Σ_j a_j f^(j), order p ≤ 4, regulariser R(f) = ∫ (Pf)² dx. With F = (f, …, f^(p−1)) and the costate λ of
minimising R, P*P f = 0 is the Hamiltonian system

    F' = C F + e_p λ_p/a_p²,      λ' = −Cᵀ λ,      C the companion matrix of P,

which needs no derivative of the coefficients, whose boundary terms are λᵀF (so natural conditions read λ = 0 where F
is free), and whose symplectic form F·μ − λ·G is the same at every point. The interval is cut into panels on which
2p *shape functions* (one per entry of F at either end) are found by Chebyshev collocation of the integrated system,
panels being halved until the series are resolved. Then

    g(x, t) = g_local(x, t) + h(x)ᵀ K⁻¹ h(t),       R(f) = Fᵀ K F for the interpolant of the states F at the knots:

a finite element method whose elements are exact, so that K⁻¹, the Green's function of the knots, is, too; g_local,
the clamped Green's function of one panel, is −u_R(x)ᵀ E_LR⁻¹ u_L(t) for x ≤ t, with the left and right shape
functions and the off-diagonal block of the panel's stiffness matrix E.

Source: for reproducing kernels as Green's functions Wahba, Spline Models for Observational Data (1990), §1.2; for
integrated collocation Greengard, SIAM J. Numer. Anal. 28 (1991); for the Hamiltonian form Kailath, Sayed & Hassibi,
Linear Estimation (2000), ch. 17.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import IllPosedOperator, InvalidInput
from hilbertsd.greens.closed_forms import points_on_interval
from hilbertsd.greens.conditions import Condition, End
from hilbertsd.greens.panels import Coefficient, Matrix, Panel, resolved_panels

LARGEST_ORDER = 4

NULL_EIGENVALUE = 1e-12
"""Eigenvalues of the scaled stiffness matrix below this belong to its null space; 1 is the size of its entries."""


def from_operator(
    coefficients: Sequence[Coefficient],
    interval: tuple[float, float] = (0.0, 1.0),
    *,
    left: Sequence[Condition] = (),
    right: Sequence[Condition] = (),
    periodic: bool = False,
) -> "OperatorKernel":
    """Green's function of P*P on an interval as a kernel: the reproducing kernel of R(f) = ∫ (Pf)² dx.

        spline = from_operator([0, 0, 1], left=[0, 2], right=[0, 2])     # P = d²/dx², f = f'' = 0 at both ends

    Parameters
    ----------
    coefficients : a_0, …, a_p of P = Σ_j a_j(x) dʲ/dxʲ, numbers or functions from (n,) points to (n,) values; p from 1
        to 4. They should be smooth, and a_p must not vanish.
    interval : (a, b), in units of x.
    left, right : conditions at a and b. A whole number j says f^(j) = 0; a sequence (b_0, b_1, …) says
        Σ_j b_j f^(j) = 0, for derivatives up to 2p−1. Give either p conditions at an end, or fewer that involve only
        derivatives below p: the natural conditions of minimising R then complete them.
    periodic : identify a and b instead; coefficients should then be periodic, too.

    Returns
    -------
    OperatorKernel k(X, Y).

    Raises
    ------
    IllPosedOperator
        The conditions leave P a null space (the message names its dimension and conditions that remove it), are not
        self-adjoint, depend on each other or are too many, or make R with their boundary terms indefinite.
    InvalidInput
        Coefficients are too many or too few, not finite, or a_p vanishes; the interval is empty.
    NotConverged
        The coefficients are too rough to be resolved with 512 panels.

    Notes
    -----
    The values are exact to about 1e-12 of the largest where a few panels do, and lose digits like (number of
    panels)^(2p) times double precision where many panels are needed although P has no strong zeroth-order term.
    """
    order = len(coefficients) - 1
    if not 1 <= order <= LARGEST_ORDER:
        raise InvalidInput(f"{order + 1} coefficients make an operator of order {order}; give 2 to {LARGEST_ORDER + 1}")
    a, b = (float(end) for end in interval)
    if not (math.isfinite(a) and math.isfinite(b) and a < b):
        raise InvalidInput(f"interval is ({a:g}, {b:g}); give two finite ends in order")
    if periodic and (len(left) or len(right)):
        raise IllPosedOperator("a periodic operator takes no conditions at its ends; drop left and right")
    from scipy.linalg import block_diag

    panels = resolved_panels(coefficients, a, b)
    scale = float(np.mean([panel.half_length for panel in panels]))
    stiffness = _assembled(panels, scale)
    if periodic:
        basis = np.eye(len(stiffness), len(stiffness) - order)
        basis[-order:, :order] = np.eye(order)
        boundary = np.zeros((len(stiffness) - order,) * 2)
    else:
        ends = [
            End(panels[0], -1, tuple(left), "left", scale).resolved(),
            End(panels[-1], 1, tuple(right), "right", scale).resolved(),
        ]
        inner = np.eye(len(stiffness) - 2 * order)
        basis = np.asarray(block_diag(ends[0][0], inner, ends[1][0]))
        boundary = np.asarray(block_diag(ends[0][1], 0 * inner, ends[1][1]))
    reduced = basis.T @ stiffness @ basis + boundary
    # Entries before anything could cancel: the measure of what counts as zero.
    sizes = np.sqrt(np.diag(stiffness) @ basis**2 + np.abs(np.diag(boundary)))
    values, vectors = np.linalg.eigh(reduced / sizes[:, None] / sizes) if len(sizes) else (sizes, reduced)
    if np.any(values < -NULL_EIGENVALUE):
        raise IllPosedOperator(
            "the boundary conditions make the regulariser negative for some functions, so that its Green's function is "
            f"no kernel; change their signs, or give only conditions of order below {order}"
        )
    null = values < NULL_EIGENVALUE
    if np.any(null):
        states = basis @ (vectors[:, null] / sizes[:, None])
        raise IllPosedOperator(_about_null_space(states, order, scale, a, b, periodic))
    root = basis @ (vectors / np.sqrt(values) / sizes[:, None])
    return OperatorKernel(a, b, order, scale, tuple(panels), root)


@dataclass(frozen=True, eq=False)
class OperatorKernel:
    """Kernel k(X, Y) with the Green's function of P*P on [left, right]; made by :func:`from_operator`.

    Attributes
    ----------
    left, right : ends of the interval.
    order : p.
    scale : length by whose powers derivatives at the knots are scaled.
    panels : with their shape functions.
    knot_root : (p × knots, r) R with R Rᵀ the Green's function of the knots' states.
    """

    left: float
    right: float
    order: int
    scale: float
    panels: "tuple[Panel, ...]"
    knot_root: Matrix

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None) -> Matrix:
        """(n, m) raw kernel values; X is (n,) or (n, 1), Y likewise, X again where None.

        Raises InvalidInput for points outside the interval, of the wrong shape or not finite.
        """
        x = points_on_interval(X, "X", self.left, self.right)
        first = self._features(x)
        t, second = (x, first) if Y is None else (points_on_interval(Y, "Y", self.left, self.right), None)
        second = self._features(t) if second is None else second
        values = first.of_knots @ second.of_knots.T
        for index, panel in enumerate(self.panels):
            rows, columns = np.flatnonzero(first.panel == index), np.flatnonzero(second.panel == index)
            if rows.size and columns.size:
                shapes = (first.shapes[rows], second.shapes[columns])
                values[np.ix_(rows, columns)] += panel.clamped_kernel(x[rows], t[columns], *shapes)
        return values

    def _features(self, x: Matrix) -> "_Features":
        knots = np.array([panel.left for panel in self.panels])
        index = np.searchsorted(knots, x, side="right") - 1
        shapes = np.empty((len(x), 2 * self.order))
        of_knots = np.empty((len(x), self.knot_root.shape[1]))
        for i, panel in enumerate(self.panels):
            here = index == i
            shapes[here] = panel.shapes_at(x[here])
            first = i * self.order
            of_knots[here] = (shapes[here] * panel.state_scaling(self.scale)) @ self.knot_root[
                first : first + 2 * self.order
            ]
        return _Features(index, shapes, of_knots)


@dataclass(frozen=True)
class _Features:
    """Of points: their panel, the panel's shape functions there, and coordinates whose inner product is h K⁻¹ h."""

    panel: NDArray[np.intp]
    shapes: Matrix
    of_knots: Matrix


def _assembled(panels: list[Panel], scale: float) -> Matrix:
    """Stiffness matrix of the states at all knots."""
    p = panels[0].order
    total = np.zeros((p * (len(panels) + 1),) * 2)
    for i, panel in enumerate(panels):
        here = slice(i * p, (i + 2) * p)
        scaling = panel.state_scaling(scale)
        total[here, here] += panel.amplitude * scaling[:, None] * panel.stiffness * scaling
    return total


def _about_null_space(states: Matrix, order: int, scale: float, a: float, b: float, periodic: bool) -> str:
    """Message with the dimension, and what removes the null functions that have these states at the knots."""
    dimension = states.shape[1]
    found = (
        f"the conditions leave a null space of dimension {dimension}: functions that meet them and have Pf = 0, which "
        "the regulariser does not see, so no Green's function exists"
    )
    if periodic:
        return (
            f"{found}; a term of lower order in P would remove it, and for constant coefficients "
            "from_periodic_operator(..., orthogonal_to_null_space=True) leaves it out"
        )
    chosen: list[Matrix] = []
    names: list[str] = []
    scaling = scale ** -np.arange(order, dtype=float)[:, None] / np.linalg.norm(states)
    for point, block in ((a, states[:order]), (b, states[-order:])):
        for j, row in enumerate(block * scaling):
            if np.linalg.matrix_rank(np.array([*chosen, row]), tol=1e-9) > len(chosen):
                chosen.append(row)
                names.append(f"f{chr(39) * j}({point:g}) = 0")
    return f"{found}; {' and '.join(names)} would remove it"
