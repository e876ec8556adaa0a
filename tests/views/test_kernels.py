"""Tangent kernels of view networks at the start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hilbertsd import Spectrum
from hilbertsd.data import MultiView
from hilbertsd.errors import InvalidInput
from hilbertsd.views import ViewNetwork, infinite_grams, tangent_grams

DATA = MultiView(n_classes=3, n_patches=4, n_others=0.5, feature_noise=0.1)
TRAIN, TEST = DATA.draw(7, seed=0).features, DATA.draw(5, seed=1).features


@pytest.mark.parametrize("power", [2, 3, 4])
def test_many_neurons_tend_to_the_infinite_kernel(power):
    found = [infinite_grams(ViewNetwork(3, 1, power), TRAIN, TEST, noise=0.8)]
    for neurons in (300, 30_000):
        finite = [tangent_grams(ViewNetwork(3, neurons, power), TRAIN, TEST, 0.8, seed) for seed in range(3)]
        found.append([np.mean(each, axis=0) for each in zip(*finite, strict=True)])
    infinite, few, many = found
    for place in range(2):
        apart = [
            np.linalg.norm(each[place] - infinite[place]) / np.linalg.norm(infinite[place]) for each in (few, many)
        ]
        assert apart[1] < 0.03
        assert apart[1] < 0.5 * apart[0]


def test_the_finite_kernel_is_that_of_the_networks_gradients():
    """In d dimensions with exactly orthogonal noise, from automatic differentiation of the outputs."""
    network = ViewNetwork(n_classes=3, neurons=2, power=3, initial_scale=1.0, threshold=1e3)
    n, m, n_patches, n_views = len(TRAIN), len(TEST), 4, 6
    rng = np.random.default_rng([4, 3])  # as tangent_grams draws: correlations with the views, then with either noise
    weights = rng.standard_normal((n_views, network.width))
    noises = [rng.standard_normal((size, n_patches, network.width)) for size in (n, m)]
    dimension = n_views + (n + m) * n_patches
    patches = np.zeros((n + m, n_patches, dimension))
    patches[:, :, :n_views] = np.concatenate([TRAIN, TEST])
    patches[:, :, n_views:] = 0.8 * np.eye((n + m) * n_patches).reshape(n + m, n_patches, -1)
    start = jnp.asarray(np.concatenate([weights, np.concatenate(noises).reshape(-1, network.width)]), jnp.float32)

    def total(start, one):
        return network.outputs((jnp.asarray(one, jnp.float32) @ start)[None])[0].sum()

    gradients = np.array([np.asarray(jax.grad(total)(start, one)).ravel() for one in patches], dtype=np.float64)
    expected = gradients @ gradients.T / network.width * 1e3 ** (2 * (3 - 1))
    train, cross = tangent_grams(network, TRAIN, TEST, 0.8, seed=4)
    np.testing.assert_allclose(train, expected[:n, :n], rtol=1e-4)
    np.testing.assert_allclose(cross, expected[n:, :n], rtol=1e-4)


def test_both_are_kernels_and_do_not_depend_on_how_rows_are_grouped(monkeypatch):
    whole = infinite_grams(ViewNetwork(3), TRAIN, TEST, noise=0.8)
    monkeypatch.setattr("hilbertsd.views.kernels.PAIRS", 1)
    by_row = infinite_grams(ViewNetwork(3), TRAIN, TEST, noise=0.8)
    for first, second in zip(whole, by_row, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-12)
    for gram, _ in (whole, tangent_grams(ViewNetwork(3), TRAIN, TEST, 0.8, 0)):
        assert Spectrum.from_kernel(gram, np.ones(len(gram))).eigenvalues.min() > 0


def test_a_sample_shown_twice_has_two_noises():
    train, cross = infinite_grams(ViewNetwork(3), TRAIN, TRAIN, noise=0.8)
    np.testing.assert_allclose(train - np.diag(np.diag(train)), cross - np.diag(np.diag(cross)), rtol=1e-12)
    assert (np.diag(train) > 1.2 * np.diag(cross)).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"noise": -1.0}, "noise is -1"),
        ({"train": TRAIN[:, :, :5]}, r"shapes \(7, 4, 5\) and \(5, 4, 6\)"),
        ({"test": TEST[:, :3]}, r"and \(5, 3, 6\)"),
        ({"test": TEST[0]}, r"and \(4, 6\)"),
        ({"network": ViewNetwork(3, power=5)}, "power is 5"),
    ],
)
def test_what_does_not_go_together_is_refused(given, words):
    with pytest.raises(InvalidInput, match=words):
        infinite_grams(**{"network": ViewNetwork(3), "train": TRAIN, "test": TEST, "noise": 0.8, **given})
