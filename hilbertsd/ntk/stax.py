"""Architectures as functions of neural-tangents.

    network = StaxNetwork(architecture("wrn-10-1"))
    parameters = network.init(jax.random.key(0), (32, 32, 3))
    network.apply(parameters, images)  # (n, 10) outputs for (n, 32, 32, 3) images
    network.with_arrays(arrays, (32, 32, 3))  # parameters of a trained network, which apply takes, too

These are finite networks, and neural-tangents' own function for the infinite-width kernels.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hilbertsd.errors import InvalidInput
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

__all__ = ["Architecture", "StaxNetwork", "architecture"]  # hilbertsd.ntk.architecture is that of networks


@dataclass(frozen=True)
class StaxNetwork:
    """Network of an architecture, built with neural-tangents' `stax`.

    Its methods raise MissingPackage where JAX or neural-tangents is not installed.

    Attributes
    ----------
    architecture : from :func:`hilbertsd.networks.architecture`.
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
            Images of this shape do not pass through the network; see :meth:`hilbertsd.networks.Architecture.check`.
        """
        self.architecture.check(image_shape)
        return self._functions[0](key, (1, *image_shape))[1]

    def with_arrays(self, arrays: Mapping[str, Any], image_shape: Sequence[int]) -> Any:
        """Parameters with the arrays of a :class:`hilbertsd.networks.FiniteNetwork` of the same architecture.

        Parameters
        ----------
        arrays : by name, such as "layers.3.weights", as a trained network stores them.
        image_shape : (rows, columns, channels), or (d,).

        Raises
        ------
        InvalidInput
            An array is missing or has another shape, or as :meth:`init`.
        """
        import jax

        empty = jax.eval_shape(lambda key: self.init(key, image_shape), jax.random.key(0))
        leaves, structure = jax.tree_util.tree_flatten(empty)
        names = list(_array_names(self.architecture.layers))
        if set(arrays) != set(names):
            different = sorted(set(arrays) ^ set(names))
            raise InvalidInput(
                f"parameters of {self.architecture.name} are {', '.join(names[:3])}, …, and {different[0]!r} is not in "
                "both; give those of a network of the same architecture"
            )
        for name, leaf in zip(names, leaves, strict=True):
            if np.size(arrays[name]) != leaf.size or np.shape(arrays[name])[-1] != leaf.shape[-1]:
                raise InvalidInput(
                    f"{name} has shape {np.shape(arrays[name])} and {self.architecture.name} needs {leaf.shape}; give "
                    "parameters of a network of the same architecture"
                )
        filled = [np.reshape(arrays[name], leaf.shape) for name, leaf in zip(names, leaves, strict=True)]
        return jax.tree_util.tree_unflatten(structure, filled)

    def apply(self, parameters: Any, images: Any) -> Any:
        """Compute the (n, outputs) outputs of a finite network for (n, rows, columns, channels) images."""
        return self._functions[1](parameters, images)

    def kernel_fn(self, X: Any, X2: Any = None, get: Any = ("ntk", "nngp")) -> Any:
        """Compute infinite-width kernels with neural-tangents, in JAX's default precision.

        :func:`hilbertsd.ntk.gram` computes the same values faster.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`FanIn` layers assume independent inputs", category=UserWarning)
            return self._functions[2](X, X2, get)

    @cached_property
    def _functions(self) -> Any:
        return _functions(self.architecture.layers, self.architecture.parameterization)


def _array_names(layers: Sequence[Layer], prefix: str = "layers") -> Iterator[str]:
    """Names of a finite network's arrays, in the order of neural-tangents' leaves."""
    for index, layer in enumerate(layers):
        place = f"{prefix}.{index}"
        if isinstance(layer, Dense | Convolution):
            yield f"{place}.weights"
            if layer.bias_std:
                yield f"{place}.biases"
        elif isinstance(layer, Residual):
            for branch in ("main", "shortcut"):
                yield from _array_names(getattr(layer, branch), f"{place}.{branch}.layers")


def _functions(layers: Sequence[Layer], parameterization: str) -> Any:
    """Build neural-tangents' functions (init, apply, kernel) of some layers."""
    stax = neural_tangents().stax
    stax_layers = []
    for layer in layers:
        if isinstance(layer, Dense):
            scales = (layer.weight_std, layer.bias_std or None)
            stax_layers.append(stax.Dense(layer.width, *scales, parameterization=parameterization))
        elif isinstance(layer, Convolution):
            shape = {"filter_shape": (layer.size,) * 2, "strides": (layer.stride,) * 2, "padding": "SAME"}
            scales = {"W_std": layer.weight_std, "b_std": layer.bias_std or None}
            stax_layers.append(stax.Conv(layer.channels, **shape, **scales, parameterization=parameterization))
        elif isinstance(layer, Residual):
            branches = (
                _functions(branch, parameterization) if branch else stax.Identity()
                for branch in (layer.main, layer.shortcut)
            )
            stax_layers.append(stax.serial(stax.FanOut(2), stax.parallel(*branches), stax.FanInSum()))
        elif isinstance(layer, AveragePool):
            stax_layers.append(stax.AvgPool((2, 2), strides=(2, 2)))
        else:
            plain = {Relu: stax.Relu, GlobalAveragePool: stax.GlobalAvgPool, Flatten: stax.Flatten}
            stax_layers.append(plain[type(layer)]())
    return stax.serial(*stax_layers)
