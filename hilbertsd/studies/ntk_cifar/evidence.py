"""Which test images every fit classifies as they are labelled, and what that says of the papers' claims.

    evidence = Evidence.load("figures/ntk-cifar/correct.npz")
    evidence.findings().rise.pooled              # points that the best round gains over round 0, over all paths
    evidence.findings().claims(is_cifar=True)

All paths are on the same test images, which are what is drawn: nothing here tells how other training images would do.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.form import Claim, Estimate, Verdict
from hilbertsd.studies.sizes import gains, paired
from hilbertsd.support.array_files import read_arrays, write_arrays

FILE_FORMAT = "hilbertsd.Evidence/1"

SPLITS = 100
"""Ways to halve the test images, each with half of every class on either side."""

DRAWS = 1999
"""Draws of the null hypothesis of a test."""


class Gains(NamedTuple):
    """Points that one method's best row gains over another's, of every pair of methods, and their mean."""

    each: list[Estimate]
    pooled: Estimate


@dataclass(frozen=True)
class Findings:
    """Estimates in percentage points of test accuracy, and tests, each over all paths together.

    Attributes
    ----------
    rise : best round over round 0, which may be the best; cross-fitted.
    rise_p : p-value of no round being better than round 0.
    fall : last round over round 0, in the mean over paths.
    differing : later rounds beside the ridge fits with their training errors, all at once.
    beside_stopping : later rounds over these fits, in the mean over all.
    over_stopping : best round over best single fit, of every path; cross-fitted.
    over_ridge : best round at any ε over tuned ridge, of every kernel and number of training images; cross-fitted.
    """

    rise: Gains
    rise_p: float
    fall: Estimate
    differing: paired.Differing
    beside_stopping: Estimate
    over_stopping: Gains
    over_ridge: Gains

    def claims(self, is_cifar: bool) -> list[Claim]:
        """Claims about test accuracy; one-sided tests of 5 %, the claim of a difference two-sided."""
        z, p = self.differing
        seen = p <= paired.LEVEL
        better, worse = int(np.sum(seen & (z > 0))), int(np.sum(seen & (z < 0)))
        return [
            Claim(
                "test accuracy rises above that of round 0 before it falls",
                _verdict(is_cifar, self.rise_p <= paired.LEVEL and paired.surely_below(self.fall)),
                {
                    "gain_of_the_best_round": _numbers(self.rise.pooled),
                    "p_value_of_no_gain": self.rise_p,
                    "last_round_minus_round_0": _numbers(self.fall),
                },
                f"best round {_shown(self.rise.pooled)} points over round 0, p = {self.rise_p:.2g}; last round "
                f"{_shown(self.fall)}",
                source="MFB §5.1",
            ),
            Claim(
                "test performance differs from early stopping at equal training loss",
                _verdict(is_cifar, bool(seen.any())),
                {
                    "later_rounds": len(z),
                    "better": better,
                    "worse": worse,
                    "smallest_corrected_p_value": float(p.min()),
                    "largest_z": float(np.abs(z).max()),
                    "mean_difference": _numbers(self.beside_stopping),
                },
                f"better in {better} and worse in {worse} of {len(z)} later rounds, corrected for all; "
                f"{_shown(self.beside_stopping)} points in the mean",
                source="MFB §5.2",
            ),
            Claim(
                "best round against best early stop",
                Verdict.REPORTED,
                {"gain": _numbers(self.over_stopping.pooled)},
                f"{_shown(self.over_stopping.pooled)} points",
            ),
            Claim(
                "best round against ridge tuned by leave-one-out",
                Verdict.REPORTED,
                {"gain": _numbers(self.over_ridge.pooled)},
                f"{_shown(self.over_ridge.pooled)} points",
            ),
        ]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What k paths, f ridge fits and as many single fits as rounds make of m test images.

    Attributes
    ----------
    classes : (m,) labels.
    n_rounds : (k,) rounds T of every path.
    fit_of_path : (k,) number of the kernel and training images that a path belongs to, from 0 to f − 1.
    rounds : (ΣT, m) which images each round classifies as they are labelled, path after path.
    stopped : (ΣT, m) the same of the ridge fit with each round's training error.
    ridge : (f, m) the same of plain ridge at the multiplier that leave-one-out prefers.
    """

    classes: NDArray[np.integer]
    n_rounds: NDArray[np.integer]
    fit_of_path: NDArray[np.integer]
    rounds: NDArray[np.bool_]
    stopped: NDArray[np.bool_]
    ridge: NDArray[np.bool_]

    def findings(self) -> Findings:
        """Every estimate and test."""
        first = gains.halves(self.classes, SPLITS, np.random.default_rng(0))
        paths, stops = self._by_path(self.rounds), self._by_path(self.stopped)
        fit = np.repeat(self.fit_of_path, self.n_rounds)
        of_fits = [(self.rounds[fit == f], self.ridge[f : f + 1]) for f in range(len(self.ridge))]
        test = gains.RiseTest.of(paths, self.classes, first)
        last = np.mean([path[-1].astype(float) - path[0] for path in paths], axis=0)
        later = np.concatenate([np.arange(T) > 0 for T in self.n_rounds])  # round 0 is its own early stop
        differences = (self.rounds[later].astype(np.int8) - self.stopped[later]).T
        return Findings(
            Gains(*gains.cross_fitted([(path, path[:1]) for path in paths], self.classes, first)),
            test.p_value(DRAWS, np.random.default_rng(1)),
            paired.mean_difference(last, self.classes),
            paired.differing(differences, DRAWS, np.random.default_rng(2)),
            paired.mean_difference(differences.mean(axis=1), self.classes),
            Gains(*gains.cross_fitted(list(zip(paths, stops, strict=True)), self.classes, first)),
            Gains(*gains.cross_fitted(of_fits, self.classes, first)),
        )

    def save(self, path: Path) -> Path:
        """Write one .npz file; an existing one is replaced whole or not at all. Raises InvalidFile if it cannot."""
        return write_arrays(path, FILE_FORMAT, {}, {each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what :meth:`save` wrote; raises InvalidFile for anything else."""
        return read_arrays(path, FILE_FORMAT, lambda arrays, _: cls(**arrays))

    def _by_path(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        return np.split(rows, np.cumsum(self.n_rounds)[:-1])


def _verdict(is_cifar: bool, seen: bool) -> Verdict:
    """Verdict on a claim whose effect a test has seen or not; what was not seen is not refuted."""
    return (Verdict.REPRODUCED if seen else Verdict.UNDECIDED) if is_cifar else Verdict.NOT_TESTABLE


def _numbers(estimate: Estimate) -> dict[str, float]:
    """Estimate as a record keeps it."""
    return {"points": estimate.mean, "standard_error": estimate.standard_error}


def _shown(estimate: Estimate) -> str:
    """Estimate with its standard error."""
    return f"{estimate.mean:+.2f} ± {estimate.standard_error:.2f}"
