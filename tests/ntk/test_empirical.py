"""Empirical tangent kernels against whole Jacobians, neural-tangents and the infinite-width limit."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")

import jax.numpy as jnp
from small_networks import small

from hilbertsd import networks
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import architecture
from hilbertsd.networks.checkpoints import flattened
from hilbertsd.ntk import StaxNetwork, empirical, patches
from hilbertsd.ntk.compat import neural_tangents
from hilbertsd.ntk.empirical import empirical_grams, initial_parameters
from hilbertsd.ntk.jax_backend import sixty_four_bits

WRN = {"name": "wrn-10-1", "width": 2, "n_classes": 3, "bias_std": 0.1}
CONVOLUTIONAL = {"name": "convolutional-1-3", "pooling": True, "n_classes": 3, "bias_std": 0.1}
DENSE = {"name": "fully-connected-2-7", "n_classes": 3, "bias_std": 0.1}


@pytest.fixture
def images(rng):
    return rng.normal(size=(9, 8, 8, 2))


def grams(network, images, others=None, **options):
    return next(empirical_grams(network, images, others, **options))


def jacobian(network, images, seed):
    """(n, outputs, P) whole, in float64."""
    with sixty_four_bits(True):
        parameters = jax.tree_util.tree_map(
            lambda leaf: jnp.asarray(leaf, jnp.float64), initial_parameters(network, seed, images.shape[1:])
        )
        whole = jax.jit(jax.jacobian(StaxNetwork(network).apply))(parameters, jnp.asarray(images))
        leaves = jax.tree_util.tree_leaves(whole)
        return np.concatenate([np.asarray(leaf).reshape(*leaf.shape[:2], -1) for leaf in leaves], axis=2)


@pytest.mark.parametrize(
    ("options", "blocks", "x64"),
    [
        (CONVOLUTIONAL, 2, False),
        (DENSE, 3, True),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("every layer", 1, True), (DENSE, 1, False), (DENSE, 7, True))
        ),
    ],
)
def test_blocks_of_the_jacobian_give_the_whole_product(options, blocks, x64, images):
    network = small(options) if isinstance(options, str) else architecture(**options)
    J = jacobian(network, images, 3)
    with sixty_four_bits(x64):
        for form, rows in (("single-logit", J[:, 0]), ("full-output", J.reshape(-1, J.shape[2]))):
            n = 6 * len(rows) // 9
            memory = rows.nbytes / blocks + 1
            whole = {"seeds": [3], "form": form, "dtype": "float64", "memory": memory, "diagonal": True}
            train, cross, diagonal = grams(network, images[:6], images[6:], **whole)
            scale = np.abs(rows @ rows.T).max()
            np.testing.assert_allclose(train, rows[:n] @ rows[:n].T, rtol=0, atol=1e-12 * scale)
            np.testing.assert_allclose(cross, rows[n:] @ rows[:n].T, rtol=0, atol=1e-12 * scale)
            np.testing.assert_allclose(diagonal, np.sum(rows[n:] ** 2, axis=1), rtol=1e-11)
            single, _ = grams(network, images[:6], seeds=[3], form=form, memory=memory)
            assert single.dtype == np.float32
            np.testing.assert_allclose(single, train, rtol=0, atol=2e-6 * scale)
        assert jax.config.read("jax_enable_x64") is x64


@pytest.mark.parametrize(("options", "memory"), [(CONVOLUTIONAL, 2e4), (DENSE, 1e5)])
def test_an_accelerator_takes_patches_several_examples_at_once_and_chunks_of_rows(options, memory, images, monkeypatch):
    """What it does there, done here: the same values."""
    network = architecture(**options)
    options_of_both = {"form": "full-output", "dtype": "float64", "memory": memory, "diagonal": True}
    here = grams(network, images[:6], images[6:], **options_of_both)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(empirical, "ACCELERATOR_OPTIONS", {})  # XLA for CPUs does not know them
    monkeypatch.setattr(empirical, "ROWS_AT_ONCE", 4)
    monkeypatch.setitem(empirical.EXAMPLES_AT_ONCE, "accelerator", 4)
    there = grams(network, images[:6], images[6:], **options_of_both)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * np.abs(one).max())


@pytest.mark.parametrize("options", [CONVOLUTIONAL, pytest.param(WRN, marks=pytest.mark.slow)])
def test_it_is_the_kernel_of_neural_tangents(images, options):
    network = architecture(**options)
    nt = neural_tangents()
    parameters = initial_parameters(network, 0, images.shape[1:])
    kernel_fn = nt.empirical_ntk_fn(StaxNetwork(network).apply, trace_axes=(), vmap_axes=0, implementation=1)
    # Compiled as a whole: its operations one by one take three times as long.
    of_images = jax.jit(lambda X, parameters: kernel_fn(X, None, parameters))
    expected = np.asarray(of_images(jnp.asarray(images, jnp.float32), parameters))  # (n, n, k, k)
    full, cross = grams(network, images, form="full-output")
    assert cross.shape == (0, 27)
    scale = np.abs(full).max()
    np.testing.assert_allclose(full.reshape(9, 3, 9, 3).transpose(0, 2, 1, 3), expected, rtol=0, atol=3e-6 * scale)
    np.testing.assert_allclose(grams(network, images)[0], expected[:, :, 0, 0], rtol=0, atol=3e-6 * scale)


@pytest.mark.parametrize("options", [CONVOLUTIONAL, pytest.param(WRN, marks=pytest.mark.slow)])
def test_matrices_are_symmetric_semidefinite_and_repeat_to_the_bit(images, options):
    network = architecture(**options)
    first, second = (train for train, _ in empirical_grams(network, images, seeds=[4, 5]))
    assert np.array_equal(first, first.T)
    assert np.linalg.eigvalsh(first.astype(float))[0] > -1e-6 * np.trace(first)
    assert np.abs(first - second).max() > 0.05 * np.abs(first).max()
    with sixty_four_bits(True):
        assert np.array_equal(first, grams(network, images, seeds=[4])[0])


def test_wide_networks_approach_the_analytic_kernel(images):
    """In the limit the gradients of two outputs are orthogonal, and one output's kernel is everyone's."""
    network = architecture("fully-connected-2", width=1024, n_classes=1)
    limit = np.asarray(StaxNetwork(network).kernel_fn(jnp.asarray(images, jnp.float32), None, "ntk"))
    networks = 16
    mean = sum(train for train, _ in empirical_grams(network, images, seeds=range(networks))) / networks
    relative = np.linalg.norm(mean - limit) / np.linalg.norm(limit)
    assert relative < 0.03


def test_memory_stays_far_below_the_whole_jacobian():
    code = """
