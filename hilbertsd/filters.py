"""Spectral filters: every method here multiplies the coefficient of eigenvector k by a φ(d_k).

    ridge                d/(c+d)
    distillation         Π_i d/(c_i+d)                 its path's B_t
    iterated Tikhonov    1 − (c/(c+d))^m               m ridge fits, each to what the ones before left over
    gradient flow        1 − e^{−sd}                   gradient descent of vanishing step, stopped at time s
    truncation           1 where d > τ, else 0         kernel principal component regression

The fit is f(x) = g_xᵀ Vᵀ (φ(D)/D) V y. φ and φ(d)/d are both stated, so that neither loses digits nor divides by a
zero eigenvalue.

    spectrum = Spectrum.from_kernel(kernel_matrix, targets)
    flow = match_training_error(spectrum, gradient_flow, 0.3)
    fit = FilteredFit(spectrum, flow)
    fit.training_error, flow.strength  # 0.3, and the time at which the flow stops there
    fit.predict(cross_kernel)

Any of them is distilled into itself as ridge is: round t is the member that meets ε against its own targets, which are
the predictions of the round before. With ridge that is :func:`hilbertsd.distill`; with gradient flow it is what
networks that are trained until their error is ε do in the limit of infinite width.

    chain = filter_chain(spectrum, gradient_flow, tolerance=0.1)
    chain.collapse_round, chain.basis_weights  # T, and (T, m) B_t
    chain.predict(cross_kernel, round=1)

Source: for the family Engl, Hanke & Neubauer, Regularization of Inverse Problems (1996), §4-6; Bauer, Pereverzev &
Rosasco (2007); for distillation MFB (arXiv:2002.05715) §3.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import InfeasibleTolerance, InvalidInput, InvalidRound, InvalidTolerance, NotConverged
from hilbertsd.spectral.multiplier import check_above_floor
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import as_real_array, check_positive, check_whole

Eigenvalues = NDArray[np.float64]

Family = Callable[[float], "Filter"]
"""Function of a strength that gives a filter."""


@dataclass(frozen=True, eq=False)
class Filter:
    """Spectral filter.

    Attributes
    ----------
    name : name of the filter's family.
    strength : the family's one parameter; for distillation the multiplier of the last round.
    weights : the function φ, from (m,) eigenvalues to (m,) weights in [0, 1].
    over_eigenvalues : the function φ(d)/d, finite at d = 0.
    """

    name: str
    strength: float
    weights: Callable[[Eigenvalues], Eigenvalues]
    over_eigenvalues: Callable[[Eigenvalues], Eigenvalues]


def ridge(multiplier: float) -> Filter:
    """Kernel ridge, φ = d/(c+d); a scikit-learn ``KernelRidge(alpha=a)`` is c = a/n.

    Raises InvalidTolerance for a multiplier that is not positive.
    """
    c = check_positive(multiplier, "multiplier", "the c of (cI + G)⁻¹", InvalidTolerance)
    return Filter("ridge", c, lambda d: d / (c + d), lambda d: 1 / (c + d))


def distillation(multipliers: ArrayLike) -> Filter:
    """Distillation with the given multipliers, φ = Π_i d/(c_i+d).

    Parameters
    ----------
    multipliers : (t+1,) c_0, …, c_t, for instance `path.multipliers[:t+1]`.

    Raises InvalidTolerance where there is no multiplier or one is not positive. Source: MFB (45).
    """
    c = np.array(as_real_array(multipliers, "multipliers", InvalidTolerance), dtype=float).reshape(-1, 1)
    if not c.size or not np.all(np.isfinite(c)) or c.min() <= 0:
        raise InvalidTolerance(f"multipliers are {np.ravel(c).tolist()[:5]}; give at least one, all positive")

    def product(rounds: NDArray[np.float64], d: Eigenvalues) -> Eigenvalues:
        with np.errstate(divide="ignore", over="ignore"):  # d = 0 gives exp(−∞) = 0 as it should
            return np.exp(-np.sum(np.log1p(rounds / d), axis=0))

    return Filter(
        "distillation", float(c[-1, 0]), lambda d: product(c, d), lambda d: product(c[:-1], d) / (c[-1, 0] + d)
    )


def iterated_tikhonov(multiplier: float, iterations: int = 2) -> Filter:
    """Ridge m times, each fit to the residual of the ones before: φ = 1 − (c/(c+d))^m ("twicing" for m = 2).

    The mirror image of distillation, which fits the predictions instead of the residuals.

    Raises InvalidTolerance for a multiplier that is not positive or a number of iterations below 1.
    """
    c = check_positive(multiplier, "multiplier", "the c of (cI + G)⁻¹", InvalidTolerance)
    check_whole(iterations, "iterations", InvalidTolerance)

    def weights(d: Eigenvalues) -> Eigenvalues:
        with np.errstate(over="ignore"):
            return -np.expm1(-iterations * np.log1p(d / c))

    return Filter("iterated Tikhonov", c, weights, lambda d: _divided(weights(d), d, iterations / c))


def gradient_flow(time: float) -> Filter:
    """Gradient flow on the mean squared error from f = 0, stopped at time s: φ = 1 − e^{−sd}.

    Raises InvalidTolerance for a time that is not positive.
    """
    s = check_positive(time, "time", "in units of 1/eigenvalue", InvalidTolerance)

    def weights(d: Eigenvalues) -> Eigenvalues:
        with np.errstate(over="ignore"):
            return -np.expm1(-s * d)

    return Filter("gradient flow", s, weights, lambda d: _divided(weights(d), d, s))


def truncation(threshold: float) -> Filter:
    """Keep the eigenvectors with d > τ whole and drop the others.

    Raises InvalidTolerance for a threshold that is not positive.
    """
    tau = check_positive(threshold, "threshold", "in units of the eigenvalues", InvalidTolerance)

    def weights(d: Eigenvalues) -> Eigenvalues:
        return (d > tau).astype(float)

    return Filter("truncation", tau, weights, lambda d: _divided(weights(d), d, 0.0))


@dataclass(frozen=True, eq=False)
class FilteredFit:
    """Fit with one spectral filter.

    Attributes
    ----------
    spectrum : spectrum of the kernel matrix and targets.
    filter : filter that the fit applies.
    """

    spectrum: Spectrum
    filter: Filter

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """(m,) φ(d_k)."""
        return self.filter.weights(self.spectrum.eigenvalues)

    @property
    def training_error(self) -> float:
        """Mean squared error against the targets, Σ_k energy_k (1 − φ(d_k))²."""
        return float(np.sum(self.spectrum.energies * (1 - self.weights) ** 2))

    @property
    def effective_dimension(self) -> float:
        """Trace of the smoother, Σ_k φ(d_k); InvalidInput for a Krylov space's spectrum."""
        self.spectrum.require_whole("the effective dimension")
        return float(self.weights.sum())

    def predict(self, cross_kernel: Any) -> Any:
        """Predictions at new points from (n_query, n_samples) raw kernel values; see :meth:`Spectrum.predict`."""
        with np.errstate(over="ignore"):
            over = self.filter.over_eigenvalues(self.spectrum.eigenvalues)
        return self.spectrum.predict(cross_kernel, self.spectrum.dual_coefficients(over))

    def train_predictions(self) -> Any:
        """Predictions at the training samples, shaped like the targets."""
        return self.spectrum.shaped(self.spectrum.from_eigenbasis(self.weights))


