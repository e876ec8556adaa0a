"""The estimators as scikit-learn's users use them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import clone
from sklearn.datasets import load_digits, make_regression
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from hilbertsd import (
    SelfDistilledKernelClassifier,
    SelfDistilledKernelRegressor,
    UnbiasedRisk,
    best_round,
    distill,
    greens,
    mix_rounds,
)
from hilbertsd.errors import (
    CollapseWarning,
    HilbertsdError,
    InfeasibleTolerance,
    InvalidInput,
    InvalidRound,
    InvalidTargets,
    InvalidTolerance,
    NotPositiveSemidefinite,
)


@parametrize_with_checks([SelfDistilledKernelRegressor(), SelfDistilledKernelClassifier()])
def test_scikit_learns_own_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's checks handle the warnings they care for
        check(estimator)


def test_one_round_is_kernel_ridge_at_the_same_training_error(problem):
    X, y = problem
    model = SelfDistilledKernelRegressor(gamma=0.2, relative_tolerance=0.2, n_rounds=1).fit(X, y)
    assert np.mean((model.predict(X) - y) ** 2) == pytest.approx(0.2 * np.var(y), rel=1e-10)
    ridge = KernelRidge(alpha=90 * model.path_.multipliers[0], kernel="rbf", gamma=0.2).fit(X, y - y.mean())
    np.testing.assert_allclose(model.predict(X[:9] + 0.1), ridge.predict(X[:9] + 0.1) + y.mean(), rtol=1e-9)


def test_further_rounds_refit_the_predictions(problem):
    X, y = problem
    model = SelfDistilledKernelRegressor(gamma=0.2, relative_tolerance=0.1, n_rounds=3).fit(X, y)
    kernel, current = rbf_kernel(X, gamma=0.2), y - y.mean()
    stages = list(model.staged_predict(X))
    for c, stage in zip(model.path_.multipliers, stages, strict=True):
        current = kernel @ cho_solve(cho_factor(kernel + 90 * c * np.eye(90)), current)
        np.testing.assert_allclose(stage, current + y.mean(), rtol=1e-8)
    np.testing.assert_array_equal(stages[-1], model.predict(X))


def test_multi_output_shares_one_constraint(problem, rng):
    X, y = problem
    Y = np.stack([y, 3 * X[:, 2] + rng.normal(size=90)], axis=1)
    model = SelfDistilledKernelRegressor(relative_tolerance=0.3, n_rounds=1).fit(X, Y)
    assert model.predict(X[:5]).shape == (5, 2)
    residual = np.sum((model.predict(X) - Y) ** 2) / 90
    assert residual == pytest.approx(0.3 * np.sum((Y - Y.mean(axis=0)) ** 2) / 90, rel=1e-10)
    np.testing.assert_allclose(model.intercept_, Y.mean(axis=0))


def test_precomputed_and_callable_kernels_agree_with_the_named_one(problem):
    X, y = problem
    named = SelfDistilledKernelRegressor(gamma=0.2).fit(X, y)
    kernel = rbf_kernel(X, gamma=0.2)
    precomputed = SelfDistilledKernelRegressor(kernel="precomputed").fit(kernel, y)
    called = SelfDistilledKernelRegressor(kernel=rbf_kernel, kernel_params={"gamma": 0.2}).fit(X, y)
    np.testing.assert_allclose(precomputed.predict(kernel[:4]), named.predict(X[:4]))
    np.testing.assert_allclose(called.predict(X[:4]), named.predict(X[:4]))
    green = SelfDistilledKernelRegressor(kernel=greens.matern, kernel_params={"smoothness": 2.5}).fit(X, y)
    assert green.score(X, y) > 0.6


def test_precomputed_float32_kernels_keep_their_precision():
    """Rounding leaves negative eigenvalues that float32 explains and float64 would not."""
    X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    kernel = rbf_kernel(X, gamma=0.01)
    assert kernel.dtype == np.float32
    noisy = kernel + np.float32(2e-5) * np.diag(np.tile([1, -1], 150)).astype(np.float32)
    assert np.linalg.eigvalsh(noisy.astype(float)).min() < -1.5e-8 * 300
    model = SelfDistilledKernelRegressor(kernel="precomputed", relative_tolerance=0.3, n_rounds=1)
    assert model.fit(noisy, X[:, 0]).path_.spectrum.clipped > 0
    with pytest.raises(NotPositiveSemidefinite, match="as float32"):
        model.fit(noisy.astype(float), X[:, 0])


def test_a_constant_output_among_others_is_fitted_by_its_mean(problem):
    X, y = problem
    model = SelfDistilledKernelRegressor().fit(X, np.c_[y, np.full(90, 1e6 / 3)])
    np.testing.assert_allclose(model.predict(X)[:, 1], 1e6 / 3, rtol=1e-14)
    with pytest.raises(InvalidTargets, match="all 90 targets equal 5, 333333"):
        model.fit(X, np.c_[np.full(90, 5.0), np.full(90, 1e6 / 3)])


def test_without_intercept_nothing_is_centred(problem):
    X, y = problem
    model = SelfDistilledKernelRegressor(gamma=0.2, relative_tolerance=0.1, n_rounds=1, fit_intercept=False).fit(X, y)
    assert model.intercept_ == 0
    assert np.mean((model.predict(X) - y) ** 2) == pytest.approx(0.1 * np.mean(y**2), rel=1e-10)


def test_grid_search_pipeline_clone_pandas_and_set_output(problem):
    X, y = problem
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    pipeline = make_pipeline(StandardScaler(), SelfDistilledKernelRegressor()).set_output(transform="pandas")
    grid = {
        "selfdistilledkernelregressor__relative_tolerance": [0.1, 0.2],
        "selfdistilledkernelregressor__n_rounds": [1, 2],
    }
    search = GridSearchCV(pipeline, grid, error_score="raise").fit(frame, pd.Series(y))
    assert set(search.best_params_) == set(grid)
    best = search.best_estimator_[-1]
    assert best.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert clone(best).get_params() == best.get_params()
    kernels = SelfDistilledKernelRegressor(kernel="precomputed", relative_tolerance=0.2)
    assert np.all(np.isfinite(cross_val_score(kernels, rbf_kernel(X), y)))  # splits rows and columns


def test_classification_by_one_hot_targets():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))[:900]
    X, labels = X[order] / 16, np.array([f"digit {k}" for k in y[order]])
    model = SelfDistilledKernelClassifier(gamma=0.05, relative_tolerance=0.05).fit(X[:600], labels[:600])
    assert model.score(X[600:], labels[600:]) > 0.93
    assert model.decision_function(X[600:]).shape == (300, 10)
    stages = list(model.staged_predict(X[600:]))
    np.testing.assert_array_equal(stages[-1], model.predict(X[600:]))
    np.testing.assert_array_equal(list(model.staged_decision_function(X))[-1], model.decision_function(X))
    assert not hasattr(model, "predict_proba")


def test_two_classes_have_one_score(problem):
    X, y = problem
    labels = np.where(y > np.median(y), "high", "low")
    model = SelfDistilledKernelClassifier().fit(X, labels)
    scores = model.decision_function(X)
    assert scores.shape == (90,)
    np.testing.assert_array_equal(model.predict(X), model.classes_[(scores > 0).astype(int)])


def test_collapse_before_the_last_round_predicts_the_mean_and_says_what_would_not(problem):
    X, y = problem
    with pytest.warns(CollapseWarning, match="largest relative_tolerance that would not is") as record:
        model = SelfDistilledKernelRegressor(relative_tolerance=0.5, n_rounds=6).fit(X, y)
    assert record[0].filename == __file__
    np.testing.assert_array_equal(model.predict(X), np.full(90, y.mean()))
    assert len(list(model.staged_predict(X))) == 6
    largest = float(str(record[0].message).split()[-1])
    assert SelfDistilledKernelRegressor(relative_tolerance=0.999 * largest, n_rounds=6).fit(X, y).path_.n_rounds == 6
    with pytest.warns(CollapseWarning, match=r"after 0 of n_rounds=2 .* is 0\.\d+"):
        SelfDistilledKernelRegressor(relative_tolerance=1.5).fit(X, y)
    with pytest.warns(CollapseWarning, match="no relative_tolerance above the floor gives 9 rounds: use fewer"):
        SelfDistilledKernelRegressor(kernel="linear", relative_tolerance=0.999, n_rounds=9).fit(X[:, :1], X[:, 1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"relative_tolerance": 0}, InvalidTolerance, "relative_tolerance is 0"),
        ({"relative_tolerance": np.nan}, InvalidTolerance, "relative_tolerance is nan"),
        ({"n_rounds": 0}, InvalidTolerance, "n_rounds is 0"),
        ({"n_rounds": 1.5}, InvalidTolerance, r"n_rounds is 1\.5"),
        ({"n_rounds": "aic"}, InvalidInput, "n_rounds is 'aic'; give one of auto, loo, folds, gcv, sure"),
        ({"mixing": "aic"}, InvalidInput, "mixing is 'aic'; give one of auto, loo, folds, gcv, sure"),
        ({"mixing": True}, InvalidInput, "mixing is True"),
        (
            {"mixing": "gcv", "n_rounds": "gcv"},
            InvalidInput,
            "mixing='gcv' mixes all rounds.*'gcv' chooses",
        ),
        ({"kernel": "gauss"}, InvalidInput, "kernel is 'gauss'; give one of precomputed.*rbf"),
        ({"kernel": ["rbf"]}, InvalidInput, r"kernel is \['rbf'\]"),
        ({"relative_tolerance": "0.1"}, InvalidTolerance, "relative_tolerance is '0.1'"),
        (
            {"kernel": "linear", "relative_tolerance": 0.01},
            InfeasibleTolerance,
            r"\(0\.01 of the targets' mean square\) .*floor .* \(0\.\d+ of it\).*higher rank",
        ),
        ({"kernel": "sigmoid", "gamma": 2.0}, NotPositiveSemidefinite, "indefinite"),
        ({"kernel": "chi2"}, InvalidInput, "negative"),
        ({"kernel": "precomputed"}, InvalidInput, r"square|shape"),
        ({"kernel_params": {"gama": 50.0}}, InvalidInput, "kernel_params holds 'gama'; kernel 'rbf' .*: gamma$"),
        (
            {"kernel": "poly", "kernel_params": {"gamma": 1.0, "order": 2}},
            InvalidInput,
            "kernel_params holds 'order'; kernel 'poly' has the parameters: coef0, degree, gamma",
        ),
        ({"kernel": "linear", "kernel_params": {"gamma": 1.0}}, InvalidInput, "holds 'gamma'; .* parameters: none"),
        ({"kernel": "gauss", "kernel_params": {"gama": 1.0}}, InvalidInput, "kernel is 'gauss'"),
    ],
)
def test_bad_settings_are_refused(problem, options, error, message):
    with pytest.raises(error, match=message):
        SelfDistilledKernelRegressor(**options).fit(*problem)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((1, 2)), [1.0], "n_samples=1"),
        (np.ones((0, 2)), [], "0 sample"),
        (np.ones((3, 2)), [1.0, 2.0], "inconsistent numbers of samples"),
        (np.eye(3), [2.0, 2.0, 2.0], "all 3 targets equal 2"),
        (np.eye(3), [0.1, 0.1, 0.1], "all 3 targets equal 0.1"),
        (np.eye(3) * np.nan, [1.0, 2.0, 3.0], "NaN"),
        (np.eye(3), None, "y is None"),
    ],
)
def test_bad_data_is_refused_with_one_kind_of_error(X, y, message):
    with pytest.raises(HilbertsdError, match=message):
        SelfDistilledKernelRegressor().fit(X, y)


def test_targets_that_are_text_are_refused():
    for text in (["a", "b", "c"], np.array(["a", "b", "c"], dtype=object), np.array([1 + 1j, 0, 2])):
        with pytest.raises(InvalidInput):
            SelfDistilledKernelRegressor().fit(np.eye(3), text)
    with pytest.raises(InvalidTargets, match="y has dtype <U1; give real numbers"):
        SelfDistilledKernelRegressor().fit(np.eye(3), ["a"] * 3)


def test_parameters_of_a_named_kernel_reach_it(problem):
    X, y = problem
    direct = SelfDistilledKernelRegressor(gamma=0.2).fit(X, y).predict(X)
    further = SelfDistilledKernelRegressor(kernel_params={"gamma": 0.2}).fit(X, y).predict(X)
    np.testing.assert_array_equal(further, direct)


def advertised_kernels():
    """Names that the message for an unknown kernel gives."""
    with pytest.raises(InvalidInput) as caught:
        SelfDistilledKernelRegressor(kernel="gauss").fit(np.eye(3), [1.0, 2.0, 4.0])
    return str(caught.value).split("one of ")[1].split(", ")


@pytest.mark.parametrize("name", advertised_kernels())
def test_every_advertised_kernel_fits_with_its_defaults(problem, name):
    """Two of scikit-learn's kernels are not positive semidefinite, and are refused as such."""
    X, y = problem
    X = np.abs(X) + 0.1
    model = SelfDistilledKernelRegressor(kernel=name, relative_tolerance=0.95, n_rounds=1)
    inputs = rbf_kernel(X) if name == "precomputed" else X
    if name in ("additive_chi2", "sigmoid"):
        with pytest.raises(NotPositiveSemidefinite, match="indefinite"):
            model.fit(inputs, y)
    else:
        assert np.all(np.isfinite(model.fit(inputs, y).predict(inputs)))


