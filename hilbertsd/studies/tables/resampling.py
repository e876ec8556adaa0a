"""Means over random splits that share rows, and over weeks of a record, with their standard errors and tests.

tested = over_splits(errors_here - errors_there, n_test=110, n_train=332)
tested.mean, tested.standard_error
verdicts([tested.p_below], [tested.p_above])   # of a claim that the first is lower
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.form import Verdict
from hilbertsd.studies.sizes.paired import LEVEL, holm


class Tested(NamedTuple):
    """A mean, its standard error, and one-sided p-values of its being below and above zero by chance."""

    mean: float
    standard_error: float
    p_below: float
    p_above: float


def over_splits(values: NDArray[np.float64], n_test: int, n_train: int) -> Tested:
    """Mean of (J,) values of random splits, with the standard error of Nadeau & Bengio for splits that share rows.

    The variance of the values is multiplied by 1/J + n_test/n_train, not by 1/J: training sets overlap, so that J
    splits say less than J independent data sets, and the second term does not fall with J. Tested by Student's t with
    J − 1 degrees of freedom. Values that are all equal are no evidence either way.

    Source: Nadeau & Bengio (2003), Inference for the generalization error, Machine Learning 52, 239, the corrected
    resampled t-test.
    """
    J = len(values)
    error = np.sqrt(np.var(values, ddof=1) * (1 / J + n_test / n_train))
    return _tested(float(values.mean()), float(error), J - 1)


def over_weeks(values: NDArray[np.float64], weeks: NDArray[np.int64]) -> Tested:
    """Mean of (n,) values of rows, with a standard error over B weeks.

    Rows of neighbouring hours are far from independent, and their standard error would be too small. Weeks have unequal
    numbers of rows, so that the mean is a ratio of sums over weeks, whose linearised variance is
    B/(B−1) Σ_b (Σ_{i in b} (v_i − mean))²/n². Weeks are taken as independent, which a drift over months is not: the
    error says how far another such period of these months might differ. Student's t with B − 1 degrees of freedom.

    Source: Cochran (1977), Sampling Techniques, §6.3, for the ratio.
    """
    _, place = np.unique(weeks, return_inverse=True)
    sums = np.bincount(place, values - values.mean())
    B = len(sums)
    error = np.sqrt(B / (B - 1) * np.sum(sums**2)) / len(values)
    return _tested(float(values.mean()), float(error), B - 1)


def verdicts(p_claimed: Sequence[float], p_opposite: Sequence[float]) -> list[Verdict]:
    """Verdict on one claim in each of W settings, from one-sided p-values; either direction is corrected by `holm`."""
    claimed, opposite = (holm(np.asarray(p)) <= LEVEL for p in (p_claimed, p_opposite))
    return [
        Verdict.REPRODUCED if here else Verdict.NOT_UNDER_PROTOCOL if there else Verdict.UNDECIDED
        for here, there in zip(claimed, opposite, strict=True)
    ]


def _tested(mean: float, error: float, freedom: int) -> Tested:
    from scipy.special import stdtr

    if error <= 1e-12 * abs(mean) or mean == 0:  # equal values, as of two methods that are one
        return Tested(mean, error, 1.0, 1.0)
    return Tested(mean, error, float(stdtr(freedom, mean / error)), float(stdtr(freedom, -mean / error)))
