"""Leave-one-out of a whole chain against refitting it without each point."""

import tracemalloc
import warnings

import mpmath
import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import Spectrum, distill, distill_spectrum, greens, leave_one_out, leave_one_out_errors
from hilbertsd.analysis import cross_validation
from hilbertsd.errors import CollapseWarning, InvalidInput, InvalidRound
from hilbertsd.gram.operators import ComputedKernel

EPSILON = np.finfo(float).eps

KERNELS = {
    "spline, singular": lambda x: greens.simply_supported_spline(np.append(x[:-2], [0.0, 1.0])),
    "rbf": lambda x: rbf_kernel(x[:, None], gamma=40),
    "matern 3/2": lambda x: greens.matern(x, smoothness=1.5, length_scale=0.2),
    "duplicate points": lambda x: greens.matern(np.where(np.arange(len(x)) < 3, x[0], x), smoothness=0.5),
    "rank 2": lambda x: 1 + np.outer(x, x),
}


def refitted(kernel_matrix, targets, multipliers):
    """Chain of linear solves without each point in turn, with the path's n c_t."""
    n = len(kernel_matrix)
    predictions = np.empty_like(targets)
    for i in range(n):
        others = np.arange(n) != i
        part, current, at_i = kernel_matrix[np.ix_(others, others)], targets[others], 0.0
        for c in multipliers:
            alpha = np.linalg.solve(n * c * np.eye(n - 1) + part, current)
            current, at_i = part @ alpha, kernel_matrix[i, others] @ alpha
        predictions[i] = at_i
    return predictions


def allowed(path):
    """1e-10, and beyond a condition number of 4,500 what rounding of the kernel matrix does to either way (100 ε κ).

    Over n = 12 to 30, 458 fits: at most 31 ε κ, and 2.8e-12 where κ is below 1e5.
    """
    d = path.eigenvalues
    return max(1e-10, 100 * EPSILON * (path.multipliers[0] + d[-1]) / (path.multipliers[0] + d[0]))


