"""Spectral filters against the procedures they stand for."""

import numpy as np
import pytest

from hilbertsd import Spectrum, distill, filters
from hilbertsd.errors import InfeasibleTolerance, InvalidInput, InvalidRound, InvalidTolerance, NotConverged


@pytest.fixture
def spectrum(data):
    return Spectrum.from_kernel(data[0], data[1])


def predicted(spectrum, member, cross_kernel):
    return filters.FilteredFit(spectrum, member).predict(cross_kernel)


def test_ridge_is_kernel_ridge(data, spectrum):
    from sklearn.kernel_ridge import KernelRidge

    kernel_matrix, targets, cross_kernel = data
    plain = KernelRidge(alpha=0.02 * len(targets), kernel="precomputed").fit(kernel_matrix, targets)
    found = predicted(spectrum, filters.ridge(0.02), cross_kernel)
    np.testing.assert_allclose(found, plain.predict(cross_kernel), rtol=1e-9, atol=1e-12)
    fit = filters.FilteredFit(spectrum, filters.ridge(0.02))
    np.testing.assert_allclose(fit.train_predictions(), plain.predict(kernel_matrix), rtol=1e-9, atol=1e-12)
    residuals = targets - plain.predict(kernel_matrix)
    assert fit.training_error == pytest.approx(np.sum(residuals**2) / len(targets))


def test_distillation_is_the_path(data, spectrum):
    kernel_matrix, targets, cross_kernel = data
    path = distill(kernel_matrix, targets, tolerance=0.2)
    for t in range(path.n_rounds):
        member = filters.distillation(path.multipliers[: t + 1])
        expected = path.predict(cross_kernel, t)
        np.testing.assert_allclose(predicted(spectrum, member, cross_kernel), expected, rtol=1e-10, atol=1e-13)
        assert filters.FilteredFit(spectrum, member).effective_dimension == pytest.approx(path.basis_weights[t].sum())


def test_iterated_tikhonov_fits_residuals(data, spectrum):
    kernel_matrix, targets, cross_kernel = data
    n, c = len(targets), 0.05
    dual = np.zeros_like(targets)
    for _ in range(4):
        dual += np.linalg.solve(kernel_matrix + n * c * np.eye(n), targets - kernel_matrix @ dual)
    found = predicted(spectrum, filters.iterated_tikhonov(c, 4), cross_kernel)
    np.testing.assert_allclose(found, cross_kernel @ dual, rtol=1e-8, atol=1e-11)
    one = filters.iterated_tikhonov(c, 1).weights(spectrum.eigenvalues)
    np.testing.assert_allclose(one, filters.ridge(c).weights(spectrum.eigenvalues), rtol=1e-12)


def test_gradient_flow_is_the_limit_of_small_steps(data, spectrum):
    kernel_matrix, targets, cross_kernel = data
    n, time, steps = len(targets), 20.0, 20_000
    dual = np.zeros_like(targets)
    for _ in range(steps):
        dual += time / steps * (targets - kernel_matrix @ dual) / n
    found = predicted(spectrum, filters.gradient_flow(time), cross_kernel)
    np.testing.assert_allclose(found, cross_kernel @ dual, atol=2e-3 * np.abs(found).max())


