"""Canary: the gradient that the compiled step of training takes is that of the loss, differenced in NumPy and float64.

XLA for CPUs has had silently wrong results in fused code (jaxlib 0.10.2 to 0.11), and the normalisation has a gradient
of its own.
"""

import math

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `networks`")
pytest.importorskip("flax", reason="needs the extra `networks`")

from flax import nnx

from hilbertsd.networks import FiniteNetwork, Loss, Training, architecture, finite
from hilbertsd.networks.families import FAMILIES
from hilbertsd.networks.layers import (
    AveragePool,
    BatchNormalisation,
    Convolution,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    Offset,
    Residual,
    Subsample,
)
from hilbertsd.networks.training import Trainer

NETWORKS = {
    "fully-connected-2-16": {},
    "convolutional-1-8": {"pooling": True},
    "myrtle-5": {"width": 8},
    "vgg-11": {"width": 8, "stages": 2},
    "resnet-8": {"width": 8},
    "wrn-10-1": {"width": 8},
}
"""As in training, channels fill vectors of eight numbers."""

IMAGES = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
TARGETS = np.eye(4, dtype="float32")[np.random.default_rng(1).integers(0, 4, 16)]

STEP = 1e-7
"""Distance over which the loss is differenced: so small that hardly a ReLU changes its side."""

TOLERANCE = 1e-4


def convolved(values, weights, stride):
    rows, columns = values.shape[1:3]
    sides = [-(-side // stride) for side in (rows, columns)]
    size = len(weights)
    more = [max((new - 1) * stride + size - old, 0) for new, old in zip(sides, (rows, columns), strict=True)]
    padded = np.pad(values, [(0, 0), *((each // 2, each - each // 2) for each in more), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))[:, ::stride, ::stride]
    return np.einsum("nijcab,abco->nijo", windows, weights, optimize=True)


def outputs_of(layers, states, values, standard):
    """Outputs in training, by NumPy."""
    states = {int(key): state for key, state in states.items()}
    for index, layer in enumerate(layers):
        state = states.get(index, {})
        if isinstance(layer, Dense | Convolution):
            weights = state["weights"]
            if not standard:
                weights = weights * layer.weight_std / math.sqrt(math.prod(weights.shape[:-1]))
            values = values @ weights if isinstance(layer, Dense) else convolved(values, weights, layer.stride)
        elif isinstance(layer, BatchNormalisation):
            axes = tuple(range(values.ndim - 1))
            values = (values - values.mean(axes)) / np.sqrt(values.var(axes) + finite.EPSILON)
            values = values * state["scales"] + state["offsets"]
        elif isinstance(layer, Offset):
            values = values + state["offsets"]
        elif isinstance(layer, Residual):
            main, shortcut = (
                outputs_of(branch, state.get(name, {}).get("layers", {}), values, standard)
                for name, branch in (("main", layer.main), ("shortcut", layer.shortcut))
            )
            values = main + shortcut
        elif isinstance(layer, AveragePool | MaxPool):
            n, rows, columns, channels = values.shape
            squares = values.reshape(n, rows // 2, 2, columns // 2, 2, channels)
            values = squares.mean((2, 4)) if isinstance(layer, AveragePool) else squares.max((2, 4))
        elif isinstance(layer, Subsample):
            kept = values[:, :: layer.stride, :: layer.stride]
            new = layer.channels - kept.shape[-1]
            values = np.pad(kept, [(0, 0)] * 3 + [(new // 2, new - new // 2)])
        elif isinstance(layer, GlobalAveragePool):
            values = values.mean((1, 2))
        elif isinstance(layer, Flatten):
            values = values.reshape(len(values), -1)
        else:
            values = np.maximum(values, 0)
    return values


def slopes(name, options):
    """Slope of the loss along the compiled gradient, its arrays scaled to norm 1: by that gradient, and by NumPy."""
    network = FiniteNetwork(architecture(name, n_classes=4, **options), IMAGES.shape[1:])
    training = Training(steps=1, batch_size=None, learning_rate=1e-3, weight_decay=0)
    trainer = Trainer(network, Loss("squared-error"), training, IMAGES)
    state = trainer.start((0,), 0)
    start = jax.tree.map(lambda array: np.asarray(array[0], "float64"), state.parameters)
    moved = (state.parameters, state.statistics, state.optimiser)
    rows, active = np.arange(len(IMAGES))[None], np.ones(1, bool)
    step = trainer._step(0, False)
    moved, _ = step(moved, None, None, TARGETS[None], trainer._images, rows, None, active, state.log_penalty)
    # After one step the momentum is the gradient.
    gradient = jax.tree.map(lambda array: np.asarray(array[0], "float64"), moved[2][0].trace)
    norms = jax.tree.map(np.linalg.norm, gradient)
    standard = network.architecture.parameterization == "standard"

    def loss_at(distance):
        moved = jax.tree.map(lambda array, slope, norm: array + distance * slope / norm, start, gradient, norms)
        states = nnx.to_pure_dict(moved)["layers"]
        outputs = outputs_of(network.architecture.layers, states, IMAGES.astype("float64"), standard)
        return np.mean(np.sum((outputs - TARGETS) ** 2, axis=1))

    return sum(jax.tree.leaves(norms)), (loss_at(STEP) - loss_at(-STEP)) / (2 * STEP)


@pytest.mark.parametrize("normalisation", [None, "batch"])
@pytest.mark.parametrize(("name", "options"), NETWORKS.items())
def test_compiled_gradients_are_those_of_the_loss(name, options, normalisation):
    compiled, differenced = slopes(name, {"normalisation": normalisation, **options})
    assert compiled == pytest.approx(differenced, rel=TOLERANCE)


def test_every_family_is_tried():
    assert {name.rstrip("-0123456789") for name in NETWORKS} == set(FAMILIES)


def test_a_wrong_gradient_is_found(monkeypatch):
    def without_the_variance(values, scales, offsets):
        outputs, means, variances = finite._normalise(values, scales, offsets)[0]
        return outputs + 0.001 * values, means, variances

    monkeypatch.setattr(finite, "_normalised", without_the_variance)
    compiled, differenced = slopes("convolutional-1-8", {"pooling": True, "normalisation": "batch"})
    assert abs(compiled / differenced - 1) > TOLERANCE