@dataclass(frozen=True, eq=False)
class FilterChain:
    """Chain of T fits with filters of one family, each to the predictions of the one before.

    Attributes
    ----------
    spectrum : spectrum of the kernel matrix and of the targets of round 0.
    tolerance : ε, the training error of every round against its own targets.
    filters : (T,) filter of every round.
    collapse_round : T where the targets of round T have a mean square of at most ε, so that the zero function meets it;
        None where the chain ended before.
    """

    spectrum: Spectrum
    tolerance: float
    filters: tuple[Filter, ...]
    collapse_round: int | None

    @property
    def n_rounds(self) -> int:
        """Number T of nonzero fits."""
        return len(self.filters)

    @property
    def strengths(self) -> NDArray[np.float64]:
        """(T,) strength of every round; with ridge the multipliers c_t."""
        return np.array([each.strength for each in self.filters])

    @cached_property
    def basis_weights(self) -> NDArray[np.float64]:
        """(T, m) B_t = φ_t ⋯ φ_0 at the eigenvalues: what is left of the original targets after round t."""
        d = self.spectrum.eigenvalues
        weights = np.array([each.weights(d) for each in self.filters], dtype=np.float64)
        return np.cumprod(weights.reshape(-1, len(d)), axis=0, dtype=np.float64)

    @property
    def target_mean_squares(self) -> NDArray[np.float64]:
        """(T+1,) mean square of each round's targets; the last is at most ε where the chain collapsed."""
        kept = np.concatenate([np.ones((1, len(self.spectrum.eigenvalues))), self.basis_weights])
        return kept**2 @ self.spectrum.energies

    def fit(self, round: int) -> FilteredFit:
        """Fit of a round, to its own targets; negative counts from the last.

        Raises InvalidRound for a round that the chain does not have; from the collapse round on the fit is zero.
        """
        T = self.n_rounds
        if isinstance(round, bool) or not isinstance(round, int | np.integer) or not -T <= round < T:
            raise InvalidRound(
                f"round is {round!r} and the chain has {T} nonzero rounds; give a whole number from {-T} to {T - 1}"
            )
        t = int(round) % T
        before = self.basis_weights[t - 1] if t else np.ones_like(self.spectrum.eigenvalues)
        return FilteredFit(_scaled(self.spectrum, before), self.filters[t])

    def predict(self, cross_kernel: Any, round: int = -1) -> Any:
        """Predictions of a round at new points from (n_query, n_samples) raw kernel values.

        Raises InvalidRound as :meth:`fit`, InvalidCrossKernel as :meth:`Spectrum.predict`.
        """
        return self.fit(round).predict(cross_kernel)

    def train_predictions(self, round: int = -1) -> Any:
        """Predictions of a round at the training samples: the targets of the next round. Raises as :meth:`fit`."""
        return self.fit(round).train_predictions()


