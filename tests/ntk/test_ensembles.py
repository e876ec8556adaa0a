"""The six uses against plain solves with explicit features, and what they must agree on."""

import mpmath
import numpy as np
import pytest
from scipy.linalg import expm

from hilbertsd import distill
from hilbertsd.errors import InvalidCrossKernel, InvalidInput, NotPositiveSemidefinite
from hilbertsd.ntk.ensembles import (
    DISTILLED,
    FILTERS,
    SIX_USES,
    Member,
    members_and_average,
    normalised,
    scores,
    six_uses,
)

GRID = [1e-3, 0.1, 5.0]


@pytest.fixture
def features(rng):
    """Features of L = 3 networks: (3, 27, p), of 20 training and 7 test samples; 12 are too few to interpolate."""
    return rng.normal(size=(3, 27, 12))


@pytest.fixture
def targets(rng):
    return np.eye(4)[rng.integers(4, size=20)] - 0.25


def kernels(features):
    return [f[:20] @ f[:20].T for f in features], [f[20:] @ f[:20].T for f in features]


def uses_of(train, cross, targets, multiples, family="ridge"):
    return six_uses(*members_and_average(zip(train, cross, strict=True)), targets, FILTERS[family], multiples)


def ridge_on(features, targets, multiple):
    """Train and test outputs of the weights that solve a ridge regression on explicit features."""
    X, X_test = features[:20], features[20:]
    penalty = multiple * np.sum(X**2) / len(X)
    weights = np.linalg.solve(X.T @ X + penalty * np.eye(X.shape[1]), X.T @ targets)
    return X @ weights, X_test @ weights


def flow_on(features, targets, multiple):
    """The same of weights that follow dw/ds = Xᵀ(y − Xw)/n from 0 for the time 1/c."""
    X, X_test = features[:20], features[20:]
    p, time = X.shape[1], 20 / (multiple * np.sum(X**2) / len(X))
    generator = np.zeros((p + targets.shape[1],) * 2)
    generator[:p, :p], generator[:p, p:] = -X.T @ X / 20, X.T @ targets / 20
    weights = expm(time * generator)[:p, p:]
    return X @ weights, X_test @ weights


@pytest.mark.parametrize(("family", "fit"), [("ridge", ridge_on), ("gradient flow", flow_on)])
def test_every_use_is_what_weights_on_explicit_features_give(features, targets, family, fit):
    uses = uses_of(*kernels(features), targets, GRID, family)
    assert tuple(uses) == SIX_USES
    joined = np.concatenate(features, axis=1) / np.sqrt(3)
    for i, teacher in enumerate(GRID):
        single = [fit(f, targets, teacher) for f in features]
        ensemble = np.mean([each[0] for each in single], axis=0)
        np.testing.assert_allclose(uses["single"][i], [each[1] for each in single], atol=1e-9)
        np.testing.assert_allclose(uses["ensemble"][i, 0], np.mean([each[1] for each in single], axis=0), atol=1e-9)
        np.testing.assert_allclose(uses["train the average"][i, 0], fit(joined, targets, teacher)[1], atol=1e-9)
        for j, student in enumerate(GRID):
            taught = [fit(f, ensemble, student)[1] for f in features]
            np.testing.assert_allclose(uses["knowledge distillation"][i, j], taught, atol=1e-9)
            np.testing.assert_allclose(uses["ensemble of the distilled"][i, j, 0], np.mean(taught, axis=0), atol=1e-9)
            by_next = [fit(features[m], single[(m + 1) % 3][0], student)[1] for m in range(3)]
            np.testing.assert_allclose(uses["self-distillation"][i, j], by_next, atol=1e-9)


def test_a_student_has_the_digits_that_mpmath_gives(features, targets):
    """Where a nearly interpolating student of few features multiplies rounding most."""
    uses = uses_of(*kernels(features[:1]), targets, [1e-3])
    with mpmath.workdps(40):
        X = mpmath.matrix(features[0, :20].tolist())
        gram = X * X.T
        ridge = mpmath.mpf(1e-3) * sum(gram[i, i] for i in range(20)) / 20 * mpmath.eye(20)
        taught = gram * mpmath.lu_solve(gram + ridge, mpmath.matrix(targets.tolist())[:, 0])
        dual = mpmath.lu_solve(gram + ridge, taught)
        expected = mpmath.matrix(features[0, 20:].tolist()) * (X.T * dual)
    np.testing.assert_allclose(
        uses["self-distillation"][0, 0, 0, :, 0], np.array(expected.tolist(), float).ravel(), rtol=1e-10
    )


