"""Finite networks: the function that has the kernels, and its random parameters."""

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")
pytest.importorskip("flax", reason="needs the extra `networks`")

from flax import nnx
from small_networks import SMALL

from hilbertsd.errors import InvalidInput
from hilbertsd.networks import FiniteNetwork, architecture
from hilbertsd.networks.layers import Convolution, Dense, Residual
from hilbertsd.ntk import StaxNetwork

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)

NORMALISED = {
    "fully-connected-1-7": {},
    "convolutional-1-5": {"pooling": True},
    "myrtle-5": {"width": 3},
    "vgg-11": {"width": 2, "stages": 3},
    "resnet-8": {"width": 3},
    "resnet-18": {"width": 2},
    "wrn-10-2": {"width": 2},
}


def applied(finite, *arguments, training=False):
    """Outputs and statistics, compiled as a whole: its operations one by one take three times as long."""
    return jax.jit(finite.apply, static_argnames="training")(*arguments, training=training)


def for_neural_tangents(layers, states):
    """Parameters of some layers in neural-tangents' order."""
    states = {int(key): state for key, state in states.items()}
    result = []
    for index, layer in enumerate(layers):
        state = states.get(index, {})
        if isinstance(layer, Dense | Convolution):
            weights, biases = np.asarray(state["weights"]), state.get("biases")
            shape = (1, -1) if isinstance(layer, Dense) else (1, 1, 1, -1)
            result.append((weights, None if biases is None else np.reshape(biases, shape)))
        elif isinstance(layer, Residual):
            main = for_neural_tangents(layer.main, state["main"]["layers"])
            shortcut = for_neural_tangents(layer.shortcut, state.get("shortcut", {}).get("layers", {}))
            result.append(((), (main, shortcut if layer.shortcut else ()), ()))
        else:
            result.append(())
    return result


# Those that differ from another only in their number of layers are slow.
@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(name, options, marks=pytest.mark.slow if name in ("myrtle-7", "myrtle-10", "resnet-8") else ())
        for name, options in SMALL.items()
    ],
)
def test_it_is_the_function_of_the_kernels(name, options, parameterization):
    network = architecture(
        name, n_classes=4, bias_std=0.3, weight_std=1.2, parameterization=parameterization, **options
    )
    finite = FiniteNetwork(network, IMAGES.shape[1:])
    parameters, statistics = finite.init(1)
    outputs, _ = applied(finite, parameters, statistics, IMAGES)
    theirs = for_neural_tangents(network.layers, nnx.to_pure_dict(parameters)["layers"])
    expected = jax.jit(StaxNetwork(network).apply)(theirs, IMAGES)
    np.testing.assert_allclose(outputs, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_parameters_have_the_scales_of_their_parameterisation(parameterization):
    network = architecture("fully-connected-1-4096", bias_std=0.1, parameterization=parameterization)
    parameters = nnx.to_pure_dict(FiniteNetwork(network, (100,)).init(0)[0])["layers"]
    scale = np.sqrt(2 / 100) if parameterization == "standard" else 1.0
    assert np.std(parameters[1]["weights"]) == pytest.approx(scale, rel=0.01)
    assert np.std(parameters[1]["biases"]) == pytest.approx(0.1 if parameterization == "standard" else 1.0, rel=0.05)


@pytest.mark.parametrize(("name", "options"), NORMALISED.items())
def test_normalised_networks_have_the_parameters_that_are_counted(name, options):
    network = architecture(name, normalisation="batch", **options)
    finite = FiniteNetwork(network, IMAGES.shape[1:])
    parameters, statistics = finite.init(0)
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == network.count_parameters((8, 8, 3))
    trained, after = applied(finite, parameters, statistics, IMAGES, training=True)
    tested, same = applied(finite, parameters, after, IMAGES)
    assert trained.shape == tested.shape == (3, 10)
    assert np.all(np.isfinite(trained))
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(statistics), jax.tree.leaves(after), strict=True))
    assert all(np.all(a == b) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(same), strict=True))