import resource
import numpy as np
from hilbertsd.networks.architectures import architecture
from hilbertsd.ntk.empirical import empirical_grams
network = architecture("fully-connected-1", width=4096, n_classes=1)
X = np.random.default_rng(0).normal(size=(100, 16, 16, 1))
def peak(n):
    for _ in empirical_grams(network, X[:n], memory=1.1e6 * n):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak(2)
print(peak(100) - before)
"""
    megabytes = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert megabytes < 320  # J has 422, a block 105


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "all"}, "form is 'all'"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"matmul_precision": "tf32"}, "matmul_precision is 'tf32'"),
        ({"seeds": [0, -1]}, "seed is -1"),
        ({"seeds": [2**32]}, "seed is 4294967296"),
        ({"memory": 10}, "memory is 10 bytes"),
        ({"memory": -1}, "memory is -1"),
    ],
)
def test_bad_options_are_refused_at_the_call(images, options, message):
    with pytest.raises(InvalidInput, match=message):
        empirical_grams(architecture(**WRN), images, **options)


def test_images_that_do_not_fit_are_refused(images):
    network = architecture(**WRN)
    with pytest.raises(InvalidInput, match="divides a side of 7"):
        empirical_grams(network, images[:, :7, :7])
    with pytest.raises(InvalidInput, match=r"others have shape \(9, 4, 8, 2\)"):
        empirical_grams(network, images, images[:, :4])
    with pytest.raises(InvalidInput, match="images have shape"):
        empirical_grams(network, images[:0])
    images[2, 0, 0, 0] = np.nan
    with pytest.raises(InvalidInput, match="not finite in row 2"):
        empirical_grams(network, images)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_products_of_patches_give_the_outputs_of_every_layer(parameterization, rng):
    same_by_patches(small("every layer", parameterization=parameterization), rng.normal(size=(2, 8, 8, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {**WRN, "parameterization": "standard"},
        {"name": "myrtle-5", "width": 2},
        WRN,
        {"name": "convolutional-2-3"},
        DENSE,
    ],
)
def test_products_of_patches_give_the_outputs_of_the_network(options, rng):
    images = rng.normal(size=(2, 8, 8, 3))
    same_by_patches(architecture(**{"bias_std": 0.2, **options}), images.reshape(2, -1) if options is DENSE else images)


def same_by_patches(network, images):
    with sixty_four_bits(True):
        parameters = jax.tree.map(jnp.float64, initial_parameters(network, 0, images.shape[1:]))
        expected = jax.jit(StaxNetwork(network).apply)(parameters, images)
        by_patches = jax.jit(lambda image: patches.apply_by_patches(network, parameters, image))
        for image, outputs in zip(images, expected, strict=True):
            found = by_patches(image)
            np.testing.assert_allclose(found, outputs, rtol=1e-10, atol=1e-10 * np.abs(outputs).max())


@pytest.mark.parametrize("options", [CONVOLUTIONAL, pytest.param(WRN, marks=pytest.mark.slow)])
def test_kernels_of_given_parameters_and_their_mean_over_outputs(options, images):
    network = architecture(**options)
    finite = networks.FiniteNetwork(network, images.shape[1:])
    arrays = flattened(finite.init(7)[0])
    with sixty_four_bits(True):
        double = replace(finite, dtype="float64")
        parameters, statistics = double.init(7)  # the same numbers
        whole = jax.jit(jax.jacobian(lambda p: double.apply(p, statistics, jnp.asarray(images))[0]))(parameters)
        J = np.concatenate([np.asarray(leaf).reshape(9, 3, -1) for leaf in jax.tree.leaves(whole)], axis=2)
    full = np.einsum("ikp,jlp->ikjl", J, J)
    exact = {"dtype": "float64", "parameters": [arrays], "diagonal": True}
    train, cross, diagonal = grams(network, images[:5], images[5:], form="mean-over-outputs", memory=40_000, **exact)
    mean = np.einsum("ikjk->ij", full) / 3
    np.testing.assert_allclose(train, mean[:5, :5], rtol=1e-6)
    np.testing.assert_allclose(cross, mean[5:, :5], rtol=1e-6)
    np.testing.assert_allclose(diagonal, np.diag(mean)[5:], rtol=1e-6)
    train, *_ = grams(network, images[:5], form="full-output", **exact)
    np.testing.assert_allclose(train, full[:5, :, :5].reshape(15, 15), rtol=1e-6, atol=1e-9)
    spoilt = {name: array for name, array in arrays.items() if name != "layers.0.biases"}
    other = flattened(networks.FiniteNetwork(architecture("convolutional-1-4"), images.shape[1:]).init(0)[0])
    for wrong in (spoilt, other):
        with pytest.raises(InvalidInput, match=f"parameters of {network.name} are .* of the same architecture"):
            grams(network, images, parameters=[wrong])
    wide = architecture(**{**options, "n_classes": 4})
    with pytest.raises(InvalidInput, match=r"has shape .* and .* needs"):
        grams(wide, images, parameters=[arrays])
