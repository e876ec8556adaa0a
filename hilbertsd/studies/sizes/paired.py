"""Two methods compared image by image or draw by draw: a mean difference with its standard error, and many at once.

estimate = mean_difference(right_here.astype(float) - right_there, test_labels)
surely_above(estimate)                                    # one-sided, 5 %
differing(differences, 1999, rng).p_values.min()          # any of many pairs of methods, 5 % for all together
over_draws(accuracies_here - accuracies_there).above      # (draws, W) differences: at which of W points, corrected
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.form import Estimate

LEVEL = 0.05
"""Share of tests that see an effect where there is none."""

ONE_SIDED = 1.6448536269514722
"""Standard errors that a normal value exceeds with probability 5 %."""


def mean_difference(values: NDArray[Any], classes: NDArray[np.integer]) -> Estimate:
    """Mean of (m,) differences by image in percentage points, with its error over images drawn class by class."""
    variance = sum(len(v) * np.var(v, ddof=1) for v in (values[classes == label] for label in np.unique(classes)))
    return Estimate(100 * float(values.mean()), 100 * float(np.sqrt(variance)) / len(values))


def surely_above(estimate: Estimate, bound: float = 0.0) -> bool:
    """Whether a mean is above a bound in a one-sided test of 5 %."""
    return bool(estimate.mean - bound > ONE_SIDED * estimate.standard_error)


def surely_below(estimate: Estimate, bound: float = 0.0) -> bool:
    """Whether a mean is below a bound in a one-sided test of 5 %."""
    return bool(bound - estimate.mean > ONE_SIDED * estimate.standard_error)


class Differing(NamedTuple):
    """Differences of many pairs of methods: (R,) sums over √(sum of squares), and p-values corrected for all R."""

    z: NDArray[np.float64]
    p_values: NDArray[np.float64]


def differing(differences: NDArray[Any], draws: int, rng: np.random.Generator) -> Differing:
    """Test R pairs of methods on the same images, two-sided, so that one of all R is seen by chance in 5 %.

    Parameters
    ----------
    differences : (m, R) right by the first method minus right by the second, −1, 0 or 1.
    draws : number of random draws.
    rng : generator of the draws.

    Notes
    -----
    Under the null hypothesis the two methods of an image may change places. Every draw does so by a sign for each
    image, the same for all R, so that they keep their dependence. The corrected p-value of a pair is the share of draws
    in which the largest |z| of all R is at least the pair's (Westfall & Young 1993). With one pair this is McNemar's
    test.
    """
    values = differences.astype(np.float64)
    scale = np.sqrt(np.sum(values**2, axis=0))
    values = values / np.where(scale > 0, scale, 1)
    z = values.sum(axis=0)
    largest = np.concatenate(
        [
            np.abs(rng.choice([-1.0, 1.0], (min(200, draws - start), len(values))) @ values).max(axis=1)
            for start in range(0, draws, 200)
        ]
    )
    # The sums of a draw that flips no sign differ from z by rounding.
    above = np.sum(largest[:, None] >= np.abs(z) * (1 - 1e-12), axis=0)
    return Differing(z, (1 + above) / (1 + draws))


class AtPoints(NamedTuple):
    """Mean differences over independent draws at W points, their standard errors, and where they are surely not 0.

    `above` and `below` are two tests. Each sees by chance a difference at any of the W points in 5 %.
    """

    mean: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    above: NDArray[np.bool_]
    below: NDArray[np.bool_]


def over_draws(differences: NDArray[np.float64]) -> AtPoints:
    """Test (D, W) differences over D independent draws: one-sided t-tests, corrected over the W points by `holm`."""
    from scipy.special import stdtr

    mean, error = differences.mean(axis=0), differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, mean / error)
    p_above, p_below = (stdtr(len(differences) - 1, sign * t) for sign in (-1, 1))
    return AtPoints(mean, error, holm(p_above) <= LEVEL, holm(p_below) <= LEVEL)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(W,) p-values corrected for all W tests: at 5 % any of those without an effect is seen in at most 5 %.

    Holm (1979), Scandinavian Journal of Statistics 6, 65. It needs no independence of the tests.
    """
    order = np.argsort(p_values)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(np.minimum(1, p_values[order] * np.arange(len(order), 0, -1)))
    return corrected