def test_the_full_output_form_is_one_regression_over_images_and_classes(rng):
    """Every class has its own features of the same weights: outputs f(x)_c = ⟨w, φ(x, c)⟩."""
    features, targets = rng.normal(size=(9, 3, 5)), rng.normal(size=(6, 3))
    rows = features.reshape(27, 5)
    member = Member.from_grams(rows[:18] @ rows[:18].T, rows[18:] @ rows[:18].T)
    outputs = six_uses([member], member, targets.reshape(-1, 1), FILTERS["ridge"], [0.2])["single"]
    penalty = 0.2 * np.sum(rows[:18] ** 2) / 18 * np.eye(5)
    weights = np.linalg.solve(
        np.einsum("icp,icq->pq", features[:6], features[:6]) + penalty, np.einsum("icp,ic->p", features[:6], targets)
    )
    np.testing.assert_allclose(scores(outputs, 3)[0, 0], features[6:] @ weights, atol=1e-12)
    assert scores(np.zeros((2, 2, 4, 3, 5)), 5).shape == (2, 2, 4, 3, 5)


def test_normalised_kernels_are_those_of_features_over_their_norms(features):
    rows = features[0].copy()
    rows[[3, 22]] = 0
    train, cross = normalised(rows[:20] @ rows[:20].T, rows[20:] @ rows[:20].T, np.sum(rows[20:] ** 2, axis=1))
    norms = np.linalg.norm(rows, axis=1)
    rows = rows / np.where(norms > 0, norms, 1)[:, None]
    np.testing.assert_allclose(train, rows[:20] @ rows[:20].T, atol=1e-14)
    np.testing.assert_allclose(cross, rows[20:] @ rows[:20].T, atol=1e-14)
    assert np.delete(np.diag(train), 3) == pytest.approx(1)


def test_a_teacher_and_a_student_that_interpolate_change_nothing(rng, targets):
    many = rng.normal(size=(3, 27, 40))
    uses = uses_of(*kernels(many), targets, [1e-10, 0.3])
    for use in DISTILLED:
        np.testing.assert_allclose(uses[use][0], uses["single"], atol=1e-7)


def test_with_one_network_all_but_distilling_are_the_same(features, targets):
    uses = uses_of(*kernels(features[:1]), targets, GRID)
    for use in ("ensemble", "train the average"):
        np.testing.assert_allclose(uses[use], uses["single"], atol=1e-12)
    np.testing.assert_array_equal(uses["knowledge distillation"], uses["self-distillation"])


def test_one_network_into_itself_is_a_round_of_distillation(features, targets):
    train, cross = kernels(features[:1])
    uses = uses_of(train, cross, targets, [0.3])
    path = distill(train[0], targets, multiplier=0.3 * np.trace(train[0]) / 20**2, max_rounds=2)
    np.testing.assert_allclose(uses["single"][0, 0], path.predict(cross[0], 0), atol=1e-11)
    np.testing.assert_allclose(uses["self-distillation"][0, 0, 0], path.predict(cross[0], 1), atol=1e-11)


def test_the_average_is_a_mean_in_the_precision_of_the_kernels(features):
    """Of 15 features no other eigenvalue is left, as it is where rounding in single precision is taken at its word."""
    train, cross = ([values.astype("float32") for values in each] for each in kernels(features[:, :, :5]))
    members, average = members_and_average(zip(train, cross, strict=True))
    np.testing.assert_allclose(average.cross, np.mean([each.cross for each in members], axis=0), rtol=1e-5, atol=1e-6)
    assert average.eigenvalues.sum() == pytest.approx(np.mean([each.eigenvalues.sum() for each in members]))
    assert np.count_nonzero(average.eigenvalues) == 15


def test_bad_input_is_refused(features, targets):
    train, cross = kernels(features)
    with pytest.raises(InvalidInput, match=r"multiple is 0\.0"):
        uses_of(train, cross, targets, [0.1, 0.0])
    with pytest.raises(InvalidInput, match="a kernel is zero everywhere"):
        Member.from_grams(0 * train[0], cross[0])
    with pytest.raises(NotPositiveSemidefinite):
        Member.from_grams(-train[0], cross[0])
    with pytest.raises(InvalidCrossKernel, match="not finite"):
        Member.from_grams(train[0], cross[0] * np.nan)
