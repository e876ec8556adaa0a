"""Results of the study on neural tangent kernels: accuracies of paths, of early stops and of ridge, and claims.

Accuracies are shares, against the original labels.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar.presets import ImageConfig

RELATIVE_TOLERANCES = (0.005, 0.02, 0.1)
"""ε as fractions of the targets' mean square."""

STANDARD_ERRORS = 2
"""Standard errors from which on a difference of accuracies counts."""

WEIGHT_RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Ranks, largest eigenvalue first, of the eigenvectors whose basis weights a result keeps."""


@dataclass(frozen=True)
class Config(ImageConfig):
    """Preset and images, and what only Python can set.

    Attributes
    ----------
    relative_tolerances : ε as fractions of the targets' mean square.
    dtype : precision of the kernels, float32 or float64.
    """

    relative_tolerances: tuple[float, ...] = RELATIVE_TOLERANCES
    dtype: str = "float32"


@dataclass(frozen=True)
class Network:
    """One network of the study, and the images it is used on.

    Attributes
    ----------
    name : name of an architecture, with its numbers.
    n_train : ascending numbers of training images; kernels are computed for the last.
    size : height and width to shrink the images to, None to leave them.
    pooling : whether a convolutional network ends in a global average.
    """

    name: str
    n_train: tuple[int, ...]
    size: int | None = None
    pooling: bool = False

    @property
    def label(self) -> str:
        """What tables and titles call the network."""
        pooled = ", pooled" if self.pooling else ""
        return f"{self.name}{pooled}" + (f", {self.size} px" if self.size else "")


@dataclass(frozen=True, eq=False)
class Chain:
    """One path to collapse, and its accuracies against the original labels.

    Attributes
    ----------
    relative_tolerance : ε as a fraction of the targets' mean square.
    path : distillation path from round 0 to collapse.
    train_accuracy : (T,) share of the training images that each round classifies as they are labelled.
    correct : (T, m) which test images each round classifies as they are labelled.
    stopped_correct : (T, m) the same of one ridge fit with each round's training error.
    bounds_hold, n_checks : whether every statement of `check_bounds` holds, and how many checks that were.
    """

    relative_tolerance: float
    path: DistillationPath
    train_accuracy: NDArray[np.float64]
    correct: NDArray[np.bool_]
    stopped_correct: NDArray[np.bool_]
    bounds_hold: bool
    n_checks: int

    @property
    def test_accuracy(self) -> NDArray[np.float64]:
        """(T,) test accuracy of every round."""
        return self.correct.mean(axis=1)

    @property
    def stopped_accuracy(self) -> NDArray[np.float64]:
        """(T,) test accuracy of the ridge fit with every round's training error."""
        return self.stopped_correct.mean(axis=1)

    def gain(self) -> form.Estimate:
        """Percentage points of test accuracy of the best round over round 0; see :func:`_chosen_gain`."""
        return _chosen_gain(self.correct, self.correct[:1])

    def gain_over_stopping(self) -> form.Estimate:
        """Percentage points of test accuracy of the best round over the best early stop; see :func:`_chosen_gain`."""
        return _chosen_gain(self.correct, self.stopped_correct)

    def to_dict(self) -> dict[str, Any]:
        """Numbers ready for JSON; basis weights at a few ranks."""
        ranks = [rank for rank in WEIGHT_RANKS if rank <= len(self.path.eigenvalues)]
        return {
            "relative_tolerance": self.relative_tolerance,
            "collapse_round": self.path.collapse_round,
            "multipliers": self.path.multipliers.tolist(),
            "effective_dimensions": self.path.basis_weights.sum(axis=1).tolist(),
            "train_accuracy": self.train_accuracy.tolist(),
            "test_accuracy": self.test_accuracy.tolist(),
            "early_stopping_accuracy": self.stopped_accuracy.tolist(),
            "gain_of_the_best_round": _points(self.gain()),
            "gain_over_early_stopping": _points(self.gain_over_stopping()),
            "weight_ranks": ranks,
            "basis_weights": self.path.basis_weights[:, [-rank for rank in ranks]].tolist(),
            "bounds": {"checks": self.n_checks, "hold": self.bounds_hold},
        }


