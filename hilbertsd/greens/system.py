"""Linear system of the random process with Pf = noise on panels, under conditions at both ends.

:mod:`hilbertsd.greens.operators` says how its solution makes the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilbertsd.errors import IllPosedOperator, NotConverged
from hilbertsd.greens.conditions import Boundary
from hilbertsd.greens.panels import Matrix, Panel

NEARLY_NULL = 1e-8
"""Smallest singular value, as a share of the largest, with which the solution of a system is known to 1e-8."""

BETTER_STEP_BY_STEP = 1e-6
"""A system with a clamped end whose inverse condition number is below this is solved knot by knot from that end."""

NEGATIVE = (
    "the boundary conditions make the regulariser zero or negative for some functions, so that its Green's function is "
    "no kernel; change their signs, or leave them to the natural conditions"
)


@dataclass(frozen=True, eq=False)
class System:
    """Linear system B F = N v for the states F at all knots and the noise v.

    Entry j of the state at a knot is dʲf·scaleʲ/dxʲ.

    Attributes
    ----------
    matrix : (m, p (n_panels + 1)) matrix B, scaled so that the largest entry of every row is 1.
    inputs : (m, n_noise) matrix N. The panels' noise comes first, then the noise of boundary terms.
    n_panel_noise : number of the panels' noise coordinates, p n_panels.
    removed : (k, p (n_panels + 1)) linear forms whose squares boundary terms subtract from the regulariser.
    first_dynamics : first row of the panels' equations; the rows of the left end's conditions are before it.
    clamped : rows of an end at which all p states are fixed, so that there is no null space. None without such an end.
    """

    matrix: Matrix
    inputs: Matrix
    n_panel_noise: int
    removed: Matrix
    first_dynamics: int
    clamped: slice | None

    @classmethod
    def of(cls, panels: list[Panel], ends: tuple[Boundary, Boundary] | None, scale: float) -> System:
        """System of the panels with conditions at both ends, or with the ends identified where `ends` is None."""
        p, n_panels = panels[0].order, len(panels)
        dynamics = [_panel_rows(panel, i, scale) for i, panel in enumerate(panels)]
        if ends is None:
            identified = _Rows({0: -np.eye(p), n_panels: np.eye(p)}, np.zeros((p, 0)), 0)
            return cls._assembled([], dynamics, [identified], np.zeros((0, p * (n_panels + 1))), None)
        left = _end_rows(ends[0], panels[0], 0, scale, p * n_panels)
        n_gained = int(np.count_nonzero(ends[0].strengths > 0))
        right = _end_rows(ends[1], panels[-1], n_panels, scale, p * n_panels + n_gained)
        removed = [
            np.pad(_removed(ends[0], panels[0], scale), ((0, 0), (0, n_panels * p))),
            np.pad(_removed(ends[1], panels[-1], scale), ((0, 0), (n_panels * p, 0))),
        ]
        clamped = next((side for side, end in enumerate(ends) if len(end.fixed) == p), None)
        return cls._assembled(left, dynamics, right, np.vstack(removed), clamped)

    @classmethod
    def _assembled(
        cls, left: list[_Rows], dynamics: list[_Rows], right: list[_Rows], removed: Matrix, clamped: int | None
    ) -> System:
        """System from the blocks of rows of the left end, the panels and the right end; `clamped` is 0, 1 or None."""
        p, width = len(dynamics[0].inputs), removed.shape[1]
        blocks = [*left, *dynamics, *right]
        n_noise = max(block.start + block.inputs.shape[1] for block in blocks)
        n_rows = sum(len(block.inputs) for block in blocks)
        matrix, inputs = np.zeros((n_rows, width)), np.zeros((n_rows, n_noise))
        row = 0
        for block in blocks:
            here = slice(row, row + len(block.inputs))
            for knot, values in block.states.items():
                matrix[here, knot * p : (knot + 1) * p] = values
            inputs[here, block.start : block.start + block.inputs.shape[1]] = block.inputs
            row = here.stop
        size = np.abs(matrix).max(axis=1, keepdims=True)
        first_dynamics = sum(len(block.inputs) for block in left)
        rows_of_side = (slice(0, p), slice(len(matrix) - p, len(matrix)))
        return cls(
            matrix / size,
            inputs / size,
            p * len(dynamics),
            removed,
            first_dynamics,
            None if clamped is None else rows_of_side[clamped],
        )

    def null_states(self) -> Matrix:
        """(p (n_panels + 1), dimension) states at the knots of functions that meet the conditions and have Pf = 0.

        Raises NotConverged where such a function nearly exists, so that the kernel is not known to 1e-8.
        """
        width = self.matrix.shape[1]
        if self.clamped is not None:
            return np.zeros((width, 0))
        sizes = np.linalg.norm(self.matrix, axis=0)
        _, singular, vt = np.linalg.svd(self.matrix / sizes)
        singular = np.append(singular, np.zeros(width - len(singular))) / singular[0]
        null = singular <= 8 * width * np.finfo(float).eps
        if not null.any() and singular[-1] < NEARLY_NULL:
            raise NotConverged(
                f"a function of norm 1 meets the conditions with Pf only about {singular[-1]:.1g}, so that its Green's "
                "function is not known to 1e-8; give conditions that hold such functions, or all of them at one end"
            )
        return (vt[null] / sizes).T

    def solved(self) -> tuple[Matrix, Matrix]:
        """States at the knots and noise of the panels, both as linear functions of independent coordinates.

        Raises IllPosedOperator where boundary terms make the regulariser indefinite.
        """
        if self.clamped is not None and self._condition() * BETTER_STEP_BY_STEP > 1:
            response, equations = self._from_clamped_end(self.clamped)
        else:
            width = self.matrix.shape[1]
            q, r = np.linalg.qr(self.matrix, mode="complete")
            driven = q.T @ self.inputs
            response, equations = np.linalg.solve(r[:width], driven[:width]), driven[width:]
        # More than p conditions leave equations for the noise alone.
        noise = np.eye(self.inputs.shape[1])
        if np.any(equations):
            _, singular, vt = np.linalg.svd(equations / np.abs(equations).max())
            noise = vt[np.count_nonzero(singular > 1e-13 * singular[0]) :].T
        states = response @ noise
        if len(self.removed) and noise.shape[1]:
            # Subtracting squares |Wv|² from R multiplies by (I − WᵀW)^(−1/2); the singular values of W must be below 1.
            _, singular, vt = np.linalg.svd(self.removed @ states, full_matrices=False)
            if singular[0] >= 1 - 1e-13:
                raise IllPosedOperator(NEGATIVE)
            stretch = vt.T * (1 / np.sqrt((1 - singular) * (1 + singular)) - 1) @ vt
            states, noise = states + states @ stretch, noise + noise @ stretch
        return states, noise[: self.n_panel_noise]

    def _condition(self) -> float:
        """Condition number of the matrix with columns of norm 1."""
        singular = np.linalg.svd(self.matrix / np.linalg.norm(self.matrix, axis=0), compute_uv=False)
        return float(singular[0] / max(singular[-1], np.finfo(float).tiny))

    def _from_clamped_end(self, rows: slice) -> tuple[Matrix, Matrix]:
        """Response of the states to the noise, and the equations for the noise that the other rows leave.

        Goes from knot to knot, starting at the end where all states are zero. Solutions of Pf = 0 that grow away from
        their conditions lose no digits this way; in a factorisation they would lose all.
        """
        p = rows.stop - rows.start
        n_panels = self.n_panel_noise // p
        response = np.zeros((self.matrix.shape[1], self.inputs.shape[1]))
        dynamics = range(self.first_dynamics, self.first_dynamics + p * n_panels, p)
        forward = rows.start < self.first_dynamics
        for i in range(n_panels) if forward else range(n_panels)[::-1]:
            row, near, far = dynamics[i], (i, i + 1)[not forward], (i + 1, i)[not forward]
            near, far = slice(near * p, (near + 1) * p), slice(far * p, (far + 1) * p)
            block = slice(row, row + p)
            known = self.inputs[block] - self.matrix[block, near] @ response[near]
            response[far] = np.linalg.solve(self.matrix[block, far], known)
        others = np.ones(len(self.matrix), bool)
        others[rows] = False
        others[self.first_dynamics : self.first_dynamics + p * n_panels] = False
        return response, self.inputs[others] - self.matrix[others] @ response


@dataclass(frozen=True)
class _Rows:
    """Block of rows Σ_knot states[knot] F_knot = inputs v, where v are the noise coordinates from `start` on."""

    states: dict[int, Matrix]
    inputs: Matrix
    start: int


def _panel_rows(panel: Panel, i: int, scale: float) -> _Rows:
    """Equations F_{i+1} = Φ F_i + N v_i of panel i."""
    scaling = panel.state_scaling(scale)
    transition = panel.transition * scaling / scaling[:, None]
    p = panel.order
    return _Rows({i: -transition, i + 1: np.eye(p)}, panel.noise / scaling[:, None] / panel.size, i * p)


def _end_rows(boundary: Boundary, panel: Panel, knot: int, scale: float, first_noise: int) -> list[_Rows]:
    """Rows of one end: linear forms that vanish, and linear forms whose squares are added to the regulariser.

    Adding strength·(form)² to the regulariser is the same as setting the form to noise of variance 1/strength.
    """
    scaling = panel.state_scaling(scale)
    gained = boundary.strengths > 0
    fixed = _Rows({knot: boundary.fixed * scaling}, np.zeros((len(boundary.fixed), 0)), 0)
    deviations = np.diag(1 / np.sqrt(boundary.strengths[gained]))
    weighted = _Rows({knot: boundary.weighted[gained] * scaling}, deviations, first_noise)
    return [rows for rows in (fixed, weighted) if len(rows.inputs)]


def _removed(boundary: Boundary, panel: Panel, scale: float) -> Matrix:
    """(k, p) linear forms of the state at an end whose squares are subtracted from the regulariser."""
    lost = boundary.strengths < 0
    return np.sqrt(-boundary.strengths[lost])[:, None] * boundary.weighted[lost] * panel.state_scaling(scale)
