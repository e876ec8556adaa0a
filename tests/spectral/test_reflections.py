"""The decomposition that keeps its reflections, against dense matrices and NumPy's eigh."""

import dataclasses
import pickle

import numpy as np
import pytest

from hilbertsd import DistillationPath, Spectrum, distill, kernel_of_round
from hilbertsd.errors import InvalidFile, InvalidKernel
from hilbertsd.spectral.reflections import reflected_eigh

EPSILON = np.finfo(float).eps


def symmetric(n, rng):
    matrix = rng.normal(size=(n, n))
    return matrix + matrix.T


def clustered(n, rng):
    """RBF kernel matrix, most of whose eigenvalues are rounding."""
    inputs = np.sort(rng.uniform(size=n))
    return np.exp(-10 * (inputs[:, None] - inputs) ** 2)


def rank_one(n, rng):
    column = rng.normal(size=n)
    return np.outer(column, column)


MATRICES = {
    "symmetric": symmetric,
    "clustered": clustered,
    "rank one": rank_one,
    "identity": lambda n, _: np.eye(n),
    "diagonal": lambda n, rng: np.diag(rng.normal(size=n)),
    "zero": lambda n, _: np.zeros((n, n)),
    "tiny": lambda n, rng: 1e-200 * symmetric(n, rng),
    "huge": lambda n, rng: 1e200 * symmetric(n, rng),
}


@pytest.mark.parametrize("n", [1, 2, 3, 11, 150])
@pytest.mark.parametrize("kind", MATRICES)
def test_it_decomposes_as_accurately_as_eigh(kind, n, rng):
    matrix = MATRICES[kind](n, rng)
    original = matrix.copy()
    values, vectors, reflectors = reflected_eigh(matrix)
    basis = reflectors.apply(vectors)
    np.testing.assert_array_equal(matrix, original)
    norm = np.abs(values).max()
    assert np.all(np.diff(values) >= 0)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), rtol=0, atol=4 * np.sqrt(n) * EPSILON * norm)
    np.testing.assert_allclose(basis.T @ basis, np.eye(n), rtol=0, atol=4 * np.sqrt(n) * EPSILON)
    scale = norm or 1.0
    residual = np.linalg.norm(matrix / scale @ basis - basis * (values / scale), axis=0).max()
    assert residual <= 4 * np.sqrt(n) * EPSILON


@pytest.mark.parametrize("n", [1, 2, 3, 11, 150])
def test_the_action_is_the_product_of_the_reflections(n, rng):
    """Written out one by one from LAPACK's packed form, on blocks of any width and memory order."""
    reflectors = reflected_eigh(symmetric(n, rng))[2]
    product = np.eye(n)
    for i, scale in enumerate(reflectors.scales):
        v = np.concatenate([np.zeros(i + 1), [1.0], reflectors.packed[i + 2 :, i]])
        product -= scale * np.outer(product @ v, v)
    for width in (0, 1, 4):
        for block in (
            rng.normal(size=(n, width)),
            rng.normal(size=(width, n)).T,
            rng.normal(size=(n, 2 * width))[:, ::2],
        ):
            original = block.copy()
            np.testing.assert_allclose(reflectors.apply(block), product @ block, atol=1e-13)
            np.testing.assert_allclose(reflectors.apply_transposed(block), product.T @ block, atol=1e-13)
            np.testing.assert_array_equal(block, original)


def test_the_action_reads_only(rng):
    """Memory maps of pickled estimators are read-only, and threads share the arrays."""
    for n in (5, 150):
        _, vectors, reflectors = reflected_eigh(symmetric(n, rng))
        reflectors.packed.flags.writeable = False
        before = reflectors.packed.copy()
        reflectors.apply(vectors)
        reflectors.apply_transposed(vectors)
        np.testing.assert_array_equal(reflectors.packed, before)


def dense(spectrum):
    """The same spectrum with its basis formed."""
    return dataclasses.replace(spectrum, vectors=spectrum.basis, reflectors=None)