def distance(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.fixture(params=KERNELS)
def problem(request, rng):
    n = 12 + 4 * list(KERNELS).index(request.param)
    x = rng.uniform(size=n)
    targets = np.stack([np.sin(7 * x), x**2, np.ones(n)], axis=1) + 0.2 * rng.normal(size=(n, 3))
    kernel_matrix = KERNELS[request.param](x)
    spectrum = Spectrum.from_kernel(kernel_matrix, targets)
    return kernel_matrix, targets, spectrum


def paths(spectrum):
    floor, mean_square = spectrum.floor, spectrum.target_mean_square
    for share in (0.01, 0.1, 0.5):
        yield distill_spectrum(spectrum, tolerance=floor + share * (mean_square - floor), max_rounds=7)
    for share in (1e-4, 0.1):
        yield distill_spectrum(spectrum, multiplier=share * spectrum.eigenvalues[-1], max_rounds=7)


def test_every_round_is_the_chain_refitted_without_the_point(problem):
    kernel_matrix, targets, spectrum = problem
    rounds = 0
    for path in paths(spectrum):
        for t in range(path.n_rounds):
            expected = refitted(kernel_matrix, targets, path.multipliers[: t + 1])
            assert distance(leave_one_out(path, t), expected) <= allowed(path)
            rounds = max(rounds, t)
        np.testing.assert_array_equal(leave_one_out(path), leave_one_out(path, path.n_rounds - 1))
    assert rounds == 6


def test_multipliers_off_by_one_percent_are_noticed(problem):
    kernel_matrix, targets, spectrum = problem
    for path in paths(spectrum):
        for t in range(path.n_rounds):
            off = path.multipliers[: t + 1].copy()
            off[t // 2] *= 1.01
            wrong = distance(leave_one_out(path, t), refitted(kernel_matrix, targets, off))
            assert wrong > max(1e-6, 10 * allowed(path))


def test_leaving_the_point_out_of_the_last_round_alone_is_something_else(problem):
    _, _, spectrum = problem
    for path in paths(spectrum):
        if path.n_rounds < 2:
            continue
        smoother = spectrum.basis * path.shrinkage[1] @ spectrum.basis.T
        before, after, h = path.train_predictions(0), path.train_predictions(1), np.diag(smoother)[:, None]
        assert distance(leave_one_out(path, 1), before - (before - after) / (1 - h)) > 1e-3


def test_it_is_distillation_of_the_others_with_the_multiplier_scaled(rng):
    n, rounds = 20, 4
    x = rng.uniform(size=n)
    y, kernel_matrix = np.sin(7 * x) + 0.2 * rng.normal(size=n), KERNELS["matern 3/2"](x)
    found = leave_one_out(distill(kernel_matrix, y, multiplier=0.03, max_rounds=rounds))
    assert found.shape == (n,)
    for i in range(n):
        others = np.arange(n) != i
        part = kernel_matrix[np.ix_(others, others)]
        path = distill(part, y[others], multiplier=0.03 * n / (n - 1), max_rounds=rounds)
        assert path.predict(kernel_matrix[i : i + 1, others])[0] == pytest.approx(found[i], rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("c", [1e-13, 1e-6, 1.0])
def test_small_multipliers_keep_their_digits(c, rng):
    """Against 50 digits. V is a Hadamard matrix, exactly orthogonal: no decomposition adds rounding of its own."""
    n, rounds = 16, 4
    hadamard = np.ones((1, 1))
    while len(hadamard) < n:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    basis, d, z = hadamard / 4, np.geomspace(1e-10, 1, n), rng.normal(size=(n, 1))
    path = distill_spectrum(Spectrum(d, z, basis, True, 0.0, 0.0), multiplier=c, max_rounds=rounds)
    found = leave_one_out(path)
    with mpmath.workdps(50):
        V, eigenvalues = mpmath.matrix(basis.tolist()), [mpmath.mpf(v) for v in d.tolist()]
        G, y = V * mpmath.diag(eigenvalues) * V.T, V * mpmath.matrix(z.tolist())
        for i in range(n):
            others = [k for k in range(n) if k != i]
            part = mpmath.matrix([[G[j, k] for k in others] for j in others])
            current, at_i = mpmath.matrix([y[k] for k in others]), mpmath.mpf(0)
            for _ in range(rounds):
                alpha = mpmath.lu_solve(part + mpmath.mpf(c) * mpmath.eye(n - 1), current)
                current, at_i = part * alpha, mpmath.fsum(G[i, k] * alpha[j] for j, k in enumerate(others))
            assert abs(found[i] - float(at_i)) <= 1e-13 * np.abs(found).max()


def test_long_chains_down_to_nothing(rng):
    x = rng.uniform(size=15)
    kernel_matrix, targets = KERNELS["rbf"](x), rng.normal(size=(15, 2))
    path = distill(kernel_matrix, targets, multiplier=1.0, max_rounds=1200)
    for t in (40, 200):  # 1e-25 and 1e-119 of the targets
        expected = refitted(kernel_matrix, targets, path.multipliers[: t + 1])
        assert 0 < np.abs(expected).max() < 1e-20
        assert distance(leave_one_out(path, t), expected) <= allowed(path)
    assert not np.any(leave_one_out(path))


@pytest.mark.parametrize("rounds", [1, 3])
def test_where_the_others_say_nothing_the_prediction_is_zero(rounds):
    single = distill([[2.0]], [3.0], multiplier=0.7, max_rounds=rounds)
    assert leave_one_out(single).tolist() == [0.0]
    for kernel_matrix in (np.diag([1.0, 2.0, 3.0]), np.zeros((3, 3)), 1e300 * np.eye(3)):
        for c in (1e-310, 1.0):
            path = distill(kernel_matrix, [1.0, 2.0, 3.0], multiplier=c, max_rounds=rounds)
            np.testing.assert_allclose(leave_one_out(path), 0, atol=1e-15)


def test_rounds_are_those_of_predict(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, tolerance=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        for t in (path.n_rounds, path.n_rounds + 5):
            np.testing.assert_array_equal(leave_one_out(path, t), np.zeros_like(targets))
        collapsed = distill(kernel_matrix, targets[:, 0], tolerance=100)
        np.testing.assert_array_equal(leave_one_out(collapsed), np.zeros(len(targets)))
    with pytest.raises(InvalidRound, match="give a whole number"):
        leave_one_out(path, "first")
    with pytest.raises(InvalidRound, match="was not computed"):
        leave_one_out(distill(kernel_matrix, targets, tolerance=0.1, max_rounds=1), 1)


def test_krylov_paths_are_refused(rng):
    X = rng.normal(size=(50, 3))
    path = distill(ComputedKernel(greens.matern, X), np.sin(X[:, 0]), tolerance=0.2)
    with pytest.raises(InvalidInput, match="leave-one-out needs the whole spectrum"):
        leave_one_out(path)
    with pytest.raises(InvalidInput, match="leave-one-out needs the whole spectrum"):
        leave_one_out_errors(path)


def test_errors_are_those_of_every_round(problem):
    _, targets, spectrum = problem
    for path in paths(spectrum):
        found = leave_one_out_errors(path)
        by_round = [np.sum((leave_one_out(path, t) - targets) ** 2) / len(targets) for t in range(path.n_rounds)]
        np.testing.assert_allclose(found, [*by_round, np.sum(targets**2) / len(targets)], rtol=1e-12)


@pytest.mark.parametrize("together", [1, 3, 16])
def test_paths_that_share_their_work_have_the_scores_they_have_alone(problem, together, monkeypatch):
    """In parts, too: few points have room for few weights."""
    spectrum = problem[-1]
    several = [*paths(spectrum), distill_spectrum(spectrum, multiplier=0.1 * spectrum.eigenvalues[-1], max_rounds=20)]
    alone = [leave_one_out_errors(path)[:-1] for path in several]
    monkeypatch.setattr(cross_validation, "ROUNDS_TOGETHER", together)
    parts = list(cross_validation._with_room(several))
    assert [path for part in parts for path in part] == several
    assert (len(parts) > 1) == (together > 1)
    for found, expected in zip(cross_validation.leave_one_out_scores(several), alone, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_errors_of_a_path_without_rounds(data):
    with pytest.warns(match="no round"):
        path = distill(data[0], data[1], tolerance=100)
    np.testing.assert_allclose(leave_one_out_errors(path), [np.sum(data[1] ** 2) / len(data[1])])


def test_tiles_change_nothing_and_need_no_second_matrix(rng, monkeypatch):
    X = rng.normal(size=(1200, 3))
    path = distill(rbf_kernel(X), np.sin(X), tolerance=0.1)
    assert path.spectrum.basis.shape == (1200, 1200)  # formed before
    monkeypatch.setattr(cross_validation, "NUMBERS_PER_TILE", 2**18)
    tracemalloc.start()
    tiled = leave_one_out(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(X) ** 2 * 8 / 2
    monkeypatch.setattr(cross_validation, "NUMBERS_PER_TILE", 2000 * 1200 * 3)
    np.testing.assert_allclose(tiled, leave_one_out(path), rtol=0, atol=1e-12)


def test_jax_arrays_stay_jax_arrays(data):
    import jax
    import jax.numpy as jnp

    kernel_matrix, targets, _ = data
    with jax.enable_x64(True):
        found = leave_one_out(distill(jnp.asarray(kernel_matrix), targets, tolerance=0.2), 1)
        assert isinstance(found, jax.Array)
        same = leave_one_out(distill(kernel_matrix, targets, tolerance=0.2), 1)
        np.testing.assert_allclose(np.asarray(found), same, rtol=1e-7, atol=1e-10)
