"""The methods that are compared, each tuned on the training rows by one criterion, from one decomposition.

    tuned = METHODS["one-step mixture"](spectrum, "loo")
    tuned.predict(cross_kernel)    # (n_test, n_outputs)
    tuned.choice                   # {"multiplier": c, "xi": ξ}

All are V φ(D) Vᵀ y = H y with a φ of their own. They are tuned twice:

    "loo"    the leave-one-out error. For ridge it is that of the residuals over 1 − H_ii. A chain of rounds is refitted
             in every round without the point, with n c held (:mod:`hilbertsd.analysis.cross_validation`), which is
             another closed form; a mixture's is the mixture of its rounds'. Both are exact. For iterated Tikhonov and
             gradient flow it is the residuals over 1 − H_ii again: the fit to targets of which target i is its own
             prediction. For these that is near the fit without point i and not the same: the flow's error on 68 points
             comes out 5 % too low.
    "gcv"    generalised cross-validation, training error over (1 − tr H/n)², which is defined for all alike. It takes
             the mean of H_ii for each of them, so that it is blind where some points stand alone, as in a designed
             experiment: there it may choose to interpolate.

The degree of freedom that the mean takes is not counted, for any method.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd import filters
from hilbertsd.analysis.choice import choose_from_spectrum
from hilbertsd.analysis.criteria import Criterion
from hilbertsd.analysis.mixing import Mixture, mix_rounds
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import MixtureWarning, RoundingWarning
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies.tables.presets import ITERATIONS, MOST_ROUNDS, MULTIPLIERS, RELATIVE_TOLERANCES, STEPS

RIDGE, BEST_ROUND, ONE_STEP = "ridge", "best ε and round", "one-step mixture"
ONE_STEP_AT_RIDGE = "one-step mixture, ξ at ridge's λ"
MULTI_STEP, ITERATED, FLOW = "four-step mixture", "iterated Tikhonov", "gradient flow"

LEAST_FREE = 1e-8
"""Share 1 − H_ii of a point that a filter leaves free, below which half of its digits are rounding."""


class Tuned(NamedTuple):
    """A method with what was chosen for it.

    Attributes
    ----------
    predict : from an (n_test, n_train) cross kernel to (n_test, n_outputs) predictions.
    score : lowest value of the criterion.
    choice : what was chosen, by name.
    at_edge : whether the multiplier, ε or time that was chosen is the first or last one tried.
    """

    predict: Callable[[Any], Any]
    score: float
    choice: dict[str, float]
    at_edge: bool


def tried_multipliers(spectrum: Spectrum) -> NDArray[np.float64]:
    """(51,) multipliers c that are tried, ascending."""
    return MULTIPLIERS * spectrum.eigenvalues[-1]


def path_of(spectrum: Spectrum, multiplier: float, rounds: int) -> DistillationPath:
    """Chain of so many rounds with one multiplier."""
    return distill_spectrum(spectrum, multiplier=float(multiplier), max_rounds=rounds)


def mixed(path: DistillationPath, criterion: str | Criterion) -> Mixture:
    """Best mixture of a path's rounds.

    Where the multiplier is tiny or huge rounds are alike up to rounding, and a warning says that some weights stay 0:
    with a grid of multipliers that is what its ends are for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixtureWarning)
        return mix_rounds(path, criterion=criterion)


def ridge(spectrum: Spectrum, criterion: str) -> Tuned:
    """Kernel ridge, the multiplier tuned."""
    multipliers = tried_multipliers(spectrum)
    best, tuned = _filtered(spectrum, [filters.ridge(c) for c in multipliers], criterion)
    return tuned._replace(choice={"multiplier": float(multipliers[best])}, at_edge=_at_edge(best, len(multipliers)))