def test_one_class_is_refused():
    with pytest.raises(InvalidTargets, match="1 class"):
        SelfDistilledKernelClassifier().fit(np.eye(3), ["a", "a", "a"])
    with pytest.raises(InvalidTargets, match="continuous"):
        SelfDistilledKernelClassifier().fit(np.eye(3), [0.5, 1.5, 2.25])


def test_it_generalises_on_a_plain_regression_problem():
    X, y = make_regression(300, 5, noise=5, random_state=0)
    model = make_pipeline(StandardScaler(), SelfDistilledKernelRegressor(gamma=0.02, relative_tolerance=0.01))
    assert cross_val_score(model, X, y).mean() > 0.9


@pytest.mark.parametrize("kind", [SelfDistilledKernelRegressor, SelfDistilledKernelClassifier])
def test_the_name_that_the_fraction_had_is_refused_with_the_new_one(kind, problem):
    X, y = problem[0], (problem[1] > 5).astype(int)
    new = "named relative_tolerance=0.4 since"
    with pytest.raises(InvalidTolerance, match=new):
        kind(tolerance=0.4)
    with pytest.raises(InvalidTolerance, match=new):
        kind().set_params(tolerance=0.4)
    with pytest.raises(InvalidTolerance, match=new):
        GridSearchCV(make_pipeline(kind()), {kind.__name__.lower() + "__tolerance": [0.4]}).fit(X, y)
    model = kind()
    model.tolerance = 0.4
    with pytest.raises(InvalidTolerance, match=new):
        model.fit(X, y)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tolerence'"):
        kind(tolerence=0.4)
    assert "relative_tolerance" in kind().get_params()