@dataclass(frozen=True, eq=False)
class Fits:
    """All fits of one kernel on some training images.

    Attributes
    ----------
    network : network of the kernel.
    n_train, n_test : numbers of training and test images.
    chains : one path per tolerance.
    ridge_multipliers : (g,) multipliers c that plain ridge was tried with.
    ridge_errors : (g,) leave-one-out mean squared errors of these ridge fits.
    ridge_accuracy : (g,) test accuracies of these ridge fits.
    """

    network: Network
    n_train: int
    n_test: int
    chains: tuple[Chain, ...]
    ridge_multipliers: NDArray[np.float64]
    ridge_errors: NDArray[np.float64]
    ridge_accuracy: NDArray[np.float64]

    @property
    def tuned_ridge(self) -> float:
        """Test accuracy of plain ridge at the multiplier that leave-one-out prefers."""
        return float(self.ridge_accuracy[np.argmin(self.ridge_errors)])

    def to_dict(self) -> dict[str, Any]:
        """Numbers ready for JSON."""
        return {
            "network": asdict(self.network),
            "n_train": self.n_train,
            "n_test": self.n_test,
            "ridge": {
                "multipliers": self.ridge_multipliers.tolist(),
                "leave_one_out_errors": self.ridge_errors.tolist(),
                "test_accuracy": self.ridge_accuracy.tolist(),
                "tuned_test_accuracy": self.tuned_ridge,
            },
            "chains": [chain.to_dict() for chain in self.chains],
        }


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Fits of every kernel on every number of training images, and what to call the data."""

    data: str
    fits: tuple[Fits, ...] = field(repr=False)

    def headline(self) -> list[str]:
        """Name of the data and what the table's accuracies are."""
        return [f"{self.data}, accuracies in % against the original labels"]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per kernel, number of training images and tolerance."""
        return [
            {
                "network": fits.network.label,
                "n_train": fits.n_train,
                "ε": chain.relative_tolerance,
                "T": chain.path.collapse_round,
                "first": _percent(chain.test_accuracy[0]),
                "best": _percent(chain.test_accuracy.max()),
                "t": int(np.argmax(chain.test_accuracy)),
                "stopped": _percent(chain.stopped_accuracy.max()),
                "ridge": _percent(fits.tuned_ridge),
            }
            for fits in self.fits
            for chain in fits.chains
        ]

    def claims(self) -> list[form.Claim]:
        """What the paper says of networks (MFB §5), and of distillation beside early stopping, with verdicts.

        The best round is chosen on one half of the test images and compared on the other, image by image; a difference
        within two standard errors settles nothing. On other data than CIFAR claims about it are not testable.
        """
        chains = [chain for fits in self.fits for chain in fits.chains]
        n, is_cifar = len(chains), self.config.dataset != "digits"
        falls = sum(bool(np.all(np.diff(chain.train_accuracy) <= 0)) for chain in chains)
        holds = sum(chain.bounds_hold for chain in chains)
        return [
            _noted(
                "train accuracy never rises from round to round",
                _over_paths(falls, n) if is_cifar else form.Verdict.NOT_TESTABLE,
                f"on {falls} of {n} paths",
            ),
            _claim("test accuracy rises above that of round 0", [chain.gain() for chain in chains], is_cifar),
            _claim(
                "distillation's best round beats the best early stop",
                [chain.gain_over_stopping() for chain in chains],
                is_cifar,
            ),
            _noted("every bound of the paper holds", form.Verdict.of(holds == n), f"on {holds} of {n} paths"),
        ]

    def numbers(self) -> dict[str, Any]:
        """Name of the data and all fits."""
        return {"data": self.data, "fits": [fits.to_dict() for fits in self.fits]}


def _chosen_gain(correct: NDArray[np.bool_], others: NDArray[np.bool_]) -> form.Estimate:
    """Percentage points by which the best row is right more often than the best other row.

    Parameters
    ----------
    correct, others : (T, m), (T', m) which images each row classifies as they are labelled.

    The best rows are chosen on every second image and compared on the rest, so that a choice among many is no gain by
    itself.
    """
    best, other = (rows[np.argmax(rows[:, ::2].mean(axis=1)), 1::2].astype(float) for rows in (correct, others))
    return form.mean_and_standard_error(100 * (best - other))


def _points(gain: form.Estimate) -> dict[str, float]:
    """Gain as a result keeps it."""
    return {"points": gain.mean, "standard_error": gain.standard_error}


def _percent(share: Any) -> float:
    """Share as a percentage, to two decimals."""
    return round(100 * float(share), 2)


def _claim(claim: str, gains: list[form.Estimate], is_cifar: bool) -> form.Claim:
    """Claim that gains are positive, with a verdict over all paths from the gains and their standard errors."""
    above = sum(gain.mean > STANDARD_ERRORS * gain.standard_error for gain in gains)
    below = sum(gain.mean < -STANDARD_ERRORS * gain.standard_error for gain in gains)
    verdict = form.Verdict.NOT_TESTABLE
    if is_cifar and above + below:
        verdict = _over_paths(above, len(gains))
    mean = np.mean([gain.mean for gain in gains])
    return _noted(
        claim,
        verdict,
        f"better on {above} of {len(gains)} paths, worse on {below}, the others within 2 s.e.; {mean:+.2f} points in "
        "the mean",
    )


def _over_paths(holding: int, n: int) -> form.Verdict:
    """Verdict on a claim that holds on some of n paths."""
    return form.Verdict.REPRODUCED if holding == n else form.Verdict.IN_PART if holding else form.Verdict.NOT_REPRODUCED


def _noted(claim: str, verdict: form.Verdict, note: str) -> form.Claim:
    """Claim whose numbers are a sentence."""
    return form.Claim(claim, verdict, {"numbers": note}, note)