def test_normalisation_takes_away_mean_and_scale_of_every_channel():
    network = architecture("convolutional-1-5", pooling=True, normalisation="batch")
    finite = FiniteNetwork(network, IMAGES.shape[1:])
    parameters, statistics = finite.init(0)
    outputs, after = applied(finite, parameters, statistics, IMAGES, training=True)
    larger, _ = applied(finite, parameters, statistics, 10 * IMAGES, training=True)
    np.testing.assert_allclose(outputs, larger, atol=1e-4)
    weights = np.asarray(nnx.to_pure_dict(parameters)["layers"][0]["weights"])
    before = np.asarray(
        jax.lax.conv_general_dilated(IMAGES, weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    )
    by_name = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(after)[0]}
    mean = next(leaf for name, leaf in by_name.items() if "mean" in name)
    variance = next(leaf for name, leaf in by_name.items() if "var" in name)
    np.testing.assert_allclose(mean, 0.1 * before.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * before.var((0, 1, 2)), rtol=1e-5)


def test_a_seed_always_means_the_same_network():
    finite = FiniteNetwork(architecture("fully-connected-1-3"), (4,))
    first, again, other = (finite.init(seed)[0] for seed in (3, 3, (3, 1)))
    assert all(np.all(a == b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True))
    assert np.any(jax.tree.leaves(first)[0] != jax.tree.leaves(other)[0])


def test_images_that_do_not_pass_are_refused():
    with pytest.raises(InvalidInput, match="divides a side of 6 positions"):
        FiniteNetwork(architecture("resnet-8", normalisation="batch"), (6, 6, 3))


def test_a_centred_network_starts_as_the_zero_function():
    network = architecture("convolutional-1-5", pooling=True, n_classes=3, bias_std=0.2)
    centred, plain = (FiniteNetwork(network, (8, 8, 3), centred=value) for value in (True, False))
    start, origin = centred.init(4)
    assert not np.any(centred.apply(start, origin, IMAGES)[0])
    moved = jax.tree.map(lambda leaf: 1.5 * leaf, start)
    outputs, kept = centred.apply(moved, origin, IMAGES, training=True)
    first, later = (np.asarray(plain.apply(each, plain.init(4)[1], IMAGES)[0]) for each in (start, moved))
    np.testing.assert_allclose(outputs, later - first, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, kept, origin)
    # No gradient reaches the outputs that are taken away.
    gradient = jax.grad(lambda origin: centred.apply(moved, origin, IMAGES)[0].sum())(origin)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("centred", [True, False])
def test_outputs_are_scaled(centred):
    network = architecture("fully-connected-1-5", n_classes=3)
    whole, tenth = (FiniteNetwork(network, (8, 8, 3), centred=centred, output_scale=scale) for scale in (1.0, 0.1))
    moved = whole.init(5)[0]
    outputs, scaled = (np.asarray(each.apply(moved, each.init(4)[1], IMAGES)[0]) for each in (whole, tenth))
    np.testing.assert_allclose(scaled, 0.1 * outputs, rtol=1e-5)
    with pytest.raises(InvalidInput, match="output_scale is 0; give a positive finite number"):
        FiniteNetwork(network, (8, 8, 3), output_scale=0)


def test_a_normalised_network_is_not_centred():
    with pytest.raises(InvalidInput, match="centred is True and resnet-8 is normalised"):
        FiniteNetwork(architecture("resnet-8", normalisation="batch"), (8, 8, 3), centred=True)


@pytest.mark.parametrize("normalisation", [None, "batch"])
def test_members_are_summed_over_the_root_of_their_number(normalisation):
    options = {"n_classes": 3, "normalisation": normalisation}
    one, three = (architecture("fully-connected-1-4", members=count, **options) for count in (1, 3))
    assert three.name == "3 × fully-connected-1"
    assert architecture(**three.config) == three
    assert three.count_parameters((8, 8, 3)) == 3 * one.count_parameters((8, 8, 3))
    finite, member = FiniteNetwork(three, (8, 8, 3)), FiniteNetwork(one, (8, 8, 3))
    parameters, statistics = finite.init(0)
    outputs, after = applied(finite, parameters, statistics, IMAGES, training=True)

    def of(state, index):
        return state["layers"][0]["members"][index] if state else state

    each = [applied(member, of(parameters, i), of(statistics, i), IMAGES, training=True) for i in range(3)]
    np.testing.assert_allclose(outputs, sum(np.asarray(out) for out, _ in each) / np.sqrt(3), atol=1e-5)
    assert np.abs(each[0][0] - each[1][0]).max() > 0.1
    assert len(jax.tree.leaves(after)) == 3 * len(jax.tree.leaves(each[0][1]))
