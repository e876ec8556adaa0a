"""Tests over chains of trained networks: what is drawn are seeds; the images stay as they are.

rounds_above_first(test_accuracy)       # (T, S) accuracies: is a later round better than round 0?
paired_t(test_accuracy[-1] - test_accuracy[0], "less")
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.sizes.paired import holm


class SeedEstimate(NamedTuple):
    """Mean difference over seeds, its standard error, and the p-value of there being none."""

    mean: float
    standard_error: float
    p_value: float


def paired_t(differences: NDArray[Any], alternative: Literal["two-sided", "less", "greater"]) -> SeedEstimate:
    """Student's test of (S,) differences, one for each seed, with S − 1 degrees of freedom."""
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    if error <= 1e-9 * abs(mean):
        return SeedEstimate(mean, 0.0, 1.0)  # differences that are equal by chance say nothing of their spread
    ratio = mean / error
    tails = {"two-sided": 2 * t.sf(abs(ratio), len(values) - 1)}
    tails |= {"greater": t.sf(ratio, len(values) - 1), "less": t.cdf(ratio, len(values) - 1)}
    return SeedEstimate(mean, error, float(tails[alternative]))


def best_over_last(values: NDArray[Any]) -> tuple[int, SeedEstimate | None]:
    """Which later round of (T, S) values has the highest mean, and how far it lies over the last; None for the last.

    The last round is compared with every earlier one, and corrected for all: which of them is best is seen in the same
    numbers.
    """
    best = 1 + int(np.argmax(np.mean(values[1:], axis=1)))
    return best, [*rounds_above_first(values[::-1])[::-1], None][best]


def rounds_above_first(values: NDArray[Any]) -> list[SeedEstimate]:
    """Every later round of (T, S) values against round 0, one-sided, corrected for all T − 1 of them by `holm`.

    Notes
    -----
    Each round has a standard error of its own, because in chains of networks later rounds spread more: Dunnett's test
    (1955), which takes one for all, sees the last round below the best one in 10 % instead of 5 % where they are equal
    and the deviations rise from 0.5 to 2.7. Holm's correction needs nothing of how rounds hang together.
    """
    each = [paired_t(row - values[0], "greater") for row in np.asarray(values[1:])]
    corrected = holm(np.array([estimate.p_value for estimate in each]))
    return [estimate._replace(p_value=float(p)) for estimate, p in zip(each, corrected, strict=True)]
