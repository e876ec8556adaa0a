"""Boundary conditions at one end: what they fix, and what they add to the regulariser.

A condition is a linear form in the state F = (f, …, f^(p−1)) and the costate λ of the Hamiltonian form, which
:mod:`hilbertsd.greens.operators` describes. p conditions at one end are self-adjoint where the symplectic form vanishes
on the (F, λ) that meet them; the Green's function is then symmetric.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hilbertsd.errors import IllPosedOperator, InvalidInput
from hilbertsd.greens.panels import DEGREE, Matrix, Panel, slope

Condition = int | Sequence[float]
"""Order j of a derivative that vanishes, or the coefficients of f, f', … in a combination that does."""

ASYMMETRY = 1e-8
"""Conditions are self-adjoint where no entry of their symplectic form exceeds this.

They depend on each other where their smallest singular value is below it.
"""

NO_STRENGTH = 1e-12
"""Boundary terms of the regulariser below this, in units of the panel's operator, are rounding."""


@dataclass(frozen=True, eq=False)
class Boundary:
    """Conditions at one end as statements about the state F there.

    Attributes
    ----------
    fixed : (n, p) linear forms of F that vanish.
    weighted : (m, p) linear forms of F whose squares the regulariser R contains.
    strengths : (m,) factors of these squares, negative where they are subtracted from R.
    """

    fixed: Matrix
    weighted: Matrix
    strengths: Matrix


def checked_rows(conditions: Sequence[Condition], order: int, name: str) -> list[Matrix]:
    """Coefficients (b_0, …) of every condition at one end.

    Raises InvalidInput for something that is no condition, IllPosedOperator for more conditions than the order, and for
    fewer where they involve derivatives that natural conditions would have to complete.
    """
    try:
        rows = [_row(condition, order, name) for condition in conditions]
    except TypeError as error:
        raise InvalidInput(f"the {name} conditions are {conditions!r}; give a list of conditions") from error
    highest = max((len(row) - 1 for row in rows), default=0)
    if len(rows) > order:
        raise IllPosedOperator(f"{len(rows)} conditions at the {name} end; an order-{order} P takes at most {order}")
    if len(rows) < order and highest >= order:
        raise IllPosedOperator(
            f"{len(rows)} conditions at the {name} end involve derivatives of order {highest}; give {order} conditions "
            f"there, or only ones of order below {order}, which natural conditions then complete"
        )
    return rows


def resolved(rows: list[Matrix], panel: Panel, at_right: bool, name: str) -> Boundary:
    """Conditions of one end in the states of its panel. Natural conditions complete them where fewer than p are given.

    Raises IllPosedOperator where they depend on each other or are not self-adjoint.
    """
    p = panel.order
    forms = np.array([_form(row, panel, at_right) for row in rows]).reshape(len(rows), 2 * p)
    norms = np.linalg.norm(forms, axis=1, keepdims=True)
    forms = np.divide(forms, norms, out=forms, where=norms > 0)
    if len(rows) and np.linalg.svd(forms, compute_uv=False)[-1] < ASYMMETRY:
        raise IllPosedOperator(f"the conditions at the {name} end depend on each other; drop one of them")
    if len(rows) < p or not np.any(forms[:, p:]):
        return Boundary(forms[:, :p], np.zeros((0, p)), np.zeros(0))
    # Basis of the (F, λ) that meet the conditions: a space of dimension p on which the symplectic form must vanish.
    allowed = np.linalg.svd(forms)[2][p:].T
    states, costates = allowed[:p], allowed[p:]
    form = states.T @ costates
    if np.abs(form - form.T).max() > ASYMMETRY:
        raise IllPosedOperator(
            f"the conditions at the {name} end are not self-adjoint, so that the Green's function is not symmetric and "
            f"no kernel; give only conditions of order below {p}, which natural ones complete"
        )
    u, singular, vt = np.linalg.svd(states)
    rank = int(np.count_nonzero(singular > ASYMMETRY))
    # R contains the quadratic form Fᵀ term F.
    term = (-1 if at_right else 1) * u[:, :rank].T @ costates @ (vt[:rank].T / singular[:rank])
    strengths, directions = np.linalg.eigh((term + term.T) / 2)
    kept = np.abs(strengths) > NO_STRENGTH * max(1.0, float(np.abs(costates).max()))
    return Boundary(u[:, rank:].T, (u[:, :rank] @ directions[:, kept]).T, strengths[kept] * panel.size**2)


def _row(condition: Condition, order: int, name: str) -> Matrix:
    """Coefficients (b_0, …) of one condition, without trailing zeros, or InvalidInput."""
    if isinstance(condition, numbers.Integral) and 0 <= int(condition) < 2 * order:
        return np.eye(2 * order)[int(condition), : int(condition) + 1]
    row = None
    if not isinstance(condition, numbers.Number | str):
        try:
            array = np.asarray(condition)
            row = np.trim_zeros(array.astype(float), "b") if array.ndim == 1 and array.dtype.kind in "iuf" else None
        except (TypeError, ValueError):
            row = None
    if row is None or not 1 <= len(row) <= 2 * order or not np.all(np.isfinite(row)):
        raise InvalidInput(
            f"condition {condition!r} at the {name} end; give the order of a derivative that vanishes, from 0 to "
            f"{2 * order - 1}, or the coefficients of f, f', … in a combination that does"
        )
    return row


def _form(row: Matrix, panel: Panel, at_right: bool) -> Matrix:
    """(2p,) coefficients of a condition as a linear form in the (F, λ) of the panel."""
    p = panel.order
    system = _hamiltonian(panel)
    derivative = np.zeros((DEGREE + 1, 2 * p))
    derivative[:, 0] = 1.0
    total = np.zeros(2 * p)
    for j, factor in enumerate(row):
        total = total + factor * panel.half_length ** (len(row) - 1.0 - j) * derivative[-1 if at_right else 0]
        # If f^(j) = c·Y with Y = (F, λ) and Y' = HY, then f^(j+1) = (c' + cH)·Y.
        derivative = slope(derivative) + np.einsum("ia,iab->ib", derivative, system)
    return total


def _hamiltonian(panel: Panel) -> Matrix:
    """(degree+1, 2p, 2p) matrix H of (F, λ)' = H (F, λ) at the nodes."""
    p, a = panel.order, panel.coefficients
    system = np.zeros((DEGREE + 1, 2 * p, 2 * p))
    system[:, range(p - 1), range(1, p)] = 1.0
    system[:, p - 1, :p] = -(a[:p] / a[p]).T
    system[:, p:, p:] = -system[:, :p, :p].transpose(0, 2, 1)
    system[:, p - 1, 2 * p - 1] = 1 / a[p] ** 2
    return system
