"""Finite networks of an architecture, in Flax NNX: random parameters, and outputs as a pure function of them.

    network = FiniteNetwork(architecture("resnet-20", normalisation="batch"), (32, 32, 3))
    parameters, statistics = network.init(seed=0)
    outputs, statistics = network.apply(parameters, statistics, images, training=True)  # of the batch: (n, 10)
    outputs, _ = network.apply(parameters, statistics, images)                          # with running statistics

Without normalisation this is the function whose kernels :mod:`hilbertsd.ntk` computes, in both parameterisations.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from hilbertsd.networks.architectures import Architecture
from hilbertsd.networks.jax_backend import jax, jnp, lax, nnx
from hilbertsd.networks.layers import (
    AveragePool,
    BatchNormalisation,
    Convolution,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Offset,
    Residual,
    Subsample,
    with_shapes,
)

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

    Raises InvalidInput for images that do not pass through.
    """

    architecture: Architecture
    image_shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        self.architecture.check(self.image_shape)

    def init(self, seed: int | Sequence[int]) -> tuple[Any, Any]:
        """Random parameters and the statistics of normalisation, as NNX states; the same ones for every dtype."""
        # Drawn by NumPy: compiling JAX's draws of a deep network takes longer than a minute of training is worth.
        return self._split(np.random.default_rng(seed).standard_normal)[1:]

    def apply(self, parameters: Any, statistics: Any, images: Any, training: bool = False) -> tuple[Any, Any]:
        """Outputs (n, k) for (n, …) images, and the statistics afterwards, which change in training only."""
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
            values = lax.conv_general_dilated(values, weights, (self.stride,) * 2, "SAME", dimension_numbers=axes)
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
        self.inner = nnx.BatchNorm(channels, momentum=1 - BATCH_SHARE, rngs=nnx.Rngs(0))  # nothing is drawn

    def __call__(self, values: Any, training: bool) -> Any:
        return self.inner(values, use_running_average=not training).astype(values.dtype)


class _Residual(nnx.Module):
    def __init__(self, layer: Residual, shape: tuple[int, ...], standard: bool, draw: Draw) -> None:
        self.main = _Layers(layer.main, shape, standard, draw)
        self.shortcut = _Layers(layer.shortcut, shape, standard, draw)

    def __call__(self, values: Any, training: bool) -> Any:
        return self.main(values, training) + self.shortcut(values, training)


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
        return jnp.maximum(values, 0)


def _scaled(draw: Draw, shape: tuple[int, ...], scale: float) -> Any:
    return jnp.asarray(draw(shape, dtype=np.float32) * np.float32(scale))


def _module(layer: Layer, shape: tuple[int, ...], standard: bool, draw: Draw) -> nnx.Module:
    if isinstance(layer, Dense | Convolution):
        return _Weights(layer, shape[-1], standard, draw)
    if isinstance(layer, Residual):
        return _Residual(layer, shape, standard, draw)
    if isinstance(layer, Offset):
        return _Offset(shape[-1])
    if isinstance(layer, BatchNormalisation):
        return _BatchNormalisation(shape[-1])
    return _Fixed(layer)
