"""Layers of a network as plain data, from which finite networks and infinite-width kernels are both made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Dense:
    """Matrix product with Gaussian weights, plus Gaussian biases.

    Attributes
    ----------
    width : number of outputs.
    weight_std : σ_w; the variance of a weight is σ_w² divided by the number of inputs.
    bias_std : σ_b, the standard deviation of the biases; 0 for no biases.
    """

    width: int
    weight_std: float
    bias_std: float = 0.0


@dataclass(frozen=True)
class Convolution:
    """Two-dimensional convolution with Gaussian weights; positions beyond the border count as zero ("SAME" padding).

    Attributes
    ----------
    channels : number of outputs at each position.
    weight_std, bias_std : as in :class:`Dense`; the number of inputs is size² times the channels of the layer before.
    size : number of rows, and of columns, of the filter.
    stride : of every `stride` neighbouring positions the first is kept, in rows and in columns.
    """

    channels: int
    weight_std: float
    bias_std: float = 0.0
    size: int = 3
    stride: int = 1


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class AveragePool:
    """Mean over squares of two rows by two columns, which halves both sides."""


@dataclass(frozen=True)
class GlobalAveragePool:
    """Mean over all positions."""


@dataclass(frozen=True)
class Flatten:
    """The values at all positions, joined into one vector."""


@dataclass(frozen=True)
class Residual:
    """Sum of two branches that start from the same input.

    A branch ends in a convolution; an empty one passes on its input, which then has to come from a convolution or from
    another residual block.

    Attributes
    ----------
    main : layers of the first branch.
    shortcut : layers of the second branch; empty for the identity.
    """

    main: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


Layer: TypeAlias = Dense | Convolution | Relu | AveragePool | GlobalAveragePool | Flatten | Residual


def segments(layers: Sequence[Layer]) -> tuple[Sequence[Layer], Layer | None, Sequence[Layer]]:
    """Cut a network at its first pooling or flattening layer.

    Returns
    -------
    The layers before that layer, the layer itself (None if there is none), and the layers after it.
    """
    for index, layer in enumerate(layers):
        if isinstance(layer, AveragePool | GlobalAveragePool | Flatten):
            return layers[:index], layer, layers[index + 1 :]
    return layers, None, ()


def stride_of(layers: Sequence[Layer]) -> int:
    """Product of the strides along a path through layers that do not pool."""
    stride = 1
    for layer in layers:
        if isinstance(layer, Convolution):
            stride *= layer.stride
        elif isinstance(layer, Residual):
            stride *= stride_of(layer.main)
    return stride


def until_last_relu(layers: Sequence[Layer]) -> Sequence[Layer]:
    """Layers up to and including the last one that is a ReLU or contains one."""
    return layers[: max((index for index, layer in enumerate(layers, 1) if _has_relu(layer)), default=0)]


def _has_relu(layer: Layer) -> bool:
    if isinstance(layer, Residual):
        return any(_has_relu(inner) for inner in (*layer.main, *layer.shortcut))
    return isinstance(layer, Relu)