def test_rounds_are_those_of_the_path(problem):
    X, y = problem
    model = SelfDistilledKernelRegressor(relative_tolerance=0.02, n_rounds=3).fit(X, y)
    stages = list(model.staged_predict(X))
    assert [row["round"] for row in model.path_.rows()] == [0, 1, 2]
    for row, stage in zip(model.path_.rows(), stages, strict=True):
        np.testing.assert_array_equal(model.predict(X, round=row["round"]), stage)
    np.testing.assert_array_equal(model.predict(X, round=-1), stages[-1])
    with pytest.raises(InvalidRound, match=r"round 3 was not computed: .* \(n_rounds of an estimator\)"):
        model.predict(X, round=3)
    labels = (y > np.median(y)).astype(int)
    classifier = SelfDistilledKernelClassifier(relative_tolerance=0.02, n_rounds=3).fit(X, labels)
    first = next(classifier.staged_decision_function(X))
    np.testing.assert_array_equal(classifier.decision_function(X, round=0), first)
    np.testing.assert_array_equal(classifier.predict(X, round=0), (first > 0).astype(int))


def test_a_round_beyond_collapse_is_the_mean_with_one_warning(problem):
    X, y = problem
    with pytest.warns(CollapseWarning, match="collapses at round"):
        model = SelfDistilledKernelRegressor(relative_tolerance=0.5, n_rounds=9).fit(X, y)
    T = model.path_.n_rounds
    assert model.predict(X, round=T - 1).std() > 0
    with pytest.warns(CollapseWarning, match=f"collapse at round {T}: from there on") as record:
        np.testing.assert_array_equal(model.predict(X, round=T), np.full(90, y.mean()))
    assert len(record) == 1
    np.testing.assert_array_equal(model.predict(X), np.full(90, y.mean()))  # what fit has said is not said again


