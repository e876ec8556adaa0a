"""Estimators that choose kernel, tolerance and round, against all candidates one by one."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from hilbertsd import (
    Folds,
    Holdout,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRegressor,
    SelfDistilledKernelRegressorCV,
    distill,
    mix_rounds,
    score_rounds,
)
from hilbertsd.errors import InfeasibleTolerance, InvalidInput, InvalidTolerance


@parametrize_with_checks([SelfDistilledKernelRegressorCV(), SelfDistilledKernelClassifierCV()])
def test_scikit_learns_own_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's checks handle the warnings they care for
        check(estimator)


@pytest.mark.parametrize("criterion", ["auto", "gcv", Folds(3)])
def test_the_lowest_score_of_all_candidates_is_taken(problem, criterion):
    X, y = problem
    gammas, tolerances = [1.0, 0.1, 0.02], [0.3, 0.05, 0.15]
    found = {}
    for gamma in gammas:
        for tolerance in tolerances:
            path = distill(rbf_kernel(X, gamma=gamma), y - y.mean(), relative_tolerance=tolerance)
            for t, score in enumerate(score_rounds(path, "loo" if criterion == "auto" else criterion)):
                found[gamma, tolerance, t] = score
    best = min(found, key=lambda key: found[key])
    model = SelfDistilledKernelRegressorCV(gammas=gammas, relative_tolerances=tolerances, criterion=criterion).fit(X, y)
    assert (model.gamma_, round(model.relative_tolerance_, 12), model.n_rounds_ - 1) == best
    assert model.lowest_score_ == pytest.approx(found[best], rel=1e-8)
    of_each = [min(score for (g, _, _), score in found.items() if g == gamma) for gamma in gammas]
    np.testing.assert_allclose(model.scores_, of_each, rtol=1e-8)
    same = SelfDistilledKernelRegressor(gamma=best[0], relative_tolerance=best[1], n_rounds=best[2] + 1).fit(X, y)
    np.testing.assert_allclose(model.predict(X[:9] + 0.1), same.predict(X[:9] + 0.1), rtol=1e-7)


def test_one_round_is_ridge_and_gammas_may_be_the_default(problem):
    X, y = problem
    model = SelfDistilledKernelRegressorCV(max_rounds=1).fit(X, y)
    assert (model.gamma_, model.n_rounds_, model.path_.n_rounds) == (None, 1, 1)
    assert model.lowest_score_ >= SelfDistilledKernelRegressorCV().fit(X, y).lowest_score_
    assert clone(model).get_params() == model.get_params()


def test_the_rounds_of_the_chosen_path_are_mixed(problem):
    X, y = problem
    model = SelfDistilledKernelRegressorCV(relative_tolerances=[0.1], max_rounds=3, mixing="gcv").fit(X, y)
    assert model.n_rounds_ == 3
    assert model.mixture_ is not None
    np.testing.assert_array_equal(model.mixture_.weights, mix_rounds(model.path_, criterion="gcv").weights)


def test_digits_are_told_apart():
    X, y = load_digits(return_X_y=True)
    model = SelfDistilledKernelClassifierCV(gammas=[1e-4, 1e-3], relative_tolerances=[0.05, 0.2]).fit(X[:600], y[:600])
    assert model.gamma_ == 1e-3
    assert np.mean(model.predict(X[600:]) == y[600:]) > 0.9


def test_gammas_whose_kernels_reach_no_tolerance_are_left_out(problem):
    X, y = problem
    model = SelfDistilledKernelRegressorCV(gammas=[1e-17, 0.1], relative_tolerances=[0.1]).fit(X, y)
    assert model.gamma_ == 0.1
    assert model.scores_[0] == np.inf


def test_bad_searches_are_refused(problem):
    for options, error, message in (
        ({"gammas": [0.1, -1]}, InvalidInput, r"gammas are \[0\.1, -1\]; give positive numbers"),
        ({"gammas": []}, InvalidInput, "gammas are"),
        ({"gammas": 0.1}, InvalidInput, "gammas are"),
        ({"relative_tolerances": [1.5]}, InvalidTolerance, "relative_tolerances are"),
        ({"criterion": "bic"}, InvalidInput, "criterion is 'bic'"),
        ({"criterion": "sure"}, InvalidInput, r"give UnbiasedRisk\(noise\)"),
        ({"max_rounds": 0}, InvalidTolerance, "max_rounds is 0"),
        ({"mixing": "gcv"}, InvalidInput, "give max_rounds=2 or 3"),
        ({"kernel": "linear", "gammas": [0.1]}, InvalidInput, "kernel 'linear' has no gamma"),
        ({"kernel_params": {"gamma": 1.0}, "gammas": [0.1]}, InvalidInput, "kernel_params holds 'gamma'"),
        ({"gammas": [0.1, 1], "criterion": Holdout(np.ones((1, 90)), [0.0])}, InvalidInput, "of one gamma"),
        ({"kernel": "linear", "relative_tolerances": [0.01]}, InfeasibleTolerance, "at or below the floor"),
    ):
        with pytest.raises(error, match=message):
            SelfDistilledKernelRegressorCV(**options).fit(*problem)
