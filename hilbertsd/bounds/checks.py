"""Every bound of hilbertsd.bounds checked on a path, round by round.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    report = check_bounds(path)
    report.holds  # True
    print(report)  # every statement with its formula, a plain sentence, its source and the round with the least slack

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.bounds import early_stopping, round_counts, round_ratios, sparsity
from hilbertsd.bounds import statements as of
from hilbertsd.bounds.report import BoundsReport, StatementCheck
from hilbertsd.distillation.matching import single_multipliers
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput

RELATIVE_ROUNDING = 1e-9
"""Relative difference the wrong way between the sides of a statement that does not yet count as a violation."""

ROUNDING_PER_ROUND = 1e-15
"""Relative rounding that each earlier round adds; it is magnified where a side is a difference such as r − 1."""


def check_bounds(path: DistillationPath) -> BoundsReport:
    """Check every bound of MFB §3, and the sharper ones of :mod:`hilbertsd.bounds`, on a path.

    Everything is computed anew from the path's spectrum, tolerance, multipliers and collapse round, so that a wrong
    multiplier shows. Statements about T are left out where `max_rounds` ended the path.

    Parameters
    ----------
    path : of a tolerance, from `distill`, `distill_spectrum` or an estimator's `path_`.

    Returns
    -------
    BoundsReport

    Raises
    ------
    InvalidInput
        The path has a fixed multiplier, or ground truth in its targets: the bounds are about a tolerance and pure
        self-distillation.

    Source: MFB §3; for several outputs Σ_j z_kj² in place of z_k², our reading of §3.6.
    """
    if path.tolerance is None:
        raise InvalidInput("the path has a fixed multiplier and the bounds are about a tolerance; distil with one")
    if path.ground_truth_weights is not None:
        raise InvalidInput(
            "the path has ground truth in its targets and the bounds are about pure self-distillation; distil without "
            "ground_truth_weight"
        )
    start = 1 if np.any(path.eigenvalues == 0) else 0
    d = path.eigenvalues[path.eigenvalues > 0]
    kappa = float(d[-1] / d[0]) if d.size else 1.0
    errors, fitted, ratios = _replay(path, path.tolerance)
    checks = _for_every_kernel(path, path.tolerance, errors, fitted, ratios) + _against_single_fits(path, d)
    if path.n_rounds > start and ratios[start] > 1:
        restarted = _Restarted(start, path.multipliers[start:], ratios[start:], d, kappa)
        checks += _on_multipliers_and_norms(restarted) + _on_weights(restarted, path.spectrum.rounding)
        if path.collapse_round is not None:
            checks += _on_the_collapse_round(restarted, path.collapse_round)
    ratio = float(ratios[start]) if start < len(ratios) else math.nan
    checks = sorted((check for check in checks if len(check.rounds)), key=lambda c: of.STATEMENTS.index(c.statement))
    return BoundsReport(tuple(checks), start, kappa, ratio, path.collapse_round)


@dataclass(frozen=True)
class _Restarted:
    """Rounds from `start` on, where only positive eigenvalues matter: c_t, r_t (one more than c_t), d and κ.

    The statements with κ are checked on these.
    """

    start: int
    multipliers: NDArray[np.float64]
    ratios: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    condition_number: float

    @property
    def n_rounds(self) -> int:
        return len(self.multipliers)

    @property
    def rounds(self) -> NDArray[np.intp]:
        return np.arange(self.start, self.start + self.n_rounds)


def _replay(path: DistillationPath, tolerance: float) -> tuple[NDArray[np.float64], ...]:
    """Rounds computed anew from the multipliers, with energies in units of ε.

    Returns the energy of its targets that each round leaves over (T,), the energy that it fits (T,), and r_t (T+1,).
    """
    d, c, energies = path.eigenvalues, path.multipliers[:, None], path.spectrum.energies / tolerance
    after = path.basis_weights
    before = np.vstack([np.ones_like(d), after[:-1]]) if len(after) else after
    left_over, kept = c / (c + d), path.shrinkage
    errors = np.sum(energies * (before * left_over) ** 2, axis=1)
    fitted = np.sum(energies * before**2 * kept * (2 - kept), axis=1)
    squares = np.concatenate([[energies.sum()], np.sum(energies * after**2, axis=1)])
    return errors, fitted, np.sqrt(squares)


def _for_every_kernel(
    path: DistillationPath,
    tolerance: float,
    errors: NDArray[np.float64],
    fitted: NDArray[np.float64],
    ratios: NDArray[np.float64],
) -> list[StatementCheck]:
    """Statements without κ: the constraint, the two facts on residuals, the counts from them, and collapse itself."""
    rounds = np.arange(path.n_rounds)
    now, after = ratios[:-1], ratios[1:]
    rounding = _rounding(rounds, now)
    checks = [
        _check(of.CONSTRAINT, rounds, errors * tolerance, tolerance),
        _check(of.FITTED_ENERGY, rounds, fitted, now**2 - 1, rounding),
        _check(of.RATIO_BEFORE_COLLAPSE, rounds, now, 1.0),
        _check(of.RATIO_BY_TRIANGLE, rounds, after, now - 1, rounding),
        _check(of.RATIO_AT_MOST, rounds, now**2 - 1, after**2, 2 * rounding),
    ]
    collapse = path.collapse_round
    # Within an ulp of the mean square a tolerance can be met in round 0 and still leave r_0 = 1 after rounding.
    if collapse and ratios[0] > 1:
        spectrum = path.spectrum
        by_spectrum = round_counts.rounds_by_spectrum(spectrum.eigenvalues, spectrum.energies, tolerance)
        checks += [
            _check(of.RATIO_AT_COLLAPSE, [collapse], [1.0], ratios[-1:]),
            _check(of.ROUNDS_BY_TRIANGLE, [collapse], collapse, round_counts.rounds_by_triangle(ratios[0])),
            _check(of.ROUNDS_BY_SPECTRUM, [collapse], collapse, by_spectrum),
            _check(of.ROUNDS_AT_MOST, [collapse], round_counts.most_rounds(ratios[0]), collapse),
        ]
    return checks


def _on_multipliers_and_norms(path: _Restarted) -> list[StatementCheck]:
    """Bracket, both recurrences and Proposition 3, in every round whose targets' mean square is above the tolerance."""
    alive = np.flatnonzero(path.ratios[:-1] > 1)
    rounds, c = path.rounds[alive], path.multipliers[alive]
    now, after = path.ratios[:-1][alive], path.ratios[1:][alive]
    d_min, d_max = path.eigenvalues[0], path.eigenvalues[-1]
    least = round_ratios.next_ratio(now, path.condition_number)
    most = round_ratios.largest_next_ratio(now, path.condition_number)
    r = path.ratios[0]
    linear = round_ratios.ratio_after(alive + 1, r, path.condition_number)
    rounding = _rounding(rounds, now)
    accumulated = RELATIVE_ROUNDING + ROUNDING_PER_ROUND * (rounds + 8) * r / after
    return [
        _check(of.MULTIPLIER_AT_LEAST, rounds, c, d_min / (now - 1), rounding),
        _check(of.MULTIPLIER_AT_MOST, rounds, d_max / (now - 1), c, rounding),
        _check(of.RATIO_AT_MOST_BY_KAPPA, rounds, most, after, rounding),
        _check(of.RATIO_BY_RECURRENCE, rounds, after, least, rounding),
        _check(of.RATIO_BY_PROPOSITION_3, rounds, after, linear, accumulated),
    ]