@pytest.mark.parametrize("order", ["C", "F"])
def test_fits_from_the_action_are_those_from_the_basis(data, order):
    kernel, targets, cross_kernel = data
    path = distill(np.array(kernel, order=order), targets, tolerance=0.1)
    spectrum = path.spectrum
    assert spectrum.reflectors is not None
    np.testing.assert_allclose(spectrum.basis.T @ targets, spectrum.rotated_targets, atol=1e-13)
    formed = dataclasses.replace(path, spectrum=dense(spectrum))
    for t in range(path.n_rounds):
        np.testing.assert_allclose(path.train_predictions(t), formed.train_predictions(t), atol=1e-13)
        np.testing.assert_allclose(path.predict(cross_kernel, t), formed.predict(cross_kernel, t), atol=1e-12)


def test_fits_and_rounds_do_not_form_the_basis(data):
    kernel, targets, cross_kernel = data
    path = distill(kernel, targets, tolerance=0.1)
    path.predict(cross_kernel)
    path.train_predictions()
    assert "basis" not in vars(path.spectrum)


def test_a_path_is_saved_and_pickled_as_it_is(data, tmp_path):
    kernel, targets, cross_kernel = data
    path = distill(kernel, targets, tolerance=0.1)
    formed = dataclasses.replace(path, spectrum=dense(path.spectrum))
    for kept in (path, formed):
        for again in (DistillationPath.load(kept.save(tmp_path / "path")), pickle.loads(pickle.dumps(kept))):
            assert (again.spectrum.reflectors is None) == (kept is formed)
            np.testing.assert_array_equal(again.spectrum.basis, path.spectrum.basis)
            np.testing.assert_array_equal(again.predict(cross_kernel), kept.predict(cross_kernel))


def test_a_file_with_reflections_of_another_size_is_refused(data, tmp_path):
    kernel, targets, _ = data
    file = distill(kernel, targets, tolerance=0.1).save(tmp_path / "path")
    arrays = dict(np.load(file))
    np.savez(file, allow_pickle=False, **(arrays | {"scales": arrays["scales"][1:]}))
    with pytest.raises(InvalidFile, match="58 reflections"):
        DistillationPath.load(file)


def test_float32_kernels_are_decomposed_in_float64(data):
    kernel, targets, _ = data
    rounded = kernel.astype(np.float32)
    spectrum = Spectrum.from_kernel(rounded, targets)
    rebuilt = spectrum.basis * spectrum.eigenvalues @ spectrum.basis.T * len(kernel)
    assert spectrum.basis.dtype == np.float64
    np.testing.assert_allclose(rebuilt, rounded.astype(float), rtol=0, atol=spectrum.rounding * len(kernel))


@pytest.mark.parametrize("kernel", [np.eye(5), np.diag([0.0, 1, 2, 3, 4]), np.ones((5, 5)), np.eye(2), np.eye(1)])
def test_degenerate_kernels_give_their_ridge_fits(kernel, rng):
    n = len(kernel)
    targets = rng.normal(size=(n, 2))
    path = distill(kernel, targets, multiplier=0.3, max_rounds=2)
    smoother = np.linalg.solve(0.3 * np.eye(n) + kernel / n, kernel / n)
    np.testing.assert_allclose(path.train_predictions(1), smoother @ smoother @ targets, atol=1e-14)


def test_the_equivalent_kernel_has_the_formed_basis(data):
    kernel, targets, cross_kernel = data
    first = kernel_of_round(distill(kernel, targets, tolerance=0.1), 0)
    np.testing.assert_allclose(first.kernel_matrix, kernel, atol=1e-13)
    np.testing.assert_allclose(first.cross_kernel(cross_kernel), cross_kernel, atol=1e-12)


def test_a_decomposition_that_does_not_converge_is_reported(monkeypatch):
    from hilbertsd.spectral import spectrum

    def fails(_):
        raise np.linalg.LinAlgError("stevd did not converge")

    monkeypatch.setattr(spectrum, "reflected_eigh", fails)
    with pytest.raises(InvalidKernel, match="did not converge"):
        Spectrum.from_kernel(np.eye(3), np.ones(3))


def test_kernels_beyond_32_bit_workspaces_take_another_way(data, monkeypatch):
    from hilbertsd.spectral import spectrum

    kernel, targets, _ = data
    monkeypatch.setattr(spectrum, "LARGEST_REDUCED", 59)
    other = Spectrum.from_kernel(kernel, targets)
    assert other.reflectors is None
    monkeypatch.undo()
    same = Spectrum.from_kernel(kernel, targets)
    np.testing.assert_allclose(same.eigenvalues, other.eigenvalues, rtol=0, atol=same.rounding)
