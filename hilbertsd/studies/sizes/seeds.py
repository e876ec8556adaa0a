"""Tests over chains of trained networks: what is drawn are seeds; the images stay as they are.

rounds_above_first(test_accuracy)       # (T, S) accuracies: is a later round better than round 0?
paired_t(test_accuracy[-1] - test_accuracy[0], "less")
"""

from functools import lru_cache
from itertools import product
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_SEEDS, SEED = 16, 0
"""Seeds up to which all choices of their signs are taken, and the seed of those that are drawn for more."""

TIED = 1e-12
"""Distance at which two sums of the same numbers are taken for equal."""


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


def rounds_above_first(values: NDArray[Any]) -> list[SeedEstimate]:
    """Every later round of (T, S) values against round 0, one-sided, corrected for all T − 1 of them.

    Notes
    -----
    Where no round differs from round 0, a seed's differences from it might as well all have the other sign. The largest
    mean over seeds, in units of the root mean square, is compared with what it is under all 2^S choices of the seeds'
    signs (single-step max-T: Westfall & Young 1993, Resampling-Based Multiple Testing). That is exact whatever the
    spread of each round and the correlation of the rounds are; in chains of networks later rounds spread more. The
    smallest possible p-value is 2^−S: with four seeds nothing is seen at 5 %, with five where all of them agree.
    """
    differences = np.asarray(values[1:] - values[0], dtype=np.float64)
    S = differences.shape[1]
    sizes = np.sqrt(np.sum(differences**2, axis=1))  # the same for all signs
    directions = differences / np.where(sizes > 0, sizes, 1)[:, None]
    observed, largest = directions.sum(axis=1), (_signs(S) @ directions.T).max(axis=1)
    means, errors = differences.mean(axis=1), differences.std(axis=1, ddof=1) / np.sqrt(S)
    return [
        SeedEstimate(float(mean), float(error), float(np.mean(largest >= value - TIED)))
        for mean, error, value in zip(means, errors, observed, strict=True)
    ]


@lru_cache(maxsize=8)
def _signs(S: int) -> NDArray[np.float64]:
    """All choices of S signs, one in each row; for many seeds 2^16 that are drawn, the first of them all +1."""
    if S <= MOST_SEEDS:
        return np.array(list(product((1.0, -1.0), repeat=S)))
    drawn = np.random.default_rng(SEED).choice((1.0, -1.0), size=(2**MOST_SEEDS, S))
    drawn[0] = 1
    return drawn
