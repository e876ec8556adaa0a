"""Tests over seeds: p-values against their distributions."""

import numpy as np
import pytest
from scipy import stats

from hilbertsd.studies.sizes.networks import contrast
from hilbertsd.studies.sizes.seeds import paired_t, rounds_above_first

RNG = np.random.default_rng(0)


def test_one_difference_is_students_test():
    values = RNG.normal(0.5, 1, 5)
    for alternative in ("two-sided", "less", "greater"):
        ours, theirs = paired_t(values, alternative), stats.ttest_1samp(values, 0, alternative=alternative)
        assert ours.p_value == pytest.approx(theirs.pvalue)
        assert ours.mean / ours.standard_error == pytest.approx(theirs.statistic)
    assert paired_t(np.full(3, 2.0), "greater").p_value == 1


def test_rounds_are_compared_one_by_one_and_corrected_for_all():
    """Holm's rule: the smallest p-value counts three times, the next twice; a shift of a seed does nothing."""
    values = RNG.normal(size=(4, 5)) + np.array([0, 0.3, 3, 1.5])[:, None]
    found = rounds_above_first(values)
    alone = [stats.ttest_1samp(row - values[0], 0, alternative="greater").pvalue for row in values[1:]]
    assert np.argsort(alone).tolist() == [1, 2, 0]
    assert found[1].p_value == pytest.approx(3 * alone[1])
    assert found[2].p_value == pytest.approx(max(3 * alone[1], 2 * alone[2]))
    assert found[0].p_value == pytest.approx(max(3 * alone[1], 2 * alone[2], alone[0]))
    moved = rounds_above_first(values + RNG.normal(size=5))
    assert [each.p_value for each in moved] == pytest.approx([each.p_value for each in found])


def test_the_correction_keeps_its_level_whatever_the_rounds_spread():
    """Later rounds of trained networks spread more; without the correction the level is far from kept."""
    seen, alone = [], []
    for _ in range(400):
        values = RNG.normal(size=(8, 5)) * np.linspace(0.5, 2.7, 8)[:, None] + RNG.normal(size=5)
        seen.append(min(each.p_value for each in rounds_above_first(values[::-1])) <= 0.05)
        alone.append(min(paired_t(row - values[-1], "greater").p_value for row in values[:-1]) <= 0.05)
    assert np.mean(seen) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(alone) > 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_uses_are_compared_over_networks_and_images():
    """The variance is that of the image means plus that of the network means, and the t-test has Welch's freedom."""
    classes = np.zeros(40, int)
    correct = {
        "single": RNG.random((6, 40)) < 0.5,
        "student": RNG.random((6, 40)) < 0.7,
        "ensemble": RNG.random((1, 40)) < 0.8,
    }
    found = contrast(correct, {"student": 1, "single": -1}, classes)
    difference = 100 * (correct["student"].astype(float) - correct["single"])
    images, networks = stats.sem(difference.mean(axis=0)) ** 2, stats.sem(difference.mean(axis=1)) ** 2
    freedom = (images + networks) ** 2 / (images**2 / 39 + networks**2 / 5)
    assert found.mean == pytest.approx(difference.mean())
    assert found.standard_error == pytest.approx(np.sqrt(images + networks))
    assert found.p_above == pytest.approx(stats.t.sf(difference.mean() / np.sqrt(images + networks), freedom))
    assert found.p_above + found.p_below == pytest.approx(1)
    # An ensemble is there once; what changes over networks is then that of the others alone.
    over = contrast(correct, {"ensemble": 1, "single": -1}, classes)
    alone = stats.sem(100 * correct["single"].mean(axis=1))
    both = stats.sem(100 * (correct["ensemble"][0] - correct["single"].mean(axis=0)))
    assert over.standard_error == pytest.approx(np.hypot(alone, both))
    # One that is there once and would spread as the singles do has the variance of one of these beside.
    spread = contrast(correct, {"ensemble": 1, "single": -1}, classes, {"ensemble": "single"})
    assert spread.standard_error == pytest.approx(
        np.sqrt(over.standard_error**2 + (100 * correct["single"].mean(axis=1)).var(ddof=1))
    )
    once = contrast(correct, {"ensemble": 1}, classes)
    assert once.standard_error == pytest.approx(stats.sem(100 * correct["ensemble"][0]))
    assert contrast(correct, {"single": 1, "ensemble": 0.0}, classes).mean == pytest.approx(
        100 * correct["single"].mean()
    )
    assert contrast({"a": correct["single"]}, {"a": 0.0}, classes) == (0, 0, 1, 1)
