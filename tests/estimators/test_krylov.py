"""Estimators by products with the kernel matrix, against the same by decomposition."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import (
    Folds,
    Holdout,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRegressor,
    SelfDistilledKernelRegressorCV,
    UnbiasedRisk,
)
from hilbertsd.distillation import chain, krylov_path
from hilbertsd.errors import CollapseWarning, InfeasibleTolerance, InvalidInput, MethodWarning, NotConverged
from hilbertsd.estimators import base
from hilbertsd.estimators import searched as searched_estimators

TOLERANCES = [0.15, 0.3, 0.5]


@pytest.fixture
def both():
    """An estimator by decomposition, and the same by products."""

    def make(kind=SelfDistilledKernelRegressor, **parameters):
        return tuple(kind(gamma=0.1, **parameters, method=method) for method in ("exact", "krylov"))

    return make


@pytest.fixture
def searched():
    """The same of an estimator that chooses."""

    def make(kind=SelfDistilledKernelRegressorCV, **parameters):
        parameters = {"gammas": [0.02, 0.1], "relative_tolerances": TOLERANCES, **parameters}
        return tuple(kind(**parameters, method=method) for method in ("exact", "krylov"))

    return make


def test_predictions_are_those_of_the_decomposition(problem, both):
    X, y = problem
    for parameters in ({"n_rounds": 2}, {"n_rounds": Folds(3)}, {"n_rounds": 3, "mixing": Folds(4, 1)}):
        exact, krylov = (model.fit(X, y) for model in both(**parameters))
        assert (exact.path_.method, krylov.path_.method) == ("exact", "krylov")
        assert exact.n_rounds_ == krylov.n_rounds_
        np.testing.assert_allclose(krylov.predict(X[:9] + 0.1), exact.predict(X[:9] + 0.1), rtol=1e-4)
        np.testing.assert_allclose(krylov.predict(X[:9], 0), exact.predict(X[:9], 0), rtol=1e-4)


def test_a_precomputed_kernel_is_multiplied_as_it_is(problem):
    X, y = problem
    kernel_matrix = rbf_kernel(X, gamma=0.1)
    model = SelfDistilledKernelRegressor("precomputed", method="krylov").fit(kernel_matrix, y)
    named = SelfDistilledKernelRegressor(gamma=0.1, method="krylov").fit(X, y)
    np.testing.assert_allclose(model.predict(kernel_matrix[:5]), named.predict(X[:5]), rtol=1e-6)


def test_folds_choose_as_they_do_with_a_decomposition(problem, searched):
    X, y = problem
    exact, krylov = (model.fit(X, y) for model in searched(criterion="folds"))
    assert krylov.gamma_ == exact.gamma_
    assert krylov.relative_tolerance_ == exact.relative_tolerance_
    assert krylov.n_rounds_ == exact.n_rounds_
    np.testing.assert_allclose(krylov.scores_, exact.scores_, rtol=1e-4)
    assert krylov.lowest_score_standard_error_ is None
    np.testing.assert_allclose(krylov.predict(X), exact.predict(X), rtol=1e-4)


def test_cross_validation_is_estimated_with_its_error(problem, searched):
    X, y = problem
    exact, krylov = (model.fit(X, y) for model in searched(criterion="gcv"))
    automatic = searched()[1].fit(X, y)
    assert automatic.lowest_score_ == krylov.lowest_score_
    assert 0 < krylov.lowest_score_standard_error_ < 0.2 * krylov.lowest_score_
    assert abs(krylov.lowest_score_ - exact.lowest_score_) < 4 * krylov.lowest_score_standard_error_
    assert exact.lowest_score_standard_error_ is None


def test_held_out_points_judge_as_they_are(problem, both):
    X, y = problem
    train, rest = np.arange(60), np.arange(60, 90)
    holdout = Holdout(rbf_kernel(X[rest], X[train], gamma=0.1), y[rest] - y[train].mean())
    exact, krylov = (model.fit(X[train], y[train]) for model in both(n_rounds=holdout))
    assert exact.n_rounds_ == krylov.n_rounds_
    np.testing.assert_allclose(krylov.predict(X), exact.predict(X), rtol=1e-4)


def test_classes_are_those_of_the_decomposition(problem, searched):
    X, y = problem
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    models = searched(
        SelfDistilledKernelClassifierCV, criterion="folds", max_rounds=2, mixing="folds", relative_tolerances=[0.5]
    )
    exact, krylov = (model.fit(X, labels) for model in models)
    np.testing.assert_allclose(krylov.decision_function(X), exact.decision_function(X), atol=1e-4)


def test_many_points_are_multiplied_where_no_criterion_needs_all_eigenvalues(problem, monkeypatch):
    X, y = problem
    assert SelfDistilledKernelRegressor().fit(X, y).path_.method == "exact"
    monkeypatch.setattr(chain, "LARGEST_EXACT", 80)
    for n_rounds, method in ((2, "krylov"), ("auto", "krylov"), ("gcv", "krylov"), ("loo", "exact"), ("sure", "exact")):
        model = SelfDistilledKernelRegressor(n_rounds=n_rounds, relative_tolerance=0.2).fit(X, y)
        assert model.path_.method == method
    # Where memory does not hold the matrix, it is computed for every product.
    known = model.fit(X, y).predict(X)
    monkeypatch.setattr(base, "fits_memory", lambda _: False)
    computed = SelfDistilledKernelRegressor(n_rounds=model.n_rounds_, relative_tolerance=0.2).fit(X, y)
    assert computed.path_.method == "krylov"
    np.testing.assert_allclose(computed.predict(X), known, rtol=1e-4)


def test_where_products_do_not_converge_auto_decomposes_and_says_so(problem, monkeypatch):
    X, y = problem
    monkeypatch.setattr(chain, "LARGEST_EXACT", 80)
    monkeypatch.setattr(krylov_path, "MOST_VECTORS", 20)
    with pytest.warns(MethodWarning, match="method='auto' decomposes the kernel matrix"):
        model = SelfDistilledKernelRegressor(gamma=0.1, relative_tolerance=0.05, n_rounds="gcv").fit(X, y)
    assert model.path_.method == "exact"


def test_a_search_multiplies_where_tolerances_are_given(problem, monkeypatch):
    X, y = problem
    monkeypatch.setattr(searched_estimators, "LARGEST_EXACT", 80)
    given = {"relative_tolerances": TOLERANCES, "max_rounds": 2}
    for parameters, method in ((given, "krylov"), ({**given, "criterion": "loo"}, "exact"), ({}, "exact")):
        assert SelfDistilledKernelRegressorCV(**parameters).fit(X, y).path_.method == method
    monkeypatch.setattr(searched_estimators, "fits_memory", lambda _: False)
    with pytest.raises(InvalidInput, match="give relative_tolerances above the share of noise"):
        SelfDistilledKernelRegressorCV().fit(X, y)


def test_tolerances_at_or_below_the_floor_are_left_out(problem, searched):
    X, y = problem
    X = np.round(X)  # equal points make the kernel singular
    exact, krylov = (
        model.fit(X, y) for model in searched(relative_tolerances=[1e-3, 0.3], max_rounds=3, criterion="folds")
    )
    assert krylov.relative_tolerance_ == exact.relative_tolerance_ == 0.3
    np.testing.assert_allclose(krylov.lowest_score_, exact.lowest_score_, rtol=1e-4)
    with pytest.raises(InfeasibleTolerance):
        searched(relative_tolerances=[1e-4, 1e-3])[1].fit(X, y)


def test_what_products_cannot_do_is_refused(problem, both, searched, monkeypatch):
    X, y = problem
    for wrong in ("loo", "sure", UnbiasedRisk(0.1)):
        with pytest.raises(InvalidInput, match=r"criterion .* needs all eigenvalues, which method='krylov' does not"):
            both(n_rounds=wrong)[1].fit(X, y)
    for wrong in ("loo", UnbiasedRisk(0.1)):
        with pytest.raises(InvalidInput, match="needs all eigenvalues"):
            searched(criterion=wrong)[1].fit(X, y)
    with pytest.raises(InvalidInput, match="method is 'lanczos'; give one of auto, exact, krylov"):
        SelfDistilledKernelRegressor(method="lanczos").fit(X, y)
    with pytest.warns(CollapseWarning, match="use a smaller relative_tolerance, or fewer rounds"):
        both(n_rounds=9, relative_tolerance=0.5)[1].fit(X, y)
    monkeypatch.setattr(krylov_path, "MOST_VECTORS", 20)
    with pytest.raises(NotConverged, match="method='exact'"):
        both(relative_tolerance=0.05)[1].fit(X, y)
