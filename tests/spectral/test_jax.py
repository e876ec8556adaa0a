"""The same code on JAX arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hilbertsd import distill
from hilbertsd.errors import InvalidCrossKernel, InvalidKernel


@pytest.fixture
def x64():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.usefixtures("x64")
def test_jax_kernels_give_the_same_path_and_jax_predictions(data):
    kernel, targets, cross_kernel = data
    expected = distill(kernel, targets, tolerance=0.2)
    path = distill(jnp.asarray(kernel), jnp.asarray(targets), tolerance=0.2)
    assert path.collapse_round == expected.collapse_round
    np.testing.assert_allclose(path.multipliers, expected.multipliers, rtol=1e-11)
    for given in (cross_kernel, jnp.asarray(cross_kernel)):
        predictions = path.predict(given, 1)
        assert isinstance(predictions, jax.Array)
        assert predictions.dtype == jnp.float64
        np.testing.assert_allclose(predictions, expected.predict(cross_kernel, 1), rtol=1e-10, atol=1e-12)
    assert isinstance(path.train_predictions(), jax.Array)
    np.testing.assert_allclose(expected.predict(jnp.asarray(cross_kernel)), expected.predict(cross_kernel))


@pytest.mark.usefixtures("x64")
def test_float32_jax_kernels_are_decomposed_in_float64(data):
    kernel, targets, _ = data
    path = distill(jnp.asarray(kernel, dtype=jnp.float32), targets, tolerance=0.2)
    assert path.spectrum.basis.dtype == jnp.float64
    np.testing.assert_allclose(path.multipliers, distill(kernel, targets, tolerance=0.2).multipliers, rtol=1e-3)


@pytest.mark.usefixtures("x64")
def test_bad_jax_kernels_are_refused(data):
    kernel, targets, _ = data
    with pytest.raises(InvalidKernel, match="holds nan at row 2, column 3"):
        distill(jnp.asarray(kernel).at[2, 3].set(jnp.nan), targets, tolerance=0.2)
    with pytest.raises(InvalidKernel, match="complex"):
        distill(jnp.asarray(kernel) * 1j, targets, tolerance=0.2)


def test_a_jax_without_64_bits_is_refused(data):
    kernel, targets, cross_kernel = data
    with pytest.raises(InvalidKernel, match="jax_enable_x64"):
        distill(jnp.asarray(kernel), targets, tolerance=0.2)
    path = distill(kernel, targets, tolerance=0.2)
    with pytest.raises(InvalidCrossKernel, match="jax_enable_x64"):
        path.predict(jnp.asarray(cross_kernel))


@pytest.mark.usefixtures("x64")
def test_saved_paths_come_back_as_numpy(data, tmp_path):
    from hilbertsd import DistillationPath

    path = distill(jnp.asarray(data[0]), data[1], tolerance=0.2)
    loaded = DistillationPath.load(path.save(tmp_path / "path"))
    assert isinstance(loaded.predict(data[2]), np.ndarray)
    np.testing.assert_allclose(loaded.predict(data[2]), path.predict(data[2]), rtol=1e-12)