@pytest.mark.parametrize("name", ["auto", "loo", "gcv", "folds", "sure"])
def test_rounds_are_chosen_by_a_criterion_among_all_until_collapse(problem, name):
    X, y = problem
    model = SelfDistilledKernelRegressor(gamma=0.2, relative_tolerance=0.1, n_rounds=name).fit(X, y)
    path = distill(rbf_kernel(X, gamma=0.2), y - y.mean(), relative_tolerance=0.1)
    best = best_round(path, "loo" if name == "auto" else name)
    assert model.n_rounds_ == best + 1
    assert model.path_.collapse_round == path.collapse_round
    np.testing.assert_allclose(model.predict(X), path.train_predictions(best) + y.mean(), rtol=1e-9)
    assert len(list(model.staged_predict(X))) == best + 1
    np.testing.assert_array_equal(model.predict(X, round=-1), model.predict(X))
    labels = (y > 6).astype(int)
    classifier = SelfDistilledKernelClassifier(relative_tolerance=0.3, n_rounds=name).fit(X, labels)
    assert 1 <= classifier.n_rounds_ <= classifier.path_.n_rounds


def test_chosen_rounds_where_there_is_none_are_the_intercept(problem):
    with pytest.warns(CollapseWarning, match=r"after 0 of n_rounds=1"):
        model = SelfDistilledKernelRegressor(relative_tolerance=1.5, n_rounds="auto", mixing=None).fit(*problem)
    np.testing.assert_array_equal(model.predict(problem[0]), np.full(90, problem[1].mean()))


