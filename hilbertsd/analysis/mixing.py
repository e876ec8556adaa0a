"""Mixtures of the rounds of one path: ground truth mixed into targets, several weighted steps, one optimal step.

With S the smoother of a fixed multiplier, round t is S^(t+1) y, and all of these are Σ_t w_t f_t with Σ_t w_t = 1: a
polynomial in S.

    path = distill(kernel_matrix, targets, multiplier=0.1, max_rounds=2)
    mixture = mix_rounds(path, criterion="gcv")
    mixture.weights                                # (1 − ξ, ξ)
    mixture.predict(cross_kernel)

With two rounds this is the optimal mixture of a ridge fit and the fit distilled from it, ξ being of either sign and of
any size (Dang, Patil & Rinaldo 2026, arXiv:2602.17565); with k + 1 rounds that of k steps of self-distillation (Pareek,
Du & Oh 2024, arXiv:2407.04600). Paths of a tolerance are mixed in the same way, with multipliers of their own.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.analysis.criteria import Criterion, Residuals, criterion_of
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput, InvalidRound, MixtureWarning
from hilbertsd.filters import FilteredFit, ridge
from hilbertsd.spectral.multiplier import solve_multiplier
from hilbertsd.support.checks import as_real_array

SMALLEST_SINGULAR_VALUE, WITH_PENALTIES = 1e-7, 1e-3
"""Share of the largest singular value of the rounds' differences below which a direction of weights is left alone; of a
criterion with penalties, which may fall without end where the rows do not change."""

LARGEST_SUM_ERROR = 1e-6
"""Distance from 1 that the sum of given weights may have."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weighted sum of the rounds of a path.

    Attributes
    ----------
    path : whose rounds are mixed.
    weights : (T,) of the rounds, which sum to 1; of either sign.
    score : of the mixture by its criterion, in squared units of the targets; NaN where weights were given without one.
    scores : (T,) of the single rounds; NaN as well.
    rank : number of independent directions in which weights were chosen, T − 1 where rounds differ enough; None for
        given weights.
    """

    path: DistillationPath
    weights: NDArray[np.float64]
    score: float
    scores: NDArray[np.float64]
    rank: int | None

    @cached_property
    def basis_weights(self) -> NDArray[np.float64]:
        """(m,) share of each component of the targets that the mixture keeps, Σ_t w_t B_t."""
        return self.weights @ self.path.basis_weights

    def dual_coefficients(self) -> Any:
        """(n_samples, n_outputs) α of the mixture, as :meth:`DistillationPath.dual_coefficients`."""
        path, total = self.path, np.zeros_like(self.path.eigenvalues)
        with np.errstate(over="ignore"):
            for t, weight in enumerate(self.weights):
                total += weight * path.target_weights(t) / (path.multipliers[t] + path.eigenvalues)
        return path.spectrum.dual_coefficients(total)

    def predict(self, cross_kernel: Any) -> Any:
        """Predictions at new points; shapes and errors as :meth:`DistillationPath.predict`."""
        return self.path.spectrum.predict(cross_kernel, self.dual_coefficients())

    def train_predictions(self) -> Any:
        """Predictions at the training samples, shaped like the targets."""
        return self.path.spectrum.shaped(self.path.spectrum.from_eigenbasis(self.basis_weights))


def mix_rounds(
    path: DistillationPath, *, weights: ArrayLike | None = None, criterion: str | Criterion | None = None
) -> Mixture:
    """Mix the rounds of a path with given weights, or with those that are best by a criterion.

    Parameters
    ----------
    path : of a tolerance or a fixed multiplier, with one round at least.
    weights : (T,) that sum to 1; None for the best ones.
    criterion : as in :func:`hilbertsd.score_rounds`; it scores given weights, too. None for "gcv", and for given
        weights without a score.

    Returns
    -------
    Mixture

    Raises
    ------
    InvalidInput
        Weights that do not sum to 1, or of another number than the rounds; fewer points than rounds, which have many
        best weights; a criterion as in :func:`hilbertsd.score_rounds`.
    InvalidRound
        The path has no round.

    Warns
    -----
    MixtureWarning
        Rounds are so much alike that some combinations of them do not change the score.

    Notes
    -----
    The best weights solve a least-squares problem in T − 1 unknowns, the weights of all rounds but the best one, by
    singular values. Directions with one below 1e-7 of the largest are left alone: what they could win is within
    rounding, and weights along them would be huge. By "sure" it is 1e-3: along a direction that hardly changes the fit
    the estimate may fall without end, which says nothing of the risk.
    """
    if not path.n_rounds:
        raise InvalidRound(f"the path has no round to mix: {path.ending}; distil with a smaller tolerance")
    T, given = path.n_rounds, None
    if weights is not None:
        given = np.array(as_real_array(weights, "weights", InvalidInput), dtype=np.float64)
        if given.shape != (T,):
            raise InvalidInput(f"weights have shape {given.shape} for {T} rounds; give one for every round")
        if not np.all(np.isfinite(given)) or abs(given.sum() - 1) > LARGEST_SUM_ERROR:
            raise InvalidInput(f"weights sum to {given.sum():.9g}; give numbers that sum to 1")
        if criterion is None:
            return Mixture(path, given, np.nan, np.full(T, np.nan), None)
    residuals = criterion_of("gcv" if criterion is None else criterion).residuals(path)
    scores = residuals.scores
    if given is not None:
        return Mixture(path, given, _score(residuals, given), scores, None)
    points = residuals.rows.shape[1]
    if points < T:
        raise InvalidInput(
            f"the criterion has {points} residuals for {T} rounds, so that many weights are best; give as many points "
            f"as rounds, or distil with max_rounds={points}"
        )
    best, rank = _best_weights(residuals)
    if rank < T - 1:
        warnings.warn(
            f"{T} rounds differ in {rank} directions only, up to rounding: weights along the {T - 1 - rank} others "
            "stay 0; distil with fewer rounds",
            MixtureWarning,
            stacklevel=2,
        )
    return Mixture(path, best, _score(residuals, best), scores, rank)


def ground_truth_limit(path: DistillationPath) -> FilteredFit:
    """Fit that the rounds of a path with ground truth in its targets tend to: plain ridge, regularised more.

    With y_t = α y + (1 − α) f_{t−1} a fixed point f of a round with multiplier c is A (α y + (1 − α) f), so that
    (αD + cI) V f = αD V y: ridge with c/α. What a round then leaves over is α times what this ridge fit leaves over of
    the original targets, so that for a tolerance it is the ridge fit with the training error ε/α².

    Parameters
    ----------
    path : of a tolerance or a fixed multiplier, with a `ground_truth_weight` whose last value α is not 0.

    Returns
    -------
    FilteredFit by ridge.

    Raises
    ------
    InvalidInput
        α is 0: without ground truth the limit is the zero function. Or ε/α² is not below the targets' mean square: the
        limit is the zero function, too.

    Source: for a fixed multiplier Borup & Andersen (2021), arXiv:2102.13088.
    """
    share = 0.0 if path.ground_truth_weights is None else float(path.ground_truth_weights[-1])
    if not share:
        raise InvalidInput(
            "the last rounds have no ground truth in their targets, so that they tend to the zero function; distil "
            "with ground_truth_weight"
        )
    spectrum = path.spectrum
    if path.tolerance is None:
        return FilteredFit(spectrum, ridge(float(path.multipliers[-1]) / share))
    tolerance = path.tolerance / share**2
    if tolerance >= spectrum.target_mean_square:
        raise InvalidInput(
            f"tolerance {path.tolerance:.6g} over the squared share {share:.6g} of the original targets is "
            f"{tolerance:.6g}, which the zero function meets (their mean square is {spectrum.target_mean_square:.6g}); "
            "distil with a smaller tolerance or a larger ground_truth_weight"
        )
    return FilteredFit(spectrum, ridge(solve_multiplier(spectrum.eigenvalues, spectrum.energies, tolerance)))


def _best_weights(residuals: Residuals) -> tuple[NDArray[np.float64], int]:
    """(T,) weights of the smallest score that sum to 1, and the number of directions in which they were chosen."""
    rows, penalties = residuals
    first = int(np.argmin(residuals.scores))
    sizes = np.linalg.norm(rows - rows[first], axis=1)
    smallest = WITH_PENALTIES if np.any(penalties) else SMALLEST_SINGULAR_VALUE
    others = np.flatnonzero(sizes > smallest * np.linalg.norm(rows[first]))
    differences, gains = (rows[others] - rows[first]).T, penalties[others] - penalties[first]
    sizes = sizes[others]  # differences count alike, whatever their size
    U, s, Vh = np.linalg.svd(differences / sizes, full_matrices=False)
    kept = s > smallest * s[:1].max(initial=0.0)
    U, s, Vh = U[:, kept], s[kept], Vh[kept]
    along = -(U.T @ rows[first] + (Vh @ (gains / sizes)) / (2 * s)) / s
    weights = np.zeros(len(rows))
    weights[others] = (Vh.T @ along) / sizes
    weights[first] = 1 - weights.sum()
    return weights, len(s)


def _score(residuals: Residuals, weights: NDArray[np.float64]) -> float:
    row = weights @ residuals.rows
    return float(row @ row + weights @ residuals.penalties)
