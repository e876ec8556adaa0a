"""Tests over seeds: p-values against their distributions."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from hilbertsd.studies.sizes.seeds import paired_t, rounds_above_first

RNG = np.random.default_rng(0)


def test_one_difference_is_students_test():
    values = RNG.normal(0.5, 1, 5)
    for alternative in ("two-sided", "less", "greater"):
        ours, theirs = paired_t(values, alternative), stats.ttest_1samp(values, 0, alternative=alternative)
        assert ours.p_value == pytest.approx(theirs.pvalue)
        assert ours.mean / ours.standard_error == pytest.approx(theirs.statistic)
    assert paired_t(np.full(3, 2.0), "greater").p_value == 1


def test_rounds_are_compared_with_all_signs_of_the_seeds():
    """Largest t-value under all 32 choices, one after another; a shift of a seed does nothing."""
    values = RNG.normal(size=(4, 5)) + np.array([0, 0.3, 1.2, 0.6])[:, None]
    found, differences = rounds_above_first(values), values[1:] - values[0]
    largest = [
        max(stats.ttest_1samp(row * signs, 0).statistic for row in differences) for signs in product((1, -1), repeat=5)
    ]
    for each, row in zip(found, differences, strict=True):
        t = stats.ttest_1samp(row, 0).statistic
        assert each.mean / each.standard_error == pytest.approx(t)
        assert each.p_value == np.mean(np.array(largest) >= t - 1e-9)
    moved = rounds_above_first(values + RNG.normal(size=5))
    assert [each.p_value for each in moved] == [each.p_value for each in found]


def test_rounds_that_all_seeds_agree_on_are_seen_and_equal_ones_are_not():
    """Five seeds are the fewest that can say so; a difference that all of them share has no spread, and counts."""
    values = np.zeros((3, 5))
    assert [each.p_value for each in rounds_above_first(values)] == [1, 1]
    values[2] += 1
    assert [each.p_value for each in rounds_above_first(values)] == [1, 1 / 32]
    assert rounds_above_first(values[:, :4])[1].p_value == 1 / 16
    many = np.vstack([np.zeros(20), np.ones(20)])
    assert rounds_above_first(many)[0].p_value == 1 / 2**16


def test_the_correction_keeps_its_level_whatever_the_rounds_spread():
    """Later rounds of trained networks spread more; without the correction the level is far from kept."""
    seen, alone = [], []
    for _ in range(400):
        values = RNG.normal(size=(8, 5)) * np.linspace(0.5, 2.7, 8)[:, None] + RNG.normal(size=5)
        seen.append(min(each.p_value for each in rounds_above_first(values[::-1])) <= 0.05)
        alone.append(min(paired_t(row - values[-1], "greater").p_value for row in values[:-1]) <= 0.05)
    assert np.mean(seen) < 0.062  # 3.1 % and three standard errors
    assert np.mean(alone) > 0.062