def _on_weights(path: _Restarted, resolution: float) -> list[StatementCheck]:
    """Theorem 5 and the sparsity index, in logarithms because the ratios leave double precision.

    Theorem 5 for neighbouring eigenvalues implies it for every pair, because both sides multiply from one pair to the
    next. The row of a round shows the neighbours with the least slack.
    """
    distinct = path.eigenvalues[sparsity.distinct(path.eigenvalues)]
    kept = path.eigenvalues[sparsity.distinct(path.eigenvalues, resolution)]
    counts = np.arange(1, path.n_rounds + 1)
    r = path.ratios[0]
    checks = []
    if len(distinct) > 1:
        left = _log_neighbour_ratios(distinct, path.multipliers)
        right = counts[:, None] * sparsity.log_neighbour_bounds(distinct, r)
        closest = np.argmax(right / left, axis=1)[:, None]
        left, right = (np.take_along_axis(side, closest, axis=1)[:, 0] for side in (left, right))
        checks.append(_check(of.WEIGHTS, path.rounds, left, right))
    if len(kept) > 1:
        log_index = _log_neighbour_ratios(kept, path.multipliers).min(axis=1)
        per_round = sparsity.log_neighbour_bounds(kept, r).min()
        guaranteed = round_counts.guaranteed_rounds(r, path.condition_number)
        checks.append(_check(of.SPARSITY, path.rounds, log_index, counts * per_round))
        at = max(math.ceil(guaranteed * (1 - round_counts.ROUNDING)), 1) - 1
        if at < path.n_rounds:
            checks.append(_check(of.SPARSITY_GUARANTEED, [path.start + at], log_index[at], guaranteed * per_round))
    return checks


