"""The registry: names, options, finite networks."""

import pickle

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")

from small_networks import SMALL

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.layers import (
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    GlobalAveragePool,
    Offset,
    Relu,
    Residual,
    with_shapes,
)
from hilbertsd.ntk import StaxNetwork, architecture


def weighted(layers):
    """Layers with weights, those in branches included."""
    found = []
    for layer in layers:
        if isinstance(layer, Residual):
            found += [*weighted(layer.main), *weighted(layer.shortcut)]
        elif isinstance(layer, Dense | Convolution):
            found.append(layer)
    return found


def _initialised(network):
    """Parameters and outputs from a key and images."""

    def run(key, images):
        parameters = StaxNetwork(network).init(key, images.shape[1:])
        return parameters, StaxNetwork(network).apply(parameters, images)

    return run


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize(("name", "options"), SMALL.items())
def test_finite_networks_have_as_many_outputs_as_asked(name, options, parameterization):
    network = architecture(name, n_classes=4, bias_std=0.1, parameterization=parameterization, **options)
    images = np.zeros((2, 8, 8, 3), np.float32)
    parameters, outputs = jax.eval_shape(_initialised(network), jax.random.key(0), images)
    assert outputs.shape == (2, 4)
    assert len(jax.tree.leaves(parameters)) == 2 * len(weighted(network.layers))


@pytest.mark.parametrize(
    "name",
    [
        "fully-connected-2-7",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("convolutional-1-5", "myrtle-5")),
    ],
)
@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_outputs_of_finite_networks_are_finite(name, parameterization):
    network = architecture(name, bias_std=0.1, parameterization=parameterization, **SMALL[name])
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    # Compiled apart: XLA takes up to a minute for random numbers and outputs as one function.
    parameters = StaxNetwork(network).init(jax.random.key(0), images.shape[1:])
    outputs = jax.jit(StaxNetwork(network).apply)(parameters, images)
    assert np.all(np.isfinite(outputs))
    assert np.all(outputs[0] != outputs[1])


def test_a_name_with_numbers_is_the_family_with_options():
    assert architecture("wrn-10-4") == architecture("wrn", depth=10, widening=4) == architecture("WRN_10_4")
    assert architecture("fully-connected-3-64") == architecture("fully-connected", depth=3, width=64)
    assert architecture("wrn-16-8").name == "wrn-16-8"
    assert architecture("convolutional-2", pooling=True).name == "convolutional-2-pooled"
    assert architecture("myrtle-7") != architecture("myrtle-7", bias_std=0.1)


@pytest.mark.parametrize(("name", "options"), SMALL.items())
def test_config_and_pickle_make_it_again(name, options):
    network = architecture(name, **options)
    jax.eval_shape(
        lambda key: StaxNetwork(network).init(key, (8, 8, 3)), jax.random.key(0)
    )  # what that makes is not sent along
    assert architecture(**network.config) == network
    assert pickle.loads(pickle.dumps(network)) == network


def test_published_networks_have_their_layers():
    """Myrtle (Shankar et al. 2020), VGG-16 (Simonyan & Zisserman 2015), ResNet-20 (He et al. 2016), WRN-28-10."""
    for depth, convolutions in {5: 4, 7: 6, 10: 9}.items():
        network = architecture("myrtle", depth=depth)
        assert len(weighted(network.layers)) == convolutions + 1 == depth
        assert sum(isinstance(layer, AveragePool) for layer in network.layers) == 2
    assert len(weighted(architecture("vgg-16").layers)) == 16
    assert [layer.channels for layer in architecture("vgg-11").layers if isinstance(layer, Convolution)] == [
        64, 128, 256, 256, 512, 512, 512, 512,
    ]  # fmt: skip
    for name, depth, shortcuts in (("resnet-20", 20, 2), ("wrn-28-10", 28, 3), ("wrn-10-4", 10, 3)):
        layers = architecture(name).layers
        # The depth of a wide network counts its shortcuts and not the last layer, that of a ResNet the other way round.
        assert len(weighted(layers)) == depth + (1 if name.startswith("wrn") else shortcuts)
        assert sum(bool(layer.shortcut) for layer in layers if isinstance(layer, Residual)) == shortcuts
    wide = [layer.channels for layer in weighted(architecture("wrn-28-10").layers) if isinstance(layer, Convolution)]
    assert sorted(set(wide)) == [16, 160, 320, 640]
    assert isinstance(architecture("convolutional-1").layers[-2], Flatten)
    assert isinstance(architecture("convolutional-1", pooling=True).layers[-2], GlobalAveragePool)
    assert sum(isinstance(layer, Relu) for layer in architecture("fully-connected-5").layers) == 5


