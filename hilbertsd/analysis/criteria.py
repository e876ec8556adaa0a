"""Criteria that judge every round of a path, and every mixture of its rounds, from what the path was fitted to.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    score_rounds(path, "gcv")                                  # (T,), from the spectrum alone
    score_rounds(path, Holdout(cross_kernel, other_targets))   # (T,), at points that no fit has seen

A criterion makes of round t a row r_t of residuals and a penalty p_t, and the round's score is ‖r_t‖² + p_t:

    "loo"     y_i − what f_t predicts at x_i without it, over √n        leave-one-out
    "folds"   the same with a fifth of the points left out at a time    cross-validation
    "gcv"     (y − f_t)/(√n (1 − tr B_t/n))                             generalised cross-validation
    "sure"    (y − f_t)/√n, and p_t = σ² (2 tr B_t/n − 1)               Stein's unbiased estimate of the risk

The mixture Σ_t w_t f_t with Σ_t w_t = 1 has the row Σ_t w_t r_t and the penalty Σ_t w_t p_t. The weights for which its
score is smallest are those of :func:`hilbertsd.mix_rounds`.

All of them hold the multipliers fixed, so that f_t = V B_t Vᵀ y is linear in the targets. With a tolerance multipliers
depend on the targets, too, which no criterion counts.

Source: Craven & Wahba (1979) for generalised cross-validation; Stein (1981) for the estimate of the risk; Dang, Patil &
Rinaldo (2026), arXiv:2602.17565, for mixtures by generalised cross-validation; for points left out
:mod:`hilbertsd.analysis.cross_validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.cross_validation import left_out, left_out_together, targets_at
from hilbertsd.analysis.krylov_folds import folds_by_products
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput, InvalidRound, InvalidTargets
from hilbertsd.support.checks import as_real_array, check_choice, check_positive, check_whole
from hilbertsd.support.progress import tracked

KRYLOV_CRITERIA = "score with Folds, Holdout or StochasticCrossValidation"
"""What serves a Krylov path in place of a criterion that it cannot have."""


class Residuals(NamedTuple):
    """What a criterion makes of the rounds of a path.

    Attributes
    ----------
    rows : (T, N) residuals of every round, scaled so that the sum of their squares is a score.
    penalties : (T,) what is added to these sums.
    """

    rows: NDArray[np.float64]
    penalties: NDArray[np.float64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """(T,) scores of the rounds, in squared units of the targets, summed over outputs."""
        return np.vecdot(self.rows, self.rows) + self.penalties


class Criterion(Protocol):
    """What judges the rounds of a path."""

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round."""
        ...


@dataclass(frozen=True)
class LeaveOneOut:
    """Mean squared error at each point of the chain fitted without it, as :func:`hilbertsd.leave_one_out` has it."""

    label: ClassVar[str] = "leave-one-out"

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round, in O(n² n_outputs) each. Raises InvalidInput for a Krylov path."""
        path.spectrum.require_whole("leave-one-out", KRYLOV_CRITERIA)
        return _cross_validated(path, ((tile, rounds) for tile, (rounds,) in left_out([path])))


@dataclass(frozen=True)
class Folds:
    """Mean squared error at the points of each fold of the chain fitted without them.

    As in :func:`hilbertsd.leave_one_out` n c_t stays what it was on the path, so that fewer points are regularised as
    the path regularises all of them.

    Attributes
    ----------
    count : number of folds, of equal size up to one point.
    seed : of the order in which points are dealt out.
    operator : kernel operator or matrix that a Krylov path was distilled from; each fold costs as many products with it
        as the path did. Other paths do without.
    """

    count: int = 5
    seed: int = 0
    operator: Any = field(default=None, compare=False)

    label: ClassVar[str] = "cross-validation"

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round, in O(n³/count) each; those of a Krylov path by products.

        Raises InvalidInput for a Krylov path without operator, and for a count below 2 or above the number of points;
        NotConverged where a multiplier is so small that points of a fold cannot be told apart.
        """
        n = path.spectrum.n_samples
        check_whole(self.count, "count", InvalidInput)
        check_whole(self.seed, "seed", InvalidInput, least=0)
        if n < 2:
            raise InvalidInput("the path has one point, which no fold can be left out of; give at least two")
        if not 2 <= self.count <= n:
            raise InvalidInput(f"count is {self.count} folds for {n} points; give from 2 to {n}")
        folds = np.array_split(np.random.default_rng(self.seed).permutation(n), self.count)
        if not path.spectrum.is_whole and self.operator is None:
            raise InvalidInput(
                "a Krylov path has cross-validation over folds from products with its kernel matrix: give "
                f"Folds({self.count}, operator=operator), or distil with method='exact'"
            )
        if not path.spectrum.is_whole:
            return _cross_validated(path, folds_by_products(path, self.operator, folds))
        together = ((fold, left_out_together(fold, path)) for fold in tracked(folds, "folds left out"))
        return _cross_validated(path, together)