def filter_chain(spectrum: Spectrum, family: Family, *, tolerance: float, max_rounds: int | None = None) -> FilterChain:
    """Distil a filter into itself, round after round, until the zero function meets ε.

    Parameters
    ----------
    spectrum : spectrum of the kernel matrix and targets.
    family : from its strength to a filter, as in :func:`match_training_error`.
    tolerance : ε, the mean squared training error of every round against its own targets.
    max_rounds : largest number of fits; None for all until collapse.

    Returns
    -------
    FilterChain; without a round where ε is at least the targets' mean square. With `ridge` its strengths are the
    multipliers of :func:`hilbertsd.distill`.

    Raises
    ------
    InvalidTolerance
        `tolerance` is no positive number, or `max_rounds` no whole number of at least 1.
    InfeasibleTolerance
        The tolerance is at or below the floor of a singular kernel matrix.
    NotConverged
        A round leaves its targets as they are, as truncation can, so that without `max_rounds` the chain has no end.

    Source: MFB (27-31) for ridge.
    """
    epsilon = check_positive(tolerance, "tolerance", "the mean squared error of every round", InvalidTolerance)
    if max_rounds is not None:
        check_whole(max_rounds, "max_rounds", InvalidTolerance)
    found: list[Filter] = []
    current = spectrum
    while current.target_mean_square > epsilon and len(found) != max_rounds:
        found.append(match_training_error(current, family, epsilon))
        weights = found[-1].weights(current.eigenvalues)
        if max_rounds is None and np.all(weights[current.energies > 0] == 1):
            raise NotConverged(
                f"round {len(found) - 1} with {found[-1].name} keeps its targets whole, and their mean square "
                f"{current.target_mean_square:.6g} is above tolerance {epsilon:.6g}: the chain has no end; give "
                "max_rounds, or a larger tolerance"
            )
        current = _scaled(current, weights)
    collapsed = current.target_mean_square <= epsilon
    return FilterChain(spectrum, epsilon, tuple(found), len(found) if collapsed else None)


def match_training_error(spectrum: Spectrum, family: Family, training_error: float) -> Filter:
    """Member of a family with a given training error: the common ground on which filters are compared (MFB §3.4).

    Parameters
    ----------
    spectrum : spectrum of the kernel matrix and targets.
    family : from its strength to a filter: `ridge`, `gradient_flow`, `truncation`, or
        ``lambda c: iterated_tikhonov(c, 3)``. The training error must be monotone in the strength.
    training_error : mean squared error to match, between the floor and the targets' mean square.

    Returns
    -------
    Filter, the most regularised whose training error is at most the given one. It equals it to rounding for
    continuous families; truncation, whose error jumps, stays under it.

    Raises
    ------
    InfeasibleTolerance
        The training error is not above the floor or not below the targets' mean square.
    """
    target = check_positive(training_error, "training_error", "the mean squared error to match", InvalidTolerance)
    check_above_floor(target, spectrum.floor, spectrum.target_mean_square)
    if target >= spectrum.target_mean_square:
        raise InfeasibleTolerance(
            f"training error {target:.6g} is not below the targets' mean square {spectrum.target_mean_square:.6g}, "
            "the error of the zero function; use a smaller one"
        )

    def fits(log_strength: float) -> bool:
        return FilteredFit(spectrum, family(math.exp(log_strength))).training_error <= target

    # exp(±700) spans double precision; the regularised end is the one that does not fit.
    good, bad = (-700.0, 700.0) if fits(-700.0) else (700.0, -700.0)
    if fits(bad) or not fits(good):
        raise InvalidInput(
            "the family's training error does not pass the one to match; give one monotone in its strength"
        )
    while good != (middle := (good + bad) / 2) and middle != bad:
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return family(math.exp(good))


def _scaled(spectrum: Spectrum, weights: NDArray[np.float64]) -> Spectrum:
    """Spectrum of the same kernel matrix whose targets' coefficients are multiplied by (m,) weights."""
    return replace(spectrum, rotated_targets=weights[:, None] * spectrum.rotated_targets)


def _divided(weights: Eigenvalues, d: Eigenvalues, at_zero: float) -> Eigenvalues:
    """Weights φ(d)/d, with their limit where d is zero."""
    return np.divide(weights, d, out=np.full_like(weights, at_zero), where=d > 0)
