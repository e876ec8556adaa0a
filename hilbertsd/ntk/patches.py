"""Finite networks with convolutions as products of patches with the weights.

    outputs = apply_by_patches(network, parameters, image)  # (outputs,), as StaxNetwork(network).apply has them

Gradients for every image of a batch are then products of matrices, which accelerators compute fast: on an H200
those of 1,536 images, WRN-10-4 at 32 × 32, took 0.07 s. XLA's own gradients of convolutions take a group of channels
for every image: there a kernel of 640 images took 1.4 s with them.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from hilbertsd.networks.architectures import Architecture
from hilbertsd.networks.layers import AveragePool, Convolution, Dense, GlobalAveragePool, Layer, Relu, Residual
from hilbertsd.ntk.jax_backend import jnp

Product = Callable[[Any, Any], Any]
"""Function of rows (…, inputs) and weights (inputs, outputs) that gives their product (…, outputs)."""


def apply_by_patches(
    architecture: Architecture, parameters: Any, image: Any, product: Product = operator.matmul
) -> Any:
    """(outputs,) outputs of a finite network for one image.

    Parameters
    ----------
    architecture : the network.
    parameters : from :meth:`hilbertsd.ntk.StaxNetwork.init`.
    image : (rows, columns, channels), or (d,) for a fully connected network.
    product : function that every layer with weights calls in place of a matrix product, for who wants to see what it
        multiplies or to add to it.
    """
    return _through(architecture.layers, parameters, image, architecture.parameterization == "standard", product)


def _through(layers: Sequence[Layer], parameters: Sequence[Any], values: Any, standard: bool, product: Product) -> Any:
    """Outputs of some layers for one input, (rows, columns, channels) or (d,), with neural-tangents' parameters."""
    for layer, own in zip(layers, parameters, strict=True):
        if isinstance(layer, Dense | Convolution):
            weights, biases = own
            rows = _patches(values, layer) if isinstance(layer, Convolution) else values
            scale = 1.0 if standard else layer.weight_std / math.sqrt(rows.shape[-1])
            values = product(rows, weights.reshape(rows.shape[-1], -1)) * scale
            if biases is not None:
                values = values + biases.reshape(-1) * (1.0 if standard else layer.bias_std)
        elif isinstance(layer, Relu):
            values = jnp.maximum(values, 0)
        elif isinstance(layer, Residual):
            _, (main, shortcut), _ = own
            through = [_through(layer.main, main, values, standard, product)]
            through.append(_through(layer.shortcut, shortcut, values, standard, product) if layer.shortcut else values)
            values = through[0] + through[1]
        elif isinstance(layer, AveragePool):
            rows, columns, channels = values.shape
            values = values.reshape(rows // 2, 2, columns // 2, 2, channels).mean((1, 3))
        else:
            values = values.mean((0, 1)) if isinstance(layer, GlobalAveragePool) else values.reshape(-1)
    return values


def _patches(values: Any, layer: Convolution) -> Any:
    """Inputs under the filter at every position it keeps, (rows, columns, size² × channels), with "SAME" padding."""
    size, stride = layer.size, layer.stride
    kept = [-(-side // stride) for side in values.shape[:2]]
    missing = [max((n - 1) * stride + size - side, 0) for n, side in zip(kept, values.shape[:2], strict=True)]
    padded = jnp.pad(values, [(total // 2, total - total // 2) for total in missing] + [(0, 0)])
    last = [(n - 1) * stride + 1 for n in kept]
    shifts = [(i, j) for i in range(size) for j in range(size)]
    return jnp.concatenate([padded[i : i + last[0] : stride, j : j + last[1] : stride] for i, j in shifts], axis=-1)
