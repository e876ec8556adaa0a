"""The tests behind verdicts: halves, cross-fitted gains with their errors, corrected differences, and their sizes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import sem, ttest_1samp

from hilbertsd.data.images import balanced
from hilbertsd.errors import InvalidInput
from hilbertsd.studies import form
from hilbertsd.studies.sizes import experiment, gains, paired

GALLERY = Path(__file__).parents[2] / "figures"
CLASSES = np.arange(200) % 10


def classes_on_both_sides(first, classes):
    return all(set(classes[half]) == set(classes[~half]) == set(classes) for half in np.atleast_2d(first))


def test_every_class_is_in_both_halves_and_a_stride_of_a_balanced_draw_fails(rng):
    labels = np.repeat(np.arange(10), 100)
    drawn = labels[balanced(labels, 400, 0)]
    first = gains.halves(drawn, 50, rng)
    assert classes_on_both_sides(first, drawn)
    for half in first:
        assert set(np.bincount(drawn[half])) == {20}
    assert len({half.tobytes() for half in first}) == 50
    every_second = np.arange(400) % 2 == 0
    assert not classes_on_both_sides(every_second, drawn)
    assert set(drawn[every_second]).isdisjoint(drawn[~every_second])


def test_the_odd_image_of_a_class_falls_to_either_half(rng):
    classes = np.repeat([0, 1], [5, 7])
    sizes = {(np.sum(half[:5]), np.sum(half[5:])) for half in gains.halves(classes, 60, rng)}
    assert sizes == {(2, 3), (2, 4), (3, 3), (3, 4)}
    with pytest.raises(InvalidInput, match="class 1 has 3 test images; take at least 4"):
        gains.halves(np.repeat([0, 1], [5, 3]), 2, rng)


def test_gains_are_those_of_a_plain_loop(rng):
    rounds = [rng.random((T, 200)) < 0.6 for T in (5, 2, 9)]
    others = [rng.random((T, 200)) < 0.6 for T in (5, 1, 3)]
    first = gains.halves(CLASSES, 7, rng)
    each, pooled = gains.cross_fitted(list(zip(rounds, others, strict=True)), CLASSES, first)
    expected = []
    for one, other in zip(rounds, others, strict=True):
        values = []
        for half in (*first, *~first):
            best = [rows[np.argmax(rows[:, half].sum(axis=1))][~half].mean() for rows in (one, other)]
            values.append(100 * (best[0] - best[1]))
        expected.append(np.mean(values))
    np.testing.assert_allclose([gain.mean for gain in each], expected, atol=1e-4)
    assert pooled.mean == pytest.approx(np.mean(expected), abs=1e-4)


def test_the_best_of_many_coins_gains_nothing_and_a_better_row_gains_what_it_is_better(rng):
    coins = rng.random((200, 1000)) < 0.5
    classes = np.arange(1000) % 10
    first = gains.halves(classes, 20, rng)
    _, nothing = gains.cross_fitted([(coins, coins[:1])], classes, first)
    assert abs(nothing.mean) < 3 * nothing.standard_error
    assert coins.mean(axis=1).max() > 0.53
    better = coins[:1] | (rng.random(1000) < 0.2)
    _, gain = gains.cross_fitted([(np.vstack([coins[:1], better]), coins[:1])], classes, first)
    difference = paired.mean_difference(better[0].astype(float) - coins[0], classes)
    assert gain.mean == pytest.approx(difference.mean, abs=1e-4)
    assert gain.standard_error == pytest.approx(difference.standard_error, rel=0.2)  # where the choice is clear
    paths = [np.vstack([coins[:1], better])]
    assert gains.RiseTest.of(paths, classes, first).p_value(99, rng) == 0.01
    assert gains.RiseTest.of([coins[:20]], classes, first).p_value(99, rng) > 0.05


def test_rounds_that_are_surely_worse_stay_so_under_the_null_hypothesis(rng):
    classes = np.arange(1000) % 10
    base = rng.random(1000) < 0.5
    worse = base & (rng.random(1000) < 0.7)
    near = base ^ (rng.random(1000) < 0.02)
    test = gains.RiseTest.of([np.array([base, near, worse])], classes, gains.halves(classes, 5, rng))
    assert test.lowered[:2].tolist() == [0, 0]
    assert test.lowered[2] == pytest.approx(worse.mean() - base.mean())
    for label in range(10):
        np.testing.assert_allclose(test.noise[classes == label].mean(axis=0), 0, atol=1e-6)


def test_differences_are_corrected_for_all_rounds_at_once(rng):
    noise = rng.choice([-1, 0, 1], (500, 100), p=[0.05, 0.9, 0.05])
    assert paired.differing(noise, 199, rng).p_values.min() > 0.05
    assert np.abs(paired.differing(noise, 199, rng).z).max() > 1.96
    noise[:40, 7] = 1
    seen = paired.differing(noise, 199, rng)
    assert np.flatnonzero(seen.p_values <= 0.05).tolist() == [7]
    assert seen.z[7] > 0
    assert paired.differing(np.zeros((50, 3)), 19, rng).p_values.tolist() == [1, 1, 1]


def test_means_are_tested_on_one_side_within_classes():
    values = np.where(CLASSES < 5, 1.0, 0.0)  # differs between classes and not within
    assert paired.mean_difference(values, CLASSES) == form.Estimate(50, 0)
    assert [paired.surely_above(form.Estimate(m, 1.0)) for m in (1.64, 1.65)] == [False, True]
    assert [paired.surely_below(form.Estimate(m, 1.0), 1.0) for m in (-0.64, -0.65)] == [False, True]


def test_differences_over_draws_are_t_tests_by_holms_rule(rng):
    values = 0.5 * rng.normal(size=(6, 4)) + np.array([2, 0, 1.5, -3])
    points = paired.over_draws(values)
    for sign, seen in (("greater", points.above), ("less", points.below)):
        p = ttest_1samp(values, 0, alternative=sign).pvalue
        expected = [False] * 4
        for place, w in enumerate(np.argsort(p)):
            if p[w] > 0.05 / (4 - place):
                break
            expected[w] = True
        assert seen.tolist() == expected
    assert points.above.tolist() == [True, False, True, False]
    assert points.below.tolist() == [False, False, False, True]
    np.testing.assert_allclose(points.standard_error, sem(values))
    same = paired.over_draws(np.zeros((5, 2)))
    assert not same.above.any()
    assert not same.below.any()
    assert paired.over_draws(np.full((5, 2), [1.0, 0.0])).above.tolist() == [True, False]
    assert paired.holm(np.array([0.02, 0.01, 0.04])) == pytest.approx([0.04, 0.03, 0.04])
    assert paired.holm(np.array([0.02, 0.03, 0.04])) == pytest.approx([0.06] * 3)
    assert paired.holm(np.array([0.5, 0.9])).tolist() == [1, 1]


@pytest.mark.slow
def test_wrong_standard_errors_are_caught_by_their_size():
    result = experiment.run(experiment.Config(simulations=600, images=200))
    rows = {row["test"]: row for row in result.rows()}
    for name, row in rows.items():
        if row["right"]:
            assert row["size"] - 5 < 4 * row["standard_error"]
            assert name in experiment.AT_MOST or row["size"] - 5 > -4 * row["standard_error"]
        else:  # two of them, with half of the variance, are wrong by three points only
            assert row["size"] > 5 + 2 * row["standard_error"]
    gain = result.numbers()["gain_under_no_effect"]
    assert 0.9 < gain["root_mean_square_of_its_standard_error"] / gain["standard_deviation"] < 2


def test_sizes_are_counted_and_judged():
    config = experiment.Config(simulations=100)
    often, seldom = np.arange(100) < 10, np.arange(100) < 5
    result = experiment.Result(config, {"right": seldom}, {"wrong": often}, np.ones((2, 2)))
    assert [row["size"] for row in result.rows()] == [5, 10]
    assert result.as_stated == {"right": True, "wrong": False}
    assert result.closing() == [
        "1 of 1 tests have a size of 5 % ± 1, or at most that where they say so; of 1 wrong ones 1 are caught"
    ]
    assert not replace(result, rejected={"right": often}).as_stated["right"]
    seen = {experiment.FROM_BEST: np.arange(100) < 2, "right": np.arange(100) < 2}
    assert replace(result, rejected=seen).as_stated == {experiment.FROM_BEST: True, "right": False, "wrong": False}
    assert not replace(result, rejected={experiment.FROM_BEST: often}).as_stated[experiment.FROM_BEST]


def test_a_simulation_runs_from_the_command_line(hilbertsd):
    code, out, err = hilbertsd("run", "sizes", "--simulations", 20, "--images", 40, "--json")
    assert (code, err) == (0, "")
    assert len(json.loads(out)["tests"]) == 18


def test_committed_sizes_are_five_per_cent_and_those_of_wrong_tests_are_not():
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((GALLERY / "sizes").glob("*.json"))]
    n = [record["config"]["simulations"] for record in kept]
    assert sum(n) == 3500
    for rows in zip(*(record["tests"] for record in kept), strict=True):
        size = np.average([row["size"] for row in rows], weights=n)
        at_most = rows[0]["test"] == experiment.FROM_BEST
        assert (size <= 6 if at_most else abs(size - 5) <= 1) == rows[0]["right"]
