"""ε and round chosen together, by one criterion for all paths and rounds.

    choice = choose_rounds(kernel_matrix, targets)  # by leave-one-out; targets minus their mean
    choice.path.relative_tolerance, choice.round
    choice.predict(cross_kernel)

The criteria are those of :mod:`hilbertsd.analysis.criteria`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.analysis.criteria import Criterion, LeaveOneOut, UnbiasedRisk, criterion_of, score_rounds
from hilbertsd.analysis.cross_validation import leave_one_out_scores
from hilbertsd.analysis.stochastic import by_products, needs_whole
from hilbertsd.distillation.chain import distill, distill_spectrum
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import CollapseWarning, InfeasibleTolerance, InvalidInput, InvalidTolerance, ManyRoundsWarning
from hilbertsd.gram.operators import as_operator, is_operator
from hilbertsd.spectral.inputs import checked_targets, mean_square_of
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import as_real_array

RELATIVE_TOLERANCES = np.arange(1, 50) / 50
"""Fractions of the targets' mean square that are tried where none are given."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Path and round with the lowest score.

    Attributes
    ----------
    path : the chosen path; ε is its `tolerance`, and its `relative_tolerance` one of those tried.
    round : t, the chosen nonzero fit of that path.
    relative_tolerances : (k,) fractions tried, ascending.
    scores : k arrays (T,), one score for every round of the path of each fraction.
    standard_error : of the lowest score, where the criterion estimates it with one; None otherwise.
    """

    path: DistillationPath
    round: int
    relative_tolerances: NDArray[np.float64]
    scores: tuple[NDArray[np.float64], ...]
    standard_error: float | None = None

    @property
    def relative_tolerance(self) -> float:
        """ε of the chosen path, as one of the fractions tried."""
        return float(self.relative_tolerances[np.argmin([each.min() for each in self.scores])])

    @property
    def score(self) -> float:
        """Lowest score; as the lowest of many too low for an estimate of what new points would show."""
        return float(min(each.min() for each in self.scores))

    def predict(self, cross_kernel: Any) -> Any:
        """Predictions of the chosen fit; see :meth:`DistillationPath.predict`."""
        return self.path.predict(cross_kernel, self.round)


def choose_rounds(
    kernel_matrix: Any,
    targets: Any,
    relative_tolerances: ArrayLike | None = None,
    *,
    criterion: str | Criterion = "loo",
    max_rounds: int | None = None,
) -> Choice:
    """Distil with every ε, and choose the ε and the round with the lowest score.

    Parameters
    ----------
    kernel_matrix : (n, n) raw kernel values, as :meth:`Spectrum.from_kernel` takes them; or a kernel operator, whose
        Krylov space for the smallest fraction serves them all.
    targets : (n,) or (n, n_outputs); not centred here.
    relative_tolerances : fractions of the targets' mean square to try, all below 1; None for 0.02, 0.04, …, 0.98.
        Those at or below the floor of a singular kernel matrix are left out.
    criterion : as in :func:`hilbertsd.score_rounds`, but for "sure", whose noise has to be given here. An operator
        needs another one than "loo": "gcv", which is estimated from random vectors
        (:class:`hilbertsd.StochasticCrossValidation`), "folds" by products, or a :class:`Holdout`.
    max_rounds : largest number of fits of a path; 1 chooses among plain kernel ridge fits.

    Returns
    -------
    Choice

    Raises
    ------
    InvalidKernel, NotPositiveSemidefinite, InvalidTargets
        As :meth:`Spectrum.from_kernel`.
    InvalidTolerance
        A fraction is not above 0 and below 1, or `max_rounds` is no whole number of at least 1.
    InfeasibleTolerance
        Every fraction is at or below the floor.
    NotConverged
        An operator's multipliers are not enclosed at the smallest fraction above the floor; see
        :func:`hilbertsd.distill`.
    InvalidInput
        As :func:`hilbertsd.score_rounds`.

    Notes
    -----
    One decomposition serves all. Scores of a path of T rounds cost O(T n² n_outputs) by leave-one-out, O(T n) by
    generalised cross-validation.
    """
    return choose_among(kernel_matrix, targets, checked_fractions(relative_tolerances), criterion, max_rounds)


def choose_among(
    kernel_matrix: Any,
    targets: Any,
    fractions: NDArray[np.float64],
    criterion: str | Criterion,
    max_rounds: int | None,
) -> Choice:
    """Choose as :func:`choose_rounds`, among fractions already checked."""
    judge = comparable(criterion)
    if not is_operator(kernel_matrix):
        return choose_from_spectrum(Spectrum.from_kernel(kernel_matrix, targets), fractions, judge, max_rounds)
    if needs_whole(judge):
        raise InvalidInput(
            f"a kernel operator has no {judge.label}, which needs all eigenvalues; give criterion 'gcv', 'folds' or a "
            "Holdout, or the kernel matrix as an array"
        )
    operator, smallest = as_operator(kernel_matrix, targets), None
    while smallest is None:
        try:
            with warnings.catch_warnings():
                for kind in (ManyRoundsWarning, CollapseWarning):  # of a path that nobody sees
                    warnings.simplefilter("ignore", kind)
                smallest = distill(operator, targets, relative_tolerance=float(fractions[0]), max_rounds=max_rounds)
        except InfeasibleTolerance as error:
            above = fractions * mean_square_of(checked_targets(targets, operator.shape[0])[0]) > (error.floor or 0.0)
            above[0] = False
            if not above.any():
                raise
            fractions = fractions[above]
    return choose_from_spectrum(smallest.spectrum, fractions, by_products(judge, smallest, operator), max_rounds)


def checked_fractions(relative_tolerances: ArrayLike | None) -> NDArray[np.float64]:
    """Fractions to try, ascending; InvalidTolerance unless they are above 0 and below 1."""
    given = RELATIVE_TOLERANCES if relative_tolerances is None else relative_tolerances
    fractions = np.unique(np.asarray(as_real_array(given, "relative_tolerances", InvalidTolerance)))
    if not fractions.size or not np.all((fractions > 0) & (fractions < 1)):
        raise InvalidTolerance(f"relative_tolerances are {fractions}; give numbers above 0 and below 1")
    return fractions


def comparable(criterion: str | Criterion) -> Criterion:
    """Criterion whose scores of different paths can be compared; InvalidInput for one that estimates noise in each."""
    judge = criterion_of(criterion)
    if isinstance(judge, UnbiasedRisk) and judge.noise is None:
        raise InvalidInput(
            "criterion 'sure' estimates the noise from each path anew, so that scores of different ε cannot be "
            "compared; give UnbiasedRisk(noise)"
        )
    return judge


def choose_from_spectrum(
    spectrum: Spectrum, fractions: NDArray[np.float64], criterion: str | Criterion, max_rounds: int | None
) -> Choice:
    """Choose as :func:`choose_rounds`, from a spectrum already computed and fractions already checked."""
    judge = comparable(criterion)
    floor = spectrum.floor / spectrum.target_mean_square
    usable = fractions[fractions * spectrum.target_mean_square > spectrum.floor]
    if not usable.size:
        raise InfeasibleTolerance(
            f"all relative_tolerances are at or below the floor {floor:.6g}, up to {fractions[-1]:.6g}; give larger"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ManyRoundsWarning)  # whoever lets a range be searched means its ends, too
        paths = [distill_spectrum(spectrum, relative_tolerance=float(each), max_rounds=max_rounds) for each in usable]
    if isinstance(judge, LeaveOneOut):  # paths share the work, which one after the other would repeat
        scores = leave_one_out_scores(paths)
    else:
        scores = tuple(score_rounds(path, judge) for path in paths)
    best = int(np.argmin([each.min() for each in scores]))
    path, chosen = paths[best], int(np.argmin(scores[best]))
    bars = getattr(judge, "standard_errors", None)
    return Choice(path, chosen, usable, scores, None if bars is None else float(bars(path)[chosen]))
