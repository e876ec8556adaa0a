"""Tests over seeds: p-values against their distributions."""

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


def test_rounds_are_compared_as_dunnett_compares():
    """The largest of correlated t-values, against the multivariate t distribution; a shift of a seed does nothing."""
    values = RNG.normal(size=(4, 5))
    found = rounds_above_first(values)
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    scale = np.sqrt(np.sum(rest**2) / 12 * 2 / 5)
    together = stats.multivariate_t(np.zeros(3), (np.eye(3) + 1) / 2, df=12, seed=0)
    for each, row in zip(found, values[1:], strict=True):
        ratio = (row - values[0]).mean() / scale
        assert each.mean / each.standard_error == pytest.approx(ratio)
        assert each.p_value == pytest.approx(1 - together.cdf(np.full(3, ratio)), abs=4e-3)
    moved = rounds_above_first(values + RNG.normal(size=5))
    assert [each.p_value for each in moved] == pytest.approx([each.p_value for each in found], abs=1e-4)


def test_the_correction_keeps_its_level_and_no_correction_does_not():
    seen, alone = [], []
    for _ in range(150):
        values = RNG.normal(size=(8, 5)) + RNG.normal(size=5)
        seen.append(min(each.p_value for each in rounds_above_first(values)) <= 0.05)
        alone.append(min(paired_t(row - values[0], "greater").p_value for row in values[1:]) <= 0.05)
    assert np.mean(seen) < 0.11  # 5 % and three standard errors
    assert np.mean(alone) > 0.11
