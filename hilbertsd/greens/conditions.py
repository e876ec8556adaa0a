"""Boundary conditions at one end: which states they leave free, and what they add to the regulariser."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilbertsd.errors import IllPosedOperator, InvalidInput
from hilbertsd.greens.panels import DEGREE, Matrix, Panel, slope

Condition = int | Sequence[float]

ASYMMETRY = 1e-8
"""Conditions are self-adjoint where their symplectic form is below this, and dependent where a singular value is."""


@dataclass(frozen=True)
class End:
    """One end of the interval, its panel and its conditions."""

    panel: Panel
    side: int
    conditions: tuple[Condition, ...]
    name: str
    scale: float

    def resolved(self) -> tuple[Matrix, Matrix]:
        """(p, f) basis of the states the conditions leave free, and (f, f) boundary term of R on it."""
        p = self.panel.order
        rows = [self._row(condition) for condition in self.conditions]
        highest = max((len(row) for row in rows), default=0)
        if len(rows) > p:
            raise IllPosedOperator(f"{len(rows)} conditions at the {self.name} end; an order-{p} P takes at most {p}")
        if len(rows) < p and highest > p:
            raise IllPosedOperator(
                f"{len(rows)} conditions at the {self.name} end involve derivatives of order {highest - 1}; give {p} "
                f"conditions there, or only ones of order below {p}, which natural conditions then complete"
            )
        forms = np.array([self._form(row) for row in rows]).reshape(len(rows), 2 * p)
        norms = np.linalg.norm(forms, axis=1, keepdims=True)
        forms = np.divide(forms, norms, out=forms, where=norms > 0)
        if len(rows) and np.linalg.svd(forms, compute_uv=False)[-1] < ASYMMETRY:
            raise IllPosedOperator(f"the conditions at the {self.name} end depend on each other; drop one of them")
        if len(rows) < p:
            free, boundary = _null_space(forms[:, :p]), None
        else:
            free, boundary = self._lagrangian(_null_space(forms))
        scaling = self.panel.state_scaling(self.scale)[:p]
        boundary = np.zeros((free.shape[1],) * 2) if boundary is None else self.panel.amplitude * boundary
        return free / scaling[:, None], boundary

    def _lagrangian(self, allowed: Matrix) -> tuple[Matrix, Matrix]:
        """Free states and boundary term from a basis of the allowed (F, λ)."""
        p = self.panel.order
        states, costates = allowed[:p], allowed[p:]
        form = states.T @ costates
        if np.abs(form - form.T).max() > ASYMMETRY:
            raise IllPosedOperator(
                f"the conditions at the {self.name} end are not self-adjoint, so that the Green's function is not "
                f"symmetric and no kernel; give only conditions of order below {p}, which natural ones complete"
            )
        u, singular, vt = np.linalg.svd(states)
        rank = int(np.count_nonzero(singular > ASYMMETRY))
        boundary = -self.side * u[:, :rank].T @ costates @ (vt[:rank].T / singular[:rank])
        return u[:, :rank], (boundary + boundary.T) / 2

    def _row(self, condition: Condition) -> Matrix:
        """Coefficients b_0, … of one condition."""
        p = self.panel.order
        if isinstance(condition, numbers.Integral) and 0 <= int(condition) < 2 * p:
            return np.eye(2 * p)[int(condition), : int(condition) + 1]
        row = np.atleast_1d(np.trim_zeros(np.asarray(condition, dtype=float), "b")) if np.ndim(condition) == 1 else None
        if row is None or not 1 <= len(row) <= 2 * p or not np.all(np.isfinite(row)):
            raise InvalidInput(
                f"condition {condition!r} at the {self.name} end; give the order of a derivative that vanishes, from 0 "
                f"to {2 * p - 1}, or the coefficients of f, f', … in a combination that does"
            )
        return row

    def _form(self, row: Matrix) -> Matrix:
        """(2p,) the condition as a form in the panel's (F, λ)."""
        p, system = self.panel.order, self.panel.system
        derivative = np.zeros((DEGREE + 1, 2 * p))
        derivative[:, 0] = 1.0
        total = np.zeros(2 * p)
        for j, factor in enumerate(row):
            total = total + factor / self.panel.half_length**j * derivative[-1 if self.side > 0 else 0]
            # f^(j) = ℓ·Y gives f^(j+1) = (ℓ' + ℓH)·Y.
            derivative = slope(derivative) + np.einsum("ia,iab->ib", derivative, system)
        return total


def _null_space(forms: Matrix) -> Matrix:
    """Orthonormal basis of what rows of full rank leave free."""
    return np.linalg.svd(forms)[2][len(forms) :].T if len(forms) else np.eye(forms.shape[1])