def test_wrn_10_4_has_its_parameters():
    """1.2 million, counted by hand: 3·16·9 + (16+64)·64·9 + 16·64 + (64+128)·128·9 + 64·128 + … + 256·10."""
    parameters = jax.eval_shape(
        lambda key: StaxNetwork(architecture("wrn-10-4")).init(key, (32, 32, 3)), jax.random.key(0)
    )
    by_hand = 3 * 16 * 9 + 256 * 10
    for before, after in ((16, 64), (64, 128), (128, 256)):
        by_hand += (before + after) * after * 9 + before * after
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == by_hand == 1_196_976


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet-18", 11_173_962),
        ("resnet-34", 21_282_122),
        ("resnet-50", 23_520_842),
        ("vgg-16", 14_728_266),
        ("wrn-28-10", 36_479_194),
        ("resnet-20", 269_722),  # 0.27 million, with shortcuts that have no parameters
        ("resnet-56", 853_018),  # 0.85 million
    ],
)
def test_normalised_networks_have_the_published_numbers_of_parameters(name, count):
    assert architecture(name, n_classes=10, normalisation="batch").n_parameters == count


def test_residual_networks_keep_their_shortcuts_and_strides():
    """Layers with weights, shortcuts included, and the sides that images have at the end."""
    for name, weights, shape in (("resnet-18", 21, (512,)), ("resnet-50", 54, (2048,)), ("resnet-20", 20, (64,))):
        network = architecture(name, normalisation="batch")
        assert len(weighted(network.layers)) == weights
        before = [inside for layer, inside in with_shapes(network.layers, (32, 32, 3)) if isinstance(layer, Dense)]
        assert before == [shape]
        assert isinstance(network.layers[-1], Offset)


def test_normalised_networks_have_no_kernel():
    from hilbertsd.ntk import empirical_grams, gram

    network = architecture("convolutional-1-3", normalisation="batch")
    images = np.zeros((2, 4, 4, 1))
    for compute in (gram, empirical_grams):
        with pytest.raises(InvalidInput, match="convolutional-1 has batch normalisation, with which outputs depend"):
            compute(network, images)


def test_networks_trained_as_one_have_the_kernel_of_one():
    from hilbertsd.ntk import empirical_grams

    with pytest.raises(InvalidInput, match="2 × convolutional-1 has 2 members; its kernel is the mean of theirs"):
        empirical_grams(architecture("convolutional-1-3", members=2), np.zeros((2, 4, 4, 1)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet-19", {}, r"resnet has no depth 19; give 6N \+ 2, as 8 or 20 or one of 18, 34, 50"),
        ("resnet-8", {"normalisation": "layer"}, "normalisation is 'layer'; give one of batch"),
        (
            "resnet-8",
            {"normalisation": "batch", "bias_std": 0.1},
            r"bias_std is 0\.1; normalisation takes random biases",
        ),
        ("alexnet", {}, "architecture is 'alexnet'; give one of fully-connected, convolutional"),
        (7, {}, "architecture is 7"),
        ("wrn-10-4-2", {}, "'wrn-10-4-2' has 3 numbers; wrn has depth, widening"),
        ("wrn-11-4", {}, r"wrn has no depth 11; give 6N \+ 4, as 10 or 22"),
        ("resnet-2", {}, r"resnet has no depth 2; give 6N \+ 2"),
        ("myrtle-6", {}, "myrtle has no depth 6; give one of 5, 7, 10"),
        ("vgg-12", {}, "vgg has no depth 12; give one of 11, 13, 16, 19"),
        ("vgg-11", {"stages": 6}, "stages is 6; vgg has 5"),
        ("myrtle-5", {"depth": 5}, "depth is in the name 'myrtle-5' and an option"),
        ("myrtle-5", {"pooling": True}, "myrtle option is 'pooling'; give one of depth, width, n_classes"),
        ("convolutional-0", {}, "depth is 0; give a whole number of at least 1"),
        ("convolutional-1", {"width": 1.5}, "width is 1.5"),
        ("convolutional-1", {"members": 0}, "members is 0; give a whole number of at least 1"),
        ("convolutional-1", {"pooling": 1}, "pooling is 1; give True or False"),
        ("myrtle-5", {"weight_std": -1}, "weight_std is -1; give one number from 1e-100 to 1e\\+100"),
        ("myrtle-5", {"bias_std": -1}, "bias_std is -1; give one number from 1e-100 to 1e\\+100, or 0 for no biases"),
        ("myrtle-5", {"parameterization": "mup"}, "parameterization is 'mup'; give one of ntk, standard"),
    ],
)
def test_unknown_networks_are_refused(name, options, message):
    with pytest.raises(InvalidInput, match=message):
        architecture(name, **options)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("myrtle-5", (10, 10, 3), "myrtle-5 divides a side of 5 positions by 2"),
        ("wrn-10-2", (8, 6, 3), "wrn-10-2 divides a side of 6 positions by 4"),
        ("vgg-11", (16, 16, 3), r"vgg-11 divides a side of 1 positions by 2; .* fewer stages"),
        ("myrtle-5", (12,), r"myrtle-5 gets inputs of shape \(12,\); give images"),
        ("fully-connected-1", (8, 8), "gets inputs of shape"),
    ],
)
def test_images_that_do_not_fit_are_refused(name, shape, message):
    with pytest.raises(InvalidInput, match=message):
        StaxNetwork(architecture(name)).init(jax.random.key(0), shape)
