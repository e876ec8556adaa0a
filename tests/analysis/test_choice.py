"""ε and round by leave-one-out, against all paths one by one."""

import numpy as np
import pytest

from hilbertsd import UnbiasedRisk, choose_rounds, distill, leave_one_out
from hilbertsd.analysis.cross_validation import leave_one_out_scores
from hilbertsd.errors import InfeasibleTolerance, InvalidInput, InvalidTolerance
from hilbertsd.gram.operators import StoredKernel


def test_the_choice_is_the_lowest_error_of_all_paths_and_rounds(data):
    kernel, targets, cross_kernel = data
    fractions = [0.4, 0.05, 0.15, 0.15]
    found = {}
    for fraction in set(fractions):
        path = distill(kernel, targets, relative_tolerance=fraction)
        for t in range(path.n_rounds):
            found[fraction, t] = np.sum((leave_one_out(path, t) - targets) ** 2) / 60
    choice = choose_rounds(kernel, targets, fractions)
    best = min(found, key=lambda key: found[key])
    assert (round(choice.path.relative_tolerance, 12), choice.round) == best
    assert choice.score == pytest.approx(found[best], rel=1e-10)
    np.testing.assert_array_equal(choice.relative_tolerances, [0.05, 0.15, 0.4])
    assert sum(map(len, choice.scores)) == len(found)
    path = distill(kernel, targets, relative_tolerance=best[0])
    np.testing.assert_allclose(choice.predict(cross_kernel), path.predict(cross_kernel, best[1]), rtol=1e-9)


def test_an_estimate_of_the_noise_has_to_be_one_for_all(data):
    kernel, targets, _ = data
    with pytest.raises(InvalidInput, match=r"give UnbiasedRisk\(noise\)"):
        choose_rounds(kernel, targets, criterion="sure")
    choice = choose_rounds(kernel, targets, [0.05, 0.2, 0.9], criterion=UnbiasedRisk(0.18))
    assert choice.relative_tolerance < 0.9


def test_one_round_chooses_among_ridge_fits(data):
    choice = choose_rounds(data[0], data[1], max_rounds=1)
    assert choice.round == 0
    assert {len(each) for each in choice.scores} == {1}
    assert choice.score == min(each[0] for each in choose_rounds(data[0], data[1]).scores)


def test_fractions_at_or_below_the_floor_are_left_out():
    kernel, targets = np.diag([0.0, 1.0, 2.0]), np.array([1.0, 1.5, 2.0])
    floor = 1 / np.sum(targets**2)
    assert choose_rounds(kernel, targets, [0.9 * floor, 0.5]).relative_tolerances.tolist() == [0.5]
    with pytest.raises(InfeasibleTolerance, match=r"at or below the floor 0\.137931, up to 0\.1; give larger"):
        choose_rounds(kernel, targets, [0.05, 0.1])


@pytest.mark.parametrize("fractions", [[], [0.0, 0.5], [1.0], [np.nan], ["a"]])
def test_fractions_that_are_none_are_refused(data, fractions):
    with pytest.raises(InvalidTolerance, match="relative_tolerances"):
        choose_rounds(data[0], data[1], fractions)


def test_an_operator_is_scored_by_what_products_tell(data):
    kernel, targets, cross_kernel = data
    fractions = [0.15, 0.3]
    exact = choose_rounds(kernel, targets, fractions, criterion="folds")
    choice = choose_rounds(StoredKernel(kernel), targets, fractions, criterion="folds")
    assert (choice.relative_tolerance, choice.round) == (exact.relative_tolerance, exact.round)
    np.testing.assert_allclose(choice.predict(cross_kernel), exact.predict(cross_kernel), rtol=1e-4, atol=1e-6)
    for wrong in ("loo", UnbiasedRisk(0.1)):
        with pytest.raises(InvalidInput, match=r"a kernel operator has no .*, which needs all eigenvalues"):
            choose_rounds(StoredKernel(kernel), targets, fractions, criterion=wrong)
    with pytest.raises(InvalidInput, match="leave-one-out needs the whole spectrum"):
        leave_one_out_scores([choice.path])