@dataclass(frozen=True)
class GeneralisedCrossValidation:
    """Training error over (1 − tr B_t/n)², the squared share of the points that the smoother leaves free."""

    label: ClassVar[str] = "generalised cross-validation"

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round, in O(n) each. Raises InvalidInput for a Krylov path."""
        path.spectrum.require_whole("generalised cross-validation", "give StochasticCrossValidation(operator)")
        left = left_over(path)
        return Residuals(training_rows(path, left) / left.mean(axis=1, keepdims=True), np.zeros(len(left)))


@dataclass(frozen=True)
class UnbiasedRisk:
    """Training error plus 2σ² tr B_t/n − σ²: the mean squared distance from the noiseless targets, on average.

    Attributes
    ----------
    noise : σ², the variance of the noise of the targets, summed over outputs. None to estimate it from the round whose
        generalised cross-validation is lowest, as its training error over 1 − tr B_t/n (Wahba 1983): too large where
        every round of the path is regularised too much.
    """

    noise: float | None = None

    label: ClassVar[str] = "unbiased estimate of the risk"

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round, in O(n) each.

        Raises InvalidInput for a Krylov path, and for noise that is not positive.
        """
        path.spectrum.require_whole("Stein's estimate of the risk", KRYLOV_CRITERIA)
        left = left_over(path)
        rows, free = training_rows(path, left), left.mean(axis=1)
        errors = np.vecdot(rows, rows)
        if self.noise is None:
            noise = float((errors / free)[np.argmin(errors / free**2)])
        else:
            noise = check_positive(self.noise, "noise", "the variance of the targets' noise", InvalidInput)
        return Residuals(rows, noise * (1 - 2 * free))


@dataclass(frozen=True, eq=False)
class Holdout:
    """Mean squared error at other points.

    Attributes
    ----------
    cross_kernel : (n_query, n_samples) raw kernel values between other points and training samples.
    targets : (n_query,) or (n_query, n_outputs), centred as those of the path are.
    """

    cross_kernel: Any
    targets: Any

    label: ClassVar[str] = "held out"

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round, of a Krylov path, too.

        Raises InvalidCrossKernel as :meth:`DistillationPath.predict`; InvalidTargets where targets do not fit.
        """
        spectrum = path.spectrum
        cross_kernel = spectrum.checked_cross_kernel(self.cross_kernel)
        targets = np.asarray(as_real_array(self.targets, "targets", InvalidTargets), np.float64)
        expected = (cross_kernel.shape[0], *(() if spectrum.single_output else (spectrum.n_outputs,)))
        if not len(cross_kernel) or not np.all(np.isfinite(targets)):
            raise InvalidTargets(f"{len(cross_kernel)} points are held out; give at least one, with finite targets")
        if targets.shape != expected:
            raise InvalidTargets(
                f"targets have shape {targets.shape} for a cross kernel and a path that predict {expected}; give one "
                "row for each row of the cross kernel"
            )
        rows = [
            targets - np.asarray(spectrum.predict(cross_kernel, path.dual_coefficients(t)))
            for t in range(path.n_rounds)
        ]
        scaled = np.reshape(rows, (path.n_rounds, -1)) / np.sqrt(len(targets))
        return Residuals(scaled, np.zeros(path.n_rounds))


NAMED: dict[str, Criterion] = {
    "loo": LeaveOneOut(),
    "folds": Folds(),
    "gcv": GeneralisedCrossValidation(),
    "sure": UnbiasedRisk(),
}
"""Criteria that have a name."""


def criterion_of(criterion: Any, name: str = "criterion", others: tuple[str, ...] = ()) -> Criterion:
    """Criterion of a name, or the one given; InvalidInput for another, with the parameter's name and what it may be."""
    if isinstance(criterion, str):
        check_choice(criterion, name, (*others, *NAMED))
        return NAMED[criterion]
    if isinstance(criterion, type) or not hasattr(criterion, "residuals"):
        known = ", ".join((*others, *NAMED))
        raise InvalidInput(f"{name} is {criterion!r}; give one of {known}, or for instance Folds(10)")
    return criterion


def score_rounds(path: DistillationPath, criterion: str | Criterion = "loo") -> NDArray[np.float64]:
    """Score of every round by one criterion; the lowest is the best.

    Parameters
    ----------
    path : of a tolerance or a fixed multiplier.
    criterion : "loo", "folds", "gcv" or "sure"; or a :class:`Folds`, :class:`UnbiasedRisk` or :class:`Holdout` with
        settings of its own.

    Returns
    -------
    (T,) scores in squared units of the targets, summed over outputs.

    Raises
    ------
    InvalidInput
        An unknown name; or a criterion that needs all eigenvalues, for a Krylov path: that leaves :class:`Holdout`, and
        by products with the kernel matrix :class:`Folds` and :class:`StochasticCrossValidation`.
    InvalidRound
        The path has no round.
    """
    judge = criterion_of(criterion)
    if not path.n_rounds:
        raise InvalidRound(f"the path has no round to score: {path.ending}; distil with a smaller tolerance")
    return judge.residuals(path).scores


def best_round(path: DistillationPath, criterion: str | Criterion = "loo") -> int:
    """Round with the lowest score, from 0; parameters and errors as :func:`score_rounds`."""
    return int(np.argmin(score_rounds(path, criterion)))


def _cross_validated(path: DistillationPath, parts: Iterable[tuple[Any, Iterator[NDArray[np.float64]]]]) -> Residuals:
    """Residuals of points left out.

    `parts` are the training points in parts, each with what the chain without them predicts there, round by round.
    """
    spectrum = path.spectrum
    rows = np.empty((path.n_rounds, spectrum.n_samples, spectrum.n_outputs))
    for points, rounds in parts:
        targets = targets_at(path, points)
        for t, predictions in enumerate(rounds):
            rows[t, points] = targets - predictions
    scaled = rows.reshape(path.n_rounds, -1) / np.sqrt(spectrum.n_samples)
    return Residuals(scaled, np.zeros(path.n_rounds))


def left_over(path: DistillationPath) -> NDArray[np.float64]:
    """(T, n) 1 − B_t, the share of each component that a round leaves over."""
    return -np.expm1(path.log_basis_weights)


def training_rows(path: DistillationPath, left: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, n) parts of y − f_t on the eigenvectors, whose squares sum to the training errors.

    The size of all outputs together stands for each of them, which have one weight.
    """
    return left * np.sqrt(path.spectrum.energies)