def _against_single_fits(path: DistillationPath, positive: NDArray[np.float64]) -> list[StatementCheck]:
    """Theorem B: the ridge fits with the training errors of the rounds, where double precision can tell their c'."""
    if not positive.size:
        return []
    c, single = path.multipliers, single_multipliers(path)
    told = np.flatnonzero((single > 0) & np.isfinite(single))
    told = told[told > 0]  # in round 0 both fits are the same
    if not told.size:
        return []
    least, most = early_stopping.single_multiplier_bounds(positive, c)[told].T
    rounding = RELATIVE_ROUNDING + ROUNDING_PER_ROUND * (told + 8)
    limited = np.isfinite(most)
    checks = [
        _check(of.SINGLE_AT_LEAST, told, single[told], least, rounding),
        _check(of.SINGLE_AT_MOST, told[limited], most[limited], single[told][limited], rounding[limited]),
    ]
    d = positive[sparsity.distinct(positive)]
    told = told[np.cumsum(c)[told] < single[told]]
    distilled, of_single = _log_neighbour_ratios(d, c)[told], _log_neighbour_steps(d, single[told])
    surplus = early_stopping.slope_surplus(d, c, single)[told]
    below, above = surplus[:, 1:] >= 0, surplus[:, :-1] <= 0
    for statement, where, left, right in (
        (of.SEPARATION_BELOW, below, distilled, of_single),
        (of.SEPARATION_ABOVE, above, of_single, distilled),
    ):
        rows = np.flatnonzero(where.any(axis=1))
        closest = np.where(where, right / left, -np.inf)[rows].argmax(axis=1) if rows.size else rows
        checks.append(_check(statement, told[rows], left[rows, closest], right[rows, closest]))
    return checks


def _on_the_collapse_round(path: _Restarted, collapse_round: int) -> list[StatementCheck]:
    """Bounds on T from r and κ, in rounds from the start of the path, so that T is the same in every row."""
    r, kappa = path.ratios[0], path.condition_number
    counts = {
        of.ROUNDS_BY_PROPOSITION_4: round_counts.guaranteed_rounds(r, kappa),
        of.ROUNDS_BY_PROPOSITION_3: round_counts.rounds_by_tangent(r, kappa),
        of.ROUNDS_BY_RECURRENCE: round_counts.rounds_by_recurrence(r, kappa),
    }
    at_most = path.start + round_counts.most_rounds(r, kappa)
    return [
        *(_check(statement, [collapse_round], collapse_round, path.start + n) for statement, n in counts.items()),
        _check(of.ROUNDS_AT_MOST_BY_KAPPA, [collapse_round], at_most, collapse_round),
    ]


def _log_neighbour_ratios(eigenvalues: NDArray[np.float64], multipliers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, m−1) log B_t[k+1]/B_t[k], summed over the rounds without cancellation within one."""
    return np.cumsum(_log_neighbour_steps(eigenvalues, multipliers), axis=0)


def _log_neighbour_steps(eigenvalues: NDArray[np.float64], multipliers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, m−1) logarithm of the ratio of neighbouring weights d/(c + d), for every multiplier c."""
    low, high, c = eigenvalues[:-1], eigenvalues[1:], multipliers[:, None]
    return np.log1p(c / (c + high) * ((high - low) / low))


def _rounding(rounds: NDArray[np.intp], ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative rounding of r_t − 1, which cancels near collapse."""
    gap = np.maximum(np.abs(ratios - 1), np.finfo(float).eps)
    return RELATIVE_ROUNDING + ROUNDING_PER_ROUND * (rounds + 8) * ratios / gap


def _check(
    statement: of.Statement, rounds: Any, left: Any, right: Any, rounding: Any = RELATIVE_ROUNDING
) -> StatementCheck:
    """Statement with its sides and rounding as arrays of one entry per round."""
    rounds = np.asarray(rounds, dtype=int)
    left, right, rounding = (np.broadcast_to(np.asarray(x, dtype=float), rounds.shape) for x in (left, right, rounding))
    return StatementCheck(statement, rounds, left, right, rounding)
