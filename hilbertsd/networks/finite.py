"""Finite networks of an architecture, in Flax NNX: random parameters, and outputs as a pure function of them.

    network = FiniteNetwork(architecture("resnet-20", normalisation="batch"), (32, 32, 3))
    parameters, statistics = network.init(seed=0)
    outputs, statistics = network.apply(parameters, statistics, images, training=True)  # of the batch: (n, 10)
    outputs, _ = network.apply(parameters, statistics, images)                          # with running statistics

    FiniteNetwork(architecture("wrn-10-1"), (32, 32, 3), centred=True)  # outputs minus those at initialisation
    FiniteNetwork(architecture("wrn-10-1"), (32, 32, 3), centred=True, output_scale=0.1)  # a tenth of those

Without normalisation this is the function whose kernels :mod:`hilbertsd.ntk` computes, in both parameterisations.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import Architecture
from hilbertsd.networks.jax_backend import jax, jnp, lax, nnx, on_cpu
from hilbertsd.networks.layers import (
    AveragePool,
    BatchNormalisation,
    Convolution,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Members,
    Offset,
    Residual,
    Subsample,
    with_shapes,
)
from hilbertsd.support.checks import check_positive

EPSILON = 1e-5
"""Added to the variance of a channel before it is divided by its root, as in most published networks."""

ROWS_AT_ONCE = 16
"""Largest number of rows of a batch that one step of a sum over a channel adds up."""

BATCH_SHARE = 0.1
"""Share of a batch's statistics in the running average, as in most published networks; Flax has 0.01, too slow for
training of a few hundred steps."""

Draw: TypeAlias = Callable[..., np.ndarray]
"""Function of a shape and a dtype that gives standard normal numbers."""


@dataclass(frozen=True)
class FiniteNetwork:
    """Function of parameters and images that an architecture stands for.

    Attributes
    ----------
    architecture : from :func:`hilbertsd.networks.architecture`.
    image_shape : (rows, columns, channels), or (d,) for a fully connected network.
    dtype : of the products; parameters, statistics and outputs are float32 whatever it is, but for "float64".
    centred : whether outputs at the initial parameters are taken away, so that training starts from the zero function
        as kernel regression does. The initial parameters are the network's statistics then.
    output_scale : factor α of the outputs. With a small one parameters have to move far to fit the targets, so that
        features are learned; with a large one hardly at all (Chizat, Oyallon & Bach 2019, arXiv:1812.07956).

    Raises InvalidInput for images that do not pass through, for a centred network with normalisation, and for a scale
    that is not positive.
    """

    architecture: Architecture
    image_shape: tuple[int, ...]
    dtype: str = "float32"
    centred: bool = False
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        self.architecture.check(self.image_shape)
        check_positive(self.output_scale, "output_scale", "the factor of the outputs", InvalidInput)
        if self.centred and self.architecture.is_normalised:
            raise InvalidInput(
                f"centred is True and {self.architecture.name} is normalised; its outputs at the start depend on the "
                "other images of a batch, give a network with normalisation None"
            )

    def init(self, seed: int | Sequence[int]) -> tuple[Any, Any]:
        """Random parameters and the statistics of normalisation, as NNX states; the same ones for every dtype."""
        # Drawn by NumPy: compiling JAX's draws of a deep network takes longer than a minute of training is worth.
        _, parameters, statistics = self._split(np.random.default_rng(seed).standard_normal)
        return parameters, parameters if self.centred else statistics

    def apply(self, parameters: Any, statistics: Any, images: Any, training: bool = False) -> tuple[Any, Any]:
        """Outputs (n, k) for (n, …) images, and the statistics afterwards, which change in training only."""
        if self.centred:
            outputs, start = (self._outputs(each, nnx.State({}), images) for each in (parameters, statistics))
            return self._scaled(outputs[0] - lax.stop_gradient(start[0])), statistics
        outputs, after = self._outputs(parameters, statistics, images, training)
        return self._scaled(outputs), after

    def _scaled(self, outputs: Any) -> Any:
        # Those of a factor of 1 are the same bit by bit without the product, and compile as they always did.
        return outputs if self.output_scale == 1 else self.output_scale * outputs

    def _outputs(self, parameters: Any, statistics: Any, images: Any, training: bool = False) -> tuple[Any, Any]:
        # With a copy the statistics may be set within a function that JAX differentiates.
        modules = nnx.merge(self._graph, parameters, statistics, copy=True)
        outputs = modules(jnp.asarray(images, self.dtype), training)
        return outputs.astype(self.parameter_dtype), nnx.state(modules, nnx.BatchStat)

    @property
    def parameter_dtype(self) -> str:
        """Precision of parameters, statistics and outputs."""
        return "float64" if self.dtype == "float64" else "float32"

    @cached_property
    def _graph(self) -> Any:
        return self._split(np.zeros)[0]

    def _split(self, draw: "Draw") -> Any:
        standard = self.architecture.parameterization == "standard"
        modules = _Layers(self.architecture.layers, self.image_shape, standard, draw)
        graph, parameters, statistics = nnx.split(modules, nnx.Param, nnx.BatchStat)
        return graph, *jax.tree.map(lambda array: array.astype(self.parameter_dtype), (parameters, statistics))


class _Layers(nnx.Module):
    """Layers one after another."""

    def __init__(self, layers: Sequence[Layer], shape: tuple[int, ...], standard: bool, draw: Draw) -> None:
        self.layers = nnx.List([_module(layer, inside, standard, draw) for layer, inside in with_shapes(layers, shape)])

    def __call__(self, values: Any, training: bool) -> Any:
        for layer in self.layers:
            values = layer(values, training)
        return values


class _Weights(nnx.Module):
    """Dense layer or convolution."""

    def __init__(self, layer: Dense | Convolution, channels: int, standard: bool, draw: Draw) -> None:
        is_convolution = isinstance(layer, Convolution)
        self.stride = layer.stride if is_convolution else None
        shape = (layer.size, layer.size, channels, layer.channels) if is_convolution else (channels, layer.width)
        weight_scale = layer.weight_std / math.sqrt(math.prod(shape[:-1]))
        # Scales are in the variables of the standard parameterisation, and in the layer of the other.
        drawn = (weight_scale, layer.bias_std) if standard else (1.0, 1.0)
        self.weight_scale, self.bias_scale = (1.0, 1.0) if standard else (weight_scale, layer.bias_std)
        self.weights = nnx.Param(_scaled(draw, shape, drawn[0]))
        self.biases = nnx.Param(_scaled(draw, shape[-1:], drawn[1])) if layer.bias_std else None

    def __call__(self, values: Any, training: bool) -> Any:
        del training
        weights = (self.weights[...] * self.weight_scale).astype(values.dtype)
        if self.stride is None:
            values = values @ weights
        else:
            axes = ("NHWC", "HWIO", "NHWC")
            strides = (self.stride,) * 2
            values = lax.conv_general_dilated(_stored(values), weights, strides, "SAME", dimension_numbers=axes)
            values = _stored_gradient(values)
        if self.biases is not None:
            values = values + (self.biases[...] * self.bias_scale).astype(values.dtype)
        return values


class _Offset(nnx.Module):
    def __init__(self, channels: int) -> None:
        self.offsets = nnx.Param(jnp.zeros(channels, "float32"))

    def __call__(self, values: Any, training: bool) -> Any:
        del training
        return values + self.offsets[...].astype(values.dtype)


class _BatchNormalisation(nnx.Module):
    def __init__(self, channels: int) -> None:
        self.scales, self.offsets = (nnx.Param(jnp.full(channels, value, "float32")) for value in (1, 0))
        self.means, self.variances = (nnx.BatchStat(jnp.full(channels, value, "float32")) for value in (0, 1))

    def __call__(self, values: Any, training: bool) -> Any:
        exact = values.astype(self.scales.dtype)
        if not training:
            factors = self.scales[...] / jnp.sqrt(self.variances[...] + EPSILON)
            return ((exact - self.means[...]) * factors + self.offsets[...]).astype(values.dtype)
        outputs, means, variances = _normalised(exact, self.scales[...], self.offsets[...])
        self.means[...] += BATCH_SHARE * (means - self.means[...])
        self.variances[...] += BATCH_SHARE * (variances - self.variances[...])
        return outputs.astype(values.dtype)


class _Residual(nnx.Module):
    def __init__(self, layer: Residual, shape: tuple[int, ...], standard: bool, draw: Draw) -> None:
        self.main = _Layers(layer.main, shape, standard, draw)
        self.shortcut = _Layers(layer.shortcut, shape, standard, draw)

    def __call__(self, values: Any, training: bool) -> Any:
        return self.main(values, training) + self.shortcut(values, training)


class _Members(nnx.Module):
    def __init__(self, layer: Members, shape: tuple[int, ...], standard: bool, draw: Draw) -> None:
        self.members = nnx.List([_Layers(layer.layers, shape, standard, draw) for _ in range(layer.count)])

    def __call__(self, values: Any, training: bool) -> Any:
        # Not one computation with an axis of members: on CPUs that makes grouped convolutions, which are slow.
        return sum(member(values, training) for member in self.members) / math.sqrt(len(self.members))


class _Fixed(nnx.Module):
    """Layer without parameters."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def __call__(self, values: Any, training: bool) -> Any:
        del training
        layer = self.layer
        if isinstance(layer, GlobalAveragePool):
            return values.mean((1, 2))
        if isinstance(layer, Flatten):
            return values.reshape(len(values), -1)
        if isinstance(layer, AveragePool | MaxPool):
            n, rows, columns, channels = values.shape
            squares = values.reshape(n, rows // 2, 2, columns // 2, 2, channels)
            return squares.mean((2, 4)) if isinstance(layer, AveragePool) else squares.max((2, 4))
        if isinstance(layer, Subsample):
            kept = values[:, :: layer.stride, :: layer.stride]
            new = layer.channels - kept.shape[-1]
            return jnp.pad(kept, [(0, 0)] * 3 + [(new // 2, new - new // 2)])
        return jax.nn.relu(values)


@jax.custom_vjp
def _normalised(values: Any, scales: Any, offsets: Any) -> tuple[Any, Any, Any]:
    """Normalised values, and the mean and the variance of every channel."""
    return _normalise(values, scales, offsets)[0]


def _normalise(values: Any, scales: Any, offsets: Any) -> tuple[Any, Any]:
    count = values.size // values.shape[-1]
    total, squares = _channel_sums(values, values**2)
    means = total / count
    variances = jnp.maximum(squares / count - means**2, 0)
    inverse = 1 / jnp.sqrt(variances + EPSILON)
    outputs = (values - means) * (scales * inverse) + offsets
    return (outputs, means, variances), (values, scales, means, inverse)


def _normalise_backward(kept: Any, gradients: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """Gradients of values, scales and offsets in two passes over the values; automatic ones take many."""
    values, scales, means, inverse = kept
    of_outputs, of_means, of_variances = gradients
    count, centred = values.size // values.shape[-1], values - means
    total, product = _channel_sums(of_outputs, of_outputs * centred)
    of_means = of_means - scales * inverse * total
    of_variances = of_variances - scales * inverse**3 * product / 2
    of_values = scales * inverse * of_outputs + (2 / count) * of_variances * centred + of_means / count
    return of_values, inverse * product, total


_normalised.defvjp(_normalise, _normalise_backward)


def _channel_sums(first: Any, second: Any) -> tuple[Any, Any]:
    """Sums of two arrays of one shape over all axes but the last."""
    if not on_cpu():
        return tuple(values.sum(range(values.ndim - 1)) for values in (first, second))
    # XLA for CPUs sums a long axis in scalar code, and what it has stored before. At most 16 rows together are vector
    # code, which reads both arrays once; the barrier keeps XLA from joining both steps to one sum again.
    shape = first.shape[-2:] if first.ndim == 4 else first.shape[-1:]
    rows = first.size // math.prod(shape)
    few = max(count for count in range(1, ROWS_AT_ONCE + 1) if rows % count == 0)
    operands = [values.reshape(rows // few, few, *shape) for values in (first, second)]
    zero = jnp.zeros((), first.dtype)
    sums = lax.reduce(operands, [zero, zero], lambda one, other: [a + b for a, b in zip(one, other, strict=True)], (1,))
    return tuple(values.sum(range(values.ndim - 1)) for values in lax.optimization_barrier(sums))


@jax.custom_vjp
def _stored(values: Any) -> Any:
    """The values, which XLA for CPUs is to write to memory before a convolution and its gradient read them.

    XLA would compute them once more in the order in which the gradient of the weights reads them, with strides, which
    takes ten times as long as reading them. What it takes for expensive, as a division, it stores.
    """
    return values / jnp.where(jnp.isnan(values), jnp.inf, 1).astype(values.dtype) if on_cpu() else values


_stored.defvjp(lambda values: (_stored(values), None), lambda _, gradient: (gradient,))


@jax.custom_vjp
def _stored_gradient(values: Any) -> Any:
    """The values, whose gradient is stored as :func:`_stored` does it."""
    return values


_stored_gradient.defvjp(lambda values: (values, None), lambda _, gradient: (_stored(gradient),))


def _scaled(draw: Draw, shape: tuple[int, ...], scale: float) -> Any:
    return jnp.asarray(draw(shape, dtype=np.float32) * np.float32(scale))


def _module(layer: Layer, shape: tuple[int, ...], standard: bool, draw: Draw) -> nnx.Module:
    if isinstance(layer, Dense | Convolution):
        return _Weights(layer, shape[-1], standard, draw)
    if isinstance(layer, Residual):
        return _Residual(layer, shape, standard, draw)
    if isinstance(layer, Members):
        return _Members(layer, shape, standard, draw)
    if isinstance(layer, Offset):
        return _Offset(shape[-1])
    if isinstance(layer, BatchNormalisation):
        return _BatchNormalisation(shape[-1])
    return _Fixed(layer)
