"""Architectures as neural-tangents' functions: finite networks, and its own kernel function."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hilbertsd.networks.architectures import Architecture, architecture
from hilbertsd.networks.layers import (
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    Relu,
    Residual,
)
from hilbertsd.ntk.compat import neural_tangents

__all__ = ["Architecture", "StaxNetwork", "architecture"]  # the first and the last as users of this room name them


@dataclass(frozen=True)
class StaxNetwork:
    """A network of an architecture, made by neural-tangents' `stax`.

    Attributes
    ----------
    architecture : from :func:`hilbertsd.networks.architecture`.

    Raises MissingPackage, when first used, where neural-tangents is not installed.
    """

    architecture: Architecture

    def init(self, key: Any, image_shape: Sequence[int]) -> Any:
        """Random parameters of a finite network.

        Parameters
        ----------
        key : from ``jax.random.key``.
        image_shape : (rows, columns, channels), or (d,).

        Raises
        ------
        InvalidInput
            Images of this shape do not pass through: see :meth:`hilbertsd.networks.Architecture.check`.
        """
        self.architecture.check(image_shape)
        return self._functions[0](key, (1, *image_shape))[1]

    def apply(self, parameters: Any, images: Any) -> Any:
        """(n, outputs) of a finite network, for (n, rows, columns, channels) images."""
        return self._functions[1](parameters, images)

    def kernel_fn(self, X: Any, X2: Any = None, get: Any = ("ntk", "nngp")) -> Any:
        """neural-tangents' own kernel function, in JAX's default precision; :func:`hilbertsd.ntk.gram` is faster."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`FanIn` layers assume independent inputs", category=UserWarning)
            return self._functions[2](X, X2, get)

    @cached_property
    def _functions(self) -> Any:
        return _functions(self.architecture.layers, self.architecture.parameterization)


def _functions(layers: Sequence[Layer], parameterization: str) -> Any:
    """Layers as neural-tangents' (init, apply, kernel) functions."""
    stax = neural_tangents().stax
    made = []
    for layer in layers:
        if isinstance(layer, Dense):
            scales = (layer.weight_std, layer.bias_std or None)
            made.append(stax.Dense(layer.width, *scales, parameterization=parameterization))
        elif isinstance(layer, Convolution):
            shape = {"filter_shape": (layer.size,) * 2, "strides": (layer.stride,) * 2, "padding": "SAME"}
            scales = {"W_std": layer.weight_std, "b_std": layer.bias_std or None}
            made.append(stax.Conv(layer.channels, **shape, **scales, parameterization=parameterization))
        elif isinstance(layer, Residual):
            branches = (
                _functions(each, parameterization) if each else stax.Identity() for each in (layer.main, layer.shortcut)
            )
            made.append(stax.serial(stax.FanOut(2), stax.parallel(*branches), stax.FanInSum()))
        elif isinstance(layer, AveragePool):
            made.append(stax.AvgPool((2, 2), strides=(2, 2)))
        else:
            made.append({Relu: stax.Relu, GlobalAveragePool: stax.GlobalAvgPool, Flatten: stax.Flatten}[type(layer)]())
    return stax.serial(*made)
