"""Tests over chains of trained networks: what is drawn are seeds; the images stay as they are.

rounds_above_first(test_accuracy)       # (T, S) accuracies: is a later round better than round 0?
paired_t(test_accuracy[-1] - test_accuracy[0], "less")
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS, SEED = 200_000, 0
"""Draws of the distribution of the largest difference, and their seed."""


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
    Dunnett's test (1955, Journal of the American Statistical Association 50, 1096) with seeds as blocks: values are a
    seed's effect, plus a round's, plus noise of one variance, estimated with (T − 1)(S − 1) degrees of freedom.
    The corrected p-value of a round is the probability that the largest of all T − 1 standardised differences from
    round 0 is at least its own, where all rounds are equal. It is drawn.
    """
    values = np.asarray(values, dtype=np.float64)
    T, S = values.shape
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    freedom = (T - 1) * (S - 1)
    scale = float(np.sqrt(np.sum(rest**2) / freedom * 2 / S))
    differences = (values[1:] - values[0]).mean(axis=1)
    largest = _largest_of(T - 1, freedom)
    ratios = differences / scale if scale else np.zeros(T - 1)
    p_values = [(1 + np.sum(largest >= ratio)) / (1 + DRAWS) for ratio in ratios]
    return [SeedEstimate(float(d), scale, float(p)) for d, p in zip(differences, p_values, strict=True)]


@lru_cache(maxsize=8)
def _largest_of(count: int, freedom: int) -> NDArray[np.float64]:
    """Draws of the largest of some t-values that share their control and their estimate of the variance."""
    rng = np.random.default_rng(SEED)
    noise = rng.standard_normal((DRAWS, count + 1))
    return (noise[:, 1:] - noise[:, :1]).max(axis=1) / np.sqrt(2 * rng.chisquare(freedom, DRAWS) / freedom)