def test_mixing_predicts_with_the_best_weighted_sum(problem):
    X, y = problem
    for name in ("auto", "gcv", UnbiasedRisk(0.1)):
        model = SelfDistilledKernelRegressor(gamma=0.2, relative_tolerance=0.1, n_rounds=3, mixing=name).fit(X, y)
        expected = mix_rounds(model.path_, criterion="loo" if name == "auto" else name)
        assert model.mixture_ is not None
        np.testing.assert_array_equal(model.mixture_.weights, expected.weights)
        fits = np.array(list(model.staged_predict(X)))
        np.testing.assert_allclose(model.predict(X), expected.weights @ fits, rtol=1e-9)
        np.testing.assert_allclose(model.predict(X, round=1), fits[1])
    plain = SelfDistilledKernelRegressor(gamma=0.2, relative_tolerance=0.1, n_rounds=3).fit(X, y)
    assert plain.mixture_ is None
    # A path that collapses before n_rounds has a mixture all the same.
    few = SelfDistilledKernelRegressor(relative_tolerance=0.5, n_rounds=6, mixing="gcv").fit(X, y)
    assert few.predict(X).std() > 0.05
    scores = SelfDistilledKernelClassifier(relative_tolerance=0.3, n_rounds=2, mixing="gcv").fit(X, y > 6)
    assert scores.decision_function(X).shape == (90,)
