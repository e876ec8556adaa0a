"""The kernel g† whose plain ridge fit is round t, and its complexity."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import Spectrum, complexity, distill, greens, kernel_of_round
from hilbertsd.errors import InvalidCrossKernel, InvalidInput, InvalidRound

KERNELS = {
    "spline": greens.simply_supported_spline,
    "rbf": lambda x, t=None: rbf_kernel(x[:, None], None if t is None else t[:, None], gamma=40),
    "matern 1/2": lambda x, t=None: greens.matern(x, t, smoothness=0.5, length_scale=0.2),
    "matern 3/2": lambda x, t=None: greens.matern(x, t, smoothness=1.5, length_scale=0.2),
    "matern 5/2": lambda x, t=None: greens.matern(x, t, smoothness=2.5, length_scale=0.2),
}


@pytest.fixture(params=KERNELS)
def problem(request, rng):
    kernel = KERNELS[request.param]
    x, new = rng.uniform(size=45), rng.uniform(size=30)
    x[:2] = 0.0, 1.0  # where the spline's matrix is singular
    targets = np.stack([np.sin(7 * x), x**2], axis=1) + 0.2 * rng.normal(size=(45, 2))
    tolerance = Spectrum.from_kernel(kernel(x), targets).floor + 0.03
    return kernel(x), targets, kernel(new, x), tolerance


def test_plain_ridge_with_the_equivalent_kernel_is_the_round_at_new_points(problem):
    kernel_matrix, targets, cross_kernel, tolerance = problem
    path = distill(kernel_matrix, targets, tolerance=tolerance)
    assert path.n_rounds >= 3
    for t in range(path.n_rounds):
        equivalent = kernel_of_round(path, t)
        plain = KernelRidge(alpha=len(targets) * equivalent.multiplier, kernel="precomputed")
        plain.fit(equivalent.kernel_matrix, targets)
        predictions = plain.predict(equivalent.cross_kernel(cross_kernel))
        expected = path.predict(cross_kernel, t)
        assert np.abs(predictions - expected).max() <= 1e-8 * np.abs(expected).max()
        trained = plain.predict(equivalent.kernel_matrix)
        assert np.abs(trained - path.train_predictions(t)).max() <= 1e-8 * np.abs(targets).max()


def test_a_wrong_equivalent_kernel_does_not_pass(problem):
    kernel_matrix, targets, cross_kernel, tolerance = problem
    path = distill(kernel_matrix, targets, tolerance=tolerance)
    equivalent = kernel_of_round(path, 1)
    plain = KernelRidge(alpha=1.01 * len(targets) * equivalent.multiplier, kernel="precomputed")
    plain.fit(equivalent.kernel_matrix, targets)
    expected = path.predict(cross_kernel, 1)
    assert np.abs(plain.predict(equivalent.cross_kernel(cross_kernel)) - expected).max() > 1e-4 * np.abs(expected).max()


def test_round_0_is_the_kernel_itself(problem):
    kernel_matrix, targets, cross_kernel, tolerance = problem
    equivalent = kernel_of_round(distill(kernel_matrix, targets, tolerance=tolerance), 0)
    np.testing.assert_allclose(equivalent.kernel_matrix, kernel_matrix, atol=1e-12)
    np.testing.assert_allclose(equivalent.cross_kernel(cross_kernel), cross_kernel, atol=1e-12)


def test_eigenvalues_are_the_papers_formula(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, tolerance=0.2)
    d, c = path.eigenvalues, path.multipliers
    for t in range(path.n_rounds):
        published = c[0] / (np.prod((d + c[: t + 1, None]) / d, axis=0) - 1)
        np.testing.assert_allclose(kernel_of_round(path, t).eigenvalues, published, rtol=1e-8)
    assert kernel_of_round(path, -1).round == path.n_rounds - 1


def test_complexity_by_its_definitions_and_falling(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, tolerance=0.1)
    found = complexity(path, radius=3.0)
    n = len(kernel_matrix)
    for t in range(path.n_rounds):
        equivalent = kernel_of_round(path, t)
        assert found.rademacher[t] == pytest.approx(2 * 3 / n * np.sqrt(np.trace(equivalent.kernel_matrix)))
        falling = np.sort(equivalent.eigenvalues)[::-1]
        local = min(h / n + np.sqrt(falling[h:].sum() / n) for h in range(n + 1))
        assert found.local_rademacher[t] == pytest.approx(local)
        assert found.effective_dimension[t] == pytest.approx(path.basis_weights[t].sum())
    for series in (found.rademacher, found.local_rademacher, found.effective_dimension):
        assert np.all(np.diff(series) < 0)
    with pytest.raises(InvalidInput, match="radius is 0"):
        complexity(path, radius=0)


def test_rounds_that_are_zero_or_missing_are_refused(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, tolerance=0.3)
    with pytest.raises(InvalidRound, match="is the zero function: the path collapsed at round"):
        kernel_of_round(path, path.n_rounds)
    with pytest.raises(InvalidRound, match="give a whole number"):
        kernel_of_round(path, "first")
    with pytest.raises(InvalidCrossKernel):
        kernel_of_round(path, 0).cross_kernel(np.ones((2, 3)))


def test_jax_arrays_stay_jax_arrays(data):
    import jax
    import jax.numpy as jnp

    kernel_matrix, targets, cross_kernel = data
    with jax.enable_x64(True):
        path = distill(jnp.asarray(kernel_matrix), targets, tolerance=0.2)
        equivalent = kernel_of_round(path, 1)
        found = equivalent.cross_kernel(jnp.asarray(cross_kernel))
        assert isinstance(found, jax.Array)
        assert isinstance(equivalent.kernel_matrix, jax.Array)
        same = kernel_of_round(distill(kernel_matrix, targets, tolerance=0.2), 1)
        np.testing.assert_allclose(np.asarray(found), same.cross_kernel(cross_kernel), rtol=1e-7, atol=1e-10)