def test_truncation_is_principal_component_regression(data, spectrum):
    kernel_matrix, targets, cross_kernel = data
    values, vectors = np.linalg.eigh(kernel_matrix)
    kept = vectors[:, -5:]
    expected = cross_kernel @ kept @ ((kept.T @ targets) / values[-5:, None])
    threshold = (values[-5] + values[-6]) / 2 / len(targets)
    found = predicted(spectrum, filters.truncation(threshold), cross_kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


FAMILIES = [
    filters.ridge,
    lambda s: filters.distillation([s, 2 * s, 5 * s]),
    lambda s: filters.iterated_tikhonov(s, 3),
    filters.gradient_flow,
    filters.truncation,
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strength", [1e-304, 1e-3, 1.0, 1e304])
def test_both_forms_agree_and_zero_eigenvalues_are_harmless(family, strength):
    d = np.array([0.0, 1e-300, 1e-12, 1e-3, 1.0, 1e5])
    member = family(strength)
    weights, over = member.weights(d), member.over_eigenvalues(d)
    assert np.all((weights >= 0) & (weights <= 1))
    assert weights[0] == 0
    assert not np.any(np.isnan(over))
    finite = np.isfinite(over)
    np.testing.assert_allclose((over * d)[finite], weights[finite], rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f is not filters.truncation])
def test_matching_gives_the_training_error(spectrum, family):
    for share in (0.05, 0.5, 0.99):
        error = share * spectrum.target_mean_square
        member = filters.match_training_error(spectrum, family, error)
        assert filters.FilteredFit(spectrum, member).training_error == pytest.approx(error, rel=1e-9)


def test_kernels_with_large_values_are_matched(rng):
    x = 100 * rng.normal(size=(20, 3))
    spectrum = Spectrum.from_kernel((1 + x @ x.T) ** 2, x[:, 0] + rng.normal(size=20))
    error = 0.5 * (spectrum.target_mean_square + spectrum.floor)
    for family in FAMILIES[:1] + FAMILIES[2:4]:
        member = filters.match_training_error(spectrum, family, error)
        assert filters.FilteredFit(spectrum, member).training_error == pytest.approx(error, rel=1e-9)


def test_matched_truncation_is_the_shortest_that_fits(spectrum):
    for share in (0.3, 0.6, 0.9):
        error = share * spectrum.target_mean_square
        fit = filters.FilteredFit(spectrum, filters.match_training_error(spectrum, filters.truncation, error))
        kept = int(fit.effective_dimension)
        assert fit.training_error <= error
        assert spectrum.energies[: len(spectrum.energies) - kept + 1].sum() > error


def test_bad_arguments_are_refused(spectrum):
    for call in (
        lambda: filters.ridge(0),
        lambda: filters.distillation([]),
        lambda: filters.distillation([0.1, -1]),
        lambda: filters.iterated_tikhonov(0.1, 0),
        lambda: filters.gradient_flow(-1),
        lambda: filters.truncation(np.nan),
        lambda: filters.match_training_error(spectrum, filters.ridge, 0),
    ):
        with pytest.raises(InvalidTolerance):
            call()
    with pytest.raises(InfeasibleTolerance, match="not below the targets' mean square"):
        filters.match_training_error(spectrum, filters.ridge, 2 * spectrum.target_mean_square)
    with pytest.raises(InvalidInput, match="monotone"):
        filters.match_training_error(spectrum, lambda _: filters.ridge(1.0), 0.5 * spectrum.target_mean_square)


@pytest.mark.parametrize("tolerance", [0.02, 0.2])
def test_a_chain_of_ridges_is_the_path(data, spectrum, tolerance):
    kernel_matrix, targets, cross_kernel = data
    path = distill(kernel_matrix, targets, tolerance=tolerance)
    chain = filters.filter_chain(spectrum, filters.ridge, tolerance=tolerance)
    assert (chain.n_rounds, chain.collapse_round) == (path.n_rounds, path.collapse_round)
    np.testing.assert_allclose(chain.strengths, path.multipliers, rtol=1e-10)
    np.testing.assert_allclose(chain.basis_weights, path.basis_weights, rtol=1e-9)
    np.testing.assert_allclose(chain.target_mean_squares, path.target_mean_squares, rtol=1e-10)
    for t in range(path.n_rounds):
        np.testing.assert_allclose(chain.predict(cross_kernel, t), path.predict(cross_kernel, t), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(chain.train_predictions(t), path.train_predictions(t), rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(chain.predict(cross_kernel), chain.predict(cross_kernel, chain.n_rounds - 1))


def test_a_chain_of_gradient_flows_stops_each_at_the_tolerance(data):
    """The same chain by explicit small steps on dual coefficients, each round from zero to the predictions before."""
    kernel_matrix, targets, cross_kernel = data
    tolerance, step = 0.2, 0.002
    chain = filters.filter_chain(
        Spectrum.from_kernel(kernel_matrix, targets), filters.gradient_flow, tolerance=tolerance
    )
    n, current = len(targets), targets
    for t in range(chain.n_rounds):
        dual, taken = np.zeros_like(targets), 0
        while np.sum((residual := current - kernel_matrix @ dual) ** 2) / n > tolerance:
            dual += step * residual / n
            taken += 1
        assert chain.strengths[t] == pytest.approx(taken * step, rel=0.02)
        np.testing.assert_allclose(chain.predict(cross_kernel, t), cross_kernel @ dual, atol=0.02)
        assert chain.fit(t).training_error == pytest.approx(tolerance, rel=1e-9)
        current = kernel_matrix @ dual
    assert np.sum(current**2) / n <= tolerance * 1.02
    assert chain.collapse_round == chain.n_rounds > 2


def test_a_chain_ends_as_it_is_told(spectrum):
    mean_square = spectrum.target_mean_square
    short = filters.filter_chain(spectrum, filters.ridge, tolerance=0.1, max_rounds=2)
    assert (short.n_rounds, short.collapse_round) == (2, None)
    none = filters.filter_chain(spectrum, filters.ridge, tolerance=mean_square)
    assert (none.n_rounds, none.collapse_round) == (0, 0)
    assert none.basis_weights.shape == (0, len(spectrum.eigenvalues))
    np.testing.assert_allclose(none.target_mean_squares, [mean_square])
    for chain, wrong in ((short, 2), (short, -3), (short, 0.5), (none, 0), (none, -1)):
        with pytest.raises(InvalidRound, match="give a whole number"):
            chain.fit(wrong)
    for wrong in ({"tolerance": 0}, {"tolerance": 0.1, "max_rounds": 0}):
        with pytest.raises(InvalidTolerance):
            filters.filter_chain(spectrum, filters.ridge, **wrong)


def test_a_chain_that_cannot_shrink_its_targets_is_refused():
    spectrum = Spectrum.from_kernel(np.diag([1.0, 2.0, 3.0]), np.array([0.1, 0.1, 2.0]))
    with pytest.raises(NotConverged, match=r"round 1 with truncation keeps its targets whole"):
        filters.filter_chain(spectrum, filters.truncation, tolerance=0.1)
    chain = filters.filter_chain(spectrum, filters.truncation, tolerance=0.1, max_rounds=3)
    np.testing.assert_array_equal(chain.basis_weights, [[0, 0, 1]] * 3)