def best_round(spectrum: Spectrum, criterion: str) -> Tuned:
    """ε and the round chosen together; round 0 is ridge.

    The smallest ε may need multipliers within the rounding of the eigenvalues, and a warning says so; the criterion
    then judges what comes out, as it does for every other ε.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RoundingWarning)
        chosen = choose_from_spectrum(spectrum, RELATIVE_TOLERANCES, criterion, MOST_ROUNDS)
    tried = chosen.relative_tolerances
    at_edge = chosen.relative_tolerance in (tried[0], tried[-1])
    choice = {"relative_tolerance": chosen.relative_tolerance, "round": chosen.round}
    return Tuned(chosen.predict, chosen.score, choice, at_edge)


def one_step(spectrum: Spectrum, criterion: str) -> Tuned:
    """(1 − ξ) ridge + ξ its distilled fit, multiplier and ξ tuned together."""
    return _mixture(spectrum, criterion, tried_multipliers(spectrum), 2)


def one_step_at_ridge(spectrum: Spectrum, criterion: str) -> Tuned:
    """(1 − ξ) ridge + ξ its distilled fit, ξ tuned at the multiplier that is tuned for ridge alone."""
    of_ridge = ridge(spectrum, criterion)
    mixture = _mixture(spectrum, criterion, [of_ridge.choice["multiplier"]], 2)
    return mixture._replace(at_edge=of_ridge.at_edge)


def multi_step(spectrum: Spectrum, criterion: str) -> Tuned:
    """Σ_t w_t f_t over a fit and its four distilled ones, multiplier and weights tuned together."""
    return _mixture(spectrum, criterion, tried_multipliers(spectrum), STEPS + 1)


def iterated(spectrum: Spectrum, criterion: str) -> Tuned:
    """Ridge m times, each fit to what the ones before left over; multiplier and m tuned together."""
    strengths = tried_multipliers(spectrum)
    tried = [(float(c), m) for m in ITERATIONS for c in strengths]
    # One iteration is ridge, and is to be the same digit for digit.
    members = [filters.ridge(c) if m == 1 else filters.iterated_tikhonov(c, m) for c, m in tried]
    best, tuned = _filtered(spectrum, members, criterion)
    c, iterations = tried[best]
    at_edge = _at_edge(best % len(strengths), len(strengths))
    return tuned._replace(choice={"multiplier": c, "iterations": iterations}, at_edge=at_edge)


def flow(spectrum: Spectrum, criterion: str) -> Tuned:
    """Gradient flow from zero, the time tuned: inverse multipliers are tried."""
    times = 1 / tried_multipliers(spectrum)
    best, tuned = _filtered(spectrum, [filters.gradient_flow(s) for s in times], criterion)
    return tuned._replace(choice={"time": float(times[best])}, at_edge=_at_edge(best, len(times)))


METHODS: dict[str, Callable[[Spectrum, str], Tuned]] = {
    RIDGE: ridge,
    BEST_ROUND: best_round,
    ONE_STEP: one_step,
    ONE_STEP_AT_RIDGE: one_step_at_ridge,
    MULTI_STEP: multi_step,
    ITERATED: iterated,
    FLOW: flow,
}
"""Methods by name, functions of a spectrum and a criterion; the first is the rival of all others."""

CRITERIA = ("loo", "gcv")
"""What the methods are tuned by; the first is what comparisons rest on."""

CRITERION_NAMES = {"loo": "leave-one-out", "gcv": "generalised cross-validation"}
"""What the criteria are called where people read of them."""


def filter_scores(spectrum: Spectrum, members: Sequence[filters.Filter], criterion: str) -> NDArray[np.float64]:
    """(len(members),) mean squared residuals of filters over 1 − H_ii ("loo") or over its mean ("gcv").

    Infinite where a filter leaves a point, or the mean point, so little free that the ratio would be one of rounding
    errors.
    """
    d, z = spectrum.eigenvalues, spectrum.rotated_targets
    left = np.array([1 - member.weights(d) for member in members])  # (f, m)
    if criterion == "gcv":
        free = left.mean(axis=1, keepdims=True)
        sums = left**2 @ np.sum(z**2, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = sums / spectrum.n_samples / free[:, 0] ** 2
        return np.where(free.min(axis=1) > LEAST_FREE, scores, np.inf)
    basis = np.asarray(spectrum.basis)
    free = left @ (basis**2).T  # (f, n) 1 − H_ii
    scores = np.full(len(members), np.inf)
    for place in np.flatnonzero(free.min(axis=1) > LEAST_FREE):
        residuals = basis @ (left[place, :, None] * z)
        scores[place] = np.mean(np.sum(residuals**2, axis=1) / free[place] ** 2)
    return scores


def _mixture(spectrum: Spectrum, criterion: str, multipliers: Iterable[float], rounds: int) -> Tuned:
    mixtures = [mixed(path_of(spectrum, c, rounds), criterion) for c in multipliers]
    best = int(np.argmin([mixture.score for mixture in mixtures]))
    mixture = mixtures[best]
    choice = {"multiplier": float(mixture.path.multipliers[0])}
    choice |= {"xi": float(mixture.weights[1])} if rounds == 2 else {}
    return Tuned(mixture.predict, mixture.score, choice, _at_edge(best, len(mixtures)))


def _filtered(spectrum: Spectrum, members: Sequence[filters.Filter], criterion: str) -> tuple[int, Tuned]:
    """Place of the filter with the lowest score, and its fit."""
    scores = filter_scores(spectrum, members, criterion)
    best = int(np.argmin(scores))
    return best, Tuned(filters.FilteredFit(spectrum, members[best]).predict, float(scores[best]), {}, False)


def _at_edge(place: int, n: int) -> bool:
    return place in (0, n - 1)
